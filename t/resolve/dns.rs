//! A name server that answers from a table; nothing leaves the machine.

use std::collections::HashMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::LIMIT;
use crate::harness::wait;

/// A running name server; its thread ends with the tests.
pub struct Dns {
    pub port: u16,
    table: Arc<Mutex<Table>>,
}

impl Dns {
    pub fn start() -> Result<Dns, String> {
        let socket = UdpSocket::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        let port = socket.local_addr().map_err(|e| e.to_string())?.port();
        let table = Arc::new(Mutex::new(Table::default()));
        let dns = Dns { port, table: table.clone() };
        std::thread::spawn(move || {
            let mut bytes = [0; 512];
            while let Ok((count, from)) = socket.recv_from(&mut bytes) {
                if let Some(reply) = lock(&table).reply(&bytes[..count]) {
                    let _ = socket.send_to(&reply, from);
                }
            }
        });
        Ok(dns)
    }

    /// From now on the name has these addresses; with none it does not exist.
    pub fn addresses(&self, name: &str, addresses: &[&str]) {
        let data = |text: &&str| text.parse::<Ipv4Addr>().map(|ip| ip.octets().to_vec());
        let records = addresses.iter().filter_map(|text| data(text).ok());
        self.set(name, Answer::Records(1, records.collect()));
    }

    /// Priority, weight, port and host of each record.
    pub fn services(&self, name: &str, records: &[(u16, u16, u16, &str)]) {
        let data = |(priority, weight, port, host): &(u16, u16, u16, &str)| {
            let numbers = [priority, weight, port].map(|n| n.to_be_bytes());
            [numbers.concat(), wire(host)].concat()
        };
        self.set(name, Answer::Records(33, records.iter().map(data).collect()));
    }

    /// From now on questions about the name are answered with a failure.
    pub fn fail(&self, name: &str) {
        self.set(name, Answer::Failure);
    }

    /// Returns when the name was asked for once more than now.
    pub fn until_asked_again(&self, name: &str) -> Result<(), String> {
        let asked = || lock(&self.table).asked.get(&wire(name)).copied().unwrap_or(0);
        let before = asked();
        wait::until(LIMIT, || match asked() > before {
            true => Ok(()),
            false => Err(format!("{name} is not asked for")),
        })
    }

    fn set(&self, name: &str, answer: Answer) {
        lock(&self.table).answers.insert(wire(name), answer);
    }
}

#[derive(Default)]
struct Table {
    /// By the name as it stands in a message.
    answers: HashMap<Vec<u8>, Answer>,
    asked: HashMap<Vec<u8>, usize>,
}

enum Answer {
    /// The type of the records and what each holds.
    Records(u8, Vec<Vec<u8>>),
    Failure,
}

impl Table {
    fn reply(&mut self, asked: &[u8]) -> Option<Vec<u8>> {
        let name = asked.get(12..asked.len().checked_sub(4)?)?.to_vec();
        let kind = asked[asked.len() - 3];
        *self.asked.entry(name.clone()).or_default() += 1;
        let mut out = asked.to_vec();
        out[2] = 0x81;
        match self.answers.get(&name) {
            None => out[3] = 3,
            Some(Answer::Failure) => out[3] = 2,
            Some(Answer::Records(of, records)) if *of == kind => {
                out[7] = records.len() as u8;
                for data in records {
                    out.extend_from_slice(&[0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60]);
                    out.extend_from_slice(&(data.len() as u16).to_be_bytes());
                    out.extend_from_slice(data);
                }
            }
            Some(Answer::Records(..)) => {}
        }
        Some(out)
    }
}

fn wire(name: &str) -> Vec<u8> {
    let labels = name.split('.').flat_map(|label| {
        let length = label.len() as u8;
        std::iter::once(length).chain(label.bytes())
    });
    labels.chain([0]).collect()
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

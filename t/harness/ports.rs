//! Ports that nobody else takes between the moment they are picked and the moment they are bound.
//!
//! ```text
//!   10000 .. 65000, less what the kernel gives to outgoing connections
//!   `- hundreds, each claimed by one process (the name of an abstract socket is the lock)
//!       `- ports, each given to one case
//! ```

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::{Mutex, PoisonError};

/// A port that nobody listens on and that no other case, of this run or another, was given.
pub fn free_port() -> u16 {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let port = given.next();
        if is_free(port) {
            return port;
        }
    }
}

/// What this process has claimed and given away.
struct Given {
    /// The sockets whose names are the claims; they live as long as the process.
    claims: Vec<(u16, UnixListener)>,
    /// The hundred in use, as an index of `claims`, and the next port of it.
    hundred: usize,
    offset: u16,
}

impl Given {
    fn next(&mut self) -> u16 {
        if self.claims.is_empty() || self.offset == HUNDRED {
            self.turn();
        }
        let port = self.claims.get(self.hundred).map_or(FIRST, |claim| claim.0) + self.offset;
        self.offset += 1;
        port
    }

    /// Goes on with a hundred that nobody has; when all are taken, with the oldest of its own.
    fn turn(&mut self) {
        self.offset = 0;
        match claim() {
            Some(claim) => {
                self.claims.push(claim);
                self.hundred = self.claims.len() - 1;
            }
            None => self.hundred = (self.hundred + 1) % self.claims.len().max(1),
        }
    }
}

/// Claims the first hundred that no process has, outside the kernel's own range if that can be.
fn claim() -> Option<(u16, UnixListener)> {
    let (low, high) = outgoing();
    let is_outside = |first: &u16| *first > high || first + HUNDRED <= low;
    let all = || (FIRST..LAST).step_by(usize::from(HUNDRED));
    let claim = |first: u16| {
        let name = format!("moonbeat-t-ports-{first}");
        let address = SocketAddr::from_abstract_name(name).ok()?;
        Some((first, UnixListener::bind_addr(&address).ok()?))
    };
    let outside = all().filter(is_outside).find_map(claim);
    outside.or_else(|| all().find_map(claim))
}

/// The ports that the kernel gives to outgoing connections.
fn outgoing() -> (u16, u16) {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let text = text.unwrap_or_default();
    let mut numbers = text.split_whitespace().filter_map(|word| word.parse().ok());
    (numbers.next().unwrap_or(32_768), numbers.next().unwrap_or(60_999))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
        && UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

static GIVEN: Mutex<Given> = Mutex::new(Given { claims: Vec::new(), hundred: 0, offset: 0 });

const FIRST: u16 = 10_000;
const LAST: u16 = 65_000;
const HUNDRED: u16 = 100;

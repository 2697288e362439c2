//! Upstream peers: real nginx processes, and sockets that follow a script.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::harness::server::{Prefix, Program, Server, free_port};
use crate::harness::wait::{self, HANG};

/// The distribution's nginx on a port of its own; it can be stopped and started again.
pub struct Peer {
    pub port: u16,
    server: Option<Server>,
}

impl Peer {
    pub fn start() -> Result<Peer, String> {
        let mut peer = Peer::reserve()?;
        peer.serve()?;
        Ok(peer)
    }

    /// A port without a server behind it, for now.
    pub fn reserve() -> Result<Peer, String> {
        Ok(Peer { port: free_port(), server: None })
    }

    pub fn serve(&mut self) -> Result<(), String> {
        let conf = configuration(self.port);
        self.server = Some(Server::start(Program::Oracle, Prefix::new()?, &conf, self.port)?);
        Ok(())
    }

    pub fn stop(&mut self) -> Result<(), String> {
        match self.server.take() {
            Some(mut server) => server.stop(&[]),
            None => Ok(()),
        }
    }

    /// From now on probes get this answer: `404`, `302`, `500` or `hang`.
    pub fn answer_with(&self, what: &str) -> Result<(), String> {
        let server = self.server.as_ref().ok_or("the peer does not run")?;
        server.prefix.write(&format!("html/{what}"), "")
    }
}

fn configuration(port: u16) -> String {
    format!(
        r#"{preamble}daemon off;
master_process off;
error_log logs/error.log;
pid logs/nginx.pid;
events {{ }}
http {{
    access_log off;
    server {{
        listen {port};
        root html;
        location = /status {{
            if (-f $document_root/404) {{ return 404; }}
            if (-f $document_root/302) {{ return 302 /elsewhere; }}
            if (-f $document_root/500) {{ return 500; }}
            if (-f $document_root/hang) {{ rewrite ^ /hang last; }}
            return 200 "fine\n";
        }}
        location = /hang {{ content_by_lua_block {{ ngx.sleep(60) }} }}
        location / {{ return 200 "peer {port}\n"; }}
    }}
}}
"#,
        preamble = Program::Oracle.preamble()
    )
}

/// A socket that gives each connection the next status of its list, and then the last again.
pub struct Script {
    pub port: u16,
    probes: Arc<Mutex<Vec<Probe>>>,
    statuses: Arc<Mutex<VecDeque<String>>>,
}

/// What came over one connection.
#[derive(Clone)]
pub struct Probe {
    pub at: Instant,
    pub bytes: String,
}

impl Script {
    pub fn start(statuses: &[&str]) -> Result<Script, String> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|e| e.to_string())?;
        let port = listener.local_addr().map_err(|e| e.to_string())?.port();
        let probes = Arc::new(Mutex::new(Vec::new()));
        let statuses = statuses.iter().map(|status| (*status).to_owned()).collect();
        let statuses = Arc::new(Mutex::new(statuses));
        let (seen, left) = (Arc::clone(&probes), Arc::clone(&statuses));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let status = next(&mut left.lock().expect("nobody panics with it"));
                answer(stream, &status, |probe| {
                    seen.lock().expect("no reader panics").push(probe);
                });
            }
        });
        Ok(Script { port, probes, statuses })
    }

    /// From now on gives this status.
    pub fn goes_on(&self, status: &str) {
        *self.statuses.lock().expect("nobody panics with it") = VecDeque::from([status.to_owned()]);
    }

    pub fn count(&self) -> usize {
        self.probes.lock().expect("the writer does not panic").len()
    }

    pub fn probe(&self, number: usize) -> Result<Probe, String> {
        let probes = self.probes.lock().expect("the writer does not panic");
        probes.get(number).cloned().ok_or_else(|| format!("no probe number {number}"))
    }

    pub fn wait_for_probes(&self, count: usize) -> Result<(), String> {
        wait::until(HANG, || match self.count() {
            enough if enough >= count => Ok(()),
            few => Err(format!("{few} probes, wanted {count}")),
        })
    }
}

fn next(statuses: &mut VecDeque<String>) -> String {
    match statuses.len() {
        0 | 1 => statuses.front().cloned().unwrap_or_default(),
        _ => statuses.pop_front().unwrap_or_default(),
    }
}

/// Reads a probe, notes it, and only then answers: who has seen the answer finds the note.
fn answer(mut stream: TcpStream, status: &str, note: impl FnOnce(Probe)) {
    let at = Instant::now();
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    while !received.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => received.extend_from_slice(&buffer[..count]),
            _ => break,
        }
    }
    note(Probe { at, bytes: String::from_utf8_lossy(&received).into_owned() });
    let _ = stream.write_all(format!("HTTP/1.0 {status} Scripted\r\n\r\n").as_bytes());
}

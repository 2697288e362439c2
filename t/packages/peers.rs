//! The servers at the other end: processes of other projects, and a DNS server of our own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::wait::HANG;

pub const REDIS: &str = "/usr/bin/redis-server";
pub const MEMCACHED: &str = "/usr/bin/memcached";

/// A running server of another project; ends with the case.
pub struct Peer(Child);

impl Peer {
    pub fn redis(folder: &Path, port: u16) -> Result<Peer, String> {
        let mut command = Command::new(REDIS);
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", "no", "--dir"]).arg(folder);
        Self::start(command, port)
    }

    pub fn memcached(port: u16) -> Result<Peer, String> {
        let mut command = Command::new(MEMCACHED);
        // It refuses to run as root unless told whom to become.
        command.args(["-l", "127.0.0.1", "-u", "nobody", "-U", "0", "-p", &port.to_string()]);
        Self::start(command, port)
    }

    fn start(mut command: Command, port: u16) -> Result<Peer, String> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut peer = Peer(command.spawn().map_err(|e| e.to_string())?);
        let end = Instant::now() + HANG;
        while Instant::now() < end {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(peer);
            }
            if let Some(status) = peer.0.try_wait().map_err(|e| e.to_string())? {
                return Err(format!("{command:?} ended with {status}"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(format!("{command:?} does not listen within {HANG:?}"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Answers every name of `.test` but `none.test`; replies about `big.test` do not fit into UDP.
pub struct DnsServer {
    is_over: Arc<AtomicBool>,
}

impl DnsServer {
    pub fn start(port: u16) -> Result<DnsServer, String> {
        let is_over = Arc::new(AtomicBool::new(false));
        let address = (Ipv4Addr::LOCALHOST, port);
        let udp = UdpSocket::bind(address).map_err(|e| e.to_string())?;
        udp.set_read_timeout(Some(POLL)).map_err(|e| e.to_string())?;
        let tcp = TcpListener::bind(address).map_err(|e| e.to_string())?;
        tcp.set_nonblocking(true).map_err(|e| e.to_string())?;
        let over = is_over.clone();
        thread::spawn(move || {
            let mut question = [0; 512];
            while !over.load(Ordering::Relaxed) {
                if let Ok((size, from)) = udp.recv_from(&mut question) {
                    let _ = udp.send_to(&reply(&question[..size], true), from);
                }
                if let Ok((stream, _)) = tcp.accept() {
                    let _ = serve(stream);
                }
            }
        });
        Ok(DnsServer { is_over })
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    let mut size = [0; 2];
    stream.read_exact(&mut size)?;
    let mut question = vec![0; usize::from(u16::from_be_bytes(size))];
    stream.read_exact(&mut question)?;
    let reply = reply(&question, false);
    stream.write_all(&(reply.len() as u16).to_be_bytes())?;
    stream.write_all(&reply)
}

/// The question again, and an address behind it.
fn reply(question: &[u8], over_udp: bool) -> Vec<u8> {
    let has = |label: &[u8]| question.windows(label.len()).any(|part| part == label);
    let mut reply = question.to_vec();
    let (flags, answers) = match () {
        () if has(b"\x04none") => ([0x81, 0x83], 0),
        () if has(b"\x03big") && over_udp => ([0x83, 0x80], 0),
        () => ([0x81, 0x80], 1),
    };
    reply[2..4].copy_from_slice(&flags);
    reply[7] = answers;
    if answers > 0 {
        reply.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0\x09");
    }
    reply
}

const POLL: Duration = Duration::from_millis(10);

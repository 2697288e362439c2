//! What probes put on the wire: short conversations, the PROXY protocol, the request.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use moonbeat::health::{CheckSpec, Expect, ProbeSpec, TcpProbe};

use super::peer::{self, Peer, drain};
use super::scene::{Scene, hasty, spec};
use super::{any_status, silent};
use crate::harness::case::Case;
use crate::harness::wait::HANG;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::check("health/wire/tcp is content with a connection", connection),
        Case::check("health/wire/tcp says and hears", conversation),
        Case::check("health/wire/tcp hears it in two pieces", pieces),
        Case::check("health/wire/tcp hears something else", something_else),
        Case::check("health/wire/tcp hears nothing", nothing),
        Case::check("health/wire/the PROXY protocol before tcp", proxy_before_tcp),
        Case::check("health/wire/the PROXY protocol before http", proxy_before_http),
    ]
}

fn ping() -> CheckSpec {
    let expect = Some(Expect::Text("+PONG".into()));
    spec(ProbeSpec::Tcp(TcpProbe { send: "PING\r\n".into(), expect }))
}

fn connection() -> Result<(), String> {
    let peer = Peer::start(silent)?;
    Scene::start(spec(ProbeSpec::Tcp(TcpProbe::default())), peer.addr())?.passes("L4OK")
}

fn conversation() -> Result<(), String> {
    let peer = Peer::start(|mut stream: TcpStream| {
        let mut heard = [0; 6];
        if stream.read_exact(&mut heard).is_ok() && heard == *b"PING\r\n" {
            let _ = stream.write_all(b"+PONG\r\n");
        }
        drain(stream);
    })?;
    Scene::start(ping(), peer.addr())?.passes("L7OK")
}

fn pieces() -> Result<(), String> {
    let peer = Peer::start(|mut stream: TcpStream| {
        let _ = stream.write_all(b"hello\r\n+PO");
        std::thread::sleep(Duration::from_millis(20));
        let _ = stream.write_all(b"NG\r\n");
        drain(stream);
    })?;
    Scene::start(ping(), peer.addr())?.passes("L7OK")
}

fn something_else() -> Result<(), String> {
    let peer = Peer::start(|mut stream: TcpStream| {
        let _ = stream.write_all(b"-ERR busy\r\n");
        let _ = stream.shutdown(std::net::Shutdown::Write);
        drain(stream);
    })?;
    Scene::start(ping(), peer.addr())?.goes_down("L7RSP body does not match: -ERR busy")
}

fn nothing() -> Result<(), String> {
    let peer = Peer::start(silent)?;
    Scene::start(hasty(ping()), peer.addr())?.goes_down("L7TOUT response timed out")
}

fn proxy_before_tcp() -> Result<(), String> {
    let probe = ProbeSpec::Tcp(TcpProbe { send: "\r\n".into(), expect: None });
    is_announced(CheckSpec { proxy_protocol: true, ..spec(probe) }, "")
}

fn proxy_before_http() -> Result<(), String> {
    let check = CheckSpec { proxy_protocol: true, ..spec(any_status()) };
    is_announced(check, "GET / HTTP/1.1\r\nHost: a.example\r\n")
}

/// The first line names both ends of the connection, and the probe follows.
fn is_announced(check: CheckSpec, then: &str) -> Result<(), String> {
    let (tell, told) = channel();
    let tell = std::sync::Arc::new(Mutex::new(tell));
    let peer = Peer::start(move |mut stream: TcpStream| {
        let ends = (stream.peer_addr().ok(), stream.local_addr().ok());
        let head = peer::read_request(&mut stream);
        let _ = tell.lock().map(|tell| tell.send((ends, head)));
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
    })?;
    let _scene = Scene::start(check, peer.addr())?;
    // A probe that ends with a reset may be gone before its addresses are asked for; another comes.
    let (from, to, head) = loop {
        let (ends, head) = told.recv_timeout(HANG).map_err(|e| e.to_string())?;
        if let ((Some(from), Some(to)), false) = (ends, head.is_empty()) {
            break (from, to, head);
        }
    };
    let line =
        format!("PROXY TCP4 {} {} {} {}\r\n{then}", from.ip(), to.ip(), from.port(), to.port());
    let head = String::from_utf8_lossy(&head).into_owned();
    if head.starts_with(&line) { Ok(()) } else { Err(format!("{head:?} without {line:?}")) }
}

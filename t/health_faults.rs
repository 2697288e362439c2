//! Faults with real sockets: what a check says of peers that misbehave in every known way.
//!
//! ```text
//!   fake peer ◀── probe ── check (the engine of this process) ─▶ state, short word, text
//!   whole gateways, some in a namespace of their own ─▶ what takes a process to show
//! ```

mod certificates;
mod gateways;
mod peer;
mod scene;
mod wire;

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use moonbeat::health::{CheckSpec, HttpProbe, MachineSpec, Pass, ProbeSpec, Statuses, What};
use moonbeat::net::addr::Addr;

use crate::harness::case::Case;
use crate::harness::server::free_port;

use self::peer::{Peer, drain};
use self::scene::{Scene, hasty, http, http_spec};

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::check("health/faults/refused", refused),
        Case::check("health/faults/a full backlog", full_backlog),
        Case::check("health/faults/a name without address", no_address),
        Case::check("health/faults/flapping at every probe", flapping),
    ];
    for (name, serve, expected) in MISBEHAVIOURS {
        cases.push(Case::check(format!("health/faults/{name}"), move || {
            let peer = Peer::start(serve)?;
            let is_slow = expected.starts_with("L7TOUT");
            let spec = if is_slow { hasty(http_spec()) } else { http_spec() };
            Scene::start(spec, peer.addr())?.goes_down(expected)
        }));
    }
    cases.extend(certificates::cases());
    cases.extend(wire::cases());
    cases.extend(gateways::cases());
    cases
}

type Serve = fn(TcpStream);

/// What a peer does with a connection, and what is said of it.
const MISBEHAVIOURS: [(&str, Serve, &str); 10] = [
    ("accepted and silent", silent, "L7TOUT response timed out: timeout"),
    ("half closed at once", half_closed, "L7RSP no response: closed"),
    ("closed within the status line", cut_short, "L7RSP no response: closed"),
    ("a slow drip", drip, "L7TOUT response timed out: timeout"),
    ("garbage", garbage, "L7RSP bad status line: \\x16\\x03\\x01"),
    ("another protocol", greeting, "L7RSP bad status line: SSH-2.0-x"),
    ("a head without end", endless_head, "L7RSP bad status line"),
    ("a line without end", endless_line, "L7RSP bad status line"),
    ("a storm of interim responses", interim_storm, "L7RSP bad status line: too many interim"),
    ("a status that is none", wrong_status, "L7STS 503 bad status"),
];

fn silent(stream: TcpStream) {
    drain(stream);
}

fn half_closed(stream: TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
    drain(stream);
}

fn cut_short(mut stream: TcpStream) {
    peer::read_request(&mut stream);
    let _ = stream.write_all(b"HTTP/1.1 20");
}

/// Each byte comes soon enough, all of them far too late.
fn drip(mut stream: TcpStream) {
    for byte in b"HTTP/1.1 200 OK\r\nServer: slow\r\n\r\n" {
        if stream.write_all(&[*byte]).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn garbage(stream: TcpStream) {
    peer::answer(stream, b"\x16\x03\x01\x00\x05\xff\xfe\x00\x80\r\n\r\n");
}

fn greeting(stream: TcpStream) {
    peer::answer(stream, b"SSH-2.0-x\r\n\r\n");
}

fn endless_head(mut stream: TcpStream) {
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
    while stream.write_all(&b"X-More: and more\r\n".repeat(100)).is_ok() {}
}

fn endless_line(mut stream: TcpStream) {
    while stream.write_all(&[b'x'; 4096]).is_ok() {}
}

fn interim_storm(mut stream: TcpStream) {
    while stream.write_all(&b"HTTP/1.1 100 Continue\r\n\r\n".repeat(100)).is_ok() {}
}

fn wrong_status(stream: TcpStream) {
    peer::answer(stream, b"HTTP/1.1 503 Service Unavailable\r\n\r\n");
}

fn refused() -> Result<(), String> {
    Scene::start(http_spec(), loopback(free_port()))?
        .goes_down("L4CON connect failed: connection refused")
}

/// Nobody accepts, and the queue is full: the kernel drops what comes, as a dead machine would.
fn full_backlog() -> Result<(), String> {
    let (addr, _held) = peer::full_backlog()?;
    Scene::start(hasty(http_spec()), addr)?.goes_down("L4TOUT connect timed out: timeout")
}

fn no_address() -> Result<(), String> {
    Scene::start_at(http_spec(), None)?.goes_down("DNS no address: no-such.example")
}

/// A peer that turns with every probe: its history stays short, it is not probed more often for it,
/// and who asks for it has it held down until it settles.
fn flapping() -> Result<(), String> {
    let peer = Peer::start(peer::alternating)?;
    let mut spec = CheckSpec { machine: MachineSpec::RiseFall { rise: 1, fall: 1 }, ..http_spec() };
    spec.policy.hold_down_ms = 60_000;
    let scene = Scene::start(spec, peer.addr())?;
    scene.wait_for(|what| matches!(what, What::Flapping { for_ms: 60_000 }))?;
    let begun = std::time::Instant::now();
    let before = scene.report()?.probes;
    while scene.report()?.probes < before + 25 {
        scene.wait_for(|what| matches!(what, What::Probed(_)))?;
    }
    let report = scene.report()?;
    // Were each turn worth a probe of its own, it would take half as long.
    if begun.elapsed() < Duration::from_millis(18 * scene::INTERVAL_MS) {
        return Err(format!("25 probes within {:?}", begun.elapsed()));
    }
    if report.up || report.changes.len() != 10 || report.results.len() != 10 {
        return Err(format!("held down with a short history? {report:?}"));
    }
    Ok(())
}

/// For checks that look at more than a status.
fn any_status() -> ProbeSpec {
    http(HttpProbe { pass: Pass::Statuses(Statuses::range(100, 599)), ..HttpProbe::default() })
}

/// The addresses of a list of ports.
fn loopback(port: u16) -> Addr {
    Addr::Inet(([127, 0, 0, 1], port).into())
}

//! What an OpenResty user expects of `resty.upstream.healthcheck`, row by row.
//!
//! ```text
//!   client -> gateway (our binary) -> peers (the distribution's nginx, or a scripted socket)
//! ```
//!
//! The rows about timing run with the intervals a user would write; the others with shorter
//! ones.

mod bad;
mod gateway;
mod peers;

use std::time::Duration;

use gateway::{Gateway, QUICK, SLOW};
use peers::Peer;
pub use peers::Script;

use crate::harness::case::{Case, Check, Outcome};
use crate::harness::server::Program;

pub fn cases() -> Vec<Case> {
    let rows: Vec<(&str, Check)> = vec![
        ("a checker probes at once, then every interval, with the user's bytes", first_probe),
        ("a dead peer goes down after fall rounds and comes back after rise", down_and_up),
        ("404 is a failure", not_found_is_failure),
        ("302 is a success", redirect_is_success),
        ("without valid_statuses any status is a success", any_status),
        ("a peer that hangs goes down", hanging_peer),
        ("traffic uses live primaries, then the backup, then 502", traffic),
        ("an upstream without a checker says so", no_checker),
        ("only failures in a row count", interleaved),
        ("probes go to the port option, traffic to the peer's port", other_port),
        ("the Prometheus page", prometheus),
        ("a stranger may not read the page", stranger),
    ];
    let mut cases: Vec<Case> = rows
        .into_iter()
        .map(|(name, run)| {
            Case::new(format!("health/table/{name}"), move || match Program::Oracle.missing() {
                Some(reason) => Outcome::Skipped(reason),
                None => Outcome::from(run()),
            })
        })
        .collect();
    cases.extend(bad::cases());
    cases
}

fn first_probe() -> Result<(), String> {
    let peer = Script::start(&["200"])?;
    let gateway = Gateway::new(SLOW).primary(peer.port).start()?;
    peer.wait_for_probes(3)?;
    let (first, third) = (peer.probe(0)?, peer.probe(2)?);
    if first.bytes != "GET /status HTTP/1.0\r\nHost: foo.com\r\n\r\n" {
        return Err(format!("the probe is {:?}", first.bytes));
    }
    // From before the start: a probe that is seen late must not make the time look short.
    let took = third.at.duration_since(gateway.begun);
    if took < Duration::from_millis(3990) {
        return Err(format!("three probes within {took:?}, with 2 s between them"));
    }
    gateway.stop()?;
    // With so long an interval a probe that comes at all comes at once.
    let peer = Script::start(&["200"])?;
    let long = SLOW.replace("interval = 2000", "interval = 3600000");
    let gateway = Gateway::new(&long).primary(peer.port).start()?;
    peer.wait_for_probes(1)?;
    gateway.stop()
}

fn down_and_up() -> Result<(), String> {
    let alive = Peer::start()?;
    let mut dead = Peer::reserve()?;
    let backup = Peer::start()?;
    let gateway =
        Gateway::new(SLOW).primary(alive.port).primary(dead.port).backup(backup.port).start()?;
    let page = gateway.status_page()?;
    let wanted = format!(
        "Upstream foo.com\n    Primary Peers\n        127.0.0.1:{} UP\n        127.0.0.1:{} UP\n    \
         Backup Peers\n        127.0.0.1:{} UP\n",
        alive.port, dead.port, backup.port
    );
    // Later than that the dead one may be down.
    let early = gateway.begun.elapsed() < Duration::from_millis(3900);
    if early && page != wanted {
        return Err(format!("the page at start:\n{page}\nwanted:\n{wanted}"));
    }
    let took = gateway.wait_for_state(dead.port, "DOWN")?;
    if took < Duration::from_millis(3990) {
        return Err(format!("DOWN after {took:?}, which is less than two intervals"));
    }
    gateway.wait_for_log(&format!(
        "healthcheck: peer 127.0.0.1:{} is turned down after 3 failure(s)",
        dead.port
    ))?;
    gateway.wait_for_log(&format!(
        "healthcheck: failed to connect to 127.0.0.1:{}: connection refused",
        dead.port
    ))?;
    dead.serve()?;
    gateway.wait_for_state(dead.port, "UP")?;
    gateway.wait_for_log(&format!(
        "healthcheck: peer 127.0.0.1:{} is turned up after 2 success(es)",
        dead.port
    ))?;
    gateway.stop()
}

fn not_found_is_failure() -> Result<(), String> {
    let peer = Peer::start()?;
    let gateway = Gateway::new(QUICK).primary(peer.port).start()?;
    peer.answer_with("404")?;
    gateway.wait_for_state(peer.port, "DOWN")?;
    gateway
        .wait_for_log(&format!("healthcheck: bad status code from 127.0.0.1:{}: 404", peer.port))?;
    gateway.stop()
}

fn redirect_is_success() -> Result<(), String> {
    let peer = Peer::start()?;
    peer.answer_with("302")?;
    let gateway = Gateway::new(QUICK).primary(peer.port).start()?;
    gateway.stays("UP", peer.port, Duration::from_millis(1500))?;
    gateway.stop()
}

fn any_status() -> Result<(), String> {
    let peer = Peer::start()?;
    peer.answer_with("500")?;
    let options = QUICK.replace("valid_statuses = {200, 302},", "");
    let gateway = Gateway::new(&options).primary(peer.port).start()?;
    gateway.stays("UP", peer.port, Duration::from_millis(1500))?;
    gateway.stop()
}

fn hanging_peer() -> Result<(), String> {
    let peer = Peer::start()?;
    peer.answer_with("hang")?;
    let hasty = QUICK.replace("timeout = 10000", "timeout = 200");
    let gateway = Gateway::new(&hasty).primary(peer.port).start()?;
    gateway.wait_for_state(peer.port, "DOWN")?;
    gateway.wait_for_log(&format!(
        "healthcheck: failed to receive status line from 127.0.0.1:{}: timeout",
        peer.port
    ))?;
    gateway.stop()
}

fn traffic() -> Result<(), String> {
    let mut peers = [Peer::start()?, Peer::start()?, Peer::start()?];
    let [one, two, backup] = &mut peers;
    let gateway =
        Gateway::new(QUICK).primary(one.port).primary(two.port).backup(backup.port).start()?;
    gateway.traffic_goes_to(&[one.port, two.port])?;
    one.stop()?;
    gateway.wait_for_state(one.port, "DOWN")?;
    gateway.traffic_goes_to(&[two.port])?;
    two.stop()?;
    gateway.wait_for_state(two.port, "DOWN")?;
    gateway.traffic_goes_to(&[backup.port])?;
    backup.stop()?;
    gateway.wait_for_state(backup.port, "DOWN")?;
    let answer = gateway.get("/")?;
    if answer.status != 502 {
        return Err(format!("with all peers down the status is {}", answer.status));
    }
    gateway.wait_for_log("no live upstreams while connecting to upstream")?;
    two.serve()?;
    gateway.wait_for_state(two.port, "UP")?;
    gateway.traffic_goes_to(&[two.port])?;
    gateway.stop()
}

fn no_checker() -> Result<(), String> {
    let peer = Peer::start()?;
    let other = format!("upstream bar.com {{ server 127.0.0.1:{}; }}", peer.port);
    let gateway = Gateway::new(QUICK).primary(peer.port).http(&other).start()?;
    let page = gateway.status_page()?;
    let wanted = format!(
        "Upstream bar.com (NO checkers)\n    Primary Peers\n        127.0.0.1:{} UP\n    Backup Peers\n",
        peer.port
    );
    if !page.contains(&wanted) || !page.contains("Upstream foo.com\n") {
        return Err(format!("the page is\n{page}"));
    }
    gateway.stop()
}

fn interleaved() -> Result<(), String> {
    let failing_twice = ["500", "500", "200"];
    let peer = Script::start(&[failing_twice.repeat(10), vec!["500"]].concat())?;
    let options = QUICK.replace("interval = 200", "interval = 50");
    let gateway = Gateway::new(&options).primary(peer.port).start()?;
    gateway.wait_for_state(peer.port, "DOWN")?;
    if peer.count() < 33 {
        return Err(format!("DOWN after {} probes", peer.count()));
    }
    gateway.stop()
}

fn other_port() -> Result<(), String> {
    let probed = Script::start(&["200"])?;
    let peer = Peer::start()?;
    let options = format!("{QUICK} port = {},", probed.port);
    let gateway = Gateway::new(&options).primary(peer.port).start()?;
    gateway.traffic_goes_to(&[peer.port])?;
    probed.wait_for_probes(3)?;
    probed.goes_on("500");
    gateway.wait_for_state(peer.port, "DOWN")?;
    gateway.stop()
}

fn prometheus() -> Result<(), String> {
    let (peer, dead) = (Peer::start()?, Peer::reserve()?);
    let gateway = Gateway::new(QUICK).primary(peer.port).primary(dead.port).start()?;
    gateway.wait_for_state(dead.port, "DOWN")?;
    let page = gateway.get("/metrics")?.body_text();
    let name = "nginx_upstream_status_info";
    let line = |port: u16, status: &str, value: u8| {
        format!(
            "{name}{{name=\"foo.com\",endpoint=\"127.0.0.1:{port}\",status=\"{status}\",\
             role=\"PRIMARY\"}} {value}\n"
        )
    };
    let wanted = [
        format!("# HELP {name} The running status of nginx upstream\n# TYPE {name} gauge\n"),
        line(peer.port, "UP", 1),
        line(peer.port, "DOWN", 0),
        line(dead.port, "UP", 0),
        line(dead.port, "DOWN", 1),
        format!("{name}{{name=\"foo.com\",status=\"UP\"}} 1\n"),
        format!("{name}{{name=\"foo.com\",status=\"DOWN\"}} 0\n"),
        format!("{name}{{name=\"foo.com\",status=\"UNKNOWN\"}} 0\n"),
    ];
    for part in &wanted {
        if !page.contains(part.as_str()) {
            return Err(format!("no line {part}in\n{page}"));
        }
    }
    gateway.stop()
}

fn stranger() -> Result<(), String> {
    let peer = Peer::start()?;
    let gateway = Gateway::new(QUICK).primary(peer.port).start()?;
    let status = gateway.status_from("127.0.0.2", "/status")?;
    if status != "403" {
        return Err(format!("a stranger gets {status}"));
    }
    if gateway.status_from("127.0.0.1", "/status")? != "200" {
        return Err("127.0.0.1 may not read the page".into());
    }
    gateway.stop()
}

//! The death of the worker process under wrk: 64 connections that never stop asking.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{Scene, children};
use crate::harness::case::Outcome;
use crate::harness::server::signal;

pub fn dead_worker() -> Outcome {
    if Command::new("wrk").arg("-v").output().is_err() {
        return Outcome::Skipped("wrk is not installed".into());
    }
    Outcome::from(run())
}

fn run() -> Result<(), String> {
    // The long form is for a release.
    let seconds = if std::env::var_os("T_LONG").is_some() { 10 } else { 2 };
    let mut scene = Scene::start()?;
    scene.wait_for("DOWN")?;
    let wrk = start(scene.port, seconds)?;
    std::thread::sleep(Duration::from_secs(seconds) / 2);
    for pid in children(scene.server.pid()) {
        signal(pid, "SEGV")?;
    }
    let told = wrk.wait_with_output().map_err(|error| error.to_string())?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let errors = Errors::read(&told);
    // One request may be in flight on each connection; none is refused.
    let fine = errors.connect == 0
        && errors.read + errors.write <= CONNECTIONS
        && errors.timeout == 0
        && errors.status == 0;
    if !fine || !told.contains("requests in") {
        return Err(told);
    }
    scene.is("DOWN")?;
    scene.is_turned_once()?;
    scene.server.stop(&["exited on signal 11".into()])
}

fn start(port: u16, seconds: u64) -> Result<Child, String> {
    Command::new("wrk")
        .args(["-t2", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s"), "--timeout=60s"])
        .arg(format!("http://127.0.0.1:{port}/status"))
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("wrk: {error}"))
}

/// What wrk counted.
struct Errors {
    connect: u64,
    read: u64,
    write: u64,
    timeout: u64,
    /// Answers that are none of 2xx and 3xx.
    status: u64,
}

impl Errors {
    /// Reads `Socket errors: connect 0, read 64, write 0, timeout 0`; no line means no errors.
    fn read(told: &str) -> Self {
        let after = |word: &str| {
            let (_, rest) = told.split_once(word)?;
            rest.trim_start().split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        let count = |word: &str| after(word).unwrap_or(0);
        Self {
            connect: count("errors: connect"),
            read: count(", read"),
            write: count(", write"),
            timeout: count(", timeout"),
            status: count("Non-2xx or 3xx responses:"),
        }
    }
}

const CONNECTIONS: u64 = 64;

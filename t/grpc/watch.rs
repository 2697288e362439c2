//! Watch: the first status at once, then every change, until somebody ends the stream.

use std::time::Duration;

use super::h2::{self, H2};
use super::scene::{Scene, UPSTREAM, frame, question};
use crate::harness::case::Check;
use crate::harness::wait::HANG;

pub const ROWS: &[(&str, Check)] = &[
    ("C6: every change, once", changes),
    ("C7: a service that comes to be", registered),
    ("C14: the end of the gateway", || end("QUIT")),
    ("C14: its quick end", || end("TERM")),
    ("C22: a deadline", deadline),
    ("a thousand streams hear of a change", thousand),
];

const SERVING: u8 = 1;
const NOT_SERVING: u8 = 2;
const SERVICE_UNKNOWN: u8 = 3;

fn changes() -> Result<(), String> {
    let scene = Scene::start("")?;
    let mut watcher = scene.watch(UPSTREAM, "")?;
    watcher.expect(&[SERVING])?;
    scene.turn(true)?;
    watcher.expect(&[SERVING, NOT_SERVING])?;
    scene.turn(true)?;
    std::thread::sleep(Duration::from_millis(100));
    scene.turn(false)?;
    watcher.expect(&[SERVING, NOT_SERVING, SERVING])?;
    drop(watcher);
    scene.stop()
}

fn registered() -> Result<(), String> {
    let scene = Scene::start("")?;
    let mut watcher = scene.watch("late", "")?;
    watcher.expect(&[SERVICE_UNKNOWN])?;
    scene.reload_with("upstream late { server 127.0.0.1:1; }")?;
    watcher.expect(&[SERVICE_UNKNOWN, SERVING])?;
    drop(watcher);
    scene.stop()
}

fn end(signal: &str) -> Result<(), String> {
    let mut scene = Scene::start("")?;
    let mut watchers = [scene.watch(UPSTREAM, "")?, scene.watch("", "")?];
    for watcher in &mut watchers {
        watcher.expect(&[SERVING])?;
    }
    scene.server.signal(signal)?;
    for watcher in &mut watchers {
        watcher.expect(&[SERVING, NOT_SERVING])?;
        let text = watcher.rest()?;
        if !text.contains("grpc-status: 1\r\ngrpc-message: Stream has ended.\r\n") {
            return Err(text);
        }
    }
    match scene.server.wait(HANG)? {
        Some(status) if status.success() => Ok(()),
        other => Err(format!("the server ended with {other:?}")),
    }
}

fn deadline() -> Result<(), String> {
    let scene = Scene::start("")?;
    let mut watcher = scene.watch(UPSTREAM, "grpc-timeout: 3S")?;
    watcher.expect(&[SERVING])?;
    let text = watcher.rest()?;
    if text.contains("grpc-status: 4\r\n") { Ok(()) } else { Err(text) }
}

/// The change reaches every stream, once; how soon is measured by `benches/faces.rs`.
fn thousand() -> Result<(), String> {
    let scene = Scene::start("")?;
    let body = frame(&question(UPSTREAM));
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = H2::connect(scene.port)?;
        let ids: Result<Vec<u32>, String> =
            (0..STREAMS).map(|_| client.call("Watch", &body)).collect();
        clients.push((client, ids?));
    }
    for (status, down) in [(SERVING, None), (NOT_SERVING, Some(true)), (SERVING, Some(false))] {
        if let Some(down) = down {
            scene.turn(down)?;
        }
        for (client, ids) in &mut clients {
            all_hear(client, ids, status)?;
        }
    }
    drop(clients);
    scene.stop()
}

fn all_hear(client: &mut H2, ids: &[u32], status: u8) -> Result<(), String> {
    let mut heard = Vec::new();
    while heard.len() < ids.len() {
        let told = client.read(HANG)?;
        let told = told.ok_or_else(|| format!("{} of {} heard", heard.len(), ids.len()))?;
        if told.kind == h2::DATA {
            if told.payload != [0, 0, 0, 0, 2, 8, status] {
                return Err(format!("{told:?}, wanted status {status}"));
            }
            heard.push(told.stream);
        }
    }
    heard.sort_unstable();
    if heard == ids { Ok(()) } else { Err(format!("{heard:?} heard, wanted {ids:?}")) }
}

/// A connection has 128 streams at most.
const CLIENTS: usize = 10;
const STREAMS: usize = 100;

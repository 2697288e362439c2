//! Clients that send too much, over HTTP/2: they are stopped, the others are served.

use std::time::{Duration, Instant};

use super::h2::{self, H2, frame};
use super::scene::{self, Scene};
use crate::harness::case::Check;
use crate::harness::wait::HANG;

pub const ROWS: &[(&str, Check)] = &[
    ("flood: streams that are reset at once", rapid_reset),
    ("flood: pings that nobody reads the answers of", || endless(h2::PING, 0, &[0; 8], NO_ERROR)),
    ("flood: settings", || endless(h2::SETTINGS, 0, b"\0\x04\0\0\x10\0", NO_ERROR)),
    ("flood: window updates", || endless(h2::WINDOW_UPDATE, 0, b"\0\0\0\x01", NO_ERROR)),
    ("flood: empty data", || endless(h2::DATA, 1, b"", NO_ERROR)),
    ("flood: unknown frames", || endless(0xbe, 0, &[0; 100], NO_ERROR)),
    ("flood: a head that goes on and on", || continuations(&[0; 4096], CALM)),
    ("flood: empty continuations", || continuations(b"", NO_ERROR)),
    ("flood: a head that unpacks to much more", bomb),
    ("flood: frames and compression that are broken", broken),
    ("flood: half a body, and many of them", half),
];

const NO_ERROR: u32 = 0;
const CALM: u32 = 11;

/// Streams with a call each, reset before anybody could answer.
fn rapid_reset() -> Result<(), String> {
    let scene = Scene::start("")?;
    let mut client = H2::connect(scene.port)?;
    for round in 0..200 {
        let mut bytes = Vec::new();
        for _ in 0..100 {
            let id = client.id();
            bytes.extend(frame(h2::HEADERS, h2::END_HEADERS, id, &h2::head("Watch")));
            bytes.extend(frame(h2::RST_STREAM, 0, id, b"\0\0\0\x08"));
        }
        // The server may have had enough already.
        if client.write(&bytes).is_err() {
            break;
        }
        if round % 50 == 0 {
            others_are_served(&scene)?;
        }
    }
    drop(client);
    calm_again(scene)
}

/// The same frame until the server has enough of it.
fn endless(kind: u8, stream: u32, payload: &[u8], code: u32) -> Result<(), String> {
    let scene = Scene::start("")?;
    let mut client = H2::connect(scene.port)?;
    if stream != 0 {
        let id = client.id();
        client.write(&frame(h2::HEADERS, h2::END_HEADERS, id, &h2::head("Check")))?;
    }
    let many = frame(kind, 0, stream, payload).repeat(10_000);
    stopped(&scene, client, &many, code)?;
    calm_again(scene)
}

fn continuations(payload: &[u8], code: u32) -> Result<(), String> {
    let scene = Scene::start("")?;
    let mut client = H2::connect(scene.port)?;
    let id = client.id();
    client.write(&frame(h2::HEADERS, 0, id, &h2::head("Check")))?;
    let many = frame(h2::CONTINUATION, 0, id, payload);
    let many = many.repeat(1 + 100_000 / many.len());
    stopped(&scene, client, &many, code)?;
    calm_again(scene)
}

/// Writes until the server ends the connection, and while it does, sees how others fare.
fn stopped(scene: &Scene, mut client: H2, many: &[u8], code: u32) -> Result<(), String> {
    let end = Instant::now() + 2 * HANG;
    let mut rounds = 0;
    while Instant::now() < end {
        // Who cannot write has to read first: the server may wait for that.
        let stuck = match client.is_stuck() {
            true => client.flush().is_err(),
            false => client.write(many).is_err(),
        };
        if rounds % 50 == 0 {
            others_are_served(scene)?;
        }
        rounds += 1;
        let patience = if stuck { Duration::from_secs(10) } else { Duration::from_millis(1) };
        match client.goaway(patience) {
            Ok(got) if got == code => return Ok(()),
            Ok(got) => return Err(format!("GOAWAY with {got}, wanted {code}")),
            Err(e) if e.starts_with("no GOAWAY") => {}
            // Reset, with what the server said still on its way.
            Err(_) => return Ok(()),
        }
    }
    Err(format!("{rounds} rounds of {} bytes were taken", many.len()))
}

/// A field of 4 KB goes into the table once and is named ten thousand times.
fn bomb() -> Result<(), String> {
    let scene = Scene::start("")?;
    let mut client = H2::connect(scene.port)?;
    let id = client.id();
    let mut block = h2::head("Check");
    block.push(0x40);
    for text in ["x-bomb", &"b".repeat(3900)] {
        h2::length(&mut block, text.len());
        block.extend_from_slice(text.as_bytes());
    }
    block.extend([0xbe; 10_000]);
    client.write(&frame(h2::HEADERS, h2::END_HEADERS | h2::END_STREAM, id, &block))?;
    match client.goaway(HANG)? {
        CALM => {
            drop(client);
            calm_again(scene)
        }
        code => Err(format!("GOAWAY with {code}")),
    }
}

fn broken() -> Result<(), String> {
    let scene = Scene::start("")?;
    let fine = h2::head("Check");
    let rows: [(&str, Vec<u8>, u32); 7] = [
        ("an index nobody set", frame(h2::HEADERS, 5, 1, &[0xff, 0xff, 0xff, 0xff, 0x0f]), 9),
        ("a block that ends early", frame(h2::HEADERS, 5, 1, &[0x40, 0x0a, b'x']), 9),
        ("a stream of the server's", frame(h2::HEADERS, 5, 2, &fine), 1),
        ("data of no stream", frame(h2::DATA, 0, 0, b"x"), 1),
        ("settings of an odd length", frame(h2::SETTINGS, 0, 0, b"12345"), 6),
        ("a continuation of nothing", frame(h2::CONTINUATION, 4, 1, &fine), 1),
        ("a ping of an odd length", frame(h2::PING, 0, 0, b"1"), 6),
    ];
    for (what, bytes, code) in rows {
        let mut client = H2::connect(scene.port)?;
        client.write(&bytes)?;
        match client.goaway(HANG) {
            Ok(got) if got == code || (code, got) == (9, 6) => {}
            other => return Err(format!("{what}: {other:?}, wanted {code}")),
        }
    }
    calm_again(scene)
}

/// Calls that promise a message and send a part of it, until no more streams are taken.
fn half() -> Result<(), String> {
    let scene = Scene::start("")?;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = H2::connect(scene.port)?;
        for _ in 0..200 {
            let id = client.id();
            let mut bytes = frame(h2::HEADERS, h2::END_HEADERS, id, &h2::head("Check"));
            bytes.extend(frame(h2::DATA, 0, id, b"\0\0\0\x10\0hello"));
            client.write(&bytes)?;
        }
        clients.push(client);
    }
    others_are_served(&scene)?;
    drop(clients);
    calm_again(scene)
}

/// Somebody else is answered, and soon.
fn others_are_served(scene: &Scene) -> Result<(), String> {
    let begun = Instant::now();
    scene.is(scene::UPSTREAM, "SERVING")?;
    // A busy machine is slow for everybody; who is starved waits for as long as the flood lasts.
    match begun.elapsed() {
        took if took > Duration::from_secs(20) => Err(format!("a check took {took:?}")),
        _ => Ok(()),
    }
}

/// The server is as it was: it answers, has let the memory go, and has nothing to complain about.
fn calm_again(scene: Scene) -> Result<(), String> {
    others_are_served(&scene)?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", scene.server.pid()))
        .map_err(|e| e.to_string())?;
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let rss_kb = rss.and_then(|text| text.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    match rss_kb {
        Some(kb) if kb < RSS_MAX_KB => scene.stop(),
        other => Err(format!("the server holds {other:?} KB")),
    }
}

const RSS_MAX_KB: u64 = 200 * 1024;

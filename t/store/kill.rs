//! `kill -9` at random moments while the Admin API is written to.
//!
//! ```text
//!   8 writers ─▶ some write before the 5,000th ─▶ kill ─▶ restart: every acknowledged one there,
//!                                                         none torn ─▶ again
//! ```
//! `T_LONG=1` kills 200 times.

use std::sync::mpsc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::scene::{Line, Scene};
use super::writer::{self, Writer};
use crate::harness::case::Case;
use crate::harness::server::Prefix;

pub fn case() -> Case {
    Case::check("store/kill: what was acknowledged is there after kill -9", || {
        let long = std::env::var_os("T_LONG").is_some();
        // The short form is the same each time; the long one looks further.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = if long { u64::from(now.subsec_nanos()) ^ now.as_secs() } else { 1 };
        let (kills, writes) = if long { (200, 5000) } else { (10, 1000) };
        rounds(seed, kills, writes).map_err(|why| format!("seed {seed}: {why}"))
    })
}

fn rounds(seed: u64, kills: u64, writes: usize) -> Result<(), String> {
    let mut writers: Vec<Writer> = (0..WRITERS).map(|name| Writer::new(name, seed)).collect();
    let mut prefix = Prefix::new()?;
    for round in 0..kills {
        let scene = Scene::start(prefix, "")?;
        let moment = (part(seed, round) * writes as f64) as usize;
        prefix = write_until(scene, &mut writers, moment)
            .and_then(|prefix| judge(prefix, &mut writers))
            .map_err(|why| format!("kill {round}: {why}"))?;
    }
    // The present is less than 2 MB; history may be four times as much.
    let log = std::fs::metadata(prefix.path().join("data/store.log")).map_err(|e| e.to_string())?;
    if log.len() > 12_000_000 {
        return Err(format!("the log was not compacted: {} bytes", log.len()));
    }
    if std::env::var_os("T_LONG").is_some() {
        let sum: usize = writers.iter().map(|writer| writer.acknowledged).sum();
        println!("kill -9: {kills} times amid writes; {sum} acknowledged");
    }
    Ok(())
}

/// Lets all write without end, and kills the server when so many writes were acknowledged.
fn write_until(scene: Scene, writers: &mut [Writer], moment: usize) -> Result<Prefix, String> {
    let port = scene.port;
    let (told, acknowledged) = mpsc::channel();
    std::thread::scope(|scope| {
        let running: Vec<_> = writers
            .iter_mut()
            .map(|writer| {
                let told = told.clone();
                scope.spawn(move || writer.write(port, &told))
            })
            .collect();
        drop(told);
        let early = acknowledged.iter().take(moment).count() < moment;
        let prefix = scene.kill();
        for thread in running {
            thread.join().map_err(|_| "a writer panicked")??;
        }
        if early { Err("the server was gone before its moment".into()) } else { prefix }
    })
}

/// Starts anew, and kills that one too when it has told what it knows.
fn judge(prefix: Prefix, writers: &mut [Writer]) -> Result<Prefix, String> {
    let scene = Scene::start(prefix, "")?;
    let listed = Line::open(scene.port)?.call("GET", "/apisix/admin/upstreams", "")?.has(200)?;
    let there = writer::all(&listed)?;
    writers.iter_mut().try_for_each(|writer| writer.judge(&there))?;
    scene.server.complain_about_log(&[])?;
    if scene.server.error_log().contains("is damaged") {
        return Err("the log is called damaged".into());
    }
    scene.kill()
}

/// A part of the whole, between 0 and 1.
fn part(seed: u64, round: u64) -> f64 {
    let mut x = seed ^ (round + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

const WRITERS: usize = 8;

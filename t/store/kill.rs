//! `kill -9` at random moments while the Admin API is written to.
//!
//! ```text
//!   8 writers ─▶ 5,000 writes ─▶ kill ─▶ restart: every acknowledged one there, none torn ─▶ again
//! ```
//! `T_LONG=1` kills 200 times.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::scene::{Line, Scene};
use super::writer::{self, Writer};
use crate::harness::case::Case;
use crate::harness::server::Prefix;

pub fn case() -> Case {
    Case::check("store/kill: what was acknowledged is there after kill -9", || {
        let long = std::env::var_os("T_LONG").is_some();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = u64::from(now.subsec_nanos()) ^ now.as_secs();
        let (kills, writes) = if long { (200, 5000) } else { (10, 1000) };
        rounds(seed, kills, writes).map_err(|why| format!("seed {seed}: {why}"))
    })
}

fn rounds(seed: u64, kills: u64, writes: usize) -> Result<(), String> {
    let mut writers: Vec<Writer> = (0..WRITERS).map(|name| Writer::new(name, seed)).collect();
    let mut prefix = Prefix::new()?;
    // How long all the writes of a round take, learnt from the rounds before.
    let mut whole = Duration::from_millis(writes as u64);
    let mut cut_short = 0;
    for round in 0..kills {
        let scene = Scene::start(prefix, "")?;
        let moment = whole.mul_f64(part(seed, round));
        let before: usize = writers.iter().map(|writer| writer.acknowledged).sum();
        let (done, took, folder) = write_until(scene, &mut writers, writes, moment)?;
        prefix = folder;
        let count = writers.iter().map(|writer| writer.acknowledged).sum::<usize>() - before;
        if !done && count > WRITERS {
            whole = took.mul_f64(writes as f64 / count as f64);
            cut_short += 1;
        } else if done {
            // It takes less than was thought.
            whole = whole.mul_f64(0.5);
        }
        prefix = judge(prefix, &mut writers).map_err(|why| format!("kill {round}: {why}"))?;
    }
    // The present is less than 2 MB; history may be four times as much.
    let log = std::fs::metadata(prefix.path().join("data/store.log")).map_err(|e| e.to_string())?;
    if log.len() > 12_000_000 {
        return Err(format!("the log was not compacted: {} bytes", log.len()));
    }
    let sum: usize = writers.iter().map(|writer| writer.acknowledged).sum();
    if std::env::var_os("T_LONG").is_some() {
        println!("kill -9: {kills} times, {cut_short} of them amid writes; {sum} acknowledged");
    }
    if cut_short * 2 < kills { Err("most kills came after the writes".into()) } else { Ok(()) }
}

/// Lets all write and kills the server at its moment. Says whether all had written all by then,
/// and how long they wrote.
fn write_until(
    scene: Scene,
    writers: &mut [Writer],
    writes: usize,
    moment: Duration,
) -> Result<(bool, Duration, Prefix), String> {
    let (port, begun) = (scene.port, Instant::now());
    let complaints = Mutex::new(Vec::new());
    let mut done = false;
    let folder = std::thread::scope(|scope| {
        let running: Vec<_> = writers
            .iter_mut()
            .map(|writer| {
                scope.spawn(|| {
                    if let Err(why) = writer.write(port, writes / WRITERS) {
                        complaints.lock().unwrap_or_else(|e| e.into_inner()).push(why);
                    }
                })
            })
            .collect();
        // The moment itself is what is tested.
        std::thread::sleep(moment);
        done = running.iter().all(|thread| thread.is_finished());
        scene.kill()
    })?;
    let complaints = complaints.into_inner().unwrap_or_else(|e| e.into_inner());
    match complaints.first() {
        Some(why) => Err(why.clone()),
        None => Ok((done, begun.elapsed(), folder)),
    }
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

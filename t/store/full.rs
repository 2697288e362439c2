//! A full disk, as a small tmpfs: writes are refused, nothing that was acknowledged is lost.
//!
//! ```text
//!   tmpfs of 3 MB ─ filler + writes until 503 ─ reads go on ─ filler goes ─ writes go on
//! ```

use std::path::Path;
use std::process::Command;

use super::scene::{Line, Reply, Scene};
use super::writer::{all, document};
use crate::harness::case::{Case, Outcome};
use crate::harness::server::Prefix;

pub fn cases() -> Vec<Case> {
    vec![Case::new("store/full: a full disk refuses writes and loses nothing", || {
        let prefix = match Prefix::new() {
            Ok(prefix) => prefix,
            Err(why) => return Outcome::Failed(why),
        };
        let folder = prefix.path().join("data");
        match Mount::new(&folder) {
            Err(why) => Outcome::Skipped(format!("a tmpfs cannot be mounted here: {why}")),
            Ok(mount) => {
                let result = full(prefix, &folder);
                drop(mount);
                Outcome::from(result)
            }
        }
    })]
}

fn full(prefix: Prefix, folder: &Path) -> Result<(), String> {
    std::fs::write(folder.join("filler"), vec![0; FILLER_BYTES]).map_err(|e| e.to_string())?;
    let scene = Scene::start(prefix, "")?;
    let mut line = Line::open(scene.port)?;
    let mut kept = 0;
    while kept < MOST_WRITES {
        let reply = put(&mut line, kept)?;
        match reply.status {
            201 => kept += 1,
            503 => break,
            _ => return Err(format!("{reply:?}")),
        }
    }
    if kept == MOST_WRITES {
        return Err("the disk was never full".into());
    }
    let refused = put(&mut line, kept)?;
    if refused.status != 503 || !refused.text.contains("No space left on device") {
        return Err(format!("{refused:?}"));
    }
    are(&mut line, kept)?;
    // A crash now; the disk is still full when it starts.
    let scene = Scene::start(scene.kill()?, "")?;
    let mut line = Line::open(scene.port)?;
    are(&mut line, kept)?;
    std::fs::remove_file(folder.join("filler")).map_err(|e| e.to_string())?;
    for number in kept..kept + 5 {
        put(&mut line, number)?.has(201)?;
    }
    let scene = Scene::start(scene.kill()?, "")?;
    are(&mut Line::open(scene.port)?, kept + 5)?;
    let prefix = scene.stop()?;
    let left = std::fs::read_dir(prefix.path().join("data")).map_err(|e| e.to_string())?;
    let half = left.flatten().find(|file| file.file_name().to_string_lossy().ends_with(".new"));
    half.map_or(Ok(()), |file| Err(format!("left behind: {:?}", file.file_name())))
}

fn put(line: &mut Line, number: usize) -> Result<Reply, String> {
    let text = format!("{number}:{}", "x".repeat(60_000));
    line.call("PUT", &format!("/apisix/admin/upstreams/{number}"), &document(&text))
}

/// Documents 0 to `count` are there, and no others.
fn are(line: &mut Line, count: usize) -> Result<(), String> {
    let there = all(&line.call("GET", "/apisix/admin/upstreams", "")?.has(200)?)?;
    let missing = (0..count).find(|n| !there.contains_key(&n.to_string()));
    match missing {
        None if there.len() == count => Ok(()),
        None => Err(format!("{} are there, {count} were acknowledged", there.len())),
        Some(number) => Err(format!("{number} of {count} was acknowledged and is not there")),
    }
}

/// A small file system, there as long as this is.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    fn new(folder: &'a Path) -> Result<Mount<'a>, String> {
        std::fs::create_dir_all(folder).map_err(|e| e.to_string())?;
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"]).arg(folder);
        let output = command.output().map_err(|e| e.to_string())?;
        match output.status.success() {
            true => Ok(Mount(folder)),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        }
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        // Lazily: the server may not have let go of its files yet.
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

const FILLER_BYTES: usize = 1_000_000;
const MOST_WRITES: usize = 200;

//! `health_state_file`: the same states on disk, for the time after the machine was restarted.
//!
//! ```text
//!  moonbeat-health 1 <crc32> <wall ms>\n[{"identity": …, "peers": […]}, …]
//! ```
//!
//! The file is written beside its place and renamed, so that a reader never sees half of it. It is
//! of no use when it is too old: the world has gone on.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use super::KeptCheck;

/// The file.
pub(in crate::health) struct Disk {
    path: PathBuf,
    found: Vec<KeptCheck>,
    /// A failure was told; the next one is not news.
    pub(in crate::health) complained: bool,
}

impl Disk {
    /// Reads what is there; a file that is missing, broken or too old holds nothing.
    pub(in crate::health) fn open(path: PathBuf, max_age_ms: u64, now_ms: u64) -> Self {
        let text = fs::read(&path).unwrap_or_default();
        let found = read(&text, max_age_ms, now_ms).unwrap_or_default();
        Self { path, found, complained: false }
    }

    pub(in crate::health) fn is_at(&self, path: &PathBuf) -> bool {
        self.path == *path
    }

    pub(in crate::health) fn path(&self) -> &std::path::Path {
        &self.path
    }

    pub(super) fn found(&mut self) -> &mut Vec<KeptCheck> {
        &mut self.found
    }

    /// Replaces the file.
    pub(super) fn save(&mut self, body: &[u8], now_ms: u64) -> io::Result<()> {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let beside = PathBuf::from(name);
        let mut file = File::create(&beside)?;
        writeln!(file, "{MAGIC} {} {now_ms}", crc32fast::hash(body))?;
        file.write_all(body)?;
        file.sync_data()?;
        fs::rename(&beside, &self.path)
    }
}

fn read(text: &[u8], max_age_ms: u64, now_ms: u64) -> Option<Vec<KeptCheck>> {
    let end = text.iter().position(|b| *b == b'\n')?;
    let (head, body) = (std::str::from_utf8(&text[..end]).ok()?, &text[end + 1..]);
    let (sum, at_ms) = head.strip_prefix(MAGIC)?.trim_start().split_once(' ')?;
    let (sum, at_ms): (u32, u64) = (sum.parse().ok()?, at_ms.parse().ok()?);
    // A file from the future was written before the clock was set right.
    let fresh = now_ms.abs_diff(at_ms) <= max_age_ms;
    (fresh && crc32fast::hash(body) == sum).then(|| serde_json::from_slice(body).ok())?
}

const MAGIC: &str = "moonbeat-health 1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_and_fresh_file_counts() {
        let path = std::env::temp_dir().join(format!("moonbeat-state-{}", std::process::id()));
        let mut disk = Disk::open(path.clone(), 1000, 0);
        assert!(disk.found().is_empty());
        let body = br#"[{"identity":"a","peers":[]}]"#;
        disk.save(body, 5000).expect("written");
        let count = |now_ms| Disk::open(path.clone(), 1000, now_ms).found().len();
        assert_eq!((count(5500), count(6001), count(4500), count(3999)), (1, 0, 1, 0));
        let mut text = fs::read(&path).expect("there");
        text.pop();
        fs::write(&path, &text).expect("written");
        assert_eq!(count(5500), 0, "torn");
        let _ = fs::remove_file(&path);
    }
}

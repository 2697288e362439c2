//! The log on disk: records in a row behind a word of introduction.
//!
//! ```text
//!  "moonbeat store 1\n" │ record │ record │ … │ (torn tail: cut when opened)
//!        compaction: a record for every living entry, put in place by rename
//! ```
//! A kill at any moment leaves whole records and perhaps a torn one; what was acknowledged is in
//! the whole ones. A second process is kept out by a lock on a file beside it.

use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::StoreError;
use super::entry::Change;
use super::file;
use super::record::{self, Step};
use super::state::State;
use crate::base::log::{Level, emit};

/// The open log, positioned at its end.
pub struct Log {
    path: PathBuf,
    file: File,
    /// Everything before this is whole and durable.
    good_bytes: u64,
    /// Size after the last compaction.
    compact_bytes: u64,
    /// A failed write left bytes behind the good part that could not be cut yet.
    torn: bool,
    /// Held while the process lives.
    _lock: File,
}

impl Log {
    /// Opens the log of a folder and plays it into `state`.
    pub fn open(dir: &Path, state: &mut State) -> Result<Self, StoreError> {
        fs::create_dir_all(dir).map_err(StoreError::io("mkdir", dir))?;
        let lock = lock(&dir.join(LOCK))?;
        let path = dir.join(LOG);
        let mut file = file::open_private(&path).map_err(StoreError::io("open", &path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(StoreError::io("read", &path))?;
        if bytes.is_empty() || INTRO.starts_with(&bytes) {
            // New, or torn while being made.
            file = file::replace(&path, INTRO).map_err(StoreError::io("write", &path))?;
            bytes = INTRO.to_vec();
        }
        let Some(records) = bytes.strip_prefix(INTRO) else {
            return Err(StoreError::Corrupt { path, why: "it begins with other words" });
        };
        let good = INTRO.len() + play(records, state);
        let good_bytes = good as u64;
        let mut log =
            Self { path, file, good_bytes, compact_bytes: good_bytes, torn: true, _lock: lock };
        log.cut(bytes.len() - good)?;
        Ok(log)
    }

    /// Appends records and waits for the disk. After an error the log ends where it did before.
    pub fn append(&mut self, records: &[u8]) -> Result<(), StoreError> {
        if self.torn {
            self.cut(0)?;
        }
        let done = self.file.write_all(records).and_then(|()| self.file.sync_data());
        if let Err(error) = done {
            self.torn = true;
            self.cut(0)?;
            return Err(StoreError::io("write", &self.path)(error));
        }
        self.good_bytes += records.len() as u64;
        Ok(())
    }

    /// Rewrites the log when most of it is history.
    pub fn compact_if_due(&mut self, state: &State) -> Result<(), StoreError> {
        if self.good_bytes < COMPACT_LEAST_BYTES.max(self.compact_bytes * GROWTH) {
            return Ok(());
        }
        let mut bytes = INTRO.to_vec();
        for entry in state.entries() {
            let living = Change { before: None, after: Some(entry.clone()) };
            record::write(&mut bytes, state.revision(), &[living]);
        }
        // The last change may have been a removal: its number must not be given again.
        record::write(&mut bytes, state.revision(), &[]);
        // Also when nothing was gained: the next try comes only after as much growth again.
        self.compact_bytes = bytes.len() as u64;
        self.file =
            file::replace(&self.path, &bytes).map_err(StoreError::io("compact", &self.path))?;
        self.good_bytes = bytes.len() as u64;
        Ok(())
    }

    /// Removes what stands behind the good part, and goes to its end.
    fn cut(&mut self, torn_bytes: usize) -> Result<(), StoreError> {
        if torn_bytes > 0 {
            let path = self.path.display();
            emit(
                Level::Warn,
                format_args!("store \"{path}\": {torn_bytes} bytes of an unfinished write are cut"),
            );
        }
        let done = self.file.set_len(self.good_bytes).and_then(|()| self.file.sync_all());
        done.and_then(|()| self.file.seek(SeekFrom::Start(self.good_bytes)))
            .map_err(StoreError::io("truncate", &self.path))?;
        self.torn = false;
        Ok(())
    }
}

/// Applies whole records; returns how many bytes they take.
fn play(records: &[u8], state: &mut State) -> usize {
    let mut at = 0;
    while let Some((revision, steps, length)) = record::read(&records[at..]) {
        let change = |step| match step {
            Step::Put(entry) => Change { before: None, after: Some(entry) },
            Step::Delete(key) => Change { before: state.get(&key), after: None },
        };
        let changes: Vec<Change> = steps.into_iter().map(change).collect();
        state.apply(revision, &changes);
        at += length;
    }
    at
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let file = file::open_private(path).map_err(StoreError::io("open", path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(StoreError::io("lock", path)(error)),
    }
}

const INTRO: &[u8] = b"moonbeat store 1\n";
const LOG: &str = "store.log";
const LOCK: &str = "store.lock";
/// A log below this size is left alone.
const COMPACT_LEAST_BYTES: u64 = 1024 * 1024;
/// How much longer than after its last compaction a log may become.
const GROWTH: u64 = 4;

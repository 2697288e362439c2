//! The log on disk: records in a row behind a word of introduction.
//!
//! ```text
//!  "moonbeat store 1\n" │ record │ record │ … │ (torn tail: cut when opened)
//!        compaction: a record for every living entry, put in place by rename
//! ```
//! A kill at any moment leaves whole records and perhaps a torn one; what was acknowledged is in
//! the whole ones. A log with whole records behind a broken one was damaged otherwise: a copy is
//! set aside before it is cut. A second process is kept out by a lock on a file beside it.

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
    /// Size after the last compaction, or what it would have been when the log was opened.
    compact_bytes: u64,
    /// A failed write left bytes behind the good part that could not be cut yet.
    torn: bool,
    /// The folder does not name this file for sure yet.
    unnamed: bool,
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
        let played = play(records, state);
        let good_bytes = (INTRO.len() + played) as u64;
        let mut log = Self {
            path,
            file,
            good_bytes,
            // Not the size it has: with each start the next compaction would move away.
            compact_bytes: state.entries().map(|entry| record::put_bytes(entry)).sum(),
            torn: true,
            unnamed: true,
            _lock: lock,
        };
        let tail = &records[played..];
        log.tell(tail);
        if damaged(tail) {
            log.set_aside(&bytes)?;
        }
        log.settle()?;
        Ok(log)
    }

    /// Appends records and waits for the disk. After an error the log ends where it did before.
    pub fn append(&mut self, records: &[u8]) -> Result<(), StoreError> {
        self.settle()?;
        let done = self.file.write_all(records).and_then(|()| self.file.sync_data());
        if let Err(error) = done {
            self.torn = true;
            self.settle()?;
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
        (self.torn, self.unnamed) = (false, true);
        self.settle()
    }

    /// Sees that the file ends behind its good part, and that a crash finds it where it is.
    /// Until that is so nothing may be appended: it could be lost.
    fn settle(&mut self) -> Result<(), StoreError> {
        if self.torn {
            let done = self.file.set_len(self.good_bytes).and_then(|()| self.file.sync_all());
            done.and_then(|()| self.file.seek(SeekFrom::Start(self.good_bytes)))
                .map_err(StoreError::io("truncate", &self.path))?;
            self.torn = false;
        }
        if self.unnamed {
            file::sync_folder_of(&self.path).map_err(StoreError::io("fsync", &self.path))?;
            self.unnamed = false;
        }
        Ok(())
    }

    fn tell(&self, tail: &[u8]) {
        if !tail.is_empty() {
            let (path, torn) = (self.path.display(), tail.len());
            emit(
                Level::Warn,
                format_args!("store \"{path}\": {torn} bytes of an unfinished write are cut"),
            );
        }
    }

    /// Keeps a copy of a log that lost more than an unfinished write.
    fn set_aside(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let copy = self.path.with_extension("damaged");
        file::replace(&copy, bytes).map_err(StoreError::io("write", &copy))?;
        emit(
            Level::Crit,
            format_args!(
                "store \"{}\" is damaged at byte {}: what came later is lost here, \
                 a copy is in \"{}\"",
                self.path.display(),
                self.good_bytes,
                copy.display(),
            ),
        );
        Ok(())
    }
}

/// Whether whole records follow where one cannot be read. Those of the last, unacknowledged write
/// may do so after a power failure; nobody can tell, so they count too.
fn damaged(tail: &[u8]) -> bool {
    (1..tail.len()).any(|at| record::read(&tail[at..]).is_some())
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

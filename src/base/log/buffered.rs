//! Lines gathered before they are written, packed if wanted: `access_log … buffer= flush= gzip=`.
//!
//! ```text
//!  write(line) ─▶ pending bytes ─ full, reopen(), end of a worker, or its time ─▶ LogFile
//! ```

use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::LogFile;

/// A log file with a buffer in front of it, shared by all threads of a configuration.
pub struct Buffered {
    file: Arc<LogFile>,
    pub buffering: Buffering,
    pending: Mutex<Vec<u8>>,
}

/// How lines are gathered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffering {
    pub size: usize,
    /// Nothing waits longer than this; none waits until the buffer is full.
    pub flush_ms: Option<u64>,
    /// Each part is packed by itself.
    pub gzip_level: Option<u32>,
}

impl Buffering {
    /// Packed at this level: this needs a buffer.
    pub fn packed(&mut self, level: u32) {
        self.gzip_level = Some(level);
        if self.size == 0 {
            self.size = PACKED_BYTES;
        }
    }
}

impl Buffered {
    pub fn new(file: Arc<LogFile>, buffering: Buffering) -> Arc<Self> {
        let new = Arc::new(Self { file, buffering, pending: Mutex::default() });
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|old| old.strong_count() > 0);
        known.push(Arc::downgrade(&new));
        new
    }

    pub fn file(&self) -> &Arc<LogFile> {
        &self.file
    }

    /// Takes a line. True when it is the first one that waits: somebody should see to `flush_ms`.
    pub fn write(&self, line: &[u8]) -> bool {
        let mut pending = self.pending();
        if pending.len() + line.len() > self.buffering.size {
            self.put_out(&pending);
            pending.clear();
            if line.len() > self.buffering.size {
                self.put_out(line);
                return false;
            }
        }
        let is_first = pending.is_empty();
        pending.extend_from_slice(line);
        is_first
    }

    /// Writes what waits.
    pub fn flush(&self) {
        let mut pending = self.pending();
        self.put_out(&pending);
        pending.clear();
    }

    /// A full disk loses lines, never a request.
    fn put_out(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let Some(level) = self.buffering.gzip_level else {
            let _ = self.file.write(bytes);
            return;
        };
        let mut packed = GzEncoder::new(Vec::new(), Compression::new(level));
        // Memory takes every byte.
        if packed.write_all(bytes).is_ok()
            && let Ok(packed) = packed.finish()
        {
            let _ = self.file.write(&packed);
        }
    }

    fn pending(&self) -> MutexGuard<'_, Vec<u8>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Buffered {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Writes what waits anywhere: a worker ends, or files are about to be swapped.
pub fn flush_all() {
    let known: Vec<Arc<Buffered>> = {
        let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter_map(Weak::upgrade).collect()
    };
    known.iter().for_each(|buffered| buffered.flush());
}

/// What is packed together when nothing is said.
const PACKED_BYTES: usize = 64 * 1024;

static KNOWN: Mutex<Vec<Weak<Buffered>>> = Mutex::new(Vec::new());

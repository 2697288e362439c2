//! The ends of the error log: shared append-only files, stderr, syslog, a capture function.
//!
//! ```text
//!   LogFile::open(path) ──▶ one open file a path, shared by all logs that name it
//!   USR1 ──▶ reopen() ──▶ every open LogFile swaps its descriptor
//! ```

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwap;

use super::{Level, Syslog};

/// One end of a log.
#[derive(Clone)]
pub enum Sink {
    Stderr,
    File(Arc<LogFile>),
    Syslog(Arc<Syslog>),
    /// Sees each finished line; `lua_capture_error_log` is one.
    Capture(Arc<Capture>),
}

/// Takes a finished line.
pub type Capture = dyn Fn(Level, &[u8]) + Send + Sync;

/// An append-only file that can be reopened under its users.
pub struct LogFile {
    path: PathBuf,
    file: ArcSwap<File>,
}

impl Sink {
    /// Opens (or shares) a file.
    pub fn file(path: &Path) -> io::Result<Self> {
        LogFile::open(path).map(Self::File)
    }

    /// Writes a finished line. A full disk or a dead peer loses the line, never the request.
    pub fn write(&self, level: Level, line: &[u8]) {
        match self {
            Self::Stderr => _ = io::stderr().write_all(line),
            Self::File(file) => _ = file.write(line),
            Self::Syslog(peer) => peer.send(level, line.trim_ascii_end()),
            Self::Capture(capture) => capture(level, line),
        }
    }
}

impl LogFile {
    /// Opens the file, or shares it when some log has it open already.
    pub fn open(path: &Path) -> io::Result<Arc<Self>> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|file| file.strong_count() > 0);
        if let Some(known) = open.iter().filter_map(Weak::upgrade).find(|f| f.path == path) {
            return Ok(known);
        }
        let file = ArcSwap::from_pointee(open_append(path)?);
        let file = Arc::new(Self { path: path.to_owned(), file });
        open.push(Arc::downgrade(&file));
        Ok(file)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends with a single `write(2)`, so that lines of several processes never mix.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        (&**self.file.load()).write(bytes)
    }

    /// The file behind the log, for those who hand descriptors on.
    pub fn current(&self) -> Arc<File> {
        self.file.load_full()
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stderr => f.write_str("Stderr"),
            Self::File(file) => write!(f, "File({})", file.path.display()),
            Self::Syslog(_) => f.write_str("Syslog"),
            Self::Capture(_) => f.write_str("Capture"),
        }
    }
}

/// Opens every log file anew (after rotation). A file that cannot be opened keeps its old
/// descriptor and is reported.
pub fn reopen() -> Vec<(PathBuf, io::Error)> {
    super::flush_all();
    let open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut failed = Vec::new();
    for file in open.iter().filter_map(Weak::upgrade) {
        match open_append(&file.path) {
            Ok(new) => file.file.store(Arc::new(new)),
            Err(e) => failed.push((file.path.clone(), e)),
        }
    }
    failed
}

fn open_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o644).open(path)
}

static OPEN: Mutex<Vec<Weak<LogFile>>> = Mutex::new(Vec::new());

//! Where a URI lies on disk (`root`, `alias`), and opening what lies there.

use std::{
    fs::{File, Metadata},
    io,
    os::unix::fs::OpenOptionsExt,
    rc::Rc,
};

use bstr::{BStr, ByteSlice};
use bytes::Bytes;

use crate::base::{errno::Errno, log::Level};

use super::{core::Alias, request::Request};

/// Maps the request's URI to a path; `None` when it cannot be mapped.
pub fn map_path(r: &Rc<Request>) -> Option<Bytes> {
    let uri = r.uri.borrow().clone();
    let mut path = root(r).to_vec();
    match alias(r) {
        None => path.extend_from_slice(&uri),
        Some(Alias::Whole) if !r.adds_uri_to_alias.get() => {}
        Some(Alias::Whole) => path.extend_from_slice(&uri),
        Some(Alias::Start(name)) => path.extend_from_slice(uri.get(name..)?),
    }
    Some(path.into())
}

/// The value of `root` or `alias`.
pub fn root(r: &Rc<Request>) -> Bytes {
    let location = r.location();
    match &location.core().root {
        Some(root) => {
            let path = root.path.eval(r);
            match path.starts_with(b"/") {
                true => path,
                // A path that begins with a variable is relative to the prefix as well.
                false => joined(r, &path),
            }
        }
        None => joined(r, b"html"),
    }
}

/// What `alias` replaces, if the path is one.
pub fn alias(r: &Rc<Request>) -> Option<Alias> {
    r.with_location(|location| location.core().root.as_ref().and_then(|root| root.alias))
}

/// Why a file was not opened: the error, and the status it makes.
pub struct Refused {
    pub status: u16,
    level: Level,
    error: io::Error,
}

impl Refused {
    fn new(error: io::Error) -> Self {
        let (status, level) = match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG) => (404, Level::Error),
            Some(libc::EACCES | libc::EMLINK | libc::ELOOP) => (403, Level::Error),
            // A zero byte in the name: no such file can exist.
            None => (404, Level::Error),
            Some(_) => (500, Level::Crit),
        };
        Self { status, level, error }
    }

    /// Tells the log, unless the file is merely missing and `log_not_found` is off.
    pub fn tell(&self, r: &Rc<Request>, path: &[u8]) {
        if self.status == 404 && !r.with_location(|location| location.core().log_not_found()) {
            return;
        }
        let path = BStr::new(path);
        r.log(self.level, format_args!("open() \"{path}\" failed {}", Errno(&self.error)));
    }
}

/// Opens a file or directory for reading.
pub fn open(path: &[u8]) -> Result<(File, Metadata), Refused> {
    let native = path.to_path().map_err(|_| Refused::new(io::ErrorKind::InvalidInput.into()))?;
    // Without O_NONBLOCK a fifo would hold the worker.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(native);
    let file = file.map_err(Refused::new)?;
    let facts = file.metadata().map_err(Refused::new)?;
    Ok((file, facts))
}

/// Facts about what lies at a path.
pub fn stat(path: &[u8]) -> io::Result<Metadata> {
    std::fs::metadata(path.to_path().map_err(|_| io::ErrorKind::InvalidInput)?)
}

fn joined(r: &Rc<Request>, path: &[u8]) -> Bytes {
    let path = r.http().prefix.join(path.to_path_lossy());
    std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).to_vec().into()
}

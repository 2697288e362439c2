//! Temporary files for request bodies, as `client_body_temp_path` names them.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;

use super::{core::InFile, request::Request};

/// A file that holds a request body; removed with its owner unless it is to be kept.
#[derive(Debug)]
pub struct TempFile {
    path: PathBuf,
    file: File,
    keep: bool,
}

impl TempFile {
    /// Makes a new file in the location's body folder.
    pub fn for_body(r: &Rc<Request>) -> io::Result<Self> {
        let location = r.location();
        let core = location.core();
        let folder = core.client_body_temp_path.clone();
        let folder = folder.unwrap_or_else(|| r.http().prefix.join("client_body_temp"));
        let keep = core.client_body_in_file_only() == InFile::On;
        loop {
            let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{serial:010}"));
            match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { path, file, keep }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.is_dir() => {
                    std::fs::create_dir_all(&folder)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Opens a file somebody else made; it is removed afterwards when `clean`.
    pub fn adopt(path: PathBuf, clean: bool) -> io::Result<(Self, u64)> {
        let file = File::open(&path)?;
        let length = file.metadata()?.len();
        Ok((Self { path, file, keep: !clean }, length))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.write_all(data)
    }

    /// The whole content.
    pub fn read_all(&self) -> io::Result<Bytes> {
        let mut data = Vec::new();
        File::open(&self.path)?.read_to_end(&mut data)?;
        Ok(data.into())
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.keep {
            // A file that is gone already is as good as removed.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

static SERIAL: AtomicU64 = AtomicU64::new(1);

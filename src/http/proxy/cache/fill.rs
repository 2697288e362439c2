//! Writing an answer into the cache while the client gets it.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::PathBuf,
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    base::{errno::Errno, log::Level},
    http::request::Request,
    net::http1::ResponseHead,
};

use super::{Caching, file, file::Meta};

/// A file on its way into a cache; removed unless it is finished.
pub struct Filling {
    caching: Caching,
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
    body_bytes: u64,
    /// What the head announced.
    length: Option<u64>,
}

impl Filling {
    pub(super) fn begin(
        r: &Rc<Request>,
        caching: Caching,
        mut meta: Meta,
        head: &ResponseHead,
        is_head: bool,
    ) -> io::Result<Self> {
        let start = file::start(&mut meta, &caching.text, head.raw.len());
        let start = start.ok_or(io::ErrorKind::InvalidData)?;
        let target = caching.zone.file(&caching.key);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("{serial:010}.{}", std::process::id());
        let path = match caching.zone.spec.use_temp_path {
            // A folder for all that is unfinished, on the same file system as the cache.
            true => r.http().prefix.join("proxy_temp").join(&name),
            false => target.with_extension(&name),
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut out = OpenOptions::new().write(true).create_new(true).open(&path)?;
        out.write_all(&start)?;
        out.write_all(&head.raw)?;
        let bytes = (start.len() + head.raw.len()) as u64;
        let length = head.content_length().filter(|_| !is_head);
        Ok(Self { caching, path, file: Some(out), bytes, body_bytes: 0, length })
    }

    /// Takes a piece of body. A full disk ends the keeping, not the answer.
    pub fn write(&mut self, r: &Rc<Request>, data: &[u8]) {
        let Some(file) = &mut self.file else { return };
        self.bytes += data.len() as u64;
        self.body_bytes += data.len() as u64;
        if let Err(error) = file.write_all(data) {
            let path = self.path.display();
            r.log(Level::Crit, format_args!("pwrite() \"{path}\" failed {}", Errno(&error)));
            self.file = None;
        }
    }

    /// The answer is complete: the file comes into its place.
    pub fn finish(mut self, r: &Rc<Request>) {
        let whole = self.length.is_none_or(|length| length == self.body_bytes);
        let Some(file) = self.file.take().filter(|_| whole) else { return };
        drop(file);
        let target = self.caching.zone.file(&self.caching.key);
        if let Err(error) = put(&self.path, &target) {
            let (from, to) = (self.path.display(), target.display());
            let errno = Errno(&error);
            r.log(Level::Crit, format_args!("rename() \"{from}\" to \"{to}\" failed {errno}"));
            return;
        }
        self.caching.zone.stored(&self.caching.key, self.bytes);
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        // After `finish` there is nothing under this name any more.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Renames, or copies from one file system to another.
pub fn put(from: &std::path::Path, to: &std::path::Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(folder) = to.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::rename(from, to)
        }
        Err(error) if error.raw_os_error() == Some(libc::EXDEV) => {
            if let Some(folder) = to.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let near = to.with_extension("new");
            std::fs::copy(from, &near)?;
            std::fs::rename(&near, to)
        }
        other => other,
    }
}

static SERIAL: AtomicU64 = AtomicU64::new(1);

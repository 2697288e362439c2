//! `proxy_store` and its kin: answers kept as files where a location will find them.
//!
//! ```text
//!  answer 200 ─▶ PATH.N.tmp ─ whole? ─▶ permissions, Last-Modified ─▶ rename to PATH
//! ```

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, Permissions},
    io::{self, Write},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{DirBuilderExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use crate::{
    base::{errno::Errno, log::Level},
    conf::{Builder, Diag, Directive},
    http::{file_access, files, request::Request, template::Template},
    net::http1::ResponseHead,
};

use super::{family::Settings, settings::Proxy};

/// Where answers are kept.
#[derive(Clone)]
pub enum Store {
    Off,
    /// Where the location looks for the file of this URI.
    Mapped,
    Path(Template),
}

/// `on | off | path`
pub fn set_store<F: Settings>(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let store = match d.arg(1) {
        word if word == "off" => Store::Off,
        word if word == "on" => Store::Mapped,
        path => Store::Path(Template::compile(b, path)?),
    };
    if !matches!(store, Store::Off) && matches!(b.part::<F>().settings().cache.zone, Some(Some(_)))
    {
        let family = d.name().strip_suffix(b"_store").unwrap_or_default();
        let family = bstr::BStr::new(family);
        return Err(d.wrong(&format!("is incompatible with \"{family}_cache\"")));
    }
    d.once(&mut b.part::<F>().settings().store, |_| Ok(store))
}

/// An answer on its way into a file.
pub struct Storing {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    modified: Option<SystemTime>,
    access: u32,
    /// Bytes still to come, where that was told.
    left: Option<u64>,
    failed: bool,
    kept: bool,
}

impl Drop for Storing {
    fn drop(&mut self) {
        if !self.kept {
            // Whoever cleans up may have been faster.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

impl Storing {
    /// Begins to store the answer, if the location wants that.
    pub fn begin(r: &Rc<Request>, conf: &Proxy, head: &ResponseHead) -> Option<Self> {
        if head.status != 200 || r.header_only.get() {
            return None;
        }
        let path = match conf.store.as_ref()? {
            Store::Off => return None,
            Store::Mapped => path_of(&files::map_path(r)?),
            Store::Path(template) => {
                let text = template.eval(r);
                r.http().prefix.join(path_of(&text))
            }
        };
        let access = conf.store_access.unwrap_or(file_access::USUAL);
        let modified = r.headers_out.borrow().last_modified;
        let modified = modified.and_then(|seconds| u64::try_from(seconds).ok());
        match Self::open(&path, access) {
            Ok((temporary, file)) => Some(Self {
                file,
                temporary,
                path,
                modified: modified.map(|s| SystemTime::UNIX_EPOCH + Duration::from_secs(s)),
                access,
                left: head.content_length(),
                failed: false,
                kept: false,
            }),
            Err(error) => {
                let (path, errno) = (path.display(), Errno(&error));
                r.log(Level::Crit, format_args!("open() \"{path}\" failed {errno}"));
                None
            }
        }
    }

    fn open(path: &Path, access: u32) -> io::Result<(PathBuf, File)> {
        if let Some(folder) = path.parent() {
            let mode = file_access::of_folder(access);
            DirBuilder::new().recursive(true).mode(mode).create(folder)?;
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.{number}.tmp", std::process::id()));
        let temporary = PathBuf::from(name);
        let file = File::options().write(true).create_new(true).open(&temporary)?;
        Ok((temporary, file))
    }

    pub fn write(&mut self, data: &[u8]) {
        self.failed |= self.file.write_all(data).is_err();
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(data.len() as u64);
        }
    }

    /// The answer came to its end.
    pub fn finish(mut self, r: &Rc<Request>) {
        if self.failed || self.left.is_some_and(|left| left > 0) {
            return;
        }
        if let Err(error) = self.settle() {
            let (path, errno) = (self.path.display(), Errno(&error));
            r.log(Level::Crit, format_args!("rename() to \"{path}\" failed {errno}"));
        }
    }

    fn settle(&mut self) -> io::Result<()> {
        self.file.set_permissions(Permissions::from_mode(self.access))?;
        if let Some(modified) = self.modified {
            self.file.set_modified(modified)?;
        }
        fs::rename(&self.temporary, &self.path)?;
        self.kept = true;
        Ok(())
    }
}

fn path_of(text: &[u8]) -> PathBuf {
    Path::new(OsStr::from_bytes(text)).to_path_buf()
}

static NEXT: AtomicU64 = AtomicU64::new(0);

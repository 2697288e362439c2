//! `open_log_file_cache`: files named by variables that stay open between lines.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use crate::base::log::LogFile;
use crate::base::{clock, units};
use crate::conf::{Builder, Diag, Directive, Part};

/// The directive of one level; without it every line opens its file.
#[derive(Default)]
pub struct PathsConf(Option<Option<Arc<Limits>>>);

impl Part for PathsConf {
    fn inherit(&mut self, parent: &Self) {
        if self.0.is_none() {
            self.0.clone_from(&parent.0);
        }
    }
}

impl PathsConf {
    /// The file of a path; none when it cannot be opened.
    pub(super) fn open(&self, path: &Path) -> Option<Arc<LogFile>> {
        let Some(Some(limits)) = &self.0 else { return LogFile::open(path).ok() };
        KEPT.with_borrow_mut(|all| {
            all.retain(|(of, _)| of.strong_count() > 0);
            let known = all.iter().position(|(of, _)| of.as_ptr() == Arc::as_ptr(limits));
            let at = known.unwrap_or_else(|| {
                all.push((Arc::downgrade(limits), Kept::default()));
                all.len() - 1
            });
            all[at].1.open(path, limits, clock::mono_ms())
        })
    }
}

struct Limits {
    most: usize,
    inactive_ms: u64,
    valid_ms: u64,
    /// A file that is used less often is not kept open.
    min_uses: u64,
}

/// `open_log_file_cache`
pub fn set_cache(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let mut limits = Limits { most: 0, inactive_ms: 10_000, valid_ms: 60_000, min_uses: 1 };
    let mut off = false;
    for index in 1..=d.arg_count() {
        let word = d.arg(index);
        let invalid = || {
            let text = format!("invalid \"open_log_file_cache\" parameter \"{word}\"");
            d.wrong_arg(index, text)
        };
        let number = |text: &[u8]| units::parse_number(text).filter(|n| *n > 0);
        let ms = |text: &[u8]| Some(units::parse_sec(text)? * 1000);
        let read = match word.split_at(word.iter().position(|c| *c == b'=').unwrap_or(0)) {
            (b"max", value) => number(&value[1..]).map(|n| limits.most = n as usize),
            (b"min_uses", value) => number(&value[1..]).map(|n| limits.min_uses = n),
            (b"inactive", value) => ms(&value[1..]).map(|ms| limits.inactive_ms = ms),
            (b"valid", value) => ms(&value[1..]).map(|ms| limits.valid_ms = ms),
            (_, b"off") => {
                off = true;
                Some(())
            }
            _ => None,
        };
        read.ok_or_else(invalid)?;
    }
    if !off && limits.most == 0 {
        return Err(Diag::emerg("\"open_log_file_cache\" must have \"max\" parameter"));
    }
    d.once(&mut b.part::<PathsConf>().0, |_| Ok((!off).then(|| Arc::new(limits))))
}

/// The files of one level on this thread.
#[derive(Default)]
struct Kept {
    by_path: HashMap<PathBuf, Entry>,
    uses: u64,
}

#[derive(Default)]
struct Entry {
    file: Option<Arc<LogFile>>,
    uses: u64,
    /// Number of the last use.
    used: u64,
    used_at_ms: u64,
    checked_at_ms: u64,
}

impl Kept {
    fn open(&mut self, path: &Path, limits: &Limits, now_ms: u64) -> Option<Arc<LogFile>> {
        self.by_path.retain(|_, entry| now_ms - entry.used_at_ms <= limits.inactive_ms);
        self.uses += 1;
        let entry = self.by_path.entry(path.to_owned()).or_default();
        (entry.used, entry.used_at_ms) = (self.uses, now_ms);
        entry.uses += 1;
        let kept = entry.file.take();
        let fresh = now_ms - entry.checked_at_ms < limits.valid_ms;
        let kept = kept.filter(|file| fresh || is_at(path, file));
        if !fresh || kept.is_none() {
            entry.checked_at_ms = now_ms;
        }
        let Some(file) = kept.or_else(|| LogFile::open(path).ok()) else {
            self.by_path.remove(path);
            return None;
        };
        if entry.uses >= limits.min_uses {
            entry.file = Some(file.clone());
        }
        if self.by_path.len() > limits.most {
            self.forget_oldest();
        }
        Some(file)
    }

    fn forget_oldest(&mut self) {
        let oldest = self.by_path.iter().min_by_key(|(_, entry)| entry.used);
        if let Some(path) = oldest.map(|(path, _)| path.clone()) {
            self.by_path.remove(&path);
        }
    }
}

/// The file was not moved away or deleted.
fn is_at(path: &Path, file: &LogFile) -> bool {
    let here = fs::metadata(path).ok().zip(file.current().metadata().ok());
    here.is_some_and(|(a, b)| (a.dev(), a.ino()) == (b.dev(), b.ino()))
}

thread_local! {
    static KEPT: RefCell<Vec<(Weak<Limits>, Kept)>> = RefCell::default();
}

//! A configuration's texts as they were once read, so that another process reads the same ones.
//!
//! ```text
//!  master: Recorder(Disk) ─ parse ─▶ Snapshot ─ bytes ─▶ worker: Snapshot ─ parse
//! ```
//!
//! A worker that is started again an hour later must serve what its master has checked, not what
//! somebody is editing meanwhile.

use std::cell::RefCell;
use std::io;

use bstr::{BStr, BString};

use super::parser::Files;

/// Files and `include` patterns with what they gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    files: Vec<(BString, Vec<u8>)>,
    patterns: Vec<(BString, Vec<BString>)>,
}

impl Snapshot {
    /// The snapshot as bytes for another process.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_count(&mut out, self.files.len());
        for (name, text) in &self.files {
            put(&mut out, name);
            put(&mut out, text);
        }
        put_count(&mut out, self.patterns.len());
        for (pattern, names) in &self.patterns {
            put(&mut out, pattern);
            put_count(&mut out, names.len());
            names.iter().for_each(|name| put(&mut out, name));
        }
        out
    }

    /// Reads what [`Snapshot::encode`] wrote; `None` for anything else.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let mut snapshot = Self::default();
        for _ in 0..take_count(bytes)? {
            let name = take(bytes)?.into();
            snapshot.files.push((name, take(bytes)?.to_vec()));
        }
        for _ in 0..take_count(bytes)? {
            let pattern = take(bytes)?.into();
            let mut names = Vec::new();
            for _ in 0..take_count(bytes)? {
                names.push(take(bytes)?.into());
            }
            snapshot.patterns.push((pattern, names));
        }
        bytes.is_empty().then_some(snapshot)
    }
}

impl Files for Snapshot {
    fn read(&self, name: &BStr) -> io::Result<Vec<u8>> {
        let found = self.files.iter().find(|(known, _)| known == name);
        found.map(|(_, text)| text.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn matching(&self, pattern: &BStr) -> Vec<BString> {
        let found = self.patterns.iter().find(|(known, _)| known == pattern);
        found.map(|(_, names)| names.clone()).unwrap_or_default()
    }
}

/// Reads through to other files and remembers what they gave.
pub struct Recorder<'a> {
    files: &'a dyn Files,
    seen: RefCell<Snapshot>,
}

impl<'a> Recorder<'a> {
    pub fn new(files: &'a dyn Files) -> Self {
        Self { files, seen: RefCell::default() }
    }

    pub fn snapshot(self) -> Snapshot {
        self.seen.into_inner()
    }
}

impl Files for Recorder<'_> {
    fn read(&self, name: &BStr) -> io::Result<Vec<u8>> {
        let text = self.files.read(name)?;
        self.seen.borrow_mut().files.push((name.to_owned(), text.clone()));
        Ok(text)
    }

    fn matching(&self, pattern: &BStr) -> Vec<BString> {
        let names = self.files.matching(pattern);
        self.seen.borrow_mut().patterns.push((pattern.to_owned(), names.clone()));
        names
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u64).to_le_bytes());
}

fn put(out: &mut Vec<u8>, part: &[u8]) {
    put_count(out, part.len());
    out.extend_from_slice(part);
}

fn take_count(bytes: &mut &[u8]) -> Option<usize> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    usize::try_from(u64::from_le_bytes(*head)).ok()
}

fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_count(bytes)?;
    let (part, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::{Memory, parse};

    #[test]
    fn the_same_configuration_comes_out_of_a_snapshot() {
        let files = Memory(vec![
            ("/c/nginx.conf".into(), b"a 1; include d/*.conf; include gone*;".to_vec()),
            ("/c/d/x.conf".into(), b"b 2;".to_vec()),
        ]);
        let recorder = Recorder::new(&files);
        let main = BStr::new("/c/nginx.conf");
        let first = parse(&recorder, main, b"");
        let bytes = recorder.snapshot().encode();
        let snapshot = Snapshot::decode(&bytes).unwrap();
        let again = parse(&snapshot, main, b"");
        assert_eq!(first.items.len(), 2);
        assert_eq!(super::super::dump::tree(&first.items), super::super::dump::tree(&again.items));
        for cut in 0..bytes.len() {
            assert_eq!(Snapshot::decode(&bytes[..cut]), None);
        }
    }
}

//! One line of the log: the changes of one revision, in bytes.
//!
//! ```text
//!  length u32 │ crc32 u32 │ payload
//!                           revision u64 │ { tag u8 │ key │ [value, created, version, expires] }*
//! ```
//! Numbers are little endian. A record is whole or it is nothing: the checksum tells.

use std::sync::Arc;

use bytes::Bytes;

use super::entry::{Change, Entry};

/// Appends the record of a revision.
pub fn write(out: &mut Vec<u8>, revision: u64, changes: &[Change]) {
    let at = out.len();
    out.extend_from_slice(&[0; HEAD_BYTES]);
    out.extend_from_slice(&revision.to_le_bytes());
    for change in changes {
        match &change.after {
            Some(entry) => put(out, entry),
            None => {
                out.push(DELETE);
                text(out, change.key().as_bytes());
            }
        }
    }
    let payload = at + HEAD_BYTES;
    let length = u32::try_from(out.len() - payload).unwrap_or(u32::MAX);
    let sum = crc32fast::hash(&out[payload..]);
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
    out[at + 4..payload].copy_from_slice(&sum.to_le_bytes());
}

/// How long the record of a compaction is for this entry.
pub fn put_bytes(entry: &Entry) -> u64 {
    (HEAD_BYTES + 8 + 1 + 4 + entry.key.len() + 4 + entry.value.len() + 4 * 8) as u64
}

/// Reads the record at the start of `bytes`: its revision, its steps, its length. `None` when it is
/// torn.
pub fn read(bytes: &[u8]) -> Option<(u64, Vec<Step>, usize)> {
    let mut head = Reader(bytes);
    let length = head.u32()? as usize;
    let sum = head.u32()?;
    let payload = head.0.get(..length)?;
    if crc32fast::hash(payload) != sum {
        return None;
    }
    let mut reader = Reader(payload);
    let revision = reader.u64()?;
    let mut steps = Vec::new();
    while !reader.0.is_empty() {
        steps.push(reader.step(revision)?);
    }
    Some((revision, steps, HEAD_BYTES + length))
}

/// What a record says about one key.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    Put(Arc<Entry>),
    Delete(Arc<str>),
}

fn put(out: &mut Vec<u8>, entry: &Entry) {
    out.push(PUT);
    text(out, entry.key.as_bytes());
    text(out, &entry.value);
    for number in [entry.created, entry.modified, entry.version, entry.expires_at_ms.unwrap_or(0)] {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(bytes);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn step(&mut self, revision: u64) -> Option<Step> {
        let tag = self.take(1)?[0];
        let key: Arc<str> = std::str::from_utf8(self.text()?).ok()?.into();
        if tag == DELETE {
            return Some(Step::Delete(key));
        }
        let value = Bytes::copy_from_slice(self.text()?);
        let (created, modified) = (self.u64()?, self.u64()?);
        let (version, expires) = (self.u64()?, self.u64()?);
        let sane = tag == PUT && created <= modified && modified <= revision;
        let expires_at_ms = Some(expires).filter(|at| *at > 0);
        let entry = Entry { key, value, created, modified, version, expires_at_ms };
        sane.then(|| Step::Put(Arc::new(entry)))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }
}

const HEAD_BYTES: usize = 8;
const PUT: u8 = 1;
const DELETE: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, value: &'static str) -> Arc<Entry> {
        Arc::new(Entry {
            key: key.into(),
            value: Bytes::from_static(value.as_bytes()),
            created: 3,
            modified: 7,
            version: 2,
            expires_at_ms: Some(12),
        })
    }

    #[test]
    fn a_record_is_whole_or_nothing() {
        let a = entry("/a", "1");
        let changes = [
            Change { before: None, after: Some(a.clone()) },
            Change { before: Some(entry("/b", "")), after: None },
        ];
        let mut bytes = Vec::new();
        write(&mut bytes, 7, &changes);
        let (revision, steps, length) = read(&bytes).expect("it was just written");
        assert_eq!((revision, length), (7, bytes.len()));
        assert_eq!(steps, [Step::Put(a), Step::Delete("/b".into())]);
        let mut alone = Vec::new();
        write(&mut alone, 7, &changes[..1]);
        assert_eq!(changes[0].after.as_deref().map(put_bytes), Some(alone.len() as u64));
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut]).is_none(), "{cut}");
        }
        for at in 0..bytes.len() {
            let mut torn = bytes.clone();
            torn[at] ^= 0x40;
            assert!(read(&torn).is_none(), "{at}");
        }
    }
}

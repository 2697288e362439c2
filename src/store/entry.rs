//! What a store hands out: entries, ranges, changes, events.
//!
//! ```text
//!  Entry { key, value, created ≤ modified, version }      created, modified: revisions
//!  Change { before, after }     put: after;  delete: before only
//! ```

use std::sync::Arc;

use bytes::Bytes;

/// A key and what is known of it; never changed once made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: Arc<str>,
    pub value: Bytes,
    /// The revision that made the key.
    pub created: u64,
    /// The revision that gave it this value.
    pub modified: u64,
    /// How often it was set since it was made.
    pub version: u64,
    /// When it goes by itself, in milliseconds of the wall clock.
    pub expires_at_ms: Option<u64>,
}

/// Entries as they were at one revision.
#[derive(Clone, Debug, Default)]
pub struct Range {
    pub revision: u64,
    pub entries: Vec<Arc<Entry>>,
}

/// What happened to one key.
#[derive(Clone, Debug)]
pub struct Change {
    pub before: Option<Arc<Entry>>,
    pub after: Option<Arc<Entry>>,
}

impl Change {
    pub fn key(&self) -> &str {
        let entry = self.after.as_ref().or(self.before.as_ref());
        entry.map_or("", |entry| &entry.key)
    }
}

/// What a transaction did.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The revision of its changes; the present one when it changed nothing.
    pub revision: u64,
    pub changes: Vec<Change>,
}

/// The changes of one revision that a watcher asked for.
#[derive(Clone, Debug)]
pub struct Event {
    pub revision: u64,
    pub changes: Vec<Change>,
}

//! The handle everybody uses: cheap to clone, the lock stays inside.
//!
//! ```text
//!   Dict = Arc<Shared { name, Lock<Table> }>      time: the cached clock of the calling thread
//! ```
//!
//! The lock is held for the copy of a value at most, never over an await; one lock a dictionary, as
//! in nginx, because eviction order is one order.

use std::sync::Arc;

use super::lock::{Held, Lock};
use super::table::{Incr, Outcome, Store, Table};
use super::value::{Error, Item, OwnedValue, Side, Value};
use crate::base::clock;

/// A shared dictionary.
#[derive(Clone, Debug)]
pub struct Dict(pub(super) Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: Box<[u8]>,
    pub(super) size_bytes: usize,
    table: Lock<Table>,
}

impl Dict {
    pub fn new(name: &[u8], size_bytes: usize) -> Self {
        let table = Lock::new(Table::new(name, size_bytes));
        Self(Arc::new(Shared { name: name.into(), size_bytes, table }))
    }

    pub fn name(&self) -> &[u8] {
        &self.0.name
    }

    /// Lets `see` look at a value under the lock: copy it out and return.
    #[inline]
    pub fn with<R>(&self, key: &[u8], see: impl FnOnce(Result<Option<Item<'_>>, Error>) -> R) -> R {
        see(self.table().get(key, clock::wall_ms()))
    }

    /// The same for values that may be expired; the flag says so.
    pub fn with_stale<R>(
        &self,
        key: &[u8],
        see: impl FnOnce(Result<Option<(Item<'_>, bool)>, Error>) -> R,
    ) -> R {
        see(self.table().stale(key, clock::wall_ms()))
    }

    /// A copy of a value and its flags.
    pub fn get(&self, key: &[u8]) -> Result<Option<(OwnedValue, u32)>, Error> {
        self.with(key, |found| Ok(found?.map(|item| (item.value.into(), item.flags))))
    }

    /// Stores a value for `ttl_ms` (0: forever).
    pub fn store(
        &self,
        mode: Store,
        key: &[u8],
        value: Option<Value<'_>>,
        ttl_ms: i64,
        flags: u32,
    ) -> Outcome<()> {
        self.table().store(mode, key, value, ttl_ms, flags, clock::wall_ms())
    }

    /// Stores a value forever, over whatever is there.
    pub fn set(&self, key: &[u8], value: Value<'_>) -> Result<(), Error> {
        self.store(Store::Set, key, Some(value), 0, 0).result
    }

    pub fn delete(&self, key: &[u8]) {
        self.table().store(Store::Set, key, None, 0, 0, clock::wall_ms());
    }

    pub fn incr(&self, key: &[u8], incr: Incr) -> Outcome<f64> {
        self.table().incr(key, incr, clock::wall_ms())
    }

    pub fn push(&self, key: &[u8], value: Value<'_>, side: Side) -> Result<usize, Error> {
        self.table().push(key, value, side, clock::wall_ms())
    }

    pub fn pop(&self, key: &[u8], side: Side) -> Result<Option<OwnedValue>, Error> {
        self.table().pop(key, side, clock::wall_ms())
    }

    pub fn llen(&self, key: &[u8]) -> Result<usize, Error> {
        self.table().llen(key, clock::wall_ms())
    }

    /// Milliseconds to live; 0 is forever, negative is expired.
    pub fn ttl(&self, key: &[u8]) -> Result<i64, Error> {
        self.table().ttl(key, clock::wall_ms())
    }

    pub fn expire(&self, key: &[u8], ttl_ms: i64) -> Result<(), Error> {
        self.table().expire(key, ttl_ms, clock::wall_ms())
    }

    pub fn flush_all(&self) {
        self.table().flush_all(clock::wall_ms());
    }

    pub fn flush_expired(&self, max: usize) -> usize {
        self.table().flush_expired(max, clock::wall_ms())
    }

    pub fn keys(&self, max: usize) -> Vec<Box<[u8]>> {
        self.table().keys(max, clock::wall_ms())
    }

    pub fn capacity(&self) -> usize {
        self.0.size_bytes
    }

    pub fn free_space(&self) -> usize {
        self.table().free_space()
    }

    /// A panic cannot leave a table half changed: its operations do not call out.
    #[inline]
    fn table(&self) -> Held<'_, Table> {
        self.0.table.lock()
    }
}

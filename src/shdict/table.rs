//! The store of one dictionary: a pure value, time is passed in, there are no locks.
//!
//! ```text
//!   key ─▶ Index ─▶ Stored { content, expires, flags, its chunk of the Slab }
//!   each operation first drops up to two expired entries at the old end, as OpenResty does
//! ```

use std::collections::VecDeque;

use super::index::Index;
use super::slab::{Chunk, Slab};
use super::value::{Error, Item, OwnedValue, Side, Stamp, Value};

/// The store. All `now_ms` are wall-clock milliseconds.
#[derive(Debug)]
pub struct Table {
    index: Index<Stored>,
    slab: Slab,
    size_bytes: usize,
    /// The version given last.
    version: u64,
}

/// How [`Table::store`] treats what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    Set,
    SafeSet,
    Add,
    SafeAdd,
    Replace,
}

/// A result, and whether other entries had to go for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome<T> {
    pub result: Result<T, Error>,
    pub forcible: bool,
}

/// How [`Table::incr`] counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Incr {
    pub by: f64,
    /// The value to begin with when there is none, and its time to live (0: forever).
    pub init: Option<(f64, i64)>,
}

#[derive(Debug)]
struct Stored {
    content: Content,
    /// 0: never.
    expires_ms: u64,
    flags: u32,
    chunk: Chunk,
    version: u64,
}

#[derive(Debug)]
enum Content {
    One(OwnedValue),
    List(VecDeque<(OwnedValue, Chunk)>),
}

/// What a lookup found.
#[derive(Clone, Copy, Debug)]
enum Found {
    Nothing,
    Expired(u32),
    Live(u32),
}

impl Table {
    /// An empty table that counts as a zone of this size with this name.
    pub fn new(name: &[u8], size_bytes: usize) -> Self {
        let mut slab = Slab::new(size_bytes);
        // What OpenResty itself allocates in a zone: its root, and the text of its log messages.
        slab.alloc(ROOT_BYTES);
        slab.alloc(LOG_TEXT_BYTES + name.len());
        Self { index: Index::new(), slab, size_bytes, version: 0 }
    }

    pub fn capacity(&self) -> usize {
        self.size_bytes
    }

    /// Bytes in wholly free pages.
    pub fn free_space(&self) -> usize {
        self.slab.free_bytes()
    }

    /// The number of entries, expired ones that were not dropped yet included.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub fn get(&mut self, key: &[u8], now_ms: u64) -> Result<Option<Item<'_>>, Error> {
        self.drop_expired(now_ms);
        match self.look_up(key, now_ms) {
            Found::Live(at) => self.index.value(at).item(at).map(Some),
            Found::Nothing | Found::Expired(_) => Ok(None),
        }
    }

    /// The value whether expired or not; the flag says that it is.
    pub fn stale(&mut self, key: &[u8], now_ms: u64) -> Result<Option<(Item<'_>, bool)>, Error> {
        match self.look_up(key, now_ms) {
            Found::Nothing => Ok(None),
            Found::Live(at) => self.index.value(at).item(at).map(|item| Some((item, false))),
            Found::Expired(at) => self.index.value(at).item(at).map(|item| Some((item, true))),
        }
    }

    /// Stores a value for `ttl_ms` (0: forever); no value deletes.
    #[inline]
    pub fn store(
        &mut self,
        mode: Store,
        key: &[u8],
        value: Option<Value<'_>>,
        ttl_ms: i64,
        flags: u32,
        now_ms: u64,
    ) -> Outcome<()> {
        let adds_or_replaces = !matches!(mode, Store::Set | Store::SafeSet);
        if key.len() > KEY_MAX_BYTES {
            return Outcome::plain(Err(Error::KeyTooLong));
        }
        if value.is_none() && adds_or_replaces {
            return Outcome::plain(Err(Error::NilValue));
        }
        self.drop_expired(now_ms);
        let found = self.look_up(key, now_ms);
        match (mode, found) {
            (Store::Replace, Found::Nothing | Found::Expired(_)) => {
                return Outcome::plain(Err(Error::NotFound));
            }
            (Store::Add | Store::SafeAdd, Found::Live(_)) => {
                return Outcome::plain(Err(Error::Exists));
            }
            _ => {}
        }
        let expires_ms = expiry(ttl_ms, now_ms);
        self.version += 1;
        if let Found::Live(at) | Found::Expired(at) = found {
            if let Some(value) = value
                && self.index.value(at).takes(value)
            {
                let stored = self.index.value_mut(at);
                stored.content.overwrite(value);
                stored.expires_ms = expires_ms;
                stored.flags = flags;
                stored.version = self.version;
                self.index.touch(at);
                return Outcome::plain(Ok(()));
            }
            self.delete_entry(at);
        }
        let Some(value) = value else {
            return Outcome::plain(Ok(()));
        };
        let size = NODE_BYTES + key.len() + value.size_bytes();
        let may_evict = !matches!(mode, Store::SafeSet | Store::SafeAdd);
        let (chunk, forcible) = self.alloc(size, may_evict, now_ms);
        let result = chunk.ok_or(Error::NoMemory).map(|chunk| {
            let (content, version) = (Content::One(value.into()), self.version);
            self.index.insert(key, Stored { content, expires_ms, flags, chunk, version });
        });
        Outcome { result, forcible }
    }

    /// Adds to a number; gives the sum.
    pub fn incr(&mut self, key: &[u8], incr: Incr, now_ms: u64) -> Outcome<f64> {
        if key.len() > KEY_MAX_BYTES {
            return Outcome::plain(Err(Error::KeyTooLong));
        }
        self.drop_expired(now_ms);
        let found = self.look_up(key, now_ms);
        if let Found::Live(at) = found {
            let Content::One(OwnedValue::Number(number)) = &mut self.index.value_mut(at).content
            else {
                return Outcome::plain(Err(Error::NotANumber));
            };
            *number += incr.by;
            return Outcome::plain(Ok(*number));
        }
        let Some((init, ttl_ms)) = incr.init else {
            return Outcome::plain(Err(Error::NotFound));
        };
        let value = Value::Number(incr.by + init);
        let stored = self.store(Store::Set, key, Some(value), ttl_ms, 0, now_ms);
        Outcome { result: stored.result.map(|()| incr.by + init), forcible: stored.forcible }
    }

    /// Puts a value on a list, which is made when there is none; gives the new length.
    pub fn push(
        &mut self,
        key: &[u8],
        value: Value<'_>,
        side: Side,
        now_ms: u64,
    ) -> Result<usize, Error> {
        if key.len() > KEY_MAX_BYTES {
            return Err(Error::KeyTooLong);
        }
        self.drop_expired(now_ms);
        let at = match self.look_up(key, now_ms) {
            Found::Live(at) if self.index.value(at).is_list() => at,
            Found::Live(_) => return Err(Error::NotAList),
            Found::Expired(at) if self.index.value(at).is_list() => {
                self.empty_list(at);
                at
            }
            Found::Expired(at) => {
                self.delete_entry(at);
                self.new_list(key)?
            }
            Found::Nothing => self.new_list(key)?,
        };
        self.index.touch(at);
        let Some(chunk) = self.slab.alloc(LIST_NODE_BYTES + value.size_bytes()) else {
            if self.index.value(at).list_len() == Some(0) {
                self.delete_entry(at);
            }
            return Err(Error::NoMemory);
        };
        let list = self.index.value_mut(at).list_mut().ok_or(Error::NotAList)?;
        match side {
            Side::Left => list.push_front((value.into(), chunk)),
            Side::Right => list.push_back((value.into(), chunk)),
        }
        Ok(list.len())
    }

    /// Takes a value off a list; an empty list is dropped.
    pub fn pop(
        &mut self,
        key: &[u8],
        side: Side,
        now_ms: u64,
    ) -> Result<Option<OwnedValue>, Error> {
        self.drop_expired(now_ms);
        let Found::Live(at) = self.look_up(key, now_ms) else {
            return Ok(None);
        };
        let list = self.index.value_mut(at).list_mut().ok_or(Error::NotAList)?;
        let taken = match side {
            Side::Left => list.pop_front(),
            Side::Right => list.pop_back(),
        };
        let empty = list.is_empty();
        if let Some((_, chunk)) = taken {
            self.slab.free(chunk);
        }
        if empty {
            self.delete_entry(at);
        }
        Ok(taken.map(|(value, _)| value))
    }

    /// The length of a list; 0 when there is none.
    pub fn llen(&mut self, key: &[u8], now_ms: u64) -> Result<usize, Error> {
        self.drop_expired(now_ms);
        match self.look_up(key, now_ms) {
            Found::Live(at) => self.index.value(at).list_len().ok_or(Error::NotAList),
            Found::Nothing | Found::Expired(_) => Ok(0),
        }
    }

    /// Milliseconds to live; 0 is forever, a negative number tells since when it is expired.
    pub fn ttl(&self, key: &[u8], now_ms: u64) -> Result<i64, Error> {
        let at = self.index.find(key).ok_or(Error::NotFound)?;
        match self.index.value(at).expires_ms {
            0 => Ok(0),
            expires_ms => Ok(expires_ms.wrapping_sub(now_ms) as i64),
        }
    }

    /// Gives an entry a new time to live, an expired one too.
    pub fn expire(&mut self, key: &[u8], ttl_ms: i64, now_ms: u64) -> Result<(), Error> {
        let at = self.index.find(key).ok_or(Error::NotFound)?;
        self.index.value_mut(at).expires_ms = expiry(ttl_ms, now_ms);
        Ok(())
    }

    /// Marks everything expired; the memory comes back as entries are met or flushed.
    pub fn flush_all(&mut self, now_ms: u64) {
        self.index.values_mut().for_each(|stored| stored.expires_ms = 1);
        self.evict(now_ms);
    }

    /// Drops expired entries, the oldest first, at most `max` (0: all); gives their number.
    pub fn flush_expired(&mut self, max: usize, now_ms: u64) -> usize {
        let mut freed = 0;
        let mut next = self.index.oldest();
        while let Some(at) = next {
            next = self.index.newer(at);
            if self.index.value(at).expired(now_ms) {
                self.delete_entry(at);
                freed += 1;
                if freed == max {
                    break;
                }
            }
        }
        freed
    }

    /// Keys of live entries, the oldest first, at most `max` (0: all).
    pub fn keys(&self, max: usize, now_ms: u64) -> Vec<Box<[u8]>> {
        let mut keys = Vec::new();
        let mut next = self.index.oldest();
        while let Some(at) = next {
            next = self.index.newer(at);
            if !self.index.value(at).expired(now_ms) {
                keys.push(self.index.key(at).into());
                if keys.len() == max {
                    break;
                }
            }
        }
        keys
    }

    /// Finds an entry; a live one counts as used.
    #[inline]
    fn look_up(&mut self, key: &[u8], now_ms: u64) -> Found {
        match self.index.find(key) {
            None => Found::Nothing,
            Some(at) if self.index.value(at).expired(now_ms) => Found::Expired(at),
            Some(at) => {
                self.index.touch(at);
                Found::Live(at)
            }
        }
    }

    /// Allocates; when it must and may, drops old entries for it, thirty rounds at most.
    fn alloc(&mut self, size: usize, may_evict: bool, now_ms: u64) -> (Option<Chunk>, bool) {
        let mut chunk = self.slab.alloc(size);
        let mut rounds = 0;
        while chunk.is_none() && may_evict && rounds < EVICTION_ROUNDS && self.evict(now_ms) > 0 {
            rounds += 1;
            chunk = self.slab.alloc(size);
        }
        (chunk, rounds > 0)
    }

    /// Drops the oldest entry, and up to two more that are expired.
    fn evict(&mut self, now_ms: u64) -> usize {
        let Some(oldest) = self.index.oldest() else {
            return 0;
        };
        self.delete_entry(oldest);
        1 + self.drop_expired(now_ms)
    }

    /// Drops up to two entries at the old end, as long as they are expired.
    #[inline]
    fn drop_expired(&mut self, now_ms: u64) -> usize {
        match self.index.oldest() {
            Some(at) if self.index.value(at).expired(now_ms) => self.drop_two(now_ms),
            _ => 0,
        }
    }

    #[cold]
    fn drop_two(&mut self, now_ms: u64) -> usize {
        for dropped in 0..2 {
            match self.index.oldest() {
                Some(at) if self.index.value(at).expired(now_ms) => self.delete_entry(at),
                _ => return dropped,
            }
        }
        2
    }

    fn delete_entry(&mut self, at: u32) {
        self.empty_list(at);
        if let Some(stored) = self.index.remove(at) {
            self.slab.free(stored.chunk);
        }
    }

    /// Frees what a list holds; such a list lives forever again.
    fn empty_list(&mut self, at: u32) {
        let stored = self.index.value_mut(at);
        if let Content::List(list) = &mut stored.content {
            stored.expires_ms = 0;
            list.drain(..).for_each(|(_, chunk)| self.slab.free(chunk));
        }
    }

    fn new_list(&mut self, key: &[u8]) -> Result<u32, Error> {
        let size = (NODE_BYTES + key.len() + LIST_HEAD_BYTES).next_multiple_of(8);
        let chunk = self.slab.alloc(size).ok_or(Error::NoMemory)?;
        let content = Content::List(VecDeque::new());
        Ok(self.index.insert(key, Stored { content, expires_ms: 0, flags: 0, chunk, version: 0 }))
    }
}

impl Stored {
    fn expired(&self, now_ms: u64) -> bool {
        self.expires_ms != 0 && self.expires_ms <= now_ms
    }

    fn item(&self, at: u32) -> Result<Item<'_>, Error> {
        let stamp = Stamp { at, version: self.version };
        match &self.content {
            Content::One(value) => Ok(Item { value: value.borrow(), flags: self.flags, stamp }),
            Content::List(_) => Err(Error::IsAList),
        }
    }

    /// Whether a value fits into the memory of the one that is there.
    fn takes(&self, value: Value<'_>) -> bool {
        match &self.content {
            Content::One(old) => old.borrow().size_bytes() == value.size_bytes(),
            Content::List(_) => false,
        }
    }

    fn is_list(&self) -> bool {
        matches!(self.content, Content::List(_))
    }

    fn list_len(&self) -> Option<usize> {
        match &self.content {
            Content::List(list) => Some(list.len()),
            Content::One(_) => None,
        }
    }

    fn list_mut(&mut self) -> Option<&mut VecDeque<(OwnedValue, Chunk)>> {
        match &mut self.content {
            Content::List(list) => Some(list),
            Content::One(_) => None,
        }
    }
}

impl Content {
    fn overwrite(&mut self, value: Value<'_>) {
        match (self, value) {
            // The common case costs no allocation.
            (Self::One(OwnedValue::String(old)), Value::String(new)) if old.len() == new.len() => {
                copy(old, new);
            }
            (content, value) => *content = Self::One(value.into()),
        }
    }
}

impl<T> Outcome<T> {
    fn plain(result: Result<T, Error>) -> Self {
        Self { result, forcible: false }
    }
}

/// Texts are short: two words are faster than a call.
#[inline]
fn copy(old: &mut [u8], new: &[u8]) {
    if old.len() > 16 || new.len() > 16 || old.len() < 4 {
        return old.copy_from_slice(new);
    }
    if let (Some(low), Some(high)) = (new.first_chunk::<8>(), new.last_chunk::<8>()) {
        old.first_chunk_mut().into_iter().for_each(|old| *old = *low);
        old.last_chunk_mut().into_iter().for_each(|old| *old = *high);
    } else if let (Some(low), Some(high)) = (new.first_chunk::<4>(), new.last_chunk::<4>()) {
        old.first_chunk_mut().into_iter().for_each(|old| *old = *low);
        old.last_chunk_mut().into_iter().for_each(|old| *old = *high);
    }
}

fn expiry(ttl_ms: i64, now_ms: u64) -> u64 {
    if ttl_ms > 0 { now_ms.saturating_add(ttl_ms as u64) } else { 0 }
}

const KEY_MAX_BYTES: usize = 65_535;
const EVICTION_ROUNDS: usize = 30;
/// Sizes of OpenResty's structures on 64 bits, without key and value.
const NODE_BYTES: usize = 68;
const LIST_HEAD_BYTES: usize = 16;
const LIST_NODE_BYTES: usize = 21;
const ROOT_BYTES: usize = 80;
const LOG_TEXT_BYTES: usize = 27;

#[cfg(test)]
mod tests;

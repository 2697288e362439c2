//! Finds entries by key: a chained hash over entry numbers, and the order of their use.
//!
//! ```text
//!   key ─hash▶ buckets ─▶ entry ─chain▶ entry      head (last used) ⇄ entry ⇄ entry ⇄ tail
//! ```

use std::hash::{BuildHasher, RandomState};

/// Entries under keys, in the order of use. Numbers of entries are stable until they are removed.
#[derive(Debug)]
pub(super) struct Index<T> {
    entries: Vec<Entry<T>>,
    buckets: Vec<u32>,
    seed: u64,
    len: usize,
    free: u32,
    head: u32,
    tail: u32,
}

#[derive(Debug)]
struct Entry<T> {
    hash: u64,
    chain: u32,
    newer: u32,
    older: u32,
    key: Box<[u8]>,
    /// Nothing in a free entry.
    value: Option<T>,
}

impl<T> Index<T> {
    pub(super) fn new() -> Self {
        // The seed is random, so that nobody can prepare keys that fall into one bucket.
        let seed = RandomState::new().hash_one(0u8);
        Self {
            entries: Vec::new(),
            buckets: vec![NONE; 16],
            seed,
            len: 0,
            free: NONE,
            head: NONE,
            tail: NONE,
        }
    }

    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        let hash = self.hash(key);
        let mut at = self.buckets[self.bucket(hash)];
        while at != NONE {
            let entry = &self.entries[at as usize];
            if entry.hash == hash && same(&entry.key, key) {
                return Some(at);
            }
            at = entry.chain;
        }
        None
    }

    /// Adds an entry as the last used. The key must not be there yet.
    pub(super) fn insert(&mut self, key: &[u8], value: T) -> u32 {
        if self.len == self.buckets.len() {
            self.grow();
        }
        let hash = self.hash(key);
        let bucket = self.bucket(hash);
        let chain = self.buckets[bucket];
        let entry =
            Entry { hash, chain, newer: NONE, older: NONE, key: key.into(), value: Some(value) };
        let at = self.place(entry);
        self.buckets[bucket] = at;
        self.link_first(at);
        self.len += 1;
        at
    }

    pub(super) fn remove(&mut self, at: u32) -> Option<T> {
        self.unlink(at);
        let (hash, chain) = {
            let entry = &self.entries[at as usize];
            (entry.hash, entry.chain)
        };
        let bucket = self.bucket(hash);
        if self.buckets[bucket] == at {
            self.buckets[bucket] = chain;
        } else {
            let mut before = self.buckets[bucket];
            while self.entries[before as usize].chain != at {
                before = self.entries[before as usize].chain;
            }
            self.entries[before as usize].chain = chain;
        }
        self.len -= 1;
        let entry = &mut self.entries[at as usize];
        entry.chain = self.free;
        entry.key = Box::default();
        self.free = at;
        entry.value.take()
    }

    /// Makes an entry the last used.
    #[inline]
    pub(super) fn touch(&mut self, at: u32) {
        if self.head != at {
            self.move_first(at);
        }
    }

    #[inline(never)]
    fn move_first(&mut self, at: u32) {
        self.unlink(at);
        self.link_first(at);
    }

    pub(super) fn key(&self, at: u32) -> &[u8] {
        &self.entries[at as usize].key
    }

    pub(super) fn value(&self, at: u32) -> &T {
        self.entries[at as usize].value.as_ref().expect("numbers of live entries only")
    }

    pub(super) fn value_mut(&mut self, at: u32) -> &mut T {
        self.entries[at as usize].value.as_mut().expect("numbers of live entries only")
    }

    /// The entry that was not used for the longest time.
    pub(super) fn oldest(&self) -> Option<u32> {
        (self.tail != NONE).then_some(self.tail)
    }

    /// The entry used next after this one.
    pub(super) fn newer(&self, at: u32) -> Option<u32> {
        let newer = self.entries[at as usize].newer;
        (newer != NONE).then_some(newer)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().filter_map(|entry| entry.value.as_mut())
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn place(&mut self, entry: Entry<T>) -> u32 {
        if self.free == NONE {
            self.entries.push(entry);
            return (self.entries.len() - 1) as u32;
        }
        let at = self.free;
        self.free = self.entries[at as usize].chain;
        self.entries[at as usize] = entry;
        at
    }

    fn link_first(&mut self, at: u32) {
        let old = self.head;
        let entry = &mut self.entries[at as usize];
        entry.newer = NONE;
        entry.older = old;
        match old {
            NONE => self.tail = at,
            _ => self.entries[old as usize].newer = at,
        }
        self.head = at;
    }

    fn unlink(&mut self, at: u32) {
        let (newer, older) = {
            let entry = &self.entries[at as usize];
            (entry.newer, entry.older)
        };
        match newer {
            NONE => self.head = older,
            _ => self.entries[newer as usize].older = older,
        }
        match older {
            NONE => self.tail = newer,
            _ => self.entries[older as usize].newer = newer,
        }
    }

    fn grow(&mut self) {
        self.buckets = vec![NONE; self.buckets.len() * 2];
        let mut at = self.head;
        while at != NONE {
            let bucket = self.bucket(self.entries[at as usize].hash);
            let entry = &mut self.entries[at as usize];
            entry.chain = self.buckets[bucket];
            self.buckets[bucket] = at;
            at = entry.older;
        }
    }

    fn bucket(&self, hash: u64) -> usize {
        hash as usize & (self.buckets.len() - 1)
    }

    /// Folded multiplication, sixteen bytes at a time.
    #[inline]
    fn hash(&self, key: &[u8]) -> u64 {
        let (mut state, mut rest) = (self.seed ^ key.len() as u64, key);
        while let Some((block, more)) = rest.split_first_chunk::<16>() {
            if more.is_empty() {
                break;
            }
            let (low, high) = ends(block);
            state = fold(low ^ state, high ^ SALT);
            rest = more;
        }
        let (low, high) = ends(rest);
        fold(low ^ state, high ^ SALT)
    }
}

/// Up to sixteen bytes as two numbers, which of texts of one length are the same for the same text
/// only. No copy of a few bytes is made: reading it back as a word stalls the processor.
#[inline]
fn ends(text: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into());
    }
    match text {
        [first, .., last] => {
            let middle = text[text.len() / 2];
            (u64::from(*first) | u64::from(middle) << 8, u64::from(*last))
        }
        [only] => (u64::from(*only), 0),
        [] => (0, 0),
    }
}

/// Keys are short: two words of each are faster than a call.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() <= 16 { a.len() == b.len() && ends(a) == ends(b) } else { a == b }
}

/// The halves of a product, one over the other.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ FOLD) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

const NONE: u32 = u32::MAX;
const FOLD: u64 = 0x9e37_79b9_7f4a_7c15;
const SALT: u64 = 0x243f_6a88_85a3_08d3;

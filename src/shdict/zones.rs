//! Dictionaries by name, for the whole process.
//!
//! ```text
//!   load: acquire("cache", 10m) ─▶ the living zone of that name and size, or a new empty one
//!   a cycle keeps its Dicts; a zone dies with the last cycle that names it
//! ```
//!
//! As in nginx a reload keeps a zone of the same size and begins anew when the size changed. A load
//! that fails drops what it acquired: the zones of the running cycle were never touched.

use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

use super::Dict;
use super::dict::Shared;

/// A zone for a cycle.
#[derive(Clone, Debug)]
pub struct Acquired {
    pub dict: Dict,
    /// It was there before and keeps its content.
    pub kept: bool,
    /// The size of a living zone of that name whose content is left behind.
    pub replaced_size_bytes: Option<usize>,
}

/// Gives the zone of this name and size.
pub fn acquire(name: &[u8], size_bytes: usize) -> Acquired {
    let mut zones = zones();
    zones.retain(|zone| zone.strong_count() > 0);
    let named: Vec<Dict> = zones
        .iter()
        .filter_map(Weak::upgrade)
        .filter(|zone| *zone.name == *name)
        .map(Dict)
        .collect();
    if let Some(dict) = named.iter().find(|dict| dict.capacity() == size_bytes) {
        return Acquired { dict: dict.clone(), kept: true, replaced_size_bytes: None };
    }
    let dict = Dict::new(name, size_bytes);
    zones.push(std::sync::Arc::downgrade(&dict.0));
    let replaced_size_bytes = named.last().map(Dict::capacity);
    Acquired { dict, kept: false, replaced_size_bytes }
}

/// The newest living zone of a name.
pub fn find(name: &[u8]) -> Option<Dict> {
    zones().iter().rev().filter_map(Weak::upgrade).find(|zone| *zone.name == *name).map(Dict)
}

fn zones() -> MutexGuard<'static, Vec<Weak<Shared>>> {
    ZONES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The smallest size `lua_shared_dict` takes.
pub const SIZE_MIN_BYTES: usize = 8192;

static ZONES: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shdict::Value;

    #[test]
    fn a_zone_lives_as_long_as_someone_holds_it() {
        let first = acquire(b"zt", 16 * 1024);
        assert!(!first.kept);
        first.dict.set(b"k", Value::Number(1.0)).unwrap();
        let again = acquire(b"zt", 16 * 1024);
        assert!(again.kept && again.dict.get(b"k").unwrap().is_some());
        let resized = acquire(b"zt", 32 * 1024);
        assert_eq!((resized.kept, resized.replaced_size_bytes), (false, Some(16 * 1024)));
        assert!(resized.dict.get(b"k").unwrap().is_none());
        assert_eq!(find(b"zt").unwrap().capacity(), 32 * 1024);
        drop((first, again, resized));
        assert!(find(b"zt").is_none());
        assert!(!acquire(b"zt", 16 * 1024).kept);
    }
}

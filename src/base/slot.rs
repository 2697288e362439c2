//! A slab whose ids go stale instead of dangling: scripts hold numbers, not pointers.
//!
//! ```text
//!   Id = generation << 32 | index      insert ─▶ Id;  get(Id) ─▶ None once the slot was reused
//! ```

/// Values under stable ids.
#[derive(Debug)]
pub struct Slots<T> {
    entries: Vec<Entry<T>>,
    /// The first free entry; free entries form a list.
    free: Option<u32>,
    len: usize,
}

/// Names a value; fits exactly into a Lua number as long as the generation stays below 2^21.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(u64);

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    state: State<T>,
}

#[derive(Debug)]
enum State<T> {
    Used(T),
    Free { next: Option<u32> },
}

impl<T> Slots<T> {
    pub const fn new() -> Self {
        Self { entries: Vec::new(), free: None, len: 0 }
    }

    /// Stores a value and names it.
    pub fn insert(&mut self, value: T) -> Id {
        self.len += 1;
        if let Some(index) = self.free {
            let entry = &mut self.entries[index as usize];
            if let State::Free { next } = entry.state {
                self.free = next;
            }
            entry.state = State::Used(value);
            return Id::new(entry.generation, index);
        }
        let index = self.entries.len() as u32;
        self.entries.push(Entry { generation: 1, state: State::Used(value) });
        Id::new(1, index)
    }

    pub fn get(&self, id: Id) -> Option<&T> {
        match self.entries.get(id.index())? {
            Entry { generation, state: State::Used(v) } if *generation == id.generation() => {
                Some(v)
            }
            _ => None,
        }
    }

    pub fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        match self.entries.get_mut(id.index())? {
            Entry { generation, state: State::Used(v) } if *generation == id.generation() => {
                Some(v)
            }
            _ => None,
        }
    }

    /// Takes a value out; its id names nothing from now on.
    pub fn remove(&mut self, id: Id) -> Option<T> {
        self.get(id)?;
        let entry = &mut self.entries[id.index()];
        let old = std::mem::replace(&mut entry.state, State::Free { next: self.free });
        // 21 bits keep ids exact as Lua numbers; 0 is never used, so that no id is 0.
        entry.generation = (entry.generation % GENERATION_MAX) + 1;
        self.free = Some(id.index() as u32);
        self.len -= 1;
        match old {
            State::Used(value) => Some(value),
            State::Free { .. } => None,
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All live values with their ids, in index order.
    pub fn iter(&self) -> impl Iterator<Item = (Id, &T)> {
        self.entries.iter().enumerate().filter_map(|(index, entry)| match &entry.state {
            State::Used(value) => Some((Id::new(entry.generation, index as u32), value)),
            State::Free { .. } => None,
        })
    }
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl Id {
    fn new(generation: u32, index: u32) -> Self {
        Self(u64::from(generation) << 32 | u64::from(index))
    }

    /// The number scripts see.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// An id from the number a script gave back; a wrong number names nothing.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    fn index(self) -> usize {
        (self.0 & 0xffff_ffff) as usize
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

const GENERATION_MAX: u32 = (1 << 21) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_slot_has_a_new_id() {
        let mut slots = Slots::new();
        let a = slots.insert("a");
        let b = slots.insert("b");
        assert_eq!(slots.remove(a), Some("a"));
        assert_eq!(slots.remove(a), None);
        let c = slots.insert("c");
        assert_ne!(a, c);
        assert_eq!((slots.get(a), slots.get(b), slots.get(c)), (None, Some(&"b"), Some(&"c")));
        assert_eq!(slots.iter().map(|(id, _)| id).collect::<Vec<_>>(), [c, b]);
        assert_eq!(slots.len(), 2);
        assert_eq!(Id::from_bits(c.to_bits()), c);
        assert_eq!(slots.get(Id::from_bits(u64::MAX)), None);
    }
}

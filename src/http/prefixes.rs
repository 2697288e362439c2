//! Prefix locations of one level, found by halving.
//!
//! ```text
//!  /  /a  /a/b  /c        sorted; each knows the longest other one it begins with
//!  /a/x ─▶ the last that is not greater: /a/b ─▶ not a prefix, the one it begins with: /a
//! ```

use std::sync::Arc;

use super::location::Location;

/// The locations, sorted by name.
#[derive(Default)]
pub struct Prefixes {
    sorted: Vec<Entry>,
}

struct Entry {
    location: Arc<Location>,
    /// Where the longest other name stands that this one begins with.
    shorter: Option<usize>,
}

impl Prefixes {
    pub fn new(mut locations: Vec<Arc<Location>>) -> Self {
        locations.sort_by(|a, b| a.name.cmp(&b.name));
        let names: Vec<&[u8]> = locations.iter().map(|location| &location.name[..]).collect();
        let shorter = shorter(&names);
        let entry = |(location, shorter)| Entry { location, shorter };
        Self { sorted: locations.into_iter().zip(shorter).map(entry).collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// The location with the longest name that `uri` begins with.
    pub fn longest(&self, uri: &[u8]) -> Option<&Arc<Location>> {
        let greater = self.sorted.partition_point(|entry| &entry.location.name[..] <= uri);
        // Whatever `uri` begins with, the last name that is not greater begins with too.
        let mut at = greater.checked_sub(1);
        while let Some(entry) = at.and_then(|at| self.sorted.get(at)) {
            if uri.starts_with(&entry.location.name) {
                return Some(&entry.location);
            }
            at = entry.shorter;
        }
        None
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Location>> {
        self.sorted.iter().map(|entry| &entry.location)
    }

    /// The location of that very name.
    pub fn named(&self, name: &[u8]) -> Option<&Arc<Location>> {
        let at = self.sorted.binary_search_by(|entry| entry.location.name[..].cmp(name)).ok()?;
        Some(&self.sorted[at].location)
    }
}

/// For each of the sorted names the place of the longest other one it begins with.
fn shorter(names: &[&[u8]]) -> Vec<Option<usize>> {
    let mut open: Vec<usize> = Vec::new();
    let mut found = Vec::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        while open.last().is_some_and(|last| !name.starts_with(names[*last])) {
            open.pop();
        }
        found.push(open.last().copied());
        open.push(at);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::shorter;

    #[test]
    fn each_name_knows_what_it_begins_with() {
        let names: Vec<&[u8]> = vec![b"/", b"/a", b"/a/b", b"/ab", b"/b/c", b"x"];
        assert_eq!(shorter(&names), [None, Some(0), Some(1), Some(1), Some(0), None]);
    }
}

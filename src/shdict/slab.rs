//! Counts memory as nginx's slab allocator hands it out, without holding any.
//!
//! ```text
//!   zone ─▶ pages of 4096 ─┬─ free runs        first fit, merged when freed
//!                          ├─ chunk pages      one size class each: 8, 16, … 2048 bytes
//!                          └─ whole pages      for what is larger than 2048
//! ```
//!
//! Fragmentation is part of the contract: a script that fills a zone sees `no memory` at the same
//! item as in nginx, hence pages are followed one by one.

/// The account of one zone.
#[derive(Debug)]
pub(super) struct Slab {
    pages: Vec<Page>,
    /// Links of the pages, then the heads of the chunk lists by class, then of the free list.
    links: Vec<Link>,
    free_pages: usize,
}

/// An allocation; its page is all that matters for freeing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk(u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    /// The first page of a free run.
    Free {
        len: u32,
    },
    /// Within a free run; the last page of a run knows the first.
    FreeRest {
        first: u32,
    },
    /// Cut into chunks of a class, `used` of them taken.
    Chunks {
        class: u8,
        used: u16,
    },
    /// The first of pages taken as a whole.
    Whole {
        len: u32,
    },
    WholeRest,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    next: u32,
    prev: u32,
}

impl Slab {
    /// The account of an empty zone of `size_bytes`.
    pub(super) fn new(size_bytes: usize) -> Self {
        let count = page_count(size_bytes);
        let heads = count as u32..(count + LISTS) as u32;
        let mut slab = Self {
            pages: vec![Page::FreeRest { first: 0 }; count],
            links: vec![Link { next: 0, prev: 0 }; count],
            free_pages: count,
        };
        slab.links.extend(heads.map(|head| Link { next: head, prev: head }));
        if count > 0 {
            slab.pages[0] = Page::Free { len: count as u32 };
            slab.insert(slab.free_list(), 0);
        }
        slab
    }

    /// Bytes in free pages: `free_space()`.
    pub(super) fn free_bytes(&self) -> usize {
        self.free_pages * PAGE_BYTES
    }

    pub(super) fn alloc(&mut self, size_bytes: usize) -> Option<Chunk> {
        if size_bytes > PAGE_BYTES / 2 {
            let len = u32::try_from(size_bytes.div_ceil(PAGE_BYTES)).ok()?;
            let first = self.take_pages(len)?;
            self.pages[first as usize] = Page::Whole { len };
            return Some(Chunk(first));
        }
        let class = class_of(size_bytes);
        let list = self.chunk_list(class);
        let page = match self.links[list as usize].next {
            open if open != list => open,
            _ => {
                let page = self.take_pages(1)?;
                self.pages[page as usize] = Page::Chunks { class, used: 0 };
                self.insert(list, page);
                page
            }
        };
        if let Page::Chunks { used, .. } = &mut self.pages[page as usize] {
            *used += 1;
            if *used == chunks_per_page(class) {
                self.remove(page);
            }
        }
        Some(Chunk(page))
    }

    pub(super) fn free(&mut self, chunk: Chunk) {
        let page = chunk.0;
        match self.pages[page as usize] {
            Page::Whole { len } => self.give_pages(page, len),
            Page::Chunks { class, used } => {
                if used == chunks_per_page(class) {
                    self.insert(self.chunk_list(class), page);
                }
                self.pages[page as usize] = Page::Chunks { class, used: used - 1 };
                if used == 1 {
                    self.remove(page);
                    self.give_pages(page, 1);
                }
            }
            Page::Free { .. } | Page::FreeRest { .. } | Page::WholeRest => {
                debug_assert!(false, "a chunk is freed once");
            }
        }
    }

    /// Takes the first free run that is long enough; the rest of it keeps its turn in the list.
    fn take_pages(&mut self, len: u32) -> Option<u32> {
        let mut at = self.links[self.free_list() as usize].next;
        while at != self.free_list() {
            match self.pages[at as usize] {
                Page::Free { len: there } if there >= len => {
                    let before = self.links[at as usize].prev;
                    self.remove(at);
                    if there > len {
                        self.set_free(at + len, there - len);
                        self.insert(before, at + len);
                    }
                    self.pages[at as usize..(at + len) as usize].fill(Page::WholeRest);
                    self.free_pages -= len as usize;
                    return Some(at);
                }
                _ => at = self.links[at as usize].next,
            }
        }
        None
    }

    /// Frees pages, joined with the free runs around them.
    fn give_pages(&mut self, page: u32, len: u32) {
        self.free_pages += len as usize;
        let (mut first, mut total) = (page, len);
        if let Some(&Page::Free { len: behind }) = self.pages.get((page + len) as usize) {
            self.remove(page + len);
            total += behind;
        }
        let before = page.checked_sub(1).map(|p| (p, self.pages[p as usize]));
        let run_before = match before {
            Some((p, Page::Free { len })) => Some((p, len)),
            Some((p, Page::FreeRest { first })) => Some((first, p - first + 1)),
            _ => None,
        };
        if let Some((start, before_len)) = run_before {
            self.remove(start);
            first = start;
            total += before_len;
        }
        self.pages[page as usize..(page + len) as usize].fill(Page::FreeRest { first });
        if total > len {
            // The old head of a run behind is inside now.
            if let Some(head @ Page::Free { .. }) = self.pages.get_mut((page + len) as usize) {
                *head = Page::FreeRest { first };
            }
        }
        self.set_free(first, total);
        self.insert(self.free_list(), first);
    }

    /// Marks the ends of a free run.
    fn set_free(&mut self, first: u32, len: u32) {
        self.pages[(first + len - 1) as usize] = Page::FreeRest { first };
        self.pages[first as usize] = Page::Free { len };
    }

    fn insert(&mut self, after: u32, page: u32) {
        let next = self.links[after as usize].next;
        self.links[page as usize] = Link { next, prev: after };
        self.links[after as usize].next = page;
        self.links[next as usize].prev = page;
    }

    fn remove(&mut self, page: u32) {
        let Link { next, prev } = self.links[page as usize];
        self.links[prev as usize].next = next;
        self.links[next as usize].prev = prev;
    }

    fn chunk_list(&self, class: u8) -> u32 {
        self.pages.len() as u32 + u32::from(class)
    }

    fn free_list(&self) -> u32 {
        self.pages.len() as u32 + CLASSES as u32
    }
}

/// The pages of a zone, after nginx's bookkeeping at its start.
fn page_count(size_bytes: usize) -> usize {
    let wanted = size_bytes.saturating_sub(POOL_BYTES) / (PAGE_BYTES + PAGE_RECORD_BYTES);
    let start = (POOL_BYTES + wanted * PAGE_RECORD_BYTES).next_multiple_of(PAGE_BYTES);
    wanted.min(size_bytes.saturating_sub(start) / PAGE_BYTES)
}

/// 0 for up to 8 bytes, 1 for up to 16, …
fn class_of(size_bytes: usize) -> u8 {
    (size_bytes.max(8).next_power_of_two().trailing_zeros() - 3) as u8
}

/// Chunks of the smallest classes share their page with the map of what is taken.
fn chunks_per_page(class: u8) -> u16 {
    let size = 8usize << class;
    let chunks = PAGE_BYTES / size;
    let map = if size < EXACT_BYTES { (chunks / (size * 8)).max(1) } else { 0 };
    (chunks - map) as u16
}

const PAGE_BYTES: usize = 4096;
/// 8 to 2048 bytes.
const CLASSES: usize = 9;
const LISTS: usize = CLASSES + 1;
/// A page of this class has as many chunks as a word has bits; smaller ones need a map.
const EXACT_BYTES: usize = 64;
/// nginx's record of a page, and its records at the start of a zone.
const PAGE_RECORD_BYTES: usize = 24;
const POOL_BYTES: usize = 200 + CLASSES * (PAGE_RECORD_BYTES + 32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_have_as_many_pages_as_in_nginx() {
        assert_eq!(page_count(8192), 1);
        assert_eq!(page_count(16 * 1024), 3);
        assert_eq!(page_count(100 * 1024), 24);
        assert_eq!(page_count(0), 0);
    }

    #[test]
    fn chunks_fill_pages() {
        let mut slab = Slab::new(16 * 1024);
        let chunks: Vec<_> = (0..96).map(|_| slab.alloc(84).unwrap()).collect();
        assert_eq!(slab.free_bytes(), 0);
        assert_eq!(slab.alloc(84), None);
        chunks.into_iter().for_each(|c| slab.free(c));
        assert_eq!(slab.free_bytes(), 3 * PAGE_BYTES);
        assert!(slab.alloc(3 * PAGE_BYTES).is_some());
        assert_eq!(chunks_per_page(2), 127);
        assert_eq!(chunks_per_page(0), 504);
    }

    #[test]
    fn runs_are_joined_again_in_any_order() {
        let mut slab = Slab::new(100 * 1024);
        let mut state = 7u64;
        for _ in 0..200 {
            let mut held = Vec::new();
            loop {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let size = 1 + (state >> 33) as usize % 9000;
                match slab.alloc(size) {
                    Some(chunk) => held.push(chunk),
                    None => break,
                }
                if state >> 62 == 0 {
                    slab.free(held.swap_remove((state >> 20) as usize % held.len()));
                }
            }
            while !held.is_empty() {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                slab.free(held.swap_remove((state >> 33) as usize % held.len()));
            }
            assert_eq!(slab.free_bytes(), 24 * PAGE_BYTES);
            let all = slab.alloc(24 * PAGE_BYTES).unwrap();
            slab.free(all);
        }
    }
}

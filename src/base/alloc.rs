//! The allocator of the process: mimalloc, asked plainly where that is enough.
//!
//! ```text
//!   Layout { size, align <= 16 } ─▶ mi_malloc(size)              every block is aligned to 16
//!          { align > 16 }        ─▶ mi_malloc_aligned(size, align)
//! ```
//!
//! The `mimalloc` crate always asks with the alignment, which costs a detour with over-allocation
//! for everything above a kilobyte: several blocks of each request.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys as mi;

/// A tenth of a small request's time goes into the system's allocator otherwise.
pub struct Allocator;

/// What `mi_malloc` guarantees for blocks of at least that size; smaller blocks are aligned to
/// their size rounded up to eight.
const PLAIN_ALIGN: usize = 16;

fn is_plain(layout: &Layout, size: usize) -> bool {
    layout.align() <= PLAIN_ALIGN && layout.align() <= size
}

// SAFETY: mimalloc is a conforming allocator; which of its two entries is asked depends on the
// layout only, and both give blocks that `mi_free` and `mi_realloc` take.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let size = layout.size();
        if is_plain(&layout, size) {
            // SAFETY: any size is allowed.
            unsafe { mi::mi_malloc(size).cast() }
        } else {
            // SAFETY: a layout's alignment is a power of two.
            unsafe { mi::mi_malloc_aligned(size, layout.align()).cast() }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let size = layout.size();
        if is_plain(&layout, size) {
            // SAFETY: as in `alloc`.
            unsafe { mi::mi_zalloc(size).cast() }
        } else {
            // SAFETY: as in `alloc`.
            unsafe { mi::mi_zalloc_aligned(size, layout.align()).cast() }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller got the block from this allocator.
        unsafe { mi::mi_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if is_plain(&layout, new_size) {
            // SAFETY: the caller got the block from this allocator.
            unsafe { mi::mi_realloc(block.cast(), new_size).cast() }
        } else {
            // SAFETY: the same.
            unsafe { mi::mi_realloc_aligned(block.cast(), new_size, layout.align()).cast() }
        }
    }
}

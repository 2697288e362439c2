//! [unsafe] The lock of a dictionary: taken and given back in a few nanoseconds.
//!
//! ```text
//!   lock() ─ free? ─▶ Held ─ drop ─▶ free        taken: spin ─▶ give up the core ─▶ sleep a little
//! ```
//!
//! What is done under it takes well under a microsecond, so nginx spins there too. A mutex of the
//! standard library costs a second atomic exchange when given back, and calls of the kernel as soon
//! as threads meet.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fmt, hint, thread};

pub(super) struct Lock<T> {
    is_taken: AtomicBool,
    value: UnsafeCell<T>,
}

/// The value, for as long as it is held; a panic gives it back too.
pub(super) struct Held<'a, T> {
    lock: &'a Lock<T>,
}

// SAFETY: the flag lets one thread at the value at a time, as a mutex does.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    pub(super) const fn new(value: T) -> Self {
        Self { is_taken: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    #[inline]
    pub(super) fn lock(&self) -> Held<'_, T> {
        if self.is_taken.swap(true, Ordering::Acquire) {
            self.wait();
        }
        Held { lock: self }
    }

    #[cold]
    fn wait(&self) {
        for round in 0_u32.. {
            // Only looked at until it seems free: an exchange would take the cache line away.
            for _ in 0..SPINS {
                if !self.is_taken.load(Ordering::Relaxed)
                    && !self.is_taken.swap(true, Ordering::Acquire)
                {
                    return;
                }
                hint::spin_loop();
            }
            if round < YIELDS {
                thread::yield_now();
            } else {
                thread::sleep(PAUSE);
            }
        }
    }
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the flag is ours until drop.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Held<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the flag is ours until drop, and so is this handle.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Held<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.is_taken.store(false, Ordering::Release);
    }
}

impl<T> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lock({})", if self.is_taken.load(Ordering::Relaxed) { "taken" } else { "free" })
    }
}

const SPINS: u32 = 100;
const YIELDS: u32 = 1000;
/// Somebody holds it for long: a listing of all keys, or a core that is busy with other work.
const PAUSE: Duration = Duration::from_micros(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_many_threads_add_up() {
        let lock = Lock::new(0_u64);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| *lock.lock() += 1));
            }
        });
        assert_eq!(*lock.lock(), 40_000);
    }
}

//! [unsafe] The lock of a dictionary: taken and given back in a few nanoseconds.
//!
//! ```text
//!   lock() ─ mine alone? ─▶ Held, without an exchange
//!              └ shared: free? ─▶ Held ─ drop ─▶ free      taken: look, ever more rarely ─▶ nap
//! ```
//!
//! What is done under it takes well under a microsecond, so nginx spins there too. A mutex of the
//! standard library costs a second atomic exchange when given back, and calls of the kernel as soon
//! as threads meet.
//!
//! A lock belongs to the thread that uses it first, for which an exchange, a third of what reading
//! a number costs, is not needed: it says that it is in, and looks whether the lock is still its
//! own. The next thread takes it away: it writes that down, has the kernel put a barrier into every
//! thread of the process, which the owner therefore saves itself, and waits until the owner is out.
//! After some such moves the lock is shared for good.

#![allow(unsafe_code)]

use std::cell::{Cell, UnsafeCell};
use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, compiler_fence};
use std::time::Duration;
use std::{fmt, hint, thread};

pub(super) struct Lock<T> {
    /// The number of a thread, or one of the three below [`FIRST_THREAD`].
    owner: AtomicU64,
    /// Times the lock has changed its owner.
    moves: AtomicU32,
    /// The owner is at the value.
    is_in: AtomicBool,
    /// Somebody is at the value, who had to ask because the lock is shared.
    is_taken: AtomicBool,
    value: UnsafeCell<T>,
}

/// The value, for as long as it is held; a panic gives it back too.
pub(super) struct Held<'a, T> {
    lock: &'a Lock<T>,
    /// What says so, and says no more when dropped.
    flag: &'a AtomicBool,
}

// SAFETY: one thread at a time is at the value. Of a shared lock the flag `is_taken` sees to it, as
// a mutex does. Of an owned one: the owner writes `is_in` and then reads `owner`, who takes it away
// writes `owner`, makes all threads pass a barrier and then reads `is_in`. Either the owner reads
// that the lock is its own no more, and stays out, or the other reads that the owner is in, and
// waits for it.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    pub(super) fn new(value: T) -> Self {
        Self {
            owner: AtomicU64::new(if can_be_owned() { NOBODY } else { ALL }),
            moves: AtomicU32::new(0),
            is_in: AtomicBool::new(false),
            is_taken: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    #[inline]
    pub(super) fn lock(&self) -> Held<'_, T> {
        loop {
            let (owner, me) = (self.owner.load(Ordering::Acquire), number());
            if owner == me {
                let is_in = self.is_in.load(Ordering::Relaxed);
                assert!(!is_in, "what is done under a lock does not ask for the same one");
                self.is_in.store(true, Ordering::Relaxed);
                // The processor's half is the barrier of who takes the lock away.
                compiler_fence(Ordering::SeqCst);
                if self.owner.load(Ordering::Relaxed) == me {
                    return Held { lock: self, flag: &self.is_in };
                }
                self.is_in.store(false, Ordering::Release);
            } else if owner == ALL {
                if self.is_taken.swap(true, Ordering::Acquire) {
                    self.wait();
                }
                return Held { lock: self, flag: &self.is_taken };
            } else {
                self.take_over(owner, me);
            }
        }
    }

    /// Makes the lock mine, or everybody's when it was moved too often.
    #[cold]
    fn take_over(&self, owner: u64, me: u64) {
        let claim = self.owner.compare_exchange(owner, MOVING, Ordering::AcqRel, Ordering::Relaxed);
        if owner == MOVING || claim.is_err() {
            return thread::yield_now();
        }
        if owner != NOBODY {
            barrier_in_all_threads();
            while self.is_in.load(Ordering::Acquire) {
                thread::yield_now();
            }
        }
        let moves = self.moves.fetch_add(1, Ordering::Relaxed);
        self.owner.store(if moves < MOVES { me } else { ALL }, Ordering::Release);
    }

    /// Threads that take turns at one lock carry all it guards from core to core each time, which
    /// costs several times what is done there. So who finds it taken looks again after a while, a
    /// longer one each time, and in the end leaves the core to others for a moment.
    #[cold]
    fn wait(&self) {
        loop {
            for round in 0..ROUNDS {
                (0..1 << round).for_each(|_| hint::spin_loop());
                // Only an exchange when it seems free: it takes the cache line away.
                if !self.is_taken.load(Ordering::Relaxed)
                    && !self.is_taken.swap(true, Ordering::Acquire)
                {
                    return;
                }
            }
            thread::sleep(NAP);
        }
    }
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: nobody else is at the value until drop.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Held<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: nobody else is at the value until drop, and this handle is exclusive.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Held<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.flag.store(false, Ordering::Release);
    }
}

impl<T> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lock(owner {})", self.owner.load(Ordering::Relaxed))
    }
}

/// The number of this thread; no other ever has the same.
#[inline]
fn number() -> u64 {
    match NUMBER.get() {
        0 => new_number(),
        number => number,
    }
}

#[cold]
fn new_number() -> u64 {
    NUMBER.set(THREADS.fetch_add(1, Ordering::Relaxed));
    NUMBER.get()
}

/// Whether the kernel has barriers for others; asks for leave to use them.
fn can_be_owned() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED))
}

/// The kernel has given leave for it; a lock that did without could not be trusted.
fn barrier_in_all_threads() {
    if !membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED) {
        std::process::abort();
    }
}

fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: the call takes three numbers and touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// Nobody has used the lock.
const NOBODY: u64 = 0;
/// Every thread uses it: it takes an exchange.
const ALL: u64 = 1;
/// Somebody is about to take it over.
const MOVING: u64 = 2;
const FIRST_THREAD: u64 = 3;
/// How often a lock may change its owner: threads come and go with reloads.
const MOVES: u32 = 16;
/// Pauses double from round to round, a few microseconds in all.
const ROUNDS: u32 = 6;
const NAP: Duration = Duration::from_micros(50);

static THREADS: AtomicU64 = AtomicU64::new(FIRST_THREAD);

thread_local! {
    static NUMBER: Cell<u64> = const { Cell::new(0) };
}

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

    #[test]
    fn no_count_is_lost_while_locks_change_their_owner() {
        for _ in 0..200 {
            let lock = Lock::new(0_u64);
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| (0..200).for_each(|_| *lock.lock() += 1));
                }
            });
            assert_eq!(*lock.lock(), 600);
        }
    }

    #[test]
    fn a_lock_follows_threads_that_come_one_after_the_other() {
        let lock = Lock::new(0);
        for turn in 1..30 {
            let owner = thread::scope(|scope| {
                let turn = scope.spawn(|| {
                    *lock.lock() += 1;
                    (number(), lock.owner.load(Ordering::Relaxed))
                });
                turn.join().unwrap()
            });
            let expected = if turn <= MOVES && can_be_owned() { owner.0 } else { ALL };
            assert_eq!(owner.1, expected, "turn {turn}");
        }
        assert_eq!(*lock.lock(), 29);
    }
}

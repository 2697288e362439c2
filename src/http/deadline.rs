//! A deadline that is cheap to move.
//!
//! ```text
//!  set(later) ── only a number changes ──▶ the timer fires early ──▶ armed anew for the rest
//! ```
//! A busy keep-alive connection moves its deadline with every request; the runtime's timer is
//! touched only when it fires, or when the new deadline is sooner.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::base::clock;

/// One connection's deadline.
#[derive(Default)]
pub struct Deadline {
    at_ms: Cell<u64>,
    armed_ms: Cell<u64>,
    timer: RefCell<Option<Pin<Box<Sleep>>>>,
}

impl Deadline {
    /// Moves the deadline to `delay_ms` from now.
    pub fn set(&self, delay_ms: u64) {
        self.at_ms.set(clock::mono_ms().saturating_add(delay_ms));
    }

    /// Ready when the deadline has passed.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut slot = self.timer.borrow_mut();
        let at_ms = self.at_ms.get();
        let timer = match &mut *slot {
            Some(timer) => {
                if at_ms < self.armed_ms.get() {
                    self.arm(timer, at_ms);
                }
                timer
            }
            None => {
                self.armed_ms.set(at_ms);
                slot.insert(Box::pin(sleep_until(instant(at_ms))))
            }
        };
        while timer.as_mut().poll(cx).is_ready() {
            if clock::fresh_mono_ms() >= at_ms {
                return Poll::Ready(());
            }
            self.arm(timer, at_ms);
        }
        Poll::Pending
    }

    fn arm(&self, timer: &mut Pin<Box<Sleep>>, at_ms: u64) {
        timer.as_mut().reset(instant(at_ms));
        self.armed_ms.set(at_ms);
    }
}

fn instant(at_ms: u64) -> Instant {
    // A millisecond more: the clock counts whole ones.
    Instant::from_std(clock::instant_at(at_ms.saturating_add(1)))
}

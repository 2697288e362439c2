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
    task::{Context, Poll, Waker},
};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::base::clock;

/// One connection's deadline.
#[derive(Default)]
pub struct Deadline {
    at_ms: Cell<u64>,
    armed_ms: Cell<u64>,
    timer: RefCell<Option<Timer>>,
}

struct Timer {
    sleep: Pin<Box<Sleep>>,
    /// Whom the timer wakes.
    waker: Option<Waker>,
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
        let timer = slot.get_or_insert_with(|| {
            self.armed_ms.set(at_ms);
            Timer { sleep: Box::pin(sleep_until(instant(at_ms))), waker: None }
        });
        if at_ms < self.armed_ms.get() {
            self.arm(timer, at_ms);
        }
        if timer.is_waiting(cx) {
            return Poll::Pending;
        }
        while timer.sleep.as_mut().poll(cx).is_ready() {
            if clock::fresh_mono_ms() >= at_ms {
                return Poll::Ready(());
            }
            self.arm(timer, at_ms);
        }
        timer.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn arm(&self, timer: &mut Timer, at_ms: u64) {
        timer.sleep.as_mut().reset(instant(at_ms));
        timer.waker = None;
        self.armed_ms.set(at_ms);
    }
}

impl Timer {
    /// Whether it is running and will wake this task: then there is nothing to do, which is what
    /// most polls find.
    fn is_waiting(&self, cx: &Context<'_>) -> bool {
        let known = self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        known && !self.sleep.is_elapsed()
    }
}

fn instant(at_ms: u64) -> Instant {
    // A millisecond more: the clock counts whole ones.
    Instant::from_std(clock::instant_at(at_ms.saturating_add(1)))
}

//! `ngx.semaphore`.
//!
//! ```text
//!   post(n) ─▶ count += n ─▶ waiters in order, each takes one ─▶ its light thread goes on
//! ```

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ffi::c_int;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use super::Topic;
use crate::base::log::{Level, emit};
use crate::base::slot::{Id, Slots};
use crate::lua::phase::{ANY, Phase, YIELDABLE};
use crate::lua::raw::{Call, Op, Raise, Reply};
use crate::lua::sched;

pub const TOPIC: Topic = Topic::of(&[
    Op { name: "semaphore.new", phases: ANY, run: new },
    Op { name: "semaphore.free", phases: ANY, run: free },
    Op { name: "semaphore.post", phases: ANY, run: post },
    Op { name: "semaphore.count", phases: ANY, run: count },
    Op { name: "semaphore.wait", phases: ANY, run: wait },
]);

#[derive(Default)]
struct Semaphore {
    count: Cell<i64>,
    waiters: RefCell<VecDeque<Rc<Waiter>>>,
}

#[derive(Default)]
struct Waiter {
    granted: Cell<bool>,
    notify: Notify,
}

impl Semaphore {
    fn post(&self, n: i64) {
        self.count.set(self.count.get() + n);
        while self.count.get() > 0 {
            let Some(waiter) = self.waiters.borrow_mut().pop_front() else { break };
            self.count.set(self.count.get() - 1);
            waiter.granted.set(true);
            waiter.notify.notify_one();
            sched::stir();
        }
    }
}

/// A place in the queue; given up when the light thread is killed.
struct Place {
    semaphore: Rc<Semaphore>,
    waiter: Rc<Waiter>,
    is_over: bool,
}

impl Place {
    async fn wait(mut self, timeout: Duration) -> Reply {
        let granted = tokio::time::timeout(timeout, self.waiter.notify.notified()).await.is_ok();
        self.is_over = granted || self.waiter.granted.get();
        if self.is_over { Reply::one(true) } else { Reply::fail("timeout") }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        emit(Level::Debug, format_args!("http lua semaphore cleanup"));
        if self.waiter.granted.get() {
            self.semaphore.post(1);
        } else {
            self.semaphore.waiters.borrow_mut().retain(|w| !Rc::ptr_eq(w, &self.waiter));
        }
    }
}

fn new(c: &Call<'_>) -> Result<c_int, Raise> {
    let semaphore = Rc::<Semaphore>::default();
    semaphore.count.set(c.int(1)?);
    trace(&semaphore, format_args!("new"));
    c.ret(SEMAPHORES.with_borrow_mut(|all| all.insert(semaphore)).to_bits())
}

fn free(c: &Call<'_>) -> Result<c_int, Raise> {
    let id = Id::from_bits(c.int(1)? as u64);
    // The VM may be closed by the last destructors of its thread, after those of thread locals.
    _ = SEMAPHORES.try_with(|all| all.borrow_mut().remove(id));
    Ok(0)
}

fn find(c: &Call<'_>) -> Result<Rc<Semaphore>, Raise> {
    let id = Id::from_bits(c.int(1)? as u64);
    let known = SEMAPHORES.with_borrow(|all| all.get(id).cloned());
    known.ok_or(Raise::text("not a semaphore instance"))
}

fn post(c: &Call<'_>) -> Result<c_int, Raise> {
    let semaphore = find(c)?;
    trace(&semaphore, format_args!("post"));
    semaphore.post(c.int(2)?);
    c.ret(true)
}

fn count(c: &Call<'_>) -> Result<c_int, Raise> {
    let semaphore = find(c)?;
    let waiting = semaphore.waiters.borrow().len() as i64;
    c.ret(semaphore.count.get() - waiting)
}

fn wait(c: &Call<'_>) -> Result<c_int, Raise> {
    let semaphore = find(c)?;
    let phase = c.ctx()?.phase;
    if phase == Phase::Init {
        return Err(Raise::text("no request found"));
    }
    if phase.bit() & YIELDABLE == 0 {
        // Not raised, by this API.
        return c.fail(format!("API disabled in the context of {}", phase.context_name()));
    }
    trace(&semaphore, format_args!("wait"));
    if semaphore.count.get() > 0 {
        semaphore.count.set(semaphore.count.get() - 1);
        return c.ret(true);
    }
    let timeout_ms = c.int(2)?;
    if timeout_ms == 0 {
        return c.fail("timeout");
    }
    emit(Level::Debug, format_args!("http lua semaphore wait yielding"));
    let waiter = Rc::<Waiter>::default();
    semaphore.waiters.borrow_mut().push_back(Rc::clone(&waiter));
    let place = Place { semaphore, waiter, is_over: false };
    c.wait(place.wait(Duration::from_millis(timeout_ms as u64)))
}

/// The debug lines of lua-nginx-module, for those who look for a thread that never goes on.
fn trace(semaphore: &Rc<Semaphore>, doing: std::fmt::Arguments<'_>) {
    let (at, count) = (Rc::as_ptr(semaphore).addr(), semaphore.count.get());
    emit(Level::Debug, format_args!("http lua semaphore {doing}: {at:X}, resources: {count}"));
}

thread_local! {
    static SEMAPHORES: RefCell<Slots<Rc<Semaphore>>> = const { RefCell::new(Slots::new()) };
}

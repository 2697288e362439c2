//! `ngx.timer.at`, `every`, `running_count`, `pending_count`.
//!
//! ```text
//!   at(delay, f, ...) ─▶ a coroutine with f, premature, ... on it ─▶ task: sleep or shutdown
//!                        ─▶ Ctx without a request ─▶ sched
//! ```

use std::cell::Cell;
use std::ffi::c_int;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::Topic;
use crate::base::clock;
use crate::base::log::Level;
use crate::http::location::Location;
use crate::lua::ctx::Ctx;
use crate::lua::phase::{ANY, Phase, WITH_CTX};
use crate::lua::raw::{Call, Co, Op, Raise};
use crate::lua::sched;
use crate::lua::vm::Vm;

pub const TOPIC: Topic = Topic::of(&[
    Op { name: "timer.at", phases: ALLOWED, run: |c| create(c, false) },
    Op { name: "timer.every", phases: ALLOWED, run: |c| create(c, true) },
    Op { name: "timer.running_count", phases: ANY, run: running_count },
    Op { name: "timer.pending_count", phases: ANY, run: pending_count },
]);

/// All timers of a worker.
#[derive(Default)]
pub struct Timers {
    pending: Cell<usize>,
    running: Cell<usize>,
}

impl Timers {
    pub fn pending(&self) -> usize {
        self.pending.get()
    }

    pub fn running(&self) -> usize {
        self.running.get()
    }
}

/// A function with its arguments, waiting for its time.
struct Timer {
    vm: Rc<Vm>,
    timers: Rc<Timers>,
    co: Co,
    /// Function and arguments without `premature`.
    count: i32,
    delay: Duration,
    every: bool,
    home: Option<Arc<Location>>,
}

fn create(c: &Call<'_>, every: bool) -> Result<c_int, Raise> {
    if c.len() < 2 {
        return Err(Raise::text(format!("expecting at least 2 arguments but got {}", c.len())));
    }
    let delay_ms = (c.num(1)? * 1000.0) as i64;
    if every && delay_ms == 0 {
        return Err(Raise::text("delay cannot be zero"));
    }
    if !c.is_lua_func(2) {
        return Err(c.arg_error(2, "Lua function expected"));
    }
    let ctx = c.ctx()?;
    let worker = &ctx.vm.worker;
    if worker.is_exiting() && delay_ms > 0 {
        return c.fail("process exiting");
    }
    let timers = worker.part::<Timers>();
    if timers.pending.get() >= worker.settings.max_pending_timers {
        return c.fail("too many pending timers");
    }
    timers.pending.set(timers.pending.get() + 1);
    let co = ctx.vm.take_co();
    let count = c.copy_to(&co, 2);
    let delay = Duration::from_millis(delay_ms.max(0) as u64);
    let timer =
        Timer { vm: Rc::clone(&ctx.vm), timers, co, count, delay, every, home: ctx.location() };
    tokio::task::spawn_local(timer.run());
    c.ret(1)
}

impl Timer {
    async fn run(self) {
        let Self { vm, timers, mut co, count, delay, every, home } = self;
        loop {
            let premature = !expired(&vm, delay).await;
            clock::update();
            timers.pending.set(timers.pending.get() - 1);
            let again = every && !premature;
            let next = again.then(|| {
                let next = vm.take_co();
                co.copy_start_to(&next, count);
                // OpenResty counts the next round as pending while this one runs.
                timers.pending.set(timers.pending.get() + 1);
                next
            });
            match next {
                Some(next) => {
                    let now = std::mem::replace(&mut co, next);
                    // A round must not delay the next one.
                    tokio::task::spawn_local(fire(
                        Rc::clone(&vm),
                        Rc::clone(&timers),
                        now,
                        count,
                        premature,
                        home.clone(),
                    ));
                }
                None => return fire(vm, timers, co, count, premature, home).await,
            }
        }
    }
}

/// Waits; false when the worker went down meanwhile.
async fn expired(vm: &Vm, delay: Duration) -> bool {
    if delay.is_zero() {
        // Its task begins after the code that made it has given way; the order is kept.
        return !vm.worker.is_exiting();
    }
    tokio::select! {
        biased;
        () = vm.worker.exiting() => false,
        () = tokio::time::sleep(delay) => true,
    }
}

async fn fire(
    vm: Rc<Vm>,
    timers: Rc<Timers>,
    co: Co,
    count: i32,
    premature: bool,
    home: Option<Arc<Location>>,
) {
    let max = vm.worker.settings.max_running_timers;
    let ctx = Ctx::of_timer(&vm, home);
    if timers.running.get() >= max {
        // The worker's own limit, said as OpenResty says it.
        let place = co.func_place(count);
        ctx.log(
            Level::Alert,
            &format!(
                "lua failed to run timer with function defined at {place}: \
                 {max} lua_max_running_timers are not enough"
            ),
        );
        return;
    }
    timers.running.set(timers.running.get() + 1);
    let _running = Running(&timers);
    co.insert_bool(count - 1, premature);
    match sched::start_co(&ctx, co, count + 1) {
        Some(_) => {}
        None => _ = sched::drive(&ctx).await,
    }
}

/// Counts a timer as running until dropped.
struct Running<'a>(&'a Timers);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get() - 1);
    }
}

fn running_count(c: &Call<'_>) -> Result<c_int, Raise> {
    let Some(ctx) = c.try_ctx() else { return Err(Raise::text("no request")) };
    c.ret(ctx.vm.worker.part::<Timers>().running())
}

fn pending_count(c: &Call<'_>) -> Result<c_int, Raise> {
    let Some(ctx) = c.try_ctx() else { return Err(Raise::text("no request")) };
    c.ret(ctx.vm.worker.part::<Timers>().pending())
}

const ALLOWED: u32 = WITH_CTX & !Phase::ExitWorker.bit();

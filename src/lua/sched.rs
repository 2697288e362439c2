//! The scheduler of light threads: resumes Lua, looks why it came back, decides who is next.
//!
//! ```text
//!   start(ctx, f) ─▶ ready ─▶ step: resume ─┬ Ask::Wait ─▶ waits ── ready future ─┐
//!                      ▲                    ├ Ask::Again, yield ──────────────────┤
//!                      │                    ├ Ask::Spawn ─▶ child now, parent ────┤
//!                      │                    ├ Done/Failed ─▶ joined parent ───────┤
//!                      └────────────────────┼─────────────────────────────────────┘
//!                                           └ Ask::Leave, entry error, all ended ─▶ Outcome
//! ```

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::ask::{Ask, Outcome};
use super::board::{Parent, Status, Wake};
use super::ctx::{Ctx, enter};
use super::fault;
use super::raw::co::Failure;
use super::raw::{Co, Func, Step, Val};
use crate::base::clock;

/// Runs a function as the entry thread of `ctx`, to the end.
pub async fn run(ctx: &Rc<Ctx>, func: &Func, args: &[Val]) -> Outcome {
    match start(ctx, func, args) {
        Some(outcome) => outcome,
        None => drive(ctx).await,
    }
}

/// Runs a function as the entry thread until it has to wait; `None` asks for [`drive`].
pub fn start(ctx: &Rc<Ctx>, func: &Func, args: &[Val]) -> Option<Outcome> {
    let co = ctx.vm.take_co();
    co.push_func(func);
    let mut count = 1;
    for arg in args {
        count += co.push_reply(&super::raw::Reply::one(arg.clone()));
    }
    start_co(ctx, co, count)
}

/// The same with a coroutine that holds the function and its arguments, `count` values.
pub fn start_co(ctx: &Rc<Ctx>, co: Co, count: i32) -> Option<Outcome> {
    let light = ctx.board.borrow_mut().add(co, None);
    let outcome = step(ctx, light, Wake::Start(count)).or_else(|| turn(ctx).outcome());
    if outcome.is_some() {
        ctx.board.borrow_mut().clear();
    }
    outcome
}

/// Something another entry waits for has happened: `ngx.sleep(0)` lets it run first, as events that
/// nginx has posted do. Without that a sleep of nothing costs no turn of the event loop.
pub fn stir() {
    STIRRED.set(true);
}

/// Adds a user thread of the entry thread; it runs at the next turn of [`drive`].
pub fn add(ctx: &Rc<Ctx>, func: &Func) {
    let co = ctx.vm.take_co();
    co.push_func(func);
    let mut board = ctx.board.borrow_mut();
    let coroutine = board.lights.first().map_or(0, |entry| entry.id);
    let light = board.add(co, Some(Parent { light: 0, coroutine }));
    board.ready.push_back((light, Wake::Start(1)));
}

/// Waits for what light threads wait for and runs them, until the entry is over.
pub async fn drive(ctx: &Rc<Ctx>) -> Outcome {
    let _abort = AbortOnDrop(ctx);
    poll_fn(|cx| poll(ctx, cx)).await
}

fn poll(ctx: &Rc<Ctx>, cx: &mut Context<'_>) -> Poll<Outcome> {
    loop {
        match turn(ctx) {
            Turn::Over(outcome) => return Poll::Ready(outcome),
            Turn::Busy => {
                // Other requests of this worker get their turn between ours.
                ctx.board.borrow_mut().gives_way = false;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Turn::Idle => {}
        }
        // Taken out while polled: a future may end up in this board again.
        let mut waits = std::mem::take(&mut ctx.board.borrow_mut().waits);
        let polled = waits.poll(cx);
        let mut board = ctx.board.borrow_mut();
        board.waits = waits;
        match polled {
            Poll::Ready((light, reply)) => {
                clock::update();
                board.ready.push_back((light, Wake::Reply(reply)));
            }
            Poll::Pending => return Poll::Pending,
        }
    }
}

/// Runs ready light threads, up to a budget.
fn turn(ctx: &Rc<Ctx>) -> Turn {
    for _ in 0..TURN_STEPS {
        let mut board = ctx.board.borrow_mut();
        if board.gives_way {
            return Turn::Busy;
        }
        let Some((light, wake)) = board.ready.pop_front() else {
            return if board.live == 0 { Turn::Over(Outcome::Done) } else { Turn::Idle };
        };
        drop(board);
        if let Some(outcome) = step(ctx, light, wake) {
            return Turn::Over(outcome);
        }
    }
    Turn::Busy
}

/// Resumes one light thread once.
fn step(ctx: &Rc<Ctx>, light: usize, wake: Wake) -> Option<Outcome> {
    let (co, count) = prepare(ctx, light, wake)?;
    ctx.take_ask();
    let entered = enter(ctx);
    let step = co.resume(count);
    drop(entered);
    match step {
        Step::Done => {
            finish(ctx, light, co, true);
            None
        }
        Step::Failed(failure) => fail(ctx, light, co, failure),
        Step::Ask | Step::Yield => {
            let ask = ctx.take_ask();
            ctx.board.borrow_mut().lights[light].co = Some(co);
            obey(ctx, light, ask)
        }
    }
}

/// Takes the coroutine of a light off the board and pushes what it is resumed with.
fn prepare(ctx: &Rc<Ctx>, light: usize, wake: Wake) -> Option<(Co, i32)> {
    let mut board = ctx.board.borrow_mut();
    board.cur = light;
    let co = board.lights[light].co.take()?;
    let count = match wake {
        Wake::Start(count) => count,
        Wake::Empty => 0,
        Wake::Reply(reply) => co.push_reply(&reply),
        Wake::Thread(child) => match &board.lights[child].co {
            Some(child) => {
                child.push_self_to(&co);
                1
            }
            None => 0,
        },
        Wake::Joined { child, ok } => match board.bury(child) {
            Some(ended) => {
                let count = ended.move_results_to(&co, ok);
                if ok {
                    ctx.vm.give_co(ended);
                }
                count
            }
            None => 0,
        },
    };
    Some((co, count))
}

fn obey(ctx: &Rc<Ctx>, light: usize, ask: Option<Ask>) -> Option<Outcome> {
    let mut board = ctx.board.borrow_mut();
    match ask {
        Some(Ask::Wait(wait)) => board.waits.add(light, wait),
        // A bare coroutine.yield() of a light thread gives way to the others.
        None => board.ready.push_back((light, Wake::Empty)),
        Some(Ask::Again) => {
            board.ready.push_back((light, Wake::Empty));
            board.gives_way = STIRRED.take();
        }
        Some(Ask::Spawn { child, count }) => {
            board.ready.push_back((light, Wake::Thread(child)));
            board.ready.push_front((child, Wake::Start(count)));
        }
        Some(Ask::Join) => {}
        Some(Ask::Leave(leave)) => return Some(Outcome::Leave(leave)),
    }
    None
}

/// A light thread ended with an error: the entry thread ends everything, a user thread only itself.
fn fail(ctx: &Rc<Ctx>, light: usize, co: Co, failure: Failure) -> Option<Outcome> {
    let is_entry = ctx.board.borrow().lights[light].parent.is_none();
    fault::report(ctx, &co, failure, if is_entry { "entry" } else { "user" });
    if is_entry {
        return Some(Outcome::Error);
    }
    co.keep_error();
    finish(ctx, light, co, false);
    None
}

/// A light thread ended: its parent gets the results now, later, or never.
fn finish(ctx: &Rc<Ctx>, light: usize, co: Co, ok: bool) {
    let mut board = ctx.board.borrow_mut();
    for orphan in board.orphans_of(light) {
        let was_ok = board.lights[orphan].status == Status::Zombie { ok: true };
        if let Some(dead) = board.bury(orphan).filter(|_| was_ok) {
            ctx.vm.give_co(dead);
        }
    }
    let parent = board.lights[light].parent.filter(|p| board.is_alive(p.light));
    let Some(parent) = parent else {
        board.bury(light);
        if ok {
            ctx.vm.give_co(co);
        }
        return;
    };
    board.live -= 1;
    board.lights[light].status = Status::Zombie { ok };
    board.lights[light].co = Some(co);
    if board.lights[parent.light].joins.contains(&light) {
        board.lights[parent.light].joins.clear();
        board.ready.push_front((parent.light, Wake::Joined { child: light, ok }));
    }
}

enum Turn {
    Over(Outcome),
    /// Somebody is still ready.
    Busy,
    /// Everybody waits.
    Idle,
}

impl Turn {
    fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Over(outcome) => Some(outcome),
            Self::Busy | Self::Idle => None,
        }
    }
}

/// Breaks the circle of futures that hold their own context, also when the request is dropped.
struct AbortOnDrop<'a>(&'a Rc<Ctx>);

impl Drop for AbortOnDrop<'_> {
    fn drop(&mut self) {
        let mut board = self.0.board.borrow_mut();
        let dropped = std::mem::take(&mut *board);
        drop(board);
        drop(dropped);
    }
}

thread_local! {
    static STIRRED: Cell<bool> = const { Cell::new(false) };
}

/// How many light threads run before other tasks of the worker get their turn.
const TURN_STEPS: usize = 128;

//! `ngx.thread.spawn`, `wait`, `kill`.

use std::ffi::c_int;

use super::Topic;
use crate::lua::ask::Ask;
use crate::lua::board::{Board, Parent, Status};
use crate::lua::phase::YIELDABLE;
use crate::lua::raw::{Call, Op, Raise};

pub const TOPIC: Topic = Topic::of(&[
    Op { name: "thread.spawn", phases: YIELDABLE, run: spawn },
    Op { name: "thread.wait", phases: YIELDABLE, run: wait },
    Op { name: "thread.kill", phases: YIELDABLE, run: kill },
]);

fn spawn(c: &Call<'_>) -> Result<c_int, Raise> {
    if !c.is_lua_func(1) {
        return Err(c.arg_error(1, "Lua function expected"));
    }
    let ctx = c.ctx()?;
    let co = ctx.vm.take_co();
    let count = c.move_to(&co, 1);
    let mut board = ctx.board.borrow_mut();
    let parent = Parent { light: board.cur, coroutine: c.thread_id() };
    let child = board.add(co, Some(parent));
    drop(board);
    c.leave(Ask::Spawn { child, count })
}

fn wait(c: &Call<'_>) -> Result<c_int, Raise> {
    if c.is_empty() {
        return Err(Raise::text("at least one coroutine should be specified"));
    }
    let ctx = c.ctx()?;
    let mut board = ctx.board.borrow_mut();
    let cur = board.cur;
    board.lights[cur].joins.clear();
    for index in 1..=c.len() {
        let id = c.to_thread_id(index).ok_or_else(|| c.arg_error(index, "lua thread expected"))?;
        let child =
            find(&board, id, c, "attempt to wait on a coroutine that is not a user thread")?;
        if !is_mine(&board, child, c) {
            return Err(Raise::text("only the parent coroutine can wait on the thread"));
        }
        match board.lights[child].status {
            Status::Running => board.lights[cur].joins.push(child),
            Status::Zombie { ok } => {
                board.lights[cur].joins.clear();
                let Some(co) = board.bury(child) else { continue };
                let count = c.push(ok) + c.take_results(&co);
                if ok {
                    ctx.vm.give_co(co);
                }
                return Ok(count);
            }
            Status::Dead if index == c.len() => {
                board.lights[cur].joins.clear();
                return c.fail("already waited or killed");
            }
            Status::Dead => {}
        }
    }
    drop(board);
    c.leave(Ask::Join)
}

fn kill(c: &Call<'_>) -> Result<c_int, Raise> {
    let id = c.to_thread_id(1).ok_or_else(|| c.arg_error(1, "lua thread expected"))?;
    let ctx = c.ctx()?;
    let mut board = ctx.board.borrow_mut();
    let Some(child) = board.find(id) else { return Err(Raise::text("no co ctx found")) };
    if board.lights[child].parent.is_none() {
        return c.fail("not user thread");
    }
    if !is_mine(&board, child, c) {
        return c.fail("killer not parent");
    }
    if board.lights[child].subrequests > 0 {
        return c.fail("pending subrequests");
    }
    match board.lights[child].status {
        Status::Zombie { ok } => {
            if let Some(co) = board.bury(child).filter(|_| ok) {
                ctx.vm.give_co(co);
            }
            c.fail("already terminated")
        }
        Status::Dead => c.fail("already waited or killed"),
        Status::Running => {
            board.forget_waits(child);
            // Somewhere inside a yield, hence not for reuse.
            let killed = board.bury(child);
            drop(board);
            drop(killed);
            c.ret(1)
        }
    }
}

/// The light thread of a coroutine; the entry thread and plain coroutines are refused.
fn find(board: &Board, id: usize, c: &Call<'_>, refusal: &'static str) -> Result<usize, Raise> {
    match board.find(id) {
        Some(light) if board.lights[light].parent.is_some() => Ok(light),
        Some(_) => Err(Raise::text(refusal)),
        None if id == c.thread_id() => Err(Raise::text(refusal)),
        None => Err(Raise::text(refusal)),
    }
}

fn is_mine(board: &Board, child: usize, c: &Call<'_>) -> bool {
    board.lights[child].parent.is_some_and(|p| p.coroutine == c.thread_id())
}

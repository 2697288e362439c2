//! `coroutine.*`: what the cooperating versions in the prelude need from the scheduler.

use std::ffi::c_int;

use super::Topic;
use crate::lua::board::Status;
use crate::lua::fault::WrapTrace;
use crate::lua::phase::{ANY, YIELDABLE};
use crate::lua::raw::{Call, Op, Raise, trace};

pub const TOPIC: Topic = Topic::of(&[
    Op { name: "coroutine.create", phases: YIELDABLE, run: create },
    Op { name: "coroutine.light_status", phases: ANY, run: light_status },
    Op { name: "coroutine.failed", phases: ANY, run: failed },
]);

fn create(c: &Call<'_>) -> Result<c_int, Raise> {
    if !c.is_lua_func(1) {
        return Err(c.arg_error(1, "Lua function expected"));
    }
    Ok(c.push_coroutine(1))
}

/// The status of a coroutine that belongs to the scheduler, `false` if it does not run here.
fn light_status(c: &Call<'_>) -> Result<c_int, Raise> {
    let id = c.to_thread_id(1).ok_or_else(|| c.arg_error(1, "coroutine expected"))?;
    let Some(ctx) = c.try_ctx() else { return c.ret(false) };
    let board = ctx.board.borrow();
    let status = board.find(id).map(|i| board.lights[i].status);
    match status {
        Some(Status::Running) => c.ret("running"),
        Some(Status::Zombie { .. }) => c.ret("zombie"),
        Some(Status::Dead) => c.ret("dead"),
        None => c.ret(false),
    }
}

/// Notes where the coroutine of a `coroutine.wrap` died, for the traceback of its parent.
fn failed(c: &Call<'_>) -> Result<c_int, Raise> {
    if let (Some(ctx), Some(frames)) = (c.try_ctx(), trace::frames_of_value(c, 1)) {
        ctx.vm.part::<WrapTrace>().note(c.text_lossy(2), frames);
    }
    Ok(0)
}

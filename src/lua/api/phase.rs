//! `ngx.get_phase` and the one message about a wrong phase.

use std::ffi::c_int;
use std::rc::Rc;

use super::Topic;
use crate::lua::ctx;
use crate::lua::phase::{ANY, Phase};
use crate::lua::raw::ffi::{Ffi, FfiAddr, guard};
use crate::lua::raw::{Call, Op, Raise, Val};

pub const TOPIC: Topic = Topic {
    ops: &[
        Op { name: "phase.word", phases: ANY, run: word },
        Op { name: "phase.null", phases: ANY, run: |c| c.ret(Val::Null) },
        Op { name: "phase.context", phases: ANY, run: context },
    ],
    ffi: &[Ffi {
        name: "request_address",
        ctype: "uintptr_t (*)(void)",
        addr: FfiAddr(request_address as *const ()),
    }],
};

/// What tells requests apart: the address of the running one, or of the context without one.
extern "C" fn request_address() -> usize {
    guard(0, || {
        let running = ctx::current().filter(|ctx| ctx.phase != Phase::Init);
        running.map_or(0, |ctx| match &ctx.request {
            Some(r) => Rc::as_ptr(r).addr(),
            None => Rc::as_ptr(&ctx).addr(),
        })
    })
}

fn word(c: &Call<'_>) -> Result<c_int, Raise> {
    c.ret(c.try_ctx().map_or("init", |ctx| ctx.phase.word()))
}

fn context(c: &Call<'_>) -> Result<c_int, Raise> {
    c.ret(c.try_ctx().map_or("init_by_lua*", |ctx| ctx.phase.context_name()))
}

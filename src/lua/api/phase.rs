//! `ngx.get_phase` and the one message about a wrong phase.

use std::ffi::c_int;

use super::Topic;
use crate::lua::phase::ANY;
use crate::lua::raw::{Call, Op, Raise, Val};

pub const TOPIC: Topic = Topic::of(&[
    Op { name: "phase.word", phases: ANY, run: word },
    Op { name: "phase.null", phases: ANY, run: |c| c.ret(Val::Null) },
    Op { name: "phase.context", phases: ANY, run: context },
]);

fn word(c: &Call<'_>) -> Result<c_int, Raise> {
    c.ret(c.try_ctx().map_or("init", |ctx| ctx.phase.word()))
}

fn context(c: &Call<'_>) -> Result<c_int, Raise> {
    c.ret(c.try_ctx().map_or("init_by_lua*", |ctx| ctx.phase.context_name()))
}

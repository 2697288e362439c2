//! `ngx.now`, `ngx.time`, dates.

use std::ffi::c_int;

use super::Topic;
use crate::base::{clock, date};
use crate::lua::phase::ANY;
use crate::lua::raw::ffi::{Ffi, FfiAddr, guard};
use crate::lua::raw::{Call, Op, Raise};

pub const TOPIC: Topic = Topic {
    ops: &[
        Op { name: "time.today", phases: ANY, run: |c| c.ret(date::today(clock::wall().secs)) },
        Op {
            name: "time.localtime",
            phases: ANY,
            run: |c| c.ret(date::local_time(clock::wall().secs)),
        },
        Op {
            name: "time.utctime",
            phases: ANY,
            run: |c| c.ret(date::utc_time(clock::wall().secs)),
        },
        Op { name: "time.http_time", phases: ANY, run: http_time },
        Op { name: "time.cookie_time", phases: ANY, run: cookie_time },
        Op { name: "time.parse_http_time", phases: ANY, run: parse_http_time },
    ],
    ffi: &[
        Ffi { name: "now", ctype: "double (*)(void)", addr: FfiAddr(now as *const ()) },
        Ffi {
            name: "monotonic_ms",
            ctype: "double (*)(void)",
            addr: FfiAddr(monotonic_ms as *const ()),
        },
        Ffi { name: "update_time", ctype: "void (*)(void)", addr: FfiAddr(update as *const ()) },
    ],
};

extern "C" fn now() -> f64 {
    guard(0.0, || clock::wall().as_secs_f64())
}

/// Since the machine came up, as nginx counts.
extern "C" fn monotonic_ms() -> f64 {
    guard(0.0, clock::machine_ms)
}

extern "C" fn update() {
    guard((), clock::update);
}

fn http_time(c: &Call<'_>) -> Result<c_int, Raise> {
    c.ret(date::http_time(c.int(1)?))
}

fn cookie_time(c: &Call<'_>) -> Result<c_int, Raise> {
    c.ret(date::cookie_time(c.int(1)?))
}

fn parse_http_time(c: &Call<'_>) -> Result<c_int, Raise> {
    c.ret(date::parse_http_time(c.bytes(1)?))
}

//! `ngx.worker` and `ngx.config`.

use super::Topic;
use crate::lua::raw::ffi::{Ffi, FfiAddr, guard};

pub const TOPIC: Topic = Topic {
    ops: &[],
    ffi: &[Ffi {
        name: "worker_pid",
        ctype: "int (*)(void)",
        addr: FfiAddr(worker_pid as *const ()),
    }],
};

/// Asked each time: a VM made before the fork to the background outlives it.
extern "C" fn worker_pid() -> i32 {
    guard(-1, || std::process::id().cast_signed())
}

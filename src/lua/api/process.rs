//! `ngx.process`.

use super::Topic;
use crate::lua::ctx;
use crate::lua::phase::ANY;
use crate::lua::raw::Op;
use crate::lua::raw::ffi::{Ffi, FfiAddr, guard};
use crate::process::sys;

pub const TOPIC: Topic = Topic {
    ops: &[Op { name: "process.quit", phases: ANY, run: |c| c.ret(quit()) }],
    ffi: &[Ffi {
        name: "master_pid",
        ctype: "int (*)(void)",
        addr: FfiAddr(master_pid as *const ()),
    }],
};

/// The process that supervises: our parent, or ourselves without a master.
extern "C" fn master_pid() -> i32 {
    guard(-1, || {
        let has_master = ctx::worker().is_some_and(|w| w.settings.has_master);
        if has_master { std::os::unix::process::parent_id() } else { std::process::id() }
            .cast_signed()
    })
}

/// Tells our own process to finish what is under way and end.
fn quit() -> bool {
    sys::kill(std::process::id().cast_signed(), SIGQUIT).is_ok()
}

const SIGQUIT: i32 = 3;

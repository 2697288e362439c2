//! `ngx.process`.

use std::cell::Cell;
use std::ffi::c_int;

use super::Topic;
use crate::base::log::{Level, emit};
use crate::lua::ctx;
use crate::lua::phase::ANY;
use crate::lua::raw::ffi::{Ffi, FfiAddr, guard};
use crate::lua::raw::{Call, Op, Raise};
use crate::lua::vm::Worker;
use crate::process::sys;

pub const TOPIC: Topic = Topic {
    ops: &[
        Op { name: "process.quit", phases: ANY, run: |c| c.ret(quit()) },
        Op { name: "process.want_agent", phases: ANY, run: want_agent },
    ],
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

/// How many connections init_by_lua allowed the privileged agent; nothing when it wants none.
#[derive(Default)]
struct Agent(Cell<Option<u64>>);

fn want_agent(c: &Call<'_>) -> Result<c_int, Raise> {
    let connections = c.num(1)? as u64;
    if let Some(worker) = ctx::worker() {
        worker.part::<Agent>().0.set(Some(connections));
    }
    c.ret(true)
}

/// Whether init_by_lua asked for a privileged agent that can live.
pub fn wants_agent(worker: &Worker) -> bool {
    let connections = worker.part::<Agent>().0.get();
    if connections == Some(0) && worker.id == Some(0) {
        let what = "is not enough, privileged agent process cannot be spawned";
        emit(Level::Alert, format_args!("0 worker_connection {what}"));
    }
    connections.is_some_and(|count| count > 0)
}

const SIGQUIT: i32 = 3;

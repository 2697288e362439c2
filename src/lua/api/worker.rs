//! `ngx.worker` and `ngx.config`.

use super::Topic;
use crate::lua::ctx;
use crate::lua::phase::ANY;
use crate::lua::raw::Op;

pub const TOPIC: Topic = Topic::of(&[
    Op { name: "worker.id", phases: ANY, run: |c| c.ret(ctx::worker().and_then(|w| w.number())) },
    Op { name: "worker.pid", phases: ANY, run: |c| c.ret(std::process::id()) },
    Op {
        name: "worker.count",
        phases: ANY,
        run: |c| c.ret(ctx::worker().map_or(1, |w| w.settings.worker_count)),
    },
]);

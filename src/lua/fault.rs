//! Uncaught Lua errors, as OpenResty prints them.

use std::cell::RefCell;

use super::ctx::Ctx;
use super::raw::co::Failure;
use super::raw::{Co, trace};
use crate::base::log::Level;

/// Logs that a light thread died: `kind` is `entry` or `user`.
pub fn report(ctx: &Ctx, co: &Co, failure: Failure, kind: &str) {
    let message = co.error_text();
    let inner = ctx.vm.part::<WrapTrace>().take(message.as_deref());
    let own = trace::frames(co);
    let trace = inner
        .into_iter()
        .chain([own])
        .take(MAX_COROUTINES)
        .enumerate()
        .map(|(n, frames)| format!("\ncoroutine {n}:{frames}"))
        .collect::<String>();
    if failure == Failure::Memory {
        // What the thread held is garbage by now; the next one shall not fail for it.
        ctx.vm.host.collect_garbage();
    }
    let message = message.as_deref().unwrap_or("unknown reason");
    let what = failure.words();
    ctx.log(
        Level::Error,
        &format!("lua {kind} thread aborted: {what}: {message}\nstack traceback:{trace}"),
    );
}

/// The frames of coroutines an error has left through `coroutine.wrap`, innermost first.
///
/// OpenResty's traceback shows them, but a Lua error keeps only its message.
#[derive(Default)]
pub struct WrapTrace {
    last: RefCell<Option<(String, Vec<String>)>>,
}

impl WrapTrace {
    /// Notes the frames of a coroutine that died of `message`.
    pub fn note(&self, message: String, frames: String) {
        let mut last = self.last.borrow_mut();
        match last.as_mut() {
            Some((known, list)) if *known == message => list.push(frames),
            _ => *last = Some((message, vec![frames])),
        }
    }

    fn take(&self, message: Option<&str>) -> Vec<String> {
        match self.last.take() {
            Some((known, list)) if Some(known.as_str()) == message => list,
            _ => Vec::new(),
        }
    }
}

const MAX_COROUTINES: usize = 5;

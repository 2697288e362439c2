//! Every reason to leave Lua.
//!
//! ```text
//!   native fn ── c.leave(Ask) ──▶ ctx.ask;  prelude: yield(ASK) ──▶ sched takes the Ask
//! ```

use std::pin::Pin;

use super::raw::Reply;

/// Something a light thread waits for; its reply becomes the results of the call.
pub type Wait = Pin<Box<dyn Future<Output = Reply>>>;

/// What the scheduler is to do with the light thread that yielded.
pub enum Ask {
    /// Resume it with the reply.
    Wait(Wait),
    /// Resume it after the others that are ready.
    Again,
    /// Run the new light thread, which has `count` values on its stack, first; the asking one
    /// continues later with the thread as result.
    Spawn { child: usize, count: i32 },
    /// Resume it when one of the threads it named ends.
    Join,
    /// End this entry into Lua, with everything that runs in it.
    Leave(Leave),
}

/// How Lua code ended the phase early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leave {
    /// `ngx.exit(status)`, `ngx.redirect`.
    Exit(i32),
    /// `ngx.exec(uri, args)`; a name with `@` is a named location.
    Exec { uri: Vec<u8>, args: Vec<u8> },
    /// `ngx.req.set_uri(uri, true)`: look for the location again.
    Jump,
}

/// How an entry into Lua ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The entry thread and its user threads returned.
    Done,
    Leave(Leave),
    /// An uncaught error, logged already.
    Error,
}

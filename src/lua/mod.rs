//! Lua: the VM, the scheduler of light threads, and `ngx.*`.
//!
//! ```text
//!   phases, timer ─▶ Ctx ─▶ sched ─ resume ─▶ script ─ N.fn() ─▶ api/<topic>
//!                             ▲                          │ future in Ask::Wait
//!                             └──── yield(ASK) ◀─────────┘
//! ```
//!
//! Native code prepares, a line of prelude Lua yields, one scheduler resumes.

pub mod api;
pub mod ask;
mod board;
pub mod chunk;
pub mod ctx;
pub mod fault;
pub mod phase;
mod prelude;
pub mod raw;
pub mod sched;
pub mod vm;

#[cfg(test)]
mod tests;

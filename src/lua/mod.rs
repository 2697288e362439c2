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
mod balancer;
mod board;
pub mod chunk;
pub mod conf;
pub mod ctx;
pub mod fault;
mod handshake;
pub mod output;
pub mod phase;
pub mod phases;
mod prelude;
mod proxy_tls;
pub mod raw;
pub mod request;
pub mod sched;
pub mod vm;
pub mod worker;

#[cfg(test)]
mod tests;

//! The topics of `ngx.*`: each a file here, a file in `lua/prelude`, tests in `t/lua`.
//!
//! ```text
//!   Topic { ops: rows of native functions, ffi: rows of C functions }  ─▶  prelude: N, F
//! ```

use super::raw::Op;
use super::raw::ffi::Ffi;

mod coroutine;
pub mod encode;
mod json;
mod log;
mod phase;
mod re;
mod semaphore;
mod sleep;
pub mod socket;
mod thread;
mod time;
pub mod timer;
pub mod upstream;
mod upstream_healthcheck;
mod worker;
pub mod worker_thread;

/// One `ngx.*` topic.
pub struct Topic {
    pub ops: &'static [Op],
    pub ffi: &'static [Ffi],
}

impl Topic {
    pub const fn of(ops: &'static [Op]) -> Self {
        Self { ops, ffi: &[] }
    }
}

/// Every topic.
#[rustfmt::skip]
pub const TOPICS: &[&Topic] = &[
    &coroutine::TOPIC,
    &encode::TOPIC,
    &json::TOPIC,
    &log::TOPIC,
    &phase::TOPIC,
    &re::TOPIC,
    &semaphore::TOPIC,
    &sleep::TOPIC,
    &socket::TOPIC,
    &thread::TOPIC,
    &time::TOPIC,
    &timer::TOPIC,
    &upstream::TOPIC,
    &upstream_healthcheck::TOPIC,
    &worker::TOPIC,
    &worker_thread::TOPIC,
];

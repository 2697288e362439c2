//! The topics of `ngx.*`: each a file here, a file in `lua/prelude`, tests in `t/lua`.
//!
//! ```text
//!   Topic { ops: rows of native functions, ffi: rows of C functions }  ─▶  prelude: N, F
//! ```

use super::raw::Op;
use super::raw::ffi::Ffi;

mod arg;
mod balancer;
mod control;
mod coroutine;
mod digest;
pub mod encode;
pub mod errlog;
mod header;
mod healthcheck;
mod json;
mod location;
mod log;
mod output;
mod phase;
mod pipe;
pub mod process;
mod re;
mod req;
mod req_body;
mod semaphore;
pub mod shdict;
mod sleep;
pub mod socket;
pub mod ssl;
mod thread;
mod time;
pub mod timer;
pub mod upstream;
mod upstream_healthcheck;
mod uri;
mod var;
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
    &arg::TOPIC,
    &balancer::TOPIC,
    &control::TOPIC,
    &coroutine::TOPIC,
    &digest::TOPIC,
    &encode::TOPIC,
    &errlog::TOPIC,
    &header::TOPIC,
    &healthcheck::TOPIC,
    &json::TOPIC,
    &location::TOPIC,
    &log::TOPIC,
    &output::TOPIC,
    &phase::TOPIC,
    &pipe::TOPIC,
    &process::TOPIC,
    &re::TOPIC,
    &req::TOPIC,
    &req_body::TOPIC,
    &semaphore::TOPIC,
    &shdict::TOPIC,
    &sleep::TOPIC,
    &socket::TOPIC,
    &ssl::TOPIC,
    &ssl::ocsp::TOPIC,
    &thread::TOPIC,
    &time::TOPIC,
    &timer::TOPIC,
    &var::TOPIC,
    &upstream::TOPIC,
    &upstream_healthcheck::TOPIC,
    &worker::TOPIC,
    &worker_thread::TOPIC,
];

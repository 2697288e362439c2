//! What the naming and the health face cost. Each scenario answers one question.
//!
//! ```text
//!  beats   10,000 instances that beat every 5 s: processor, memory, and how late a lease lapses
//!  list    a service of 1,000 instances: lists a second, for one core
//!  watch   1,000 streams on one upstream: until when all have heard of a change, memory of each
//! ```
//! `cargo bench --bench faces [-- SCENARIO…]`. The server has one worker thread; what is printed
//! of its processor time and memory is what the system counts. Ends with an error when a figure
//! is worse than what is promised.

// It measures from outside, with the system's clock.
#![allow(clippy::disallowed_methods)]

#[path = "faces/beats.rs"]
mod beats;
#[allow(dead_code, reason = "the cases of t/ use the rest")]
#[path = "../t/grpc/h2.rs"]
mod h2;
#[path = "faces/list.rs"]
mod list;
#[path = "faces/load.rs"]
mod load;
#[path = "../t/harness/ports.rs"]
mod ports;
#[allow(dead_code, reason = "the cases of t/ use the rest")]
#[path = "../t/harness/server.rs"]
mod server;
#[allow(dead_code, reason = "the cases of t/ use the rest")]
#[path = "../t/harness/wait.rs"]
mod wait;
#[path = "faces/watch.rs"]
mod watch;

use std::process::ExitCode;

/// A scenario prints its figures; what is promised and not kept is the error.
type Scenario = fn() -> Result<(), String>;

const SCENARIOS: &[(&str, Scenario)] =
    &[("list", list::run), ("watch", watch::run), ("beats", beats::run)];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let mut kept = true;
    for (name, run) in SCENARIOS {
        if !wanted.is_empty() && !wanted.iter().any(|word| word == name) {
            continue;
        }
        if let Err(complaint) = run() {
            println!("{name}: NOT KEPT: {complaint}");
            kept = false;
        }
    }
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

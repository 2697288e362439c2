//! `grpc.health.v1.Health`, row by row as its users expect it; rows carry their numbers.
//!
//! ```text
//!   JSON, protobuf, frames -> conf/examples/grpc-health.conf on ports of its own
//! ```

mod bad;
mod calls;
mod clients;
mod floods;
mod h2;
mod probing;
mod scene;
mod watch;

use crate::harness::case::{Case, Check};

pub fn cases() -> Vec<Case> {
    let tables: [&[(&str, Check)]; 4] = [calls::ROWS, bad::ROWS, watch::ROWS, floods::ROWS];
    let rows = tables.into_iter().flatten();
    let mut cases: Vec<Case> =
        rows.map(|(name, run)| Case::check(format!("grpc/{name}"), *run)).collect();
    cases.extend(clients::cases());
    cases.extend(probing::cases());
    cases
}

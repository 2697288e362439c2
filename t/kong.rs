//! Kong's Admin API and gateway, row by row as users expect them; rows carry their numbers.
//!
//! ```text
//!   conf/examples/kong.conf on ports of its own, real backends -> calls, probes, traffic
//! ```

mod admin;
mod backend;
mod bad;
mod checks;
mod gateway;
mod scene;
mod secure;
mod tse;

use crate::harness::case::{Case, Check};

pub fn cases() -> Vec<Case> {
    let tables: [&[(&str, Check)]; 6] =
        [admin::ROWS, bad::ROWS, checks::ROWS, gateway::ROWS, secure::ROWS, tse::ROWS];
    let rows = tables.into_iter().flatten();
    let mut cases: Vec<Case> =
        rows.map(|(name, run)| Case::check(format!("kong/{name}"), *run)).collect();
    cases.extend(secure::cases());
    cases
}

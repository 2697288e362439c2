//! Nacos' naming API, row by row as its users expect it; rows carry their numbers.
//!
//! ```text
//!   form or query -> conf/examples/nacos.conf on a port of its own -> status, text, JSON
//! ```

mod bad;
mod calls;
mod leases;
mod probes;
mod scene;
mod sdk;
mod source;

use crate::harness::case::{Case, Check};

pub fn cases() -> Vec<Case> {
    let tables: [&[(&str, Check)]; 5] =
        [calls::ROWS, bad::ROWS, leases::ROWS, probes::ROWS, source::ROWS];
    let rows = tables.into_iter().flatten();
    let mut cases: Vec<Case> =
        rows.map(|(name, run)| Case::check(format!("nacos/{name}"), *run)).collect();
    cases.extend(sdk::cases());
    cases
}

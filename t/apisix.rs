//! APISIX's Admin API, gateway, Control API and metrics, row by row as users expect them; rows
//! carry their numbers.
//!
//! ```text
//!   conf/examples/apisix.conf on ports of its own, real backends -> curl, probes, traffic
//! ```

mod backend;
mod bad;
mod changes;
mod checks;
mod described;
mod faces;
mod plugins;
mod scene;
mod seed;
mod shipped;
mod traffic;
mod vectors;

use crate::harness::case::{Case, Check};

pub fn cases() -> Vec<Case> {
    let tables: [&[(&str, Check)]; 9] = [
        shipped::ROWS,
        seed::ROWS,
        checks::ROWS,
        changes::ROWS,
        bad::ROWS,
        vectors::ROWS,
        plugins::ROWS,
        faces::ROWS,
        traffic::ROWS,
    ];
    let rows = tables.into_iter().flatten();
    let rows = rows.map(|(name, run)| Case::check(format!("apisix/{name}"), *run));
    rows.chain([faces::grpc()]).chain(described::cases()).collect()
}

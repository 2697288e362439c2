//! Apache APISIX's interfaces: Admin API, gateway, Control API, metrics.
//!
//! ```text
//!  apisix_admin ─ schema ─▶ Store ─ watch ─▶ Live: Table of routes, services, upstreams
//!  apisix.yaml ──── polled ───────────────▶   │
//!  apisix_gateway: Router ─ plugins ─ picks ◀─┤──▶ checks on the engine
//!  apisix_control, apisix_metrics: views ◀────┘
//! ```
//! A user of APISIX points the same calls here and reads the same answers.

mod admin;
mod balance;
mod checks;
pub mod conf;
mod control;
pub mod gateway;
mod limit_count;
mod live;
mod metrics;
mod model;
mod names;
mod resolve;
mod schema;
mod standalone;
mod view;

use std::sync::Arc;

pub use self::checks::asked;
use crate::process::Cycle;

/// Begins to follow the configuration's routes, if it attaches any of the faces.
pub fn prepare(cycle: &Arc<Cycle>) -> Result<(), String> {
    conf::prepare(cycle)
}

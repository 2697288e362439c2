//! Kong: its Admin API, its routes, and Tencent's gateway, which is made of it.
//!
//! ```text
//!  kong_admin ─▶ admin ─ schema ─▶ catalog ─▶ store        what the Admin API was told
//!                   │                 │
//!                   └─ health ─▶ live ◀┘ ─▶ upstream::Group, health checks
//!  kong_gateway ─▶ gateway ─ router ─▶ ┘ ─▶ http::proxy     where requests go
//! ```

pub mod conf;

mod admin;
mod catalog;
mod entity;
pub mod form;
pub mod schema;

mod gateway;
mod live;
mod metrics;
mod router;

use std::sync::Arc;

use crate::process::Cycle;
use crate::store::conf::StoreConf;

/// Opens the store and makes the state, when the configuration asks for Kong.
pub fn start(cycle: &Arc<Cycle>) -> Result<(), String> {
    let conf = cycle.scope.part::<conf::KongConf>();
    if !conf.used {
        live::Live::stop();
        return Ok(());
    }
    let store = cycle.scope.part::<StoreConf>().open(&cycle.paths.prefix, catalog::ROOT);
    let store = store.map_err(|error| format!("kong: {error}"))?;
    live::Live::start(store, conf.options()).map(drop)
}

/// Whose ranges and defaults hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Preset {
    #[default]
    Kong,
    /// Tencent's cloud-native gateway.
    Tse,
}

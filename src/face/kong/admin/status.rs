//! `/` and `/status`: what this process is and how it does.

use serde_json::{Value, json};

use super::super::live::Live;

/// `GET /`: Kong's tools look for the version here.
pub fn node(live: &Live) -> Value {
    json!({
        "tagline": "Welcome to moonbeat",
        "version": KONG_VERSION,
        "edition": "community",
        "moonbeat": env!("CARGO_PKG_VERSION"),
        "node_id": live.node_id,
        "configuration": { "database": "embedded", "role": "traditional", "router_flavor": "traditional_compatible" },
        "plugins": { "available_on_server": {}, "enabled_in_cluster": [] },
        "pids": { "workers": [std::process::id()] },
    })
}

/// `GET /status`
pub fn status(live: &Live) -> Value {
    json!({
        "database": { "reachable": true },
        "memory": { "lua_shared_dicts": {}, "workers_lua_vms": [], "resident_bytes": resident_bytes() },
        "server": super::super::metrics::server(),
        "configuration_hash": format!("{:032x}", live.store.revision()),
    })
}

/// What the process holds in memory, by the kernel's account.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE_BYTES)
}

/// Whose Admin API this is.
const KONG_VERSION: &str = "3.10.0";
const PAGE_BYTES: u64 = 4096;

//! Names of nodes become addresses, and are asked for again when that was long ago.
//!
//! ```text
//!  Upstream with names ─ a request finds them stale ─▶ resolver ─▶ Upstream::renew
//! ```

use std::net::IpAddr;
use std::rc::Rc;

use super::model::{NodeSpec, Upstream};
use crate::base::clock;
use crate::base::log::Level;
use crate::http::Request;
use crate::upstream::names::Names;

/// Asks for the names of an upstream's nodes, if there are any and it is time.
pub async fn renew(r: &Rc<Request>, upstream: &Upstream) {
    let stale = upstream.set.load().expires_at_ms.is_some_and(|at| at <= clock::mono_ms());
    if !stale {
        return;
    }
    let mut found: Vec<(NodeSpec, IpAddr)> = Vec::new();
    for spec in &upstream.specs {
        match spec.ip() {
            Some(ip) => found.push((spec.clone(), ip)),
            None => match addresses(r, &spec.host).await {
                Ok(ips) => found.extend(ips.into_iter().map(|ip| (spec.clone(), ip))),
                Err(text) => r.log(Level::Error, format_args!("{text}")),
            },
        }
    }
    if found.is_empty() && !upstream.set.load().nodes.list.is_empty() {
        // What was known serves on while nobody answers.
        return;
    }
    upstream.renew(&found, clock::mono_ms() + VALID_MS);
}

/// By the location's `resolver`, else by the system's.
async fn addresses(r: &Rc<Request>, host: &str) -> Result<Vec<IpAddr>, String> {
    let names = Names::of(&r.location().scope);
    if names.spec.is_some() {
        return names.resolve(host).await;
    }
    let found = tokio::net::lookup_host((host, 0)).await;
    let found = found.map_err(|error| format!("failed to parse domain: {host}, error: {error}"))?;
    let mut ips: Vec<IpAddr> = found.map(|addr| addr.ip()).collect();
    ips.dedup();
    // One address a name, as APISIX takes one record of the answer.
    ips.truncate(1);
    Ok(ips)
}

const VALID_MS: u64 = 30_000;

//! Metrics in the format of Prometheus, under the names Kong's plugin gives them.
//!
//! ```text
//!  kong_upstream_target_health{upstream="svc",target="…",address="…",state="healthy",…} 1
//!     one series a state: 1 for the one it is in, 0 for the others
//! ```

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};

use super::live::health::Health;
use super::live::upstream::Target;
use super::live::{Live, Upstream};
use crate::http::modules::stub_status;

/// The whole page.
pub fn text(live: &Live) -> String {
    let mut out = String::with_capacity(4096);
    let tables = live.tables();
    let mut upstreams: Vec<&Arc<Upstream>> = tables.upstreams.values().collect();
    upstreams.sort_by(|a, b| a.conf.name.cmp(&b.conf.name));
    out.push_str(
        "# HELP kong_upstream_target_health Health status of targets of upstream. \
         States = healthchecks_off|healthy|unhealthy|dns_error, \
         value is 1 when state is populated.\n\
         # TYPE kong_upstream_target_health gauge\n",
    );
    for upstream in &upstreams {
        for target in &upstream.targets {
            put_target(&mut out, upstream, target);
        }
    }
    put_counts(&mut out, &upstreams);
    let totals = stub_status::totals();
    out.push_str(
        "# HELP kong_nginx_connections_total Number of connections by subsystem\n\
         # TYPE kong_nginx_connections_total gauge\n",
    );
    for (state, value) in server_rows(&totals) {
        let node = &live.node_id;
        let labels = format!("node_id=\"{node}\",subsystem=\"http\",state=\"{state}\"");
        let _ = writeln!(out, "kong_nginx_connections_total{{{labels}}} {value}");
    }
    out.push_str(
        "# HELP kong_datastore_reachable Datastore reachable from Kong, 0 is unreachable\n\
         # TYPE kong_datastore_reachable gauge\nkong_datastore_reachable 1\n",
    );
    let _ = writeln!(
        out,
        "# HELP kong_node_info Kong Node metadata information\n\
         # TYPE kong_node_info gauge\n\
         kong_node_info{{node_id=\"{}\",version=\"{}\"}} 1",
        live.node_id,
        env!("CARGO_PKG_VERSION")
    );
    out
}

/// The `server` object of `/status`.
pub fn server() -> Value {
    let totals = stub_status::totals();
    json!({
        "connections_accepted": totals.accepted,
        "connections_active": totals.active,
        "connections_handled": totals.accepted,
        "connections_reading": totals.reading,
        "connections_waiting": totals.waiting,
        "connections_writing": totals.writing(),
        "total_requests": totals.requests,
    })
}

fn server_rows(totals: &stub_status::Totals) -> [(&'static str, u64); 7] {
    [
        ("accepted", totals.accepted),
        ("active", totals.active),
        ("handled", totals.accepted),
        ("reading", totals.reading),
        ("total", totals.requests),
        ("waiting", totals.waiting),
        ("writing", totals.writing()),
    ]
}

/// The rows of a target: one an address, or one without, when it has none.
fn put_target(out: &mut String, upstream: &Upstream, target: &Target) {
    let whole = upstream.target_health(target);
    if target.addrs.is_empty() {
        return put_states(out, upstream, target, "", whole);
    }
    for addr in &target.addrs {
        let health = upstream.address_health(target, *addr);
        put_states(out, upstream, target, &addr.to_string(), health);
    }
}

fn put_states(out: &mut String, upstream: &Upstream, target: &Target, address: &str, is: Health) {
    for state in Health::ALL {
        let _ = writeln!(
            out,
            "kong_upstream_target_health{{upstream=\"{}\",target=\"{}\",address=\"{address}\",\
             state=\"{}\",subsystem=\"http\"}} {}",
            label(&upstream.conf.name),
            label(&target.text),
            state.label(),
            u8::from(state == is)
        );
    }
}

/// How many targets of each upstream are in which state, so that alarms need no sums.
fn put_counts(out: &mut String, upstreams: &[&Arc<Upstream>]) {
    out.push_str(
        "# HELP moonbeat_kong_upstream_targets Targets of an upstream by state.\n\
         # TYPE moonbeat_kong_upstream_targets gauge\n",
    );
    for upstream in upstreams {
        for state in Health::ALL {
            let in_state = |target: &&Target| upstream.target_health(target) == state;
            let count = upstream.targets.iter().filter(in_state).count();
            let (name, state) = (label(&upstream.conf.name), state.label());
            let labels = format!("upstream=\"{name}\",state=\"{state}\"");
            let _ = writeln!(out, "moonbeat_kong_upstream_targets{{{labels}}} {count}");
        }
    }
}

/// Names are host names and have nothing to escape; what others wrote into the store may.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

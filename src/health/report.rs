//! The pages: what `status_page()` and `prometheus_status_page()` print, and the whole as JSON.
//!
//! ```text
//!  groups of the configuration ─┬─▶ text
//!  which of them are checked   ─┼─▶ Prometheus
//!  checks of the engine        ─┴─▶ JSON: states, counts, last results, history
//! ```

use std::sync::PoisonError;

use bstr::{BStr, BString};
use serde::Serialize;

use super::core::Watch;
use super::engine::Engine;
use crate::upstream::{Groups, PeerSet, Snapshot};

/// The text page of `resty.upstream.healthcheck`.
pub fn status_page(groups: &Groups, has_checker: impl Fn(&BStr) -> bool) -> BString {
    let mut out = BString::default();
    for (i, group) in groups.iter().enumerate() {
        if i > 0 {
            out.push(b'\n');
        }
        let name = group.name();
        put(&mut out, &[b"Upstream ", &name]);
        if !has_checker(name.as_ref()) {
            put(&mut out, &[b" (NO checkers)"]);
        }
        let snapshot = group.snapshot();
        put(&mut out, &[b"\n    Primary Peers\n"]);
        put_peers(&mut out, &snapshot.primary);
        put(&mut out, &[b"    Backup Peers\n"]);
        if let Some(backup) = &snapshot.backup {
            put_peers(&mut out, backup);
        }
    }
    out
}

/// The Prometheus page of the same library. Values are not escaped, as ever.
pub fn prometheus_status_page(groups: &Groups, has_checker: impl Fn(&BStr) -> bool) -> BString {
    let mut out: BString =
        format!("# HELP {METRIC} The running status of nginx upstream\n# TYPE {METRIC} gauge\n")
            .into();
    for group in groups.iter() {
        let name = group.name();
        if !has_checker(name.as_ref()) {
            put_upstream(&mut out, &name, "UNKNOWN");
            continue;
        }
        let snapshot = group.snapshot();
        for (backup, set) in snapshot.lists() {
            let role = if backup { "BACKUP" } else { "PRIMARY" };
            for peer in set.peers() {
                put_peer(&mut out, &name, &peer.conf.name, role, !peer.is_down());
            }
        }
        put_upstream(&mut out, &name, if any_up(&snapshot) { "UP" } else { "DOWN" });
    }
    out
}

/// What the engine knows of the checks of these groups, as JSON.
pub fn json_status_page(groups: &Groups, engine: Option<&Engine>) -> String {
    let mut checks = engine.map(model).unwrap_or_default();
    checks.retain(|c| groups.iter().any(|g| g.name() == c.upstream));
    // Plain data: nothing in it can fail to be written.
    serde_json::to_string(&checks).unwrap_or_default()
}

/// Everything the engine knows of every check.
pub fn model(engine: &Engine) -> Vec<CheckReport> {
    let mut reports: Vec<_> = engine
        .checks()
        .into_iter()
        .map(|(spec, core)| {
            let core = core.lock().unwrap_or_else(PoisonError::into_inner);
            CheckReport {
                upstream: spec.upstream.to_string(),
                interval_ms: spec.interval_ms,
                peers: core.watches().iter().map(peer_report).collect(),
            }
        })
        .collect();
    reports.sort_by(|a, b| a.upstream.cmp(&b.upstream));
    reports
}

/// One check.
#[derive(Debug, Serialize)]
pub struct CheckReport {
    pub upstream: String,
    pub interval_ms: u64,
    pub peers: Vec<PeerReport>,
}

/// One peer under one check.
#[derive(Debug, Serialize)]
pub struct PeerReport {
    pub name: String,
    pub server: String,
    pub backup: bool,
    pub state: &'static str,
    /// False before the first result.
    pub probed: bool,
    pub probes: u64,
    pub failures: u64,
    pub ok: u64,
    pub nok: u64,
    /// Newest last.
    pub results: Vec<ResultReport>,
    pub changes: Vec<ChangeReport>,
}

/// One probe.
#[derive(Debug, Serialize)]
pub struct ResultReport {
    pub at_ms: u64,
    pub kind: &'static str,
    pub word: &'static str,
    pub status: Option<u64>,
    pub text: String,
    pub took_ms: f64,
}

/// One transition.
#[derive(Debug, Serialize)]
pub struct ChangeReport {
    pub at_ms: u64,
    pub from: &'static str,
    pub to: &'static str,
    pub why: String,
}

fn peer_report(watch: &Watch) -> PeerReport {
    let (ok, nok) = watch.machine.counts();
    let results = watch.results.iter().map(|(at_ms, o)| ResultReport {
        at_ms: *at_ms,
        kind: o.kind.name(),
        word: o.kind.word(),
        status: o.status,
        text: o.detail.to_string(),
        took_ms: o.took.as_secs_f64() * 1000.0,
    });
    let changes = watch.changes.iter().map(|c| ChangeReport {
        at_ms: c.at_ms,
        from: c.from.name(),
        to: c.to.name(),
        why: c.why.clone(),
    });
    PeerReport {
        name: watch.target.name.clone(),
        server: watch.target.server.to_string(),
        backup: watch.target.backup,
        state: watch.machine.state().name(),
        probed: watch.probes > 0,
        probes: watch.probes,
        failures: watch.failures,
        ok,
        nok,
        results: results.collect(),
        changes: changes.collect(),
    }
}

fn put(out: &mut BString, parts: &[&[u8]]) {
    parts.iter().for_each(|p| out.extend_from_slice(p));
}

fn put_peers(out: &mut BString, set: &PeerSet) {
    for peer in set.peers() {
        let state = if peer.is_down() { "DOWN" } else { "UP" };
        put(out, &[format!("        {} {state}\n", peer.conf.name).as_bytes()]);
    }
}

fn put_peer(out: &mut BString, upstream: &BString, peer: &str, role: &str, up: bool) {
    for (status, value) in [("UP", up), ("DOWN", !up)] {
        let labels = format!("endpoint=\"{peer}\",status=\"{status}\",role=\"{role}\"");
        let value = u8::from(value);
        put(out, &[METRIC.as_bytes(), b"{name=\"", upstream, b"\","]);
        put(out, &[format!("{labels}}} {value}\n").as_bytes()]);
    }
}

fn put_upstream(out: &mut BString, upstream: &BString, is: &str) {
    for status in ["UP", "DOWN", "UNKNOWN"] {
        let value = u8::from(status == is);
        put(out, &[METRIC.as_bytes(), b"{name=\"", upstream, b"\","]);
        put(out, &[format!("status=\"{status}\"}} {value}\n").as_bytes()]);
    }
}

fn any_up(snapshot: &Snapshot) -> bool {
    snapshot.lists().any(|(_, set)| set.peers().iter().any(|p| !p.is_down()))
}

const METRIC: &str = "nginx_upstream_status_info";

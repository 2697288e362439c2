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

use super::board::{Board, Seat};
use super::engine::Engine;
use super::spec::{CheckSpec, Initial};
use super::watch::Watch;
use crate::upstream::{Groups, PeerSet, Snapshot};

/// The text page of `resty.upstream.healthcheck`.
pub fn status_page(groups: &Groups, has_checker: impl Fn(&BStr) -> bool) -> BString {
    let mut out = BString::default();
    for (i, group) in groups.all().enumerate() {
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
    for group in groups.all() {
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
    checks.retain(|c| groups.all().any(|g| g.name() == c.upstream));
    // Plain data: nothing in it can fail to be written.
    serde_json::to_string(&checks).unwrap_or_default()
}

/// Everything the engine knows of every check.
pub fn model(engine: &Engine) -> Vec<CheckReport> {
    let mut reports: Vec<_> = engine
        .rounds()
        .into_iter()
        .map(|(spec, core)| {
            let core = core.lock().unwrap_or_else(PoisonError::into_inner);
            CheckReport::new(&spec, core.watches().iter().map(of_watch).collect())
        })
        .collect();
    reports.extend(engine.views());
    reports.sort_by(|a, b| (&a.upstream, &a.name).cmp(&(&b.upstream, &b.name)));
    reports
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    pub upstream: String,
    pub name: String,
    pub dialect: &'static str,
    pub probe: &'static str,
    pub interval_ms: u64,
    /// Where probes go instead of the peers' own port; 0 is that.
    pub port: u16,
    /// Verdicts are being ignored: too few peers are up.
    pub panic: bool,
    pub peers: Vec<PeerReport>,
}

impl CheckReport {
    fn new(spec: &CheckSpec, peers: Vec<PeerReport>) -> Self {
        Self {
            upstream: spec.upstream.to_string(),
            name: spec.name.to_string(),
            dialect: spec.dialect.name(),
            probe: spec.probe.name(),
            interval_ms: spec.pace.healthy_ms,
            port: spec.port.unwrap_or_default(),
            panic: false,
            peers,
        }
    }
}

/// One peer under one check.
#[derive(Clone, Debug, Serialize)]
pub struct PeerReport {
    pub name: String,
    pub server: String,
    pub backup: bool,
    pub weight: u32,
    pub state: &'static str,
    /// What traffic is told by this check.
    pub up: bool,
    /// False before the first result.
    pub probed: bool,
    pub probes: u64,
    pub failures: u64,
    pub ok: u64,
    pub nok: u64,
    /// Success, http failure, tcp failure, timeout.
    pub lanes: [u8; 4],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced: Option<ForcedReport>,
    /// Newest last.
    pub results: Vec<ResultReport>,
    pub changes: Vec<ChangeReport>,
}

/// What an operator asked for.
#[derive(Clone, Debug, Serialize)]
pub struct ForcedReport {
    pub state: &'static str,
    pub author: String,
    pub reason: String,
    /// Monotonic.
    pub expires_at_ms: Option<u64>,
}

/// One probe, request or heartbeat.
#[derive(Clone, Debug, Serialize)]
pub struct ResultReport {
    pub at_ms: u64,
    pub source: &'static str,
    pub kind: &'static str,
    pub word: &'static str,
    pub status: Option<u64>,
    pub text: String,
    pub took_ms: f64,
}

/// One transition.
#[derive(Clone, Debug, Serialize)]
pub struct ChangeReport {
    pub at_ms: u64,
    pub from: &'static str,
    pub to: &'static str,
    pub why: String,
}

/// Everything a board knows.
pub(super) fn of_board(board: &Board) -> CheckReport {
    let initial = board.spec().policy.initial;
    let peers = board.seats().map(|seat| of_seat(seat, initial)).collect();
    CheckReport { panic: board.is_panicking(), ..CheckReport::new(board.spec(), peers) }
}

/// Everything a board knows of one peer.
pub(super) fn of_seat(seat: &Seat, initial: Initial) -> PeerReport {
    let forced = seat.forced().map(|o| ForcedReport {
        state: o.state.name(),
        author: o.author.to_string(),
        reason: o.reason.to_string(),
        expires_at_ms: o.expires_at_ms,
    });
    let (up, state) = (!seat.is_held(), seat.state_name(initial));
    PeerReport { up, state, forced, ..of_watch(&seat.watch) }
}

fn of_watch(watch: &Watch) -> PeerReport {
    let (ok, nok) = watch.machine.counts();
    let results = watch.results.iter().map(|kept| {
        let outcome = kept.outcome();
        ResultReport {
            at_ms: kept.at_ms,
            source: kept.source.name(),
            kind: outcome.kind.name(),
            word: outcome.kind.word(),
            status: outcome.status,
            text: outcome.detail.to_string(),
            took_ms: outcome.took.as_secs_f64() * 1000.0,
        }
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
        weight: watch.target.weight,
        state: watch.machine.state().name(),
        up: !watch.is_down(),
        probed: !watch.results.is_empty(),
        probes: watch.probes,
        failures: watch.failures,
        ok,
        nok,
        lanes: watch.machine.lanes().packed().to_le_bytes(),
        forced: None,
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

//! `checks` of an upstream on the engine.
//!
//! ```text
//!  CheckSettings ─▶ CheckSpec ─ open ─▶ Check ◀─ answered, attempt_failed ── balance
//!  nodes ─▶ targets: (ip:probe port, host name), with the peer that traffic reads
//! ```
//! The first request through an upstream starts them; they end with the document or its `checks`.

use std::sync::Arc;

use bstr::BString;
use serde_json::Value;

use super::model::{
    CheckSettings, Node, PassHost, Passive, Upstream, probe_port, span_ms, system_tls,
};
use super::schema::{self, Kind};
use crate::base::log::{self, Level, emit};
use crate::health::dialect::Dialect;
use crate::health::machine::{Limits, Seen};
use crate::health::report::PeerReport;
use crate::health::{
    Check, CheckSpec, HeadOrder, HttpProbe, Key, MachineSpec, Open, Pace, Pass, PassiveSpec,
    ProbeSpec, Report, Source, Statuses, TargetSpec, Targets, TcpProbe, TimeoutScope, TlsSpec,
    Version, engine,
};
use crate::net::addr::Addr;
use crate::upstream::live_generation;

/// The running checks of one upstream.
pub struct Checker {
    check: Check,
    /// Names the targets as the settings it was started with do.
    host: Option<String>,
    port: Option<u16>,
}

impl Checker {
    /// Starts the checks of an upstream that has some.
    pub fn start(upstream: &Upstream) -> Option<Arc<Self>> {
        let settings = upstream.checks.as_ref()?;
        let engine = match engine() {
            Ok(engine) => engine,
            Err(error) => {
                emit(Level::Alert, format_args!("health checks cannot run: {error}"));
                return None;
            }
        };
        let spec = spec(&format!("upstream#{}", upstream.key), settings);
        let tls = spec.probe.tls().map(|_| system_tls()).transpose().unwrap_or_else(|text| {
            emit(Level::Error, format_args!("{text}"));
            None
        });
        let (host, port) = place(settings);
        let targets = targets(upstream, host.as_deref(), port);
        let check = engine.open(Open {
            spec,
            targets: Targets::List(targets),
            log: log::main_chain(),
            tls,
            generation: live_generation(),
        });
        Some(Arc::new(Self { check, host, port }))
    }

    /// The same checks under other settings: targets that stay keep their states.
    pub fn anew(&self, upstream: &Upstream) -> Option<Arc<Self>> {
        let _running = self.check.clone();
        Self::start(upstream)
    }

    /// Follows the nodes of an upstream.
    pub fn follow(&self, upstream: &Upstream) {
        self.check.set_targets(targets(upstream, self.host.as_deref(), self.port));
    }

    /// A request ended with this status, which this node gave.
    pub fn answered(&self, node: &Node, status: u16) {
        self.check.report_status(&self.key(node), status, Source::Passive);
    }

    /// A try at this node was given up for another.
    pub fn attempt_failed(&self, node: &Node, status: u16) {
        let key = self.key(node);
        match status {
            504 => self.check.report(&key, &Report::passive(Seen::Timeout)),
            502 => self.check.report(&key, &Report::passive(Seen::TcpFailure)),
            status => self.check.report_status(&key, status, Source::Passive),
        };
    }

    /// What is known of a node.
    pub fn state(&self, node: &Node) -> Option<PeerReport> {
        self.check.peer(&self.key(node))
    }

    /// The port of a node's probes.
    pub fn port_of(&self, node: &Node) -> u16 {
        self.port.unwrap_or(node.spec.port)
    }

    /// What the Control API calls a node's `hostname`: `active.host`, else the address.
    pub fn hostname_of(&self, node: &Node) -> String {
        hostname(node, self.host.as_deref())
    }

    fn key(&self, node: &Node) -> Key {
        key(node, self.host.as_deref(), self.port)
    }
}

/// What an upstream's document asks the engine for; nothing without `checks`.
pub fn asked(document: &Value) -> Result<Option<(CheckSpec, Vec<TargetSpec>)>, String> {
    let mut document = document.clone();
    schema::check(Kind::Upstream, &mut document)?;
    let upstream = Upstream::build("/apisix/upstreams/1", &document, None)?;
    let Some(settings) = &upstream.checks else { return Ok(None) };
    let (host, port) = place(settings);
    let targets = targets(&upstream, host.as_deref(), port);
    Ok(Some((spec(&format!("upstream#{}", upstream.key), settings), targets)))
}

/// The host and port that the settings give the probes.
fn place(settings: &CheckSettings) -> (Option<String>, Option<u16>) {
    let host = settings.active.as_ref().and_then(|active| active.host.clone());
    (host, probe_port(Some(settings)))
}

fn key(node: &Node, host: Option<&str>, port: Option<u16>) -> Key {
    let addr = Addr::Inet((node.ip, port.unwrap_or(node.spec.port)).into());
    Key::new(addr.to_string(), hostname(node, host))
}

/// A node's name is no part of what a target is: two names of one address are one target.
fn hostname(node: &Node, host: Option<&str>) -> String {
    host.map_or_else(|| node.ip_text(), str::to_owned)
}

/// The nodes as targets.
fn targets(upstream: &Upstream, host: Option<&str>, port: Option<u16>) -> Vec<TargetSpec> {
    let set = upstream.set.load();
    let target = |node: &Node| {
        let key = key(node, host, port);
        let addr = Addr::Inet((node.ip, port.unwrap_or(node.spec.port)).into());
        let mut target = TargetSpec::new(key.name, key.server, Some(addr));
        target.target.weight = node.spec.weight;
        let line = host_header(upstream, node);
        let line = line.unwrap_or_else(|| hostname(node, host));
        target.target.host = Some(line.into());
        target.peer = Some(node.peer.clone());
        target
    };
    set.nodes.list.iter().map(target).collect()
}

/// The `Host` of probes, where it is not the target's hostname: the rewritten one, or the name of
/// the node.
pub fn host_header(upstream: &Upstream, node: &Node) -> Option<String> {
    if upstream.conf.pass_host == PassHost::Rewrite {
        return Some(upstream.conf.upstream_host.clone());
    }
    node.spec.ip().is_none().then(|| node.spec.host.clone())
}

/// Translates the document's words.
fn spec(name: &str, settings: &CheckSettings) -> CheckSpec {
    let mut spec = CheckSpec::new(Dialect::Apisix, name);
    spec.timeout_scope = TimeoutScope::EachOperation;
    spec.passive = passive(settings.passive.as_ref());
    let Some(active) = &settings.active else {
        spec.probe = ProbeSpec::None;
        return spec;
    };
    let (good, bad) = (active.healthy.as_ref(), active.unhealthy.as_ref());
    spec.timeout_ms = span_ms(active.timeout).max(1);
    spec.concurrency = (active.concurrency as usize).max(1);
    spec.pace = Pace::lanes(
        good.map_or(0, |good| span_ms(good.interval)),
        bad.map_or(0, |bad| span_ms(bad.interval)),
    );
    spec.machine = MachineSpec::Counters(Limits {
        successes: good.map_or(SUCCESSES, |good| good.successes as u8),
        http_failures: bad.map_or(HTTP_FAILURES, |bad| bad.http_failures as u8),
        tcp_failures: bad.map_or(TCP_FAILURES, |bad| bad.tcp_failures as u8),
        timeouts: bad.map_or(TIMEOUTS, |bad| bad.timeouts as u8),
    });
    if active.kind == "tcp" {
        spec.probe = ProbeSpec::Tcp(TcpProbe::default());
        return spec;
    }
    let statuses = |list: Option<&Vec<f64>>, usual: &[u16]| match list {
        Some(list) => Statuses::of(list.iter().map(|status| *status as u16)),
        None => Statuses::of(usual.iter().copied()),
    };
    let line = |line: &String| BString::from(line.as_str());
    spec.probe = ProbeSpec::Http(HttpProbe {
        method: word(&active.http_method, "GET").into(),
        path: active.http_path.as_str().into(),
        headers: active.req_headers.iter().map(line).collect(),
        body: active.http_req_body.as_str().into(),
        version: Version::V11,
        order: HeadOrder::ConnectionFirst,
        pass: Pass::TwoLists {
            healthy: statuses(good.map(|good| &good.http_statuses), &[200, 302]),
            unhealthy: statuses(bad.map(|bad| &bad.http_statuses), &BAD_STATUSES),
        },
        tls: (active.kind == "https")
            .then(|| TlsSpec { verify: active.https_verify_certificate, ..TlsSpec::default() }),
        ..HttpProbe::default()
    });
    spec
}

/// Requests count even when the document says nothing about them: tries that were given up, by the
/// library's own limits.
fn passive(passive: Option<&Passive>) -> PassiveSpec {
    let usual = Limits { successes: 5, http_failures: 5, tcp_failures: 2, timeouts: 7 };
    let Some(passive) = passive else {
        return PassiveSpec { limits: Some(usual), ..PassiveSpec::default() };
    };
    let (good, bad) = (passive.healthy.as_ref(), passive.unhealthy.as_ref());
    let limits = Limits {
        successes: good.map_or(usual.successes, |good| good.successes as u8),
        http_failures: bad.map_or(usual.http_failures, |bad| bad.http_failures as u8),
        tcp_failures: bad.map_or(usual.tcp_failures, |bad| bad.tcp_failures as u8),
        timeouts: bad.map_or(usual.timeouts, |bad| bad.timeouts as u8),
    };
    let of = |list: &Vec<f64>| Statuses::of(list.iter().map(|status| *status as u16));
    let (ranges, usual_bad) = ([200..=208, 226..=226, 300..=308], [429, 500, 503]);
    let healthy = good
        .map_or_else(|| Statuses::of(ranges.into_iter().flatten()), |good| of(&good.http_statuses));
    let unhealthy = bad.map_or_else(|| Statuses::of(usual_bad), |bad| of(&bad.http_statuses));
    let pass = Pass::TwoLists { healthy, unhealthy };
    PassiveSpec { limits: Some(limits), pass: Some(pass), ..PassiveSpec::default() }
}

fn word<'a>(word: &'a str, usual: &'a str) -> &'a str {
    if word.is_empty() { usual } else { word }
}

/// The library's numbers where a block is absent.
const SUCCESSES: u8 = 2;
const HTTP_FAILURES: u8 = 5;
const TCP_FAILURES: u8 = 2;
const TIMEOUTS: u8 = 3;
const BAD_STATUSES: [u16; 8] = [429, 404, 500, 501, 502, 503, 504, 505];

#[cfg(test)]
mod tests;

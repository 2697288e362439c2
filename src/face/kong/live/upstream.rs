//! One upstream at work: its targets' addresses, the group traffic picks from, the check.
//!
//! ```text
//!  UpstreamConf + targets ─▶ addresses ─▶ Group (weights, method)   reports ─▶ check (passive)
//!                                └──────▶ Check (verdicts) ─▶ the group's peers
//! ```
//!
//! A changed entity makes a new `Upstream` around the same group and check, so that nothing that
//! was found out about a target is lost.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::super::entity::{Algorithm, TargetConf, UpstreamConf};
use super::super::schema::fields::split_host;
use super::Live;
use super::trust::Wanted;
use crate::base::log::{Level, emit, main_chain};
use crate::health::dialect::kong::Around;
use crate::health::machine::Seen;
use crate::health::{self, Check, Key, Open, Report, Source, TargetSpec, Targets};
use crate::net::addr::Addr;
use crate::upstream::{self, Algo, Body, Group, Peer, ReportKind, Server, Snapshot};

/// An upstream and its targets.
pub struct Upstream {
    pub conf: UpstreamConf,
    pub targets: Vec<Target>,
    pub group: Arc<Group>,
    /// `None` when nobody checks.
    pub check: Option<Check>,
    /// The check that hears of requests; the group's subscription looks here.
    listener: Listener,
}

/// One target with the addresses behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub id: String,
    /// `host:port`
    pub text: String,
    pub host: String,
    pub port: u16,
    pub weight: u32,
    pub addrs: Vec<SocketAddr>,
    /// Why there is no address.
    pub fault: Option<String>,
}

type Listener = Arc<ArcSwapOption<Check>>;

impl Upstream {
    /// Makes an upstream of its entities, going on with what `before` knows.
    pub fn build(
        conf: UpstreamConf,
        own: &[TargetConf],
        before: Option<&Arc<Self>>,
        live: &Live,
    ) -> Arc<Self> {
        let targets: Vec<Target> = own.iter().filter_map(|t| Target::find(t, live)).collect();
        if let Some(same) = before.filter(|old| old.conf == conf && old.targets == targets) {
            return same.clone();
        }
        let (group, listener) = group_for(&conf, &targets, before);
        let mut upstream = Self { conf, targets, group, check: None, listener };
        upstream.check = upstream.open(live);
        upstream.listener.store(upstream.check.clone().map(Arc::new));
        Arc::new(upstream)
    }

    /// An upstream for a service that names a host.
    pub fn of_host(host: &str, port: u16, before: Option<&Arc<Self>>, live: &Live) -> Arc<Self> {
        let conf = UpstreamConf::of_host(host);
        let target = TargetConf::of_host(host, port);
        Self::build(conf, &[target], before, live)
    }

    pub fn target(&self, key: &str) -> Option<&Target> {
        self.targets.iter().find(|target| target.id == key || target.text == key)
    }

    /// Whether traffic may go to this address now.
    pub fn is_up(&self, target: &Target, addr: SocketAddr) -> bool {
        let known = self.check.as_ref().and_then(|check| check.peer(&target.key(addr)));
        known.is_none_or(|peer| peer.up)
    }

    /// Sets the state of a target's addresses by hand; false when nobody checks.
    pub fn force(&self, target: &Target, only: Option<SocketAddr>, up: bool) -> bool {
        let Some(check) = &self.check else { return false };
        for addr in target.addrs.iter().filter(|addr| only.is_none_or(|only| only == **addr)) {
            check.force(&target.key(*addr), up);
        }
        true
    }

    /// Whether targets go down by themselves and never come back so.
    pub fn is_one_way(&self) -> bool {
        let checks = &self.conf.healthchecks;
        checks.is_passive() && !checks.recovers()
    }

    /// Whether so much weight is left as `threshold` asks for.
    pub fn has_enough(&self) -> bool {
        let threshold = self.conf.healthchecks.threshold;
        if threshold <= 0.0 {
            // Without a live peer the group itself refuses.
            return true;
        }
        let (mut total, mut available) = (0i64, 0i64);
        let snapshot = self.group.snapshot();
        for peer in snapshot.primary.peers() {
            total += peer.conf.weight;
            available += if peer.is_down() { 0 } else { peer.conf.weight };
        }
        available as f64 * 100.0 > threshold * total as f64
    }

    fn open(&self, live: &Live) -> Option<Check> {
        let checks = &self.conf.healthchecks;
        let host_header = self.conf.host_header.clone();
        let around = Around { host_header, exclusive: live.options.exclusive };
        let spec = checks.spec(&self.conf.name, &around)?;
        let engine = health::engine()
            .inspect_err(|error| emit(Level::Error, format_args!("kong: no checks: {error}")))
            .ok()?;
        Some(engine.open(Open {
            spec,
            targets: Targets::List(self.target_specs()),
            log: main_chain(),
            tls: live.trust.client(Wanted { http2: checks.asks_grpc(), ..Wanted::default() }),
            generation: upstream::live_generation(),
        }))
    }

    fn target_specs(&self) -> Vec<TargetSpec> {
        let snapshot = self.group.snapshot();
        let weighty = self.targets.iter().filter(|target| target.weight > 0);
        let each = weighty.flat_map(|target| target.addrs.iter().map(move |addr| (target, *addr)));
        each.map(|(target, addr)| {
            let key = target.key(addr);
            let peer = peer_of(&snapshot, &target.text, addr);
            let mut spec = TargetSpec::new(key.name, key.server, Some(Addr::Inet(addr)));
            spec.target.weight = target.weight;
            TargetSpec { peer, ..spec }
        })
        .collect()
    }
}

impl Target {
    fn find(conf: &TargetConf, live: &Live) -> Option<Self> {
        let (host, port) = split_host(&conf.target)?;
        let port = port?;
        let (ips, fault) = match live.names.addresses(&host) {
            Ok(ips) => (ips, None),
            Err(fault) => (Vec::new(), Some(fault)),
        };
        Some(Self {
            id: conf.id.clone(),
            text: conf.target.clone(),
            host,
            port,
            weight: conf.weight,
            addrs: ips.into_iter().map(|ip: IpAddr| SocketAddr::new(ip, port)).collect(),
            fault,
        })
    }

    /// How the check knows one address of the target.
    pub fn key(&self, addr: SocketAddr) -> Key {
        Key { name: addr.to_string(), server: self.host.as_str().into() }
    }
}

/// The group of an upstream: the one before with other servers, or a new one for another method.
fn group_for(
    conf: &UpstreamConf,
    targets: &[Target],
    before: Option<&Arc<Upstream>>,
) -> (Arc<Group>, Listener) {
    let algo = match conf.algorithm {
        Algorithm::RoundRobin => Algo::RoundRobin,
        Algorithm::LeastConnections => Algo::LeastConn,
        Algorithm::Latency => Algo::Latency,
        Algorithm::ConsistentHashing => Algo::Hash { key: Default::default(), consistent: true },
    };
    let servers = servers(targets, matches!(algo, Algo::Hash { .. }));
    if let Some(old) = before.filter(|old| *old.group.algo() == algo) {
        old.group.replace(&servers);
        return (old.group.clone(), old.listener.clone());
    }
    let group = Group::named(conf.name.as_bytes().into(), 0);
    group.fill(Body { servers, algo, explicit: true, ..Body::default() });
    if let Some(old) = before {
        group.adopt(&old.group);
    }
    let listener = Listener::default();
    let told = listener.clone();
    group.subscribe(Box::new(move |report| hear(&told, report)));
    (Arc::new(group), listener)
}

/// Passes what a request found out to the check, as Kong's balancer does.
fn hear(listener: &Listener, report: &upstream::Report) {
    let guard = listener.load();
    let Some(check) = guard.as_deref() else { return };
    let conf = &report.peer.conf;
    let text = String::from_utf8_lossy(&conf.server);
    let Some((host, _)) = split_host(&text) else { return };
    let key = Key { name: conf.name.clone(), server: host.into() };
    let seen = match report.kind {
        ReportKind::Status(status) => {
            check.report_status(&key, status, Source::Passive);
            return;
        }
        ReportKind::Timeout => Seen::Timeout,
        ReportKind::Broken | ReportKind::Invalid => Seen::TcpFailure,
    };
    check.report(&key, &Report::passive(seen));
}

/// Targets of weight 0 take no part at all.
fn servers(targets: &[Target], hashed: bool) -> Vec<Server> {
    let heaviest = targets.iter().map(|target| target.weight).max().unwrap_or(0);
    let weighty = targets.iter().filter(|target| target.weight > 0 && !target.addrs.is_empty());
    weighty
        .map(|target| Server {
            weight: match hashed {
                true => ring_weight(target.weight, heaviest),
                false => target.weight.into(),
            },
            max_fails: 0,
            ..Server::new(
                target.text.as_str().into(),
                target.addrs.iter().map(|addr| Addr::Inet(*addr)).collect(),
            )
        })
        .collect()
}

/// A ring has 160 points for each unit of weight: a hundred units would be far too many.
fn ring_weight(weight: u32, heaviest: u32) -> i64 {
    let scaled = u64::from(weight) * RING_WEIGHT_MAX / u64::from(heaviest.max(1));
    scaled.max(1) as i64
}

fn peer_of(snapshot: &Snapshot, server: &str, addr: SocketAddr) -> Option<Arc<Peer>> {
    let same = |peer: &&Arc<Peer>| {
        peer.conf.server == server.as_bytes() && peer.conf.addr == Addr::Inet(addr)
    };
    snapshot.primary.peers().iter().find(same).cloned()
}

const RING_WEIGHT_MAX: u64 = 10;

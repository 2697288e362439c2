//! A named group of peers and the snapshot its readers work on.
//!
//! ```text
//!  Group ── body: servers, algorithm, keepalive     set once, when its upstream{} was read
//!        └─ set: ArcSwap<Snapshot>                  replaced as a whole
//!              Snapshot { primary: PeerSet, backup: Option<PeerSet> }
//! ```

use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use bstr::{BStr, BString};

use super::keepalive::KeepaliveConf;
use super::names::Names;
use super::peer::{Peer, PeerConf};
use super::pick::{Algo, Points, Seed, Tries};
use super::report::{Report, Subscribers, Watchers};
use super::resolve::{Answers, Wanted};
use crate::base::clock;
use crate::conf::Scope;
use crate::net::addr::Addr;

/// A named group: an `upstream {}`, or the address of a `proxy_pass`.
pub struct Group {
    realm: Realm,
    host: BString,
    port: AtomicU16,
    body: OnceLock<Body>,
    set: ArcSwap<Snapshot>,
    /// Whom servers with names ask, and what was answered.
    names: OnceLock<Names>,
    answers: Answers,
    reports: Subscribers,
    watchers: Watchers,
}

impl Group {
    /// A group whose servers are not known yet. `port` is 0 when the name carries none.
    pub fn named(host: &BStr, port: u16) -> Self {
        Self::in_realm(Realm::Http, host, port)
    }

    /// The same for servers of one kind.
    pub fn in_realm(realm: Realm, host: &BStr, port: u16) -> Self {
        Self {
            realm,
            host: host.to_owned(),
            port: AtomicU16::new(port),
            body: OnceLock::new(),
            set: ArcSwap::default(),
            names: OnceLock::new(),
            answers: Answers::default(),
            reports: Subscribers::default(),
            watchers: Watchers::default(),
        }
    }

    /// Whose group it is.
    pub fn realm(&self) -> Realm {
        self.realm
    }

    /// Gives the group its servers. Later calls change nothing.
    pub fn fill(&self, body: Body) {
        let set = Snapshot::build(&body.servers);
        if self.body.set(body).is_ok() {
            self.set.store(Arc::new(set));
        }
    }

    /// The name without its port.
    pub fn host(&self) -> &BStr {
        self.host.as_ref()
    }

    /// The port of the name, 0 for none.
    pub fn port(&self) -> u16 {
        self.port.load(Relaxed)
    }

    /// The group turned out to be an `upstream {}`: its name carries no port.
    pub(super) fn drop_port(&self) {
        self.port.store(0, Relaxed);
    }

    /// The name as `ngx.upstream` tells it: `foo`, or `127.0.0.1:8080` for an implicit group.
    pub fn name(&self) -> BString {
        let mut name = self.host.clone();
        let port = self.port();
        if port > 0 {
            name.extend_from_slice(format!(":{port}").as_bytes());
        }
        name
    }

    /// The servers as configured, in order. Empty for an implicit group made from a name.
    pub fn servers(&self) -> &[Server] {
        self.body.get().map_or(&[], |b| b.listed())
    }

    pub fn algo(&self) -> &Algo {
        self.body.get().map_or(&Algo::RoundRobin, |b| &b.algo)
    }

    /// How idle connections are kept; `None` when they are not.
    pub fn keepalive(&self) -> Option<&KeepaliveConf> {
        self.body.get().and_then(|b| b.keepalive.as_ref())
    }

    /// What other features wrote into the `upstream {}` block.
    pub fn scope(&self) -> Option<&Scope> {
        self.body.get().map(|b| &b.scope)
    }

    /// True for an `upstream {}`, false for a group made by `proxy_pass`.
    pub fn is_explicit(&self) -> bool {
        self.body.get().is_some_and(|b| b.explicit)
    }

    /// True once [`Group::fill`] was called.
    pub fn is_filled(&self) -> bool {
        self.body.get().is_some()
    }

    /// The peers now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.set.load_full()
    }

    /// Begins to pick peers for one request.
    pub fn tries(self: &Arc<Self>, seed: Seed) -> Tries {
        Tries::new(self.clone(), seed)
    }

    /// Takes over the states of the same peers of `old`, the group of this name before a reload.
    pub fn adopt(&self, old: &Self) {
        let mut fresh = self.snapshot();
        if self.wanted().next().is_some() {
            self.answers.adopt(&old.answers, self.servers());
            fresh = Arc::new(Snapshot::build(&self.servers_now()));
        }
        let adopted = fresh.adopt(&old.snapshot(), self.has_zone());
        self.set.store(Arc::new(adopted));
    }

    /// The servers as configured, but those with names as their last answers say.
    pub fn servers_now(&self) -> Vec<Server> {
        self.answers.servers(self.servers())
    }

    /// What is asked for while requests run.
    pub(super) fn wanted(&self) -> impl Iterator<Item = &Wanted> {
        self.servers().iter().filter_map(|server| server.wanted.as_ref())
    }

    pub(super) fn answers(&self) -> &Answers {
        &self.answers
    }

    pub(super) fn names(&self) -> Option<&Names> {
        self.names.get()
    }

    /// Later calls change nothing.
    pub(super) fn set_names(&self, names: Names) {
        let _ = self.names.set(names);
    }

    /// Peers are kept for all workers, over reloads as well.
    pub fn has_zone(&self) -> bool {
        self.body.get().is_some_and(|b| b.zone.is_some())
    }

    /// A name has other addresses now.
    pub(super) fn refresh(&self) {
        self.replace(&self.servers_now());
    }

    /// Replaces the servers, keeping the state of peers that stay.
    pub fn replace(&self, servers: &[Server]) {
        let next = Snapshot::build(servers).adopt(&self.snapshot(), true);
        self.set.store(Arc::new(next));
        self.watchers.tell();
    }

    /// Calls `f` after each change of the list, until the number it gives is taken back.
    pub fn watch(&self, f: Box<dyn Fn() + Send + Sync>) -> u64 {
        self.watchers.add(f)
    }

    pub fn unwatch(&self, id: u64) {
        self.watchers.remove(id);
    }

    /// Whether a report would be heard.
    pub fn listens(&self) -> bool {
        *self.algo() == Algo::Latency || self.reports.any()
    }

    /// Tells the subscribers what happened to a request.
    pub fn report(&self, report: &Report) {
        if *self.algo() == Algo::Latency {
            let took_ms = report.took.as_millis() as u64;
            report.peer.latency().observe(took_ms, clock::mono_ms());
        }
        self.reports.tell(report);
    }

    /// Calls `f` with every later report, until the number it gives is unsubscribed.
    pub fn subscribe(&self, f: Box<dyn Fn(&Report) + Send + Sync>) -> u64 {
        self.reports.add(f)
    }

    pub fn unsubscribe(&self, id: u64) {
        self.reports.remove(id);
    }
}

/// The kind of server that passes on to a group: each has names of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Realm {
    #[default]
    Http,
    Stream,
}

/// What an `upstream {}` holds.
#[derive(Default)]
pub struct Body {
    pub servers: Vec<Server>,
    pub algo: Algo,
    pub keepalive: Option<KeepaliveConf>,
    /// Name of the `zone`, when there is one.
    pub zone: Option<BString>,
    pub explicit: bool,
    /// The settings of the block, all features'.
    pub scope: Scope,
    /// The servers were made up from a resolved name; `get_servers` shows none.
    pub unlisted: bool,
}

impl Body {
    fn listed(&self) -> &[Server] {
        if self.unlisted { &[] } else { &self.servers }
    }
}

/// One `server` line.
#[derive(Clone, Debug)]
pub struct Server {
    /// As written; empty for an implicit group.
    pub name: BString,
    pub addrs: Vec<Addr>,
    /// Asked for while requests run; there are no addresses then.
    pub wanted: Option<Wanted>,
    pub weight: i64,
    pub max_fails: u32,
    pub fail_timeout_s: i64,
    pub max_conns: u32,
    pub slow_start_ms: u64,
    pub backup: bool,
    pub down: bool,
    /// Takes only requests that belong to it.
    pub drain: bool,
    /// What `sticky` calls it.
    pub route: Option<BString>,
}

impl Server {
    /// A server with nginx's defaults.
    pub fn new(name: BString, addrs: Vec<Addr>) -> Self {
        Self {
            name,
            addrs,
            wanted: None,
            weight: 1,
            max_fails: 1,
            fail_timeout_s: 10,
            max_conns: 0,
            slow_start_ms: 0,
            backup: false,
            down: false,
            drain: false,
            route: None,
        }
    }

    fn peers(&self) -> impl Iterator<Item = PeerConf> + '_ {
        self.addrs.iter().map(|addr| PeerConf {
            name: addr.to_string(),
            server: self.name.clone(),
            addr: addr.clone(),
            weight: self.weight,
            max_fails: self.max_fails,
            fail_timeout_s: self.fail_timeout_s,
            max_conns: self.max_conns,
            slow_start_ms: self.slow_start_ms,
            down: self.down,
            drain: self.drain,
            route: self.route.clone(),
        })
    }
}

/// The peers of a group at one moment.
#[derive(Default)]
pub struct Snapshot {
    pub primary: PeerSet,
    pub backup: Option<PeerSet>,
}

impl Snapshot {
    pub fn build(servers: &[Server]) -> Self {
        let pick = |backup: bool| -> Vec<Arc<Peer>> {
            let chosen = servers.iter().filter(|s| s.backup == backup);
            chosen.flat_map(Server::peers).map(|c| Arc::new(Peer::new(c))).collect()
        };
        Self::of(pick(false), pick(true))
    }

    /// Both lists, primary then backup; the flag says which.
    pub fn lists(&self) -> impl Iterator<Item = (bool, &PeerSet)> {
        std::iter::once((false, &self.primary)).chain(self.backup.iter().map(|b| (true, b)))
    }

    /// A peer by its list and place, as the keys of the shared dictionary name it.
    pub fn peer(&self, backup: bool, id: usize) -> Option<&Arc<Peer>> {
        let set = if backup { self.backup.as_ref()? } else { &self.primary };
        set.peers.get(id)
    }

    /// How often a request may be tried at most.
    pub fn tries(&self) -> usize {
        self.primary.tries + self.backup.as_ref().map_or(0, |b| b.tries)
    }

    fn of(primary: Vec<Arc<Peer>>, backup: Vec<Arc<Peer>>) -> Self {
        // nginx: a sole primary is "single" only while there is no backup to go to.
        let single = primary.len() == 1 && backup.is_empty();
        let backup = (!backup.is_empty()).then(|| PeerSet::new(backup, false));
        Self { primary: PeerSet::new(primary, single), backup }
    }

    fn adopt(&self, old: &Self, keep_fails: bool) -> Self {
        let mut known: Vec<&Arc<Peer>> = old.lists().flat_map(|(_, set)| &set.peers).collect();
        let mut take = |set: &PeerSet| -> Vec<Arc<Peer>> {
            set.peers.iter().map(|p| adopt_one(p, &mut known, keep_fails)).collect()
        };
        let primary = take(&self.primary);
        let backup = self.backup.as_ref().map(&mut take).unwrap_or_default();
        Self::of(primary, backup)
    }
}

/// Peers among which one is picked.
#[derive(Default)]
pub struct PeerSet {
    peers: Vec<Arc<Peer>>,
    single: bool,
    total_weight: i64,
    tries: usize,
    /// Held while weights are compared; a dozen instructions, never over an await.
    order: Mutex<()>,
    points: OnceLock<Points>,
    /// What `sticky` calls the peers, where that is asked for.
    sids: OnceLock<Vec<BString>>,
}

impl PeerSet {
    fn new(peers: Vec<Arc<Peer>>, single: bool) -> Self {
        let total_weight = peers.iter().map(|p| p.conf.weight).sum();
        let tries = peers.iter().filter(|p| !p.conf.down && !p.conf.drain).count();
        Self { peers, single, total_weight, tries, ..Self::default() }
    }

    pub fn peers(&self) -> &[Arc<Peer>] {
        &self.peers
    }

    pub fn is_single(&self) -> bool {
        self.single
    }

    pub fn total_weight(&self) -> i64 {
        self.total_weight
    }

    pub(super) fn points(&self) -> &Points {
        self.points.get_or_init(|| Points::build(&self.peers))
    }

    pub(super) fn sids(&self) -> &[BString] {
        self.sids.get_or_init(|| self.peers.iter().map(|p| p.sid().into_owned()).collect())
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, ()> {
        // The lock guards no data: a panic elsewhere cannot have left it half written.
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds the old peer of the same identity, at most once each: the same address and server text.
fn adopt_one(new: &Arc<Peer>, known: &mut Vec<&Arc<Peer>>, keep_fails: bool) -> Arc<Peer> {
    let same =
        |old: &&Arc<Peer>| old.conf.addr == new.conf.addr && old.conf.server == new.conf.server;
    let moved = |old: &&Arc<Peer>| old.conf.addr == new.conf.addr;
    let at = known.iter().position(same).or_else(|| known.iter().position(moved));
    let Some(at) = at else { return new.clone() };
    let old = known.swap_remove(at);
    Arc::new(Peer::adopt(new.conf.clone(), old, keep_fails))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> Server {
        let addr = Addr::literal(text.as_bytes()).expect("a literal address");
        Server::new(text.into(), vec![addr])
    }

    fn group(servers: Vec<Server>) -> Group {
        let g = Group::named("foo".into(), 0);
        g.fill(Body { servers, explicit: true, ..Body::default() });
        g
    }

    #[test]
    fn a_backup_makes_a_sole_primary_one_of_several() {
        let mut b = server("127.0.0.1:2");
        b.backup = true;
        assert!(group(vec![server("127.0.0.1:1")]).snapshot().primary.is_single());
        let g = group(vec![server("127.0.0.1:1"), b]);
        assert!(!g.snapshot().primary.is_single());
        assert_eq!(g.snapshot().tries(), 2);
    }

    #[test]
    fn down_follows_the_address_not_the_place() {
        let old = group(vec![server("127.0.0.1:1"), server("127.0.0.1:2")]);
        let bit = crate::upstream::CheckBit::nth(0);
        old.snapshot().primary.peers()[0].hold(bit, true);
        let new = group(vec![server("127.0.0.1:2"), server("127.0.0.1:3")]);
        new.adopt(&old);
        assert!(new.snapshot().primary.peers().iter().all(|p| !p.is_down()));
        let back = group(vec![server("127.0.0.1:9"), server("127.0.0.1:1")]);
        back.adopt(&old);
        assert!(back.snapshot().primary.peers()[1].is_down());
    }

    #[test]
    fn names() {
        assert_eq!(Group::named("127.0.0.1".into(), 81).name(), "127.0.0.1:81");
        assert_eq!(Group::named("foo.com:1234".into(), 0).name(), "foo.com:1234");
    }
}

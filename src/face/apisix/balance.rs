//! Picks a node for each try of a request, and judges the tries that were given up.
//!
//! ```text
//!  rank by rank: nodes up and not tried ─▶ method ─▶ node ─▶ proxy
//!       ▲                                                     │ failed
//!       └── tell the checker, count the try ◀─────────────────┘
//! ```

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

use bstr::ByteSlice;
use bytes::Bytes;

use super::limit_count::combine;
use super::model::{Conf, HashOn, Method, Node, PassHost, Rank, Set, Upstream, span_ms};
use crate::base::clock;
use crate::base::log::Level;
use crate::conf::Scope;
use crate::http::Request;
use crate::http::balancer::{Balancer, Chooser, Chosen, LastFailure, Turn, Verdict};

/// Makes a group ask here for its peers.
pub fn attach(scope: &mut Scope) {
    scope.part_mut::<Chooser>().0 = Some(Arc::new(ByRank));
}

/// What one request has tried so far; kept in the request.
#[derive(Default)]
pub struct Passing(RefCell<Option<Way>>);

impl Passing {
    pub fn begin(&self, way: Way) {
        *self.0.borrow_mut() = Some(way);
    }

    /// The request is answered: how the last node fared.
    pub fn end(&self, status: u16) {
        if let Some(way) = self.0.borrow_mut().take() {
            way.end(status);
        }
    }
}

/// The way of one request through its upstream.
pub struct Way {
    upstream: Arc<Upstream>,
    set: Arc<Set>,
    tried: Vec<usize>,
    now: Option<usize>,
    hash: Option<u32>,
    /// All nodes are down: each is used as if it were up.
    blind: bool,
    began_ms: u64,
    try_began_ms: u64,
    host: Rc<RefCell<Bytes>>,
}

impl Way {
    pub fn new(
        r: &Rc<Request>,
        upstream: Arc<Upstream>,
        set: Arc<Set>,
        host: Rc<RefCell<Bytes>>,
    ) -> Self {
        let list = &set.nodes.list;
        let blind = list.len() == 1 || !list.iter().any(Node::is_up);
        if blind && list.len() > 1 {
            r.log(Level::Warn, format_args!("all upstream nodes is unhealthy, use default"));
        }
        let hash = (upstream.conf.method == Method::Chash).then(|| hash_of(r, &upstream));
        let now_ms = clock::mono_ms();
        Self {
            upstream,
            set,
            tried: Vec::new(),
            now: None,
            hash,
            blind,
            began_ms: now_ms,
            try_began_ms: now_ms,
            host,
        }
    }

    /// The next node, or none when all were tried or are down.
    fn pick(&self) -> Option<usize> {
        self.set.nodes.ranks.iter().find_map(|rank| self.pick_in(rank))
    }

    fn pick_in(&self, rank: &Rank) -> Option<usize> {
        let list = &self.set.nodes.list;
        let usable = |at: &usize| !self.tried.contains(at) && (self.blind || list[*at].is_up());
        let weighty = |at: &usize| list[*at].spec.weight > 0;
        let any_weighty = rank.members.iter().any(|at| usable(at) && weighty(at));
        let takes = |at: usize| usable(&at) && (!any_weighty || weighty(&at));
        let candidates = || rank.members.iter().copied().filter(|at| takes(*at));
        candidates().next()?;
        match self.upstream.conf.method {
            Method::Chash => self.on_ring(rank, takes),
            Method::LeastConn => candidates().min_by(|a, b| {
                let load = |at: usize| {
                    let node: &Node = &list[at];
                    (1 + node.active.load(Relaxed)) as f64 / f64::from(node.spec.weight.max(1))
                };
                load(*a).total_cmp(&load(*b))
            }),
            Method::Ewma => {
                let all: Vec<usize> = candidates().collect();
                let (a, b) = two_of(all.len(), &list[all[0]]);
                let now_ms = clock::mono_ms();
                let value = |at: usize| list[at].latency.at(now_ms);
                Some(if value(all[b]) < value(all[a]) { all[b] } else { all[a] })
            }
            Method::RoundRobin | Method::Unknown(_) => self.in_turn(rank, takes),
        }
    }

    /// Smooth weighted round robin, as nginx does it.
    fn in_turn(&self, rank: &Rank, takes: impl Fn(usize) -> bool) -> Option<usize> {
        let mut turns = rank.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut total, mut best) = (0, None);
        for (place, at) in rank.members.iter().enumerate().filter(|(_, at)| takes(**at)) {
            let weight = i64::from(self.set.nodes.list[*at].spec.weight.max(1));
            total += weight;
            turns[place] += weight;
            if best.is_none_or(|(_, best_place): (usize, usize)| turns[place] > turns[best_place]) {
                best = Some((*at, place));
            }
        }
        let (at, place) = best?;
        turns[place] -= total;
        Some(at)
    }

    /// The first usable node from the hash on: a node that comes back finds its keys again.
    fn on_ring(&self, rank: &Rank, takes: impl Fn(usize) -> bool) -> Option<usize> {
        let ring = rank.ring.get_or_init(|| ring(rank, &self.set.nodes.list));
        let hash = self.hash.unwrap_or(0);
        let from = ring.partition_point(|(point, _)| *point < hash);
        let (before, after) = ring.split_at(from);
        let mut walk = after.iter().chain(before).map(|(_, at)| *at);
        walk.find(|at| takes(*at)).or_else(|| rank.members.iter().copied().find(|at| takes(*at)))
    }

    fn enter(&mut self, at: usize) {
        self.now = Some(at);
        self.try_began_ms = clock::mono_ms();
        self.set.nodes.list[at].active.fetch_add(1, Relaxed);
    }

    fn leave(&mut self) -> Option<usize> {
        let at = self.now.take()?;
        self.set.nodes.list[at].active.fetch_sub(1, Relaxed);
        Some(at)
    }

    /// A try was given up for another: its node hears of it.
    fn give_up(&mut self, failure: Option<LastFailure>) {
        let Some(at) = self.leave() else { return };
        let Some(failure) = failure else { return };
        if failure.kept {
            // The connection was old; the node may be tried again.
            return;
        }
        self.tried.push(at);
        if let Some(checker) = self.upstream.checker() {
            checker.attempt_failed(&self.set.nodes.list[at], failure.status);
        }
    }

    fn end(mut self, status: u16) {
        let Some(at) = self.leave() else { return };
        let node = &self.set.nodes.list[at];
        let now_ms = clock::mono_ms();
        node.latency.observe(now_ms.saturating_sub(self.try_began_ms), now_ms);
        if let Some(checker) = self.upstream.checker() {
            checker.answered(node, status);
        }
    }

    fn is_late(&self) -> bool {
        let limit_ms = span_ms(self.upstream.conf.retry_timeout);
        limit_ms > 0 && clock::mono_ms().saturating_sub(self.began_ms) >= limit_ms
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        // The client may leave in the middle of a try.
        self.leave();
    }
}

/// Chooses by the way that the gateway began for the request.
struct ByRank;

impl Balancer for ByRank {
    fn choose(&self, r: &Rc<Request>, turn: &Rc<Turn>) -> Verdict {
        let Some(passing) = r.ext_if_any::<Passing>() else { return Verdict::Status(500) };
        let mut way = passing.0.borrow_mut();
        let Some(way) = way.as_mut() else { return Verdict::Status(500) };
        way.give_up(turn.last_failure.get());
        if turn.tries_made.get() > 1 && way.is_late() {
            return Verdict::Status(502);
        }
        let Some(at) = way.pick() else {
            r.log(Level::Error, format_args!("failed to pick server: all upstream servers tried"));
            return Verdict::Status(502);
        };
        way.enter(at);
        let set = way.set.clone();
        let node = &set.nodes.list[at];
        if way.upstream.conf.pass_host == PassHost::Node {
            *way.host.borrow_mut() = host_of(node, &way.upstream.conf);
            turn.recreate_request.set(true);
        }
        let addr = node.peer.conf.addr.clone();
        *turn.peer.borrow_mut() = Some(Chosen { addr, host: None });
        Verdict::Go
    }

    fn forgives_kept(&self) -> bool {
        true
    }
}

/// The `Host` of `pass_host: node`: with the port unless it is the scheme's.
pub fn host_of(node: &Node, conf: &Conf) -> Bytes {
    let host = node.spec.host_text();
    match node.spec.port {
        port if port == conf.usual_port() => host.into(),
        port => format!("{host}:{port}").into(),
    }
}

/// What the request hashes to.
fn hash_of(r: &Rc<Request>, upstream: &Upstream) -> u32 {
    let conf = &upstream.conf;
    let var = |name: &str| r.var_by_name(name.as_bytes());
    let value = match conf.hash_on {
        HashOn::Vars => var(&conf.key),
        HashOn::Header => r.headers_in.borrow().first(&conf.key).cloned(),
        HashOn::Cookie => var(&format!("cookie_{}", conf.key)),
        HashOn::Consumer => None,
        HashOn::VarsCombinations => Some(combine(&conf.key, var)),
    };
    let value = value.filter(|value| !value.is_empty());
    let value = value.unwrap_or_else(|| r.conn.remote_text.borrow().clone());
    crc32fast::hash(&value)
}

/// 160 points for each unit of weight after dividing by the common divisor, placed as nginx's
/// consistent hash places them.
fn ring(rank: &Rank, list: &[Node]) -> Vec<(u32, usize)> {
    let weight = |at: &usize| list[*at].spec.weight;
    let divisor = rank.members.iter().map(weight).fold(0, gcd).max(1);
    let mut points = Vec::new();
    for at in &rank.members {
        let mut hasher = crc32fast::Hasher::new();
        // A zero byte between host and port, as nginx has it.
        hasher.update(&list[*at].name().as_bytes().replace(b":", b"\0"));
        let mut before = [0; 4];
        for _ in 0..weight(at) / divisor * POINTS {
            let mut point = hasher.clone();
            point.update(&before);
            let point = point.finalize();
            before = point.to_le_bytes();
            points.push((point, *at));
        }
    }
    points.sort_unstable();
    points
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Two different places below `count`, by a generator that needs no seed of its own.
fn two_of(count: usize, node: &Node) -> (usize, usize) {
    let moment = clock::instant_at(0).elapsed().as_nanos() as u64;
    let mut x = moment ^ (std::ptr::from_ref(node) as u64);
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x as usize
    };
    let a = next() % count;
    let b = if count > 1 { (a + 1 + next() % (count - 1)) % count } else { a };
    (a, b)
}

const POINTS: u32 = 160;

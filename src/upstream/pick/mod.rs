//! Picks a peer for each try of a request; the algorithms are nginx's, step for step.
//!
//! ```text
//!  Tries { tried bits, primary|backup, seed } ──next──▶ Picked { peer } ──▶ connection …
//!     ▲                                                    │
//!     └──────────── tries left ◀──── release(Failed|Fine) ─┘
//! ```

mod hash;
mod ip_hash;
mod latency;
mod least_conn;
mod random;
mod round_robin;
mod sticky;

use std::net::IpAddr;
use std::sync::Arc;

use bstr::BString;
use smallvec::{SmallVec, smallvec};

pub(super) use self::hash::Points;
use self::round_robin::RoundRobin;
use super::group::{Group, PeerSet, Snapshot};
use super::peer::Peer;

/// The load balancing methods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Algo {
    #[default]
    RoundRobin,
    LeastConn,
    IpHash,
    /// `hash key [consistent]`; the key is a template the caller evaluates.
    Hash {
        key: BString,
        consistent: bool,
    },
    /// `random [two]`.
    Random {
        two: bool,
    },
    /// Of two by chance the one that answers sooner.
    Latency,
}

impl Algo {
    /// Weights decide at every turn, so that a peer's share can grow: slow start needs this.
    pub fn is_weighed(&self) -> bool {
        matches!(self, Self::RoundRobin | Self::LeastConn)
    }

    fn pick(&self, set: &PeerSet, turn: &mut Turn, now_s: i64) -> Option<usize> {
        if let Some(at) = sticky::pick(self, set, turn, now_s) {
            return Some(at);
        }
        match self {
            Self::RoundRobin => RoundRobin.pick(set, turn, now_s),
            Self::LeastConn => least_conn::LeastConn.pick(set, turn, now_s),
            // nginx runs these over the primaries only; backups are shared out in turn.
            _ if turn.backup => RoundRobin.pick(set, turn, now_s),
            Self::IpHash => ip_hash::IpHash.pick(set, turn, now_s),
            Self::Hash { consistent: false, .. } => hash::Hash.pick(set, turn, now_s),
            Self::Hash { consistent: true, .. } => hash::Consistent.pick(set, turn, now_s),
            Self::Random { two: false } => random::Random.pick(set, turn, now_s),
            Self::Random { two: true } => random::Two.pick(set, turn, now_s),
            Self::Latency => latency::Latency.pick(set, turn, now_s),
        }
    }
}

/// What a method knows about the request.
#[derive(Clone, Debug, Default)]
pub struct Seed {
    /// The evaluated key of `hash`.
    pub key: BString,
    /// The client's address, for `ip_hash`.
    pub client: Option<IpAddr>,
    /// The peer the request belongs to, as `sticky` calls it.
    pub sid: Option<BString>,
}

/// The picking of peers for one request.
pub struct Tries {
    group: Arc<Group>,
    snapshot: Arc<Snapshot>,
    turn: Turn,
    left: usize,
}

impl Tries {
    pub(super) fn new(group: Arc<Group>, seed: Seed) -> Self {
        let snapshot = group.snapshot();
        let left = snapshot.tries();
        let turn = Turn::new(&snapshot.primary, seed);
        Self { group, snapshot, turn, left }
    }

    /// Picks the next peer and counts the request in.
    pub fn next(&mut self, now_s: i64) -> Result<Picked, NoLivePeers> {
        let set = set_of(&self.snapshot, &self.turn);
        let at = match self.group.algo().pick(set, &mut self.turn, now_s) {
            Some(at) => Some(at),
            None => self.switch_to_backup(now_s),
        };
        let Some(at) = at else {
            return Err(NoLivePeers { group: self.group.host().to_owned() });
        };
        let set = set_of(&self.snapshot, &self.turn);
        let (single, peer) = (set.is_single(), set.peers()[at].clone());
        self.turn.mark(at);
        peer.enter(now_s, !single);
        Ok(Picked { peer, single, entered: true })
    }

    /// Tells how the try went and counts the request out. True when the peer is from now on
    /// `temporarily disabled`.
    pub fn release(&mut self, mut picked: Picked, failed: bool, now_s: i64) -> bool {
        let peer = &picked.peer;
        let mut disabled = false;
        if picked.single {
            peer.clear_fails();
            self.left = 0;
        } else if failed {
            disabled = peer.fail(now_s);
        } else {
            peer.pass();
        }
        self.left = self.left.saturating_sub(1);
        picked.leave();
        disabled
    }

    /// How many more tries the group allows.
    pub fn left(&self) -> usize {
        self.left
    }

    pub fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// Once the primaries are used up the request stays with the backups.
    fn switch_to_backup(&mut self, now_s: i64) -> Option<usize> {
        if self.turn.backup {
            return None;
        }
        let backup = self.snapshot.backup.as_ref()?;
        self.turn.backup = true;
        self.turn.clear(backup.peers().len());
        self.group.algo().pick(backup, &mut self.turn, now_s)
    }
}

/// A peer that a request was counted into; dropping it counts the request out.
pub struct Picked {
    peer: Arc<Peer>,
    single: bool,
    entered: bool,
}

impl Picked {
    pub fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// The peer took the connection: what it failed before counts no more.
    pub fn connected(&self) {
        self.peer.pass();
    }

    /// The group has no other peer to go on to.
    pub fn is_single(&self) -> bool {
        self.single
    }

    fn leave(&mut self) {
        if std::mem::take(&mut self.entered) {
            self.peer.leave();
        }
    }
}

impl Drop for Picked {
    fn drop(&mut self) {
        self.leave();
    }
}

/// nginx's `no live upstreams`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no live upstreams")]
pub struct NoLivePeers {
    /// What `$upstream_addr` shows instead of an address.
    pub group: BString,
}

/// Chooses one peer of a set.
trait Pick {
    /// The place of the chosen peer, or `None` when no peer can take the request.
    fn pick(&self, set: &PeerSet, turn: &mut Turn, now_s: i64) -> Option<usize>;
}

/// What one request has tried so far.
struct Turn {
    tried: SmallVec<[u64; 1]>,
    backup: bool,
    seed: Seed,
    /// Sum of the hashes so far, or the place on the ring.
    hash: u32,
    rehash: u32,
    /// Misses of a hash or random method; after 20 it falls back to round robin.
    misses: u32,
}

impl Turn {
    fn new(set: &PeerSet, seed: Seed) -> Self {
        let words = set.peers().len().div_ceil(64).max(1);
        Self { tried: smallvec![0; words], backup: false, seed, hash: 0, rehash: 0, misses: 0 }
    }

    fn is_tried(&self, at: usize) -> bool {
        self.tried[at / 64] & (1 << (at % 64)) != 0
    }

    fn mark(&mut self, at: usize) {
        self.tried[at / 64] |= 1 << (at % 64);
    }

    fn clear(&mut self, peers: usize) {
        self.tried = smallvec![0; peers.div_ceil(64).max(1)];
    }

    /// Counts a miss; true when the method has to give up.
    fn miss(&mut self) -> bool {
        self.misses += 1;
        self.misses > MAX_MISSES
    }

    /// True when the place can be used now.
    fn can_use(&self, set: &PeerSet, at: usize, now_s: i64) -> bool {
        !self.is_tried(at) && set.peers()[at].is_usable(now_s)
    }
}

/// The list a request is working through.
fn set_of<'a>(snapshot: &'a Snapshot, turn: &Turn) -> &'a PeerSet {
    match &snapshot.backup {
        Some(backup) if turn.backup => backup,
        _ => &snapshot.primary,
    }
}

/// The place of the peer that owns the `w`-th unit of weight.
fn at_weight(set: &PeerSet, mut w: i64) -> usize {
    for (at, peer) in set.peers().iter().enumerate() {
        if w < peer.conf.weight {
            return at;
        }
        w -= peer.conf.weight;
    }
    set.peers().len().saturating_sub(1)
}

const MAX_MISSES: u32 = 20;

#[cfg(test)]
mod tests;

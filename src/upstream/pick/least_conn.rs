//! The peer with the fewest requests in flight for its weight; equals take turns.

use super::{Pick, RoundRobin, Turn};
use crate::upstream::{Peer, PeerSet};

/// The `least_conn` directive.
pub(super) struct LeastConn;

impl Pick for LeastConn {
    fn pick(&self, set: &PeerSet, turn: &mut Turn, now_s: i64) -> Option<usize> {
        if set.is_single() {
            return RoundRobin.pick(set, turn, now_s);
        }
        let _order = set.lock();
        let peers = set.peers();
        let usable = |at: &usize| turn.can_use(set, *at, now_s);
        let mut first: Option<usize> = None;
        let mut many = false;
        for at in (0..peers.len()).filter(usable) {
            match first {
                Some(best) if load(&peers[at], &peers[best]) > load(&peers[best], &peers[at]) => {}
                Some(best) if load(&peers[at], &peers[best]) == load(&peers[best], &peers[at]) => {
                    many = true;
                }
                _ => (first, many) = (Some(at), false),
            }
        }
        let first = first?;
        Some(if many { take_turns(set, first, usable) } else { first })
    }
}

/// Requests of `a` weighed so that they compare with those of `b`.
pub(super) fn load(a: &Peer, b: &Peer) -> i64 {
    i64::from(a.conns()) * b.weight_parts()
}

/// Round robin among the peers as little loaded as `first`, which is the first of them.
fn take_turns(set: &PeerSet, first: usize, usable: impl Fn(&usize) -> bool) -> usize {
    let peers = set.peers();
    let mut best = first;
    let mut total = 0;
    for at in (first..peers.len()).filter(usable) {
        // nginx compares with the best so far, not with the first.
        if load(&peers[at], &peers[best]) != load(&peers[best], &peers[at]) {
            continue;
        }
        total += peers[at].grow();
        if peers[at].current_weight() > peers[best].current_weight() {
            best = at;
        }
    }
    peers[best].pay(total);
    best
}

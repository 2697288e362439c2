//! `random`: a peer by chance and weight; `random two`: the less loaded of two such peers.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use super::least_conn::load;
use super::{MAX_MISSES, Pick, RoundRobin, Turn, at_weight};
use crate::upstream::{Peer, PeerSet};

/// `random`.
pub(super) struct Random;

impl Pick for Random {
    fn pick(&self, set: &PeerSet, turn: &mut Turn, now_s: i64) -> Option<usize> {
        if turn.misses > MAX_MISSES || set.peers().len() < 2 || set.total_weight() == 0 {
            return RoundRobin.pick(set, turn, now_s);
        }
        loop {
            let at = at_weight(set, chance(set.total_weight()));
            if turn.can_use(set, at, now_s) {
                return Some(at);
            }
            if turn.miss() {
                return RoundRobin.pick(set, turn, now_s);
            }
        }
    }
}

/// `random two`.
pub(super) struct Two;

impl Pick for Two {
    fn pick(&self, set: &PeerSet, turn: &mut Turn, now_s: i64) -> Option<usize> {
        of_two(set, turn, now_s, |a, b| load(a, b) > load(b, a))
    }
}

/// Draws two peers and takes the second, unless it is worse.
pub(super) fn of_two(
    set: &PeerSet,
    turn: &mut Turn,
    now_s: i64,
    is_worse: impl Fn(&Peer, &Peer) -> bool,
) -> Option<usize> {
    if turn.misses > MAX_MISSES || set.peers().len() < 2 || set.total_weight() == 0 {
        return RoundRobin.pick(set, turn, now_s);
    }
    let mut first: Option<usize> = None;
    loop {
        let at = at_weight(set, chance(set.total_weight()));
        if first != Some(at) && turn.can_use(set, at, now_s) {
            let Some(before) = first else {
                first = Some(at);
                continue;
            };
            let (a, b) = (&set.peers()[at], &set.peers()[before]);
            return Some(if is_worse(a, b) { before } else { at });
        }
        if turn.miss() {
            return RoundRobin.pick(set, turn, now_s);
        }
    }
}

/// A number below `limit` from this thread's xorshift generator.
fn chance(limit: i64) -> i64 {
    STATE.with(|state| {
        let mut x = state.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        state.set(x);
        (x % limit.unsigned_abs().max(1)) as i64
    })
}

thread_local! {
    static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0u8) | 1);
}

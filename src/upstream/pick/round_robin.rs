//! Smooth weighted round robin.
//!
//! Each pick adds every usable peer's effective weight to its current weight, takes the largest
//! and charges it the sum. Weights 5, 1, 1 give `a a b a c a a`.

use super::{Pick, Turn};
use crate::upstream::PeerSet;

/// nginx's default method.
pub(super) struct RoundRobin;

impl Pick for RoundRobin {
    fn pick(&self, set: &PeerSet, turn: &mut Turn, now_s: i64) -> Option<usize> {
        if set.is_single() {
            // A sole peer is used whatever its failures, and again on every try.
            let peer = set.peers().first()?;
            return (!peer.is_down() && !peer.conf.drain && !peer.is_full()).then_some(0);
        }
        let _order = set.lock();
        let usable = (0..set.peers().len()).filter(|at| turn.can_use(set, *at, now_s));
        smooth(set, usable, None)
    }
}

/// One smooth weighted turn among `places`, or that of `given`. The caller holds the order lock.
pub(super) fn smooth(
    set: &PeerSet,
    places: impl Iterator<Item = usize>,
    given: Option<usize>,
) -> Option<usize> {
    let mut total = 0;
    let mut best: Option<usize> = None;
    for at in places {
        let peer = &set.peers()[at];
        total += peer.grow();
        if best.is_none_or(|b| peer.current_weight() > set.peers()[b].current_weight()) {
            best = Some(at);
        }
    }
    let best = given.or(best);
    set.peers()[best?].pay(total);
    best
}

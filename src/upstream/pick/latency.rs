//! The one of two peers, drawn by weight, that has been answering sooner.

use super::{Pick, Turn, random};
use crate::base::clock;
use crate::upstream::{Peer, PeerSet};

/// Kong's `latency`. A peer that was never asked, or not for long, is taken for quick.
pub(super) struct Latency;

impl Pick for Latency {
    fn pick(&self, set: &PeerSet, turn: &mut Turn, now_s: i64) -> Option<usize> {
        let now_ms = clock::mono_ms();
        let slower = |a: &Peer, b: &Peer| a.latency().at(now_ms) > b.latency().at(now_ms);
        random::of_two(set, turn, now_s, slower)
    }
}

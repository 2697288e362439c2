//! `ip_hash`: the same client goes to the same peer; IPv4 clients by their first three octets.

use std::net::IpAddr;

use smallvec::SmallVec;

use super::{MAX_MISSES, Pick, RoundRobin, Turn, at_weight};
use crate::upstream::PeerSet;

/// The `ip_hash` directive.
pub(super) struct IpHash;

impl Pick for IpHash {
    fn pick(&self, set: &PeerSet, turn: &mut Turn, now_s: i64) -> Option<usize> {
        if turn.misses > MAX_MISSES || set.peers().len() < 2 || set.total_weight() == 0 {
            return RoundRobin.pick(set, turn, now_s);
        }
        let octets = octets(turn.seed.client);
        let mut hash = if turn.rehash == 0 { FIRST } else { turn.hash };
        loop {
            for octet in &octets {
                hash = (hash * 113 + u32::from(*octet)) % 6271;
            }
            let at = at_weight(set, i64::from(hash) % set.total_weight());
            if turn.can_use(set, at, now_s) {
                (turn.hash, turn.rehash) = (hash, 1);
                return Some(at);
            }
            if turn.miss() {
                return RoundRobin.pick(set, turn, now_s);
            }
        }
    }
}

fn octets(client: Option<IpAddr>) -> SmallVec<[u8; 16]> {
    match client {
        Some(IpAddr::V4(ip)) => SmallVec::from_slice(&ip.octets()[..3]),
        Some(IpAddr::V6(ip)) => SmallVec::from_slice(&ip.octets()),
        None => SmallVec::from_slice(&[0; 3]),
    }
}

const FIRST: u32 = 89;

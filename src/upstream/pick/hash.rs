//! `hash key`: by the remainder as Cache::Memcached, or by a ring as Cache::Memcached::Fast.
//!
//! ```text
//!   plain:       sum of (crc32([n] key) >> 16) & 0x7fff, modulo the total weight
//!   consistent:  160 points for each unit of weight; first point at or after crc32(key)
//! ```

use std::sync::Arc;

use bstr::{BString, ByteSlice};

use super::round_robin::smooth;
use super::{MAX_MISSES, Pick, RoundRobin, Turn, at_weight};
use crate::upstream::{Peer, PeerSet};

/// `hash key`.
pub(super) struct Hash;

impl Pick for Hash {
    fn pick(&self, set: &PeerSet, turn: &mut Turn, now_s: i64) -> Option<usize> {
        let hopeless = turn.misses > MAX_MISSES || set.peers().len() < 2;
        if hopeless || turn.seed.key.is_empty() || set.total_weight() == 0 {
            return RoundRobin.pick(set, turn, now_s);
        }
        loop {
            turn.hash = turn.hash.wrapping_add(next_hash(turn));
            turn.rehash += 1;
            let at = at_weight(set, i64::from(turn.hash) % set.total_weight());
            if turn.can_use(set, at, now_s) {
                return Some(at);
            }
            if turn.miss() {
                return RoundRobin.pick(set, turn, now_s);
            }
        }
    }
}

/// `hash key consistent`.
pub(super) struct Consistent;

impl Pick for Consistent {
    fn pick(&self, set: &PeerSet, turn: &mut Turn, now_s: i64) -> Option<usize> {
        let hopeless = turn.misses > MAX_MISSES || set.is_single();
        let points = set.points();
        if hopeless || turn.seed.key.is_empty() || points.ring.is_empty() {
            return RoundRobin.pick(set, turn, now_s);
        }
        if turn.rehash == 0 {
            turn.rehash = 1;
            turn.hash = points.after(crc32fast::hash(&turn.seed.key)) as u32;
        }
        loop {
            let server = points.server(turn.hash);
            let picked = {
                let _order = set.lock();
                let members = (0..set.peers().len()).filter(|at| {
                    set.peers()[*at].conf.server == *server && turn.can_use(set, *at, now_s)
                });
                smooth(set, members, None)
            };
            if picked.is_some() {
                return picked;
            }
            turn.hash = turn.hash.wrapping_add(1);
            if turn.miss() {
                return RoundRobin.pick(set, turn, now_s);
            }
        }
    }
}

/// The ring of a consistent hash.
pub(in crate::upstream) struct Points {
    /// Hash and place in `servers`, in order of hash, one of each hash.
    ring: Vec<(u32, usize)>,
    servers: Vec<BString>,
}

impl Points {
    pub(in crate::upstream) fn build(peers: &[Arc<Peer>]) -> Self {
        let mut ring = Vec::new();
        let mut servers = Vec::with_capacity(peers.len());
        for (at, peer) in peers.iter().enumerate() {
            servers.push(peer.conf.server.clone());
            let base = base_hash(&peer.conf.server);
            let mut previous = 0u32;
            for _ in 0..peer.conf.weight * POINTS_PER_WEIGHT {
                let mut hasher = base.clone();
                hasher.update(&previous.to_le_bytes());
                previous = hasher.finalize();
                ring.push((previous, at));
            }
        }
        ring.sort_by_key(|(hash, _)| *hash);
        ring.dedup_by_key(|(hash, _)| *hash);
        Self { ring, servers }
    }

    /// The place of the first point at or after `hash`.
    fn after(&self, hash: u32) -> usize {
        self.ring.partition_point(|(h, _)| *h < hash)
    }

    fn server(&self, place: u32) -> &BString {
        let (_, server) = self.ring[place as usize % self.ring.len()];
        &self.servers[server]
    }
}

/// Hash of `HOST \0 PORT`, to be continued with the previous point.
fn base_hash(server: &[u8]) -> crc32fast::Hasher {
    let (host, port) = host_and_port(server);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(host);
    hasher.update(b"\0");
    hasher.update(port);
    hasher
}

fn host_and_port(server: &[u8]) -> (&[u8], &[u8]) {
    if server.len() >= 5 && server[..5].eq_ignore_ascii_case(b"unix:") {
        return (&server[5..], b"");
    }
    match server.rfind_byte(b':') {
        Some(at) if server[at + 1..].iter().all(u8::is_ascii_digit) => {
            (&server[..at], &server[at + 1..])
        }
        _ => (server, b""),
    }
}

fn next_hash(turn: &Turn) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    if turn.rehash > 0 {
        hasher.update(turn.rehash.to_string().as_bytes());
    }
    hasher.update(&turn.seed.key);
    (hasher.finalize() >> 16) & 0x7fff
}

const POINTS_PER_WEIGHT: i64 = 160;

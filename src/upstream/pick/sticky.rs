//! The peer a request belongs to: `sticky` names it by the `route=` of its line or a digest of its
//! address.
//!
//! ```text
//!  Seed.sid ─▶ peer of that name, if it can be used ─▶ taken; turns are counted for it
//! ```

use std::borrow::Cow;

use bstr::{BStr, BString, ByteSlice};
use md5::{Digest, Md5};

use super::round_robin::smooth;
use super::{Algo, Turn};
use crate::upstream::{Peer, PeerSet};

impl Peer {
    /// What `sticky` calls it.
    pub fn sid(&self) -> Cow<'_, BStr> {
        match &self.conf.route {
            Some(route) => Cow::Borrowed(route.as_bstr()),
            None => {
                let digest = Md5::digest(self.conf.name.as_bytes());
                let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                Cow::Owned(BString::from(hex))
            }
        }
    }
}

/// The place of the peer the request belongs to, if it can take it.
pub(super) fn pick(algo: &Algo, set: &PeerSet, turn: &Turn, now_s: i64) -> Option<usize> {
    let sid = turn.seed.sid.as_ref()?;
    let at = set.sids().iter().position(|known| known == sid)?;
    let peer = &set.peers()[at];
    let tried = turn.is_tried(at) && !set.is_single();
    if tried || peer.is_down() || peer.is_full() || !set.is_single() && peer.is_failed(now_s) {
        return None;
    }
    if *algo == Algo::RoundRobin && !set.is_single() {
        count_turn(set, at, turn, now_s);
    }
    Some(at)
}

/// Lets the others' turns come sooner for it, but not without end.
fn count_turn(set: &PeerSet, at: usize, turn: &Turn, now_s: i64) {
    let _order = set.lock();
    let peer = &set.peers()[at];
    if peer.current_weight() <= peer.conf.weight - set.total_weight() {
        return;
    }
    let usable = (0..set.peers().len()).filter(|at| turn.can_use(set, *at, now_s));
    smooth(set, usable, Some(at));
}

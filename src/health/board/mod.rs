//! One check of many peers without its sockets: every peer at its own pace. Time comes in.
//!
//! ```text
//!   launch(now) ─▶ Launch { seat, target } ─▶ the shell probes ─▶ finish(seat, outcome)
//!   report(key, seen) ────────────────────────────────────────▶ machine ─▶ Event … ─▶ drain()
//!   tick(now) ── leases, ejections, overrides ────────────────▶    └─▶ shade: what traffic is told
//! ```
//!
//! No peer ever has two probes in flight, slots that were missed are skipped, and what traffic is
//! told follows from the machines by the policy alone.

mod event;
mod quiet;
mod results;
mod seat;
mod shade;
mod timing;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use slab::Slab;

pub use self::event::{Event, Forced, Override, What};
use self::quiet::Quiet;
pub use self::results::{Report, Reported};
pub use self::seat::Seat;
use self::shade::Shade;
use super::machine::Machine;
use super::spec::{CheckSpec, Initial};
use super::target::{Key, Target, TargetSpec};
use super::watch::Watch;
use crate::upstream::{CheckBit, Peer};

/// The check.
#[derive(Debug)]
pub struct Board {
    spec: Arc<CheckSpec>,
    bit: CheckBit,
    seats: Slab<Seat>,
    index: HashMap<Key, usize>,
    /// Seats in the order of their list.
    order: Vec<usize>,
    /// Traffic peers, by the identity of their state.
    peers: HashMap<usize, usize>,
    /// Seats by the slot of their next probe.
    due: BTreeMap<u64, Vec<SeatId>>,
    /// Due, and waiting for room.
    ready: VecDeque<SeatId>,
    timers: BinaryHeap<Reverse<(u64, SeatId)>>,
    /// Seats that lost their holders; whoever remembers something of them may forget it.
    left: Vec<SeatId>,
    flight: usize,
    stamps: u32,
    active: bool,
    /// The group has no requests.
    idle: bool,
    shade: Shade,
    quiet: Quiet,
    events: Vec<Event>,
    /// Somebody wants to hear of each probe.
    pub(super) tell_probes: bool,
}

/// Names a seat and its holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeatId {
    at: u32,
    stamp: u32,
}

/// A probe to be sent now.
#[derive(Clone, Debug)]
pub struct Launch {
    pub seat: SeatId,
    pub target: Arc<Target>,
}

/// The two clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic: schedules.
    pub mono_ms: u64,
    /// Wall: what people read.
    pub wall_ms: u64,
}

impl Board {
    pub fn new(spec: Arc<CheckSpec>, bit: CheckBit) -> Self {
        Self {
            spec,
            bit,
            seats: Slab::new(),
            index: HashMap::new(),
            order: Vec::new(),
            peers: HashMap::new(),
            due: BTreeMap::new(),
            ready: VecDeque::new(),
            timers: BinaryHeap::new(),
            left: Vec::new(),
            flight: 0,
            stamps: 0,
            active: true,
            idle: false,
            quiet: Quiet::default(),
            shade: Shade::default(),
            events: Vec::new(),
            tell_probes: false,
        }
    }

    pub fn spec(&self) -> &Arc<CheckSpec> {
        &self.spec
    }

    /// The seats, in the order of their list.
    pub fn seats(&self) -> impl Iterator<Item = &Seat> {
        self.order.iter().filter_map(|at| self.seats.get(*at))
    }

    pub fn seat(&self, key: &Key) -> Option<&Seat> {
        self.index.get(key).and_then(|at| self.seats.get(*at))
    }

    /// Verdicts are being ignored.
    pub fn is_panicking(&self) -> bool {
        self.shade.panic
    }

    /// What happened since the last call.
    pub fn drain(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The seats given up since the last call.
    pub fn drain_left(&mut self) -> Vec<SeatId> {
        std::mem::take(&mut self.left)
    }

    /// Who holds a seat, while that is the same.
    pub fn target(&self, seat: SeatId) -> Option<Arc<Target>> {
        self.holder(seat).map(|at| self.seats[at].watch.target.clone())
    }

    /// True while the holder of a seat is the same.
    pub fn is_taken(&self, seat: SeatId) -> bool {
        self.holder(seat).is_some()
    }

    /// Adds a target. False when it is known: then nothing changes.
    pub fn add(&mut self, spec: &TargetSpec, now: Now) -> bool {
        let target = spec.aimed(self.spec.port);
        if self.index.contains_key(&target.key()) {
            return false;
        }
        let up = spec.up.unwrap_or(self.spec.policy.initial == Initial::Up);
        let at = self.sit(target, spec.peer.clone(), up, spec.up.is_some(), now);
        self.reshade(at, now);
        true
    }

    /// Removes a target; what its probe finds is of no interest any more.
    pub fn remove(&mut self, key: &Key, now: Now) -> bool {
        let Some(at) = self.index.get(key).copied() else { return false };
        self.order.retain(|o| *o != at);
        self.stand_up(at, now);
        self.shade_all(now);
        true
    }

    /// Removes all targets.
    pub fn clear(&mut self, now: Now) {
        for at in std::mem::take(&mut self.order) {
            self.leave(at);
        }
        self.shade = Shade::default();
        self.tell(None, What::Cleared, now);
    }

    /// Follows a whole new list: known targets keep their states.
    pub fn reconcile(&mut self, targets: Vec<TargetSpec>, now: Now) {
        let old = std::mem::take(&mut self.order);
        let mut stays = vec![false; self.seats.capacity().max(old.len())];
        for spec in &targets {
            let target = spec.aimed(self.spec.port);
            match self.index.get(&target.key()).copied() {
                // The same target twice in one list is one target.
                Some(at) if stays.get(at) == Some(&true) => {}
                Some(at) => {
                    stays[at] = true;
                    self.order.push(at);
                    self.renew(at, target, spec.peer.clone());
                }
                None => {
                    let up = spec.up.unwrap_or(self.spec.policy.initial == Initial::Up);
                    let at = self.sit(target, spec.peer.clone(), up, spec.up.is_some(), now);
                    stays.resize(stays.len().max(at + 1), false);
                    stays[at] = true;
                }
            }
        }
        for at in old.into_iter().filter(|at| !stays[*at]) {
            self.stand_up(at, now);
        }
        self.shade_all(now);
    }

    /// Goes on under another specification of the same check.
    pub fn respec(&mut self, spec: Arc<CheckSpec>, now: Now) {
        let machine_changed = spec.machine != self.spec.machine;
        let anew = !spec.policy.persistent && spec.policy.initial != Initial::Up;
        let old = std::mem::replace(&mut self.spec, spec);
        for at in self.order.clone() {
            let before_ms = self.seats[at].interval_ms(&old.pace);
            let machine = &mut self.seats[at].watch.machine;
            if anew {
                *machine = self.spec.machine.build(false, now.mono_ms);
                self.seats[at].proven = false;
            } else if machine_changed {
                *machine = self.spec.machine.rebuild(machine, now.mono_ms);
            }
            // Who is being probed goes on at the new pace; a new configuration is no new beginning.
            let armed = self.seats[at].due_ms.is_some() || self.seats[at].ready;
            match armed && self.probes() && !anew {
                true => self.repace(at, before_ms, now.mono_ms),
                false => self.start(at, now.mono_ms),
            }
            self.set_timer(at);
        }
        self.shade_all(now);
    }

    /// Goes on with what an earlier process knew.
    pub fn restore(&mut self, now: Now, mut each: impl FnMut(&Target, &mut Machine) -> bool) {
        for at in self.order.clone() {
            let seat = &mut self.seats[at];
            if each(&seat.watch.target, &mut seat.watch.machine) {
                seat.proven = true;
                // The pace follows the state.
                self.start(at, now.mono_ms);
                self.set_timer(at);
            }
        }
        self.shade_all(now);
    }

    /// The check is over: nobody is held down by it.
    pub fn end(&mut self) {
        for seat in self.seats.iter().filter_map(|(_, s)| s.peer.as_ref()) {
            seat.forget(self.bit);
        }
    }

    fn sit(
        &mut self,
        target: Target,
        peer: Option<Arc<Peer>>,
        up: bool,
        proven: bool,
        now: Now,
    ) -> usize {
        self.stamps += 1;
        let machine = self.spec.machine.build(up, now.mono_ms);
        let key = target.key();
        let watch = Watch::new(Arc::new(target), machine);
        let peer_id = peer.as_ref().map(|p| p.state_id());
        let at = self.seats.insert(Seat::new(watch, self.stamps, peer, proven));
        self.index.insert(key, at);
        self.order.push(at);
        if let Some(id) = peer_id {
            self.peers.insert(id, at);
        }
        self.tell(Some(at), What::Added { up }, now);
        self.start(at, now.mono_ms);
        self.set_timer(at);
        self.enter_counts(at);
        at
    }

    /// A known target under its new parameters.
    fn renew(&mut self, at: usize, target: Target, peer: Option<Arc<Peer>>) {
        let seat = &mut self.seats[at];
        if *seat.watch.target != target {
            seat.watch.target = Arc::new(target);
        }
        let before = seat.peer.as_ref().map(|p| p.state_id());
        let after = peer.as_ref().map(|p| p.state_id());
        if before != after
            && let Some(old) = &seat.peer
        {
            old.forget(self.bit);
        }
        seat.peer = peer;
        if before != after {
            // The new peer has heard nothing yet.
            seat.held = false;
            before.map(|id| self.peers.remove(&id));
            after.map(|id| self.peers.insert(id, at));
        }
    }

    fn stand_up(&mut self, at: usize, now: Now) {
        self.tell(Some(at), What::Removed, now);
        self.leave(at);
    }

    fn leave(&mut self, at: usize) {
        self.leave_counts(at);
        self.left.push(self.id(at));
        let seat = self.seats.remove(at);
        self.flight -= usize::from(seat.watch.busy);
        self.index.remove(&seat.watch.target.key());
        if let Some(peer) = &seat.peer {
            peer.forget(self.bit);
            self.peers.remove(&peer.state_id());
            self.stir();
        }
    }

    fn tell(&mut self, at: Option<usize>, what: What, now: Now) {
        let watch = at.map(|at| &self.seats[at].watch);
        let target = watch.map(|w| w.target.clone());
        let after = watch.map(|w| (w.machine.state(), w.machine.lanes().packed()));
        let spec = self.spec.clone();
        self.events.push(Event { at_ms: now.wall_ms, spec, target, after, what });
    }

    /// The place of a seat, if its holder is still the same.
    fn holder(&self, id: SeatId) -> Option<usize> {
        let at = id.at as usize;
        self.seats.get(at).filter(|s| s.stamp == id.stamp).map(|_| at)
    }

    fn id(&self, at: usize) -> SeatId {
        SeatId { at: at as u32, stamp: self.seats[at].stamp }
    }
}

#[cfg(test)]
mod tests;

//! When each peer is probed: its own grid, jitter, slots; and what time alone brings about.
//!
//! ```text
//!   grid    |·········|·········|·········|      every interval_ms, from the peer's own phase
//!   jitter     ▲          ▲        ▲             later by a part of the interval
//!   slots     └▶        └▶          └▶           rounded up: peers wake the engine together
//! ```
//!
//! The queue is a map from slots to the seats of each: there are far fewer slots than seats. A seat
//! stands in it once; when its probe is put off it stays where it is and moves on from there.

use std::cmp::Reverse;

use super::event::What;
use super::{Board, Launch, Now, SeatId};
use crate::health::machine::Tick;
use crate::health::outcome::{Kind, Outcome};
use crate::health::schedule::{First, phase_ms};
use crate::health::spec::{Pace, ProbeSpec};
use crate::health::watch::Source;

impl Board {
    /// A probe that is due, while there is room for one.
    pub fn launch(&mut self, now: Now) -> Option<Launch> {
        self.collect(now.mono_ms);
        while self.flight < self.spec.concurrency.max(1) {
            let id = self.ready.pop_front()?;
            let Some(at) = self.holder(id) else { continue };
            let active = self.active;
            let seat = &mut self.seats[at];
            let waits = std::mem::take(&mut seat.ready);
            if !waits || seat.watch.busy || !active {
                continue;
            }
            if self.is_busy_with_requests(at, now.mono_ms) {
                self.rearm(at, now.mono_ms);
                continue;
            }
            let seat = &mut self.seats[at];
            seat.watch.busy = true;
            seat.last_ms = seat.slot_ms;
            self.flight += 1;
            return Some(Launch { seat: id, target: seat.watch.target.clone() });
        }
        None
    }

    /// When to look again: the next probe or deadline, or the old place of one put off. While there
    /// is no room for a probe that is due, the end of one in flight is what to wait for.
    pub fn next_at_ms(&self) -> Option<u64> {
        let is_live = |at_ms, id: &SeatId| {
            let seat = self.holder(*id).map(|at| &self.seats[at]);
            seat.is_some_and(|s| s.queued_ms == Some(at_ms) && s.due_ms.is_some())
        };
        let mut slots = self.due.iter();
        let first = slots.find(|(at_ms, ids)| ids.iter().any(|id| is_live(**at_ms, id)));
        let due_ms = first.map(|(at_ms, _)| *at_ms);
        let timer_ms = self.timers.peek().map(|Reverse((at_ms, _))| *at_ms);
        [due_ms, timer_ms].into_iter().flatten().min()
    }

    /// Lets time pass: leases run out, ejections and overrides end.
    pub fn tick(&mut self, now: Now) {
        while let Some(Reverse((at_ms, id))) = self.timers.peek().copied()
            && at_ms <= now.mono_ms
        {
            self.timers.pop();
            let Some(at) = self.holder(id) else { continue };
            if self.seats[at].timer_ms == Some(at_ms) {
                self.seats[at].timer_ms = None;
                self.expire(at, now);
                self.set_timer(at);
            }
        }
    }

    /// Probes a target as soon as there is room.
    pub fn probe_now(&mut self, at: usize, now_ms: u64) {
        if self.active && !self.seats[at].watch.busy && !self.seats[at].ready {
            self.arm(at, now_ms, now_ms);
        }
    }

    /// The same for whom a probe was launched once.
    pub fn probe_seat_now(&mut self, seat: SeatId, now: Now) {
        if let Some(at) = self.holder(seat) {
            self.probe_now(at, now.mono_ms);
        }
    }

    /// The group has requests from now on, or none.
    pub fn set_idle(&mut self, idle: bool, now: Now) {
        if self.idle == idle {
            return;
        }
        for at in self.order.clone() {
            self.idle = !idle;
            let before_ms = self.interval_of(at);
            self.idle = idle;
            self.repace(at, before_ms, now.mono_ms);
        }
        self.idle = idle;
    }

    /// A request to a seat's peer ended.
    pub fn hear(&mut self, at: usize, now: Now) {
        self.seats[at].heard_ms = now.mono_ms;
    }

    /// The interval of a seat as it and its group stand.
    pub(super) fn interval_of(&self, at: usize) -> u64 {
        let (seat, pace) = (&self.seats[at], &self.spec.pace);
        match seat.interval_ms(pace) {
            calm_ms if calm_ms > 0 && self.idle && seat.is_settled() => {
                calm_ms.max(pace.no_traffic_ms)
            }
            interval_ms => interval_ms,
        }
    }

    /// Requests tell enough about this one.
    fn is_busy_with_requests(&self, at: usize, now_ms: u64) -> bool {
        let (seat, pace) = (&self.seats[at], &self.spec.pace);
        let fresh = seat.heard_ms > 0 && now_ms.saturating_sub(seat.heard_ms) < pace.healthy_ms;
        pace.skips_busy && fresh && seat.is_settled() && !seat.watch.is_down()
    }

    /// Begins or ends probing.
    pub fn set_active(&mut self, active: bool, now: Now) {
        if std::mem::replace(&mut self.active, active) != active {
            for at in self.order.clone() {
                self.start(at, now.mono_ms);
            }
        }
    }

    /// Arms the first probe of a seat.
    pub(super) fn start(&mut self, at: usize, now_ms: u64) {
        let seat = &mut self.seats[at];
        (seat.due_ms, seat.ready) = (None, false);
        // The end of the one in flight arms the next.
        if seat.watch.busy {
            return;
        }
        seat.last_ms = now_ms;
        let interval_ms = self.interval_of(at);
        if !self.probes() || interval_ms == 0 {
            return;
        }
        let target = &self.seats[at].watch.target;
        let delay_ms = match self.spec.pace.first {
            First::AtOnce => 0,
            First::Soon => SOON_MS.min(interval_ms),
            First::AfterInterval => interval_ms,
            First::Spread => {
                let key = (&self.spec.name, &target.name, &target.server);
                phase_ms(&key, interval_ms.min(SPREAD_MAX_MS))
            }
        };
        let slot_ms = now_ms + delay_ms;
        self.arm(at, slot_ms, slotted(slot_ms, interval_ms, &self.spec.pace));
    }

    /// Arms the probe after one that ended.
    pub(super) fn rearm(&mut self, at: usize, now_ms: u64) {
        let interval_ms = self.interval_of(at);
        if !self.probes() || interval_ms == 0 {
            self.seats[at].due_ms = None;
            return;
        }
        let last_ms = self.seats[at].slot_ms;
        // Slots that were missed are not made up for.
        let missed = now_ms.saturating_sub(last_ms) / interval_ms;
        let slot_ms = last_ms + (missed + 1) * interval_ms;
        let due_ms = self.jittered(at, slot_ms, interval_ms);
        self.arm(at, slot_ms, slotted(due_ms, interval_ms, &self.spec.pace));
    }

    /// A seat's state changed otherwise than by its probe: its interval may be another.
    ///
    /// The next probe comes one interval after the last one. Where that is over already it comes an
    /// interval from now, but no later than it would have come: a peer whose requests turn it to
    /// and fro is probed all the same.
    pub(super) fn repace(&mut self, at: usize, before_ms: u64, now_ms: u64) {
        let interval_ms = self.interval_of(at);
        let seat = &mut self.seats[at];
        if seat.watch.busy || interval_ms == before_ms {
            return;
        }
        if interval_ms == 0 {
            (seat.due_ms, seat.ready) = (None, false);
        }
        if interval_ms == 0 || seat.ready {
            return;
        }
        let Some(due_ms) = seat.due_ms else {
            (seat.slot_ms, seat.last_ms) = (now_ms, now_ms);
            return self.rearm(at, now_ms);
        };
        let slot_ms = seat.last_ms + interval_ms;
        let over = slot_ms <= now_ms;
        let slot_ms = if over { now_ms + interval_ms } else { slot_ms };
        let new_ms = slotted(self.jittered(at, slot_ms, interval_ms), interval_ms, &self.spec.pace);
        if !over || new_ms < due_ms {
            self.arm(at, slot_ms, new_ms);
        }
    }

    pub(super) fn set_timer(&mut self, at: usize) {
        let deadline_ms = self.seats[at].deadline_ms();
        let seat = &mut self.seats[at];
        match (seat.timer_ms, deadline_ms) {
            // A timer that comes too early looks and sets itself anew.
            (Some(set), Some(at_ms)) if set <= at_ms => {}
            (_, Some(at_ms)) => {
                seat.timer_ms = Some(at_ms);
                self.timers.push(Reverse((at_ms, self.id(at))));
            }
            (_, None) => seat.timer_ms = None,
        }
    }

    fn expire(&mut self, at: usize, now: Now) {
        let seat = &mut self.seats[at];
        let lease = seat.watch.machine.tick(now.mono_ms);
        let over = seat
            .over
            .as_ref()
            .is_some_and(|o| o.expires_at_ms.is_some_and(|expires_ms| expires_ms <= now.mono_ms));
        if over {
            seat.over = None;
        }
        let readmitted = seat.troubles.as_mut().is_some_and(|t| t.tick(now.mono_ms));
        if over {
            self.tell(Some(at), What::Overridden(None), now);
        }
        if readmitted {
            self.tell(Some(at), What::Readmitted, now);
        }
        match lease {
            Tick::Nothing => {}
            Tick::Turned(transition) => {
                let outcome = Outcome::new(Kind::Silent);
                self.changed(at, transition, &outcome, Source::Lease, now);
            }
            Tick::Expired => {
                // Told once: whoever owns the target removes it.
                self.seats[at].watch.machine = self.spec.machine.build(false, now.mono_ms);
                self.tell(Some(at), What::Expired, now);
            }
        }
        self.reshade(at, now);
    }

    /// Moves everything that is due into the queue.
    fn collect(&mut self, now_ms: u64) {
        while let Some(slot) = self.due.first_entry().filter(|slot| *slot.key() <= now_ms) {
            let (at_ms, ids) = slot.remove_entry();
            for id in ids {
                let Some(at) = self.holder(id) else { continue };
                let seat = &mut self.seats[at];
                if seat.queued_ms != Some(at_ms) {
                    continue;
                }
                seat.queued_ms = None;
                match seat.due_ms {
                    Some(due_ms) if due_ms > now_ms => self.queue(at, due_ms),
                    Some(_) => {
                        (seat.due_ms, seat.ready) = (None, true);
                        self.ready.push_back(id);
                    }
                    None => {}
                }
            }
        }
    }

    fn arm(&mut self, at: usize, slot_ms: u64, due_ms: u64) {
        let seat = &mut self.seats[at];
        (seat.slot_ms, seat.due_ms) = (slot_ms, Some(due_ms));
        if seat.queued_ms.is_none_or(|queued_ms| queued_ms > due_ms) {
            self.queue(at, due_ms);
        }
    }

    fn queue(&mut self, at: usize, due_ms: u64) {
        let id = self.id(at);
        let old_ms = self.seats[at].queued_ms.replace(due_ms);
        if let Some(slot) = old_ms.and_then(|old_ms| self.due.get_mut(&old_ms)) {
            slot.retain(|other| *other != id);
        }
        self.due.entry(due_ms).or_default().push(id);
    }

    fn jittered(&self, at: usize, slot_ms: u64, interval_ms: u64) -> u64 {
        let span_ms = self.spec.pace.jitter_ms.min(interval_ms);
        slot_ms + phase_ms(&(self.seats[at].stamp, slot_ms), span_ms)
    }

    pub(super) fn probes(&self) -> bool {
        self.active && self.spec.probe != ProbeSpec::None
    }
}

/// Rounds up to the engine's slots; short intervals have finer ones.
fn slotted(at_ms: u64, interval_ms: u64, pace: &Pace) -> u64 {
    let slot_ms = pace.slot_ms.min(interval_ms / 10).max(1);
    at_ms.div_ceil(slot_ms) * slot_ms
}

const SOON_MS: u64 = 80;
const SPREAD_MAX_MS: u64 = 1000;

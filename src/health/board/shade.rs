//! What traffic is told: the verdicts, unless the policy says that they are not to be followed.
//!
//! ```text
//!   unfit (machine, ejection, override) ──┬─ too few left: panic, all down ──▶ told nothing
//!                                         ├─ too many taken out: waits ──────▶ told nothing
//!                                         └──────────────────────────────────▶ Peer::shade
//! ```
//!
//! The policy looks at the upstream as a whole: a peer that another check of it thinks unfit, or
//! holds, counts here too. What changes for others is told to them, and they count again.

use std::collections::VecDeque;

use super::event::What;
use super::{Board, Now, Seat, SeatId};
use crate::health::spec::{AllDown, Initial};

/// Counts over all seats.
#[derive(Debug, Default)]
pub(super) struct Shade {
    /// Seats whose own state keeps traffic away, or that another check thinks unfit.
    unfit: usize,
    /// Seats that traffic was told to avoid.
    held: usize,
    /// Seats that only other checks told traffic to avoid, when all were counted last.
    elsewhere: usize,
    unproven: usize,
    /// Unfit ones that may not be taken out while so many are.
    waiting: VecDeque<SeatId>,
    /// Verdicts are ignored now.
    pub(super) lifted: bool,
    /// They are ignored, and not just because nobody has shown anything yet.
    pub(super) panic: bool,
    /// Other checks of the upstream have something to count.
    stirred: bool,
}

impl Board {
    /// A new seat: nobody was told anything yet.
    pub(super) fn enter_counts(&mut self, at: usize) {
        self.count(at);
        let seat = &self.seats[at];
        self.shade.unfit += usize::from(seat.counted_down);
        self.shade.unproven += usize::from(seat.counted_unproven);
    }

    pub(super) fn leave_counts(&mut self, at: usize) {
        let seat = &self.seats[at];
        self.shade.unfit -= usize::from(seat.counted_down);
        self.shade.unproven -= usize::from(seat.counted_unproven);
        self.shade.held -= usize::from(seat.held);
    }

    /// One seat changed.
    pub(super) fn reshade(&mut self, at: usize, now: Now) {
        let held = self.seats[at].held;
        self.leave_counts(at);
        self.enter_counts(at);
        self.shade.held += usize::from(held);
        if self.lifts() != self.shade.lifted {
            self.shade_all(now);
        } else {
            self.shade_one(at);
            self.admit_waiting();
        }
    }

    /// Looks at all seats anew.
    pub(super) fn shade_all(&mut self, now: Now) {
        (self.shade.unfit, self.shade.unproven, self.shade.elsewhere) = (0, 0, 0);
        self.shade.held = self.order.iter().filter(|at| self.seats[**at].held).count();
        for i in 0..self.order.len() {
            let at = self.order[i];
            self.enter_counts(at);
            let seat = &self.seats[at];
            let elsewhere = seat.peer.as_ref().is_some_and(|p| p.is_held_elsewhere(self.bit));
            self.shade.elsewhere += usize::from(elsewhere && !seat.held);
        }
        let lifted = self.lifts();
        self.shade.lifted = lifted;
        for i in 0..self.order.len() {
            self.shade_one(self.order[i]);
        }
        self.admit_waiting();
        let panic = lifted && self.shade.unproven < self.order.len();
        if std::mem::replace(&mut self.shade.panic, panic) != panic {
            self.tell(None, What::Panic(panic), now);
        }
    }

    /// Another check of the upstream changed its mind about some peers.
    pub fn recount(&mut self, now: Now) {
        self.shade_all(now);
    }

    /// Something happened that other checks of the upstream have to count.
    pub(super) fn stir(&mut self) {
        self.shade.stirred = true;
    }

    /// True when other checks of the upstream are to count again.
    pub fn take_stirred(&mut self) -> bool {
        std::mem::take(&mut self.shade.stirred)
    }

    /// Takes down how a seat stands.
    fn count(&mut self, at: usize) {
        let bit = self.bit;
        let seat = &mut self.seats[at];
        let unfit = seat.is_unfit();
        (seat.counted_down, seat.counted_unproven) = (unfit, !seat.proven);
        if let Some(peer) = &seat.peer {
            self.shade.stirred |= peer.note_unfit(bit, unfit);
            seat.counted_down |= peer.is_unfit_elsewhere(bit);
        }
    }

    fn shade_one(&mut self, at: usize) {
        let seat = &self.seats[at];
        let (was, unfit) = (seat.held, seat.is_unfit());
        let elsewhere = seat.peer.as_ref().is_some_and(|p| p.is_held_elsewhere(self.bit));
        let others = self.shade.held - usize::from(was);
        // Who is out already is not one more.
        let room = elsewhere || others + self.shade.elsewhere < self.most_held();
        let follow = !self.lifts_for(seat) && (seat.over.is_some() || room);
        let held = unfit && follow;
        self.shade.held = others + usize::from(held);
        if unfit && !held && !room && !seat.waits {
            self.shade.waiting.push_back(self.id(at));
            self.seats[at].waits = true;
        }
        let seat = &mut self.seats[at];
        seat.held = held;
        let Some(peer) = &seat.peer else { return };
        if held != was || held != peer.held_by(self.bit) {
            peer.shade(self.bit, held, self.spec.policy.slow_start_ms);
            self.shade.stirred = true;
        }
    }

    /// One that came back leaves its place to one that waits for it.
    fn admit_waiting(&mut self) {
        while self.shade.held + self.shade.elsewhere < self.most_held()
            && let Some(id) = self.shade.waiting.pop_front()
        {
            if let Some(at) = self.holder(id) {
                self.seats[at].waits = false;
                self.shade_one(at);
            }
        }
    }

    fn lifts_for(&self, seat: &Seat) -> bool {
        let kind = self.spec.policy.all_down != AllDown::Backup || seat.watch.target.backup;
        self.shade.lifted && seat.over.is_none() && kind
    }

    /// True when the policy ignores verdicts with the counts as they are.
    fn lifts(&self) -> bool {
        let (all, policy) = (self.order.len(), &self.spec.policy);
        if all == 0 || self.shade.unfit == 0 {
            return false;
        }
        let unproven = policy.initial == Initial::Checking && self.shade.unproven == all;
        let all_down = policy.all_down != AllDown::Refuse && self.shade.unfit == all;
        let fit = all - self.shade.unfit;
        let panic = fit * 100 < all * usize::from(policy.panic_percent);
        unproven || all_down || panic
    }

    /// How many seats traffic may be told to avoid; one always.
    fn most_held(&self) -> usize {
        let percent = usize::from(self.spec.policy.max_ejection_percent);
        if percent >= 100 { usize::MAX } else { (self.order.len() * percent / 100).max(1) }
    }
}

//! What traffic is told: the verdicts, unless the policy says that they are not to be followed.
//!
//! ```text
//!   unfit (machine, ejection, override) ──┬─ too few left: panic, all down ──▶ told nothing
//!                                         ├─ too many taken out already ─────▶ told nothing
//!                                         └──────────────────────────────────▶ Peer::hold
//! ```

use super::event::What;
use super::{Board, Now, Seat};
use crate::health::spec::{AllDown, Initial};

/// Counts over all seats.
#[derive(Debug, Default)]
pub(super) struct Shade {
    /// Seats whose own state keeps traffic away.
    unfit: usize,
    /// Seats that traffic was told to avoid.
    held: usize,
    unproven: usize,
    /// Verdicts are ignored now.
    pub(super) lifted: bool,
    /// They are ignored, and not just because nobody has shown anything yet.
    pub(super) panic: bool,
}

impl Board {
    /// A new seat: nobody was told anything yet.
    pub(super) fn enter_counts(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        (seat.counted_down, seat.counted_unproven) = (seat.is_unfit(), !seat.proven);
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
        // With a cap, one seat's place may become another's.
        let capped = self.spec.policy.max_ejection_percent < 100;
        if self.lifts() != self.shade.lifted || capped {
            self.shade_all(now);
        } else {
            self.shade_one(at);
        }
    }

    /// Looks at all seats anew.
    pub(super) fn shade_all(&mut self, now: Now) {
        self.shade.unfit = 0;
        self.shade.unproven = 0;
        for at in &self.order {
            let seat = &mut self.seats[*at];
            (seat.counted_down, seat.counted_unproven) = (seat.is_unfit(), !seat.proven);
            self.shade.unfit += usize::from(seat.counted_down);
            self.shade.unproven += usize::from(seat.counted_unproven);
        }
        let lifted = self.lifts();
        self.shade.lifted = lifted;
        for i in 0..self.order.len() {
            self.shade_one(self.order[i]);
        }
        let panic = lifted && self.shade.unproven < self.order.len();
        if std::mem::replace(&mut self.shade.panic, panic) != panic {
            self.tell(None, What::Panic(panic), now);
        }
    }

    fn shade_one(&mut self, at: usize) {
        let seat = &self.seats[at];
        let (was, unfit) = (seat.held, seat.counted_down);
        let others = self.shade.held - usize::from(was);
        let follow = !self.lifts_for(seat) && (seat.over.is_some() || others < self.most_held());
        let held = unfit && follow;
        self.shade.held = others + usize::from(held);
        let seat = &mut self.seats[at];
        seat.held = held;
        let Some(peer) = &seat.peer else { return };
        if held != was || held != peer.held_by(self.bit) {
            peer.shade(self.bit, held, self.spec.policy.slow_start_ms);
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

//! Consecutive successes and failures against two thresholds: `resty.upstream.healthcheck`.
//!
//! ```text
//!   success: ok += 1, the first of a series zeroes nok     down and ok  ≥ rise → up
//!   failure: nok += 1, the first of a series zeroes ok     up   and nok ≥ fall → down
//! ```
//!
//! The counters run on after a transition and are never capped: a peer that has answered a hundred
//! times has `ok` = 100. Scripts read them from the shared dictionary.

use super::{Counted, State, Transition};

/// The two counters of one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RiseFall {
    rise: u64,
    fall: u64,
    ok: u64,
    nok: u64,
    down: bool,
}

impl RiseFall {
    pub fn new(rise: u64, fall: u64, down: bool) -> Self {
        Self { rise, fall, ok: 0, nok: 0, down }
    }

    /// The thresholds of `fresh` with counts and state from elsewhere.
    pub fn restored(fresh: &Self, ok: u64, nok: u64, down: bool) -> Self {
        Self { rise: fresh.rise, fall: fresh.fall, ok, nok, down }
    }

    /// Counts one result.
    pub fn observe(&mut self, pass: bool) -> Option<Transition> {
        self.count(pass).transition
    }

    /// Counts one result, and tells the count.
    pub fn count(&mut self, pass: bool) -> Counted {
        let (count, other) =
            if pass { (&mut self.ok, &mut self.nok) } else { (&mut self.nok, &mut self.ok) };
        *count = count.saturating_add(1);
        if *count == 1 {
            *other = 0;
        }
        let count = *count;
        let limit = if pass { self.rise } else { self.fall };
        if self.down != pass || count < limit {
            return Counted { count, limit, transition: None };
        }
        Counted { count, limit, transition: self.turn(!pass, count) }
    }

    /// Counts a failure after which no second one is needed.
    pub fn fail_for_good(&mut self) -> Counted {
        let counted = self.count(false);
        let transition = counted.transition.or_else(|| self.turn(true, counted.count));
        Counted { transition, ..counted }
    }

    /// The last results speak against the state.
    pub fn is_wavering(&self) -> bool {
        // The first of a series zeroes the other count: a lone one is a series of its own kind.
        if self.down { self.nok == 0 && self.ok > 0 } else { self.ok == 0 && self.nok > 0 }
    }

    pub fn state(&self) -> State {
        if self.down { State::Unhealthy } else { State::Healthy }
    }

    pub fn set_down(&mut self, down: bool) {
        self.down = down;
    }

    fn turn(&mut self, down: bool, count: u64) -> Option<Transition> {
        let from = self.state();
        self.down = down;
        (from != self.state()).then(|| Transition { from, to: self.state(), count })
    }

    pub fn ok(&self) -> u64 {
        self.ok
    }

    pub fn nok(&self) -> u64 {
        self.nok
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_run_on_and_reset_at_the_first_of_a_series() {
        let mut m = RiseFall::new(2, 3, false);
        for _ in 0..5 {
            m.observe(false);
        }
        assert_eq!((m.ok(), m.nok(), m.state()), (0, 5, State::Unhealthy));
        assert_eq!(m.observe(true), None);
        assert_eq!((m.ok(), m.nok()), (1, 0));
        let up = m.observe(true).expect("two successes are enough");
        assert_eq!((up.count, up.verdict()), (2, Some(true)));
    }

    #[test]
    fn a_single_failure_among_successes_does_not_zero_them_twice() {
        // The second success after a failure finds ok = 1 already counted: nok is not touched.
        let mut m = RiseFall::new(2, 3, false);
        for pass in [false, false, true, false] {
            assert_eq!(m.observe(pass), None);
        }
        assert_eq!((m.ok(), m.nok()), (0, 1));
    }

    #[test]
    fn zero_thresholds_flip_at_once() {
        let mut m = RiseFall::new(0, 0, false);
        assert_eq!(m.observe(false).map(|t| t.count), Some(1));
        assert_eq!(m.observe(true).map(|t| t.count), Some(1));
    }
}

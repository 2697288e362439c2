//! When the next round of probes is due. Pure: time comes in as milliseconds.
//!
//! ```text
//!   start    +1·interval   +2·interval   +3·interval          the grid never drifts
//!     ▼           ▼             ▼             ▼
//!     █████       ███████████████████         ████            a long round skips the slots it
//!                               ✗ missed                      covers; they are not made up for
//! ```

use std::hash::{DefaultHasher, Hash, Hasher};

/// The slots of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    interval_ms: u64,
    next_at_ms: u64,
}

/// When the first round comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum First {
    AtOnce,
    /// In a moment: checks are asked for while a worker starts, and a gateway may well check ports
    /// that it is only about to open itself.
    Soon,
    /// After one interval, as `resty.healthcheck`.
    AfterInterval,
    /// Within the first interval (but no later than a second), at a place of its own for each key.
    Spread,
}

impl Schedule {
    pub fn new(interval_ms: u64, first: First, key: &impl Hash, now_ms: u64) -> Self {
        let interval_ms = interval_ms.max(1);
        let delay_ms = match first {
            First::AtOnce => 0,
            First::Soon => SOON_MS.min(interval_ms),
            First::AfterInterval => interval_ms,
            First::Spread => phase_ms(key, interval_ms.min(SPREAD_MAX_MS)),
        };
        Self { interval_ms, next_at_ms: now_ms + delay_ms }
    }

    pub fn next_at_ms(&self) -> u64 {
        self.next_at_ms
    }

    pub fn is_due(&self, now_ms: u64) -> bool {
        now_ms >= self.next_at_ms
    }

    /// A round ended: the next slot is the first on the grid that is still to come.
    pub fn finish(&mut self, now_ms: u64) {
        let late_ms = now_ms.saturating_sub(self.next_at_ms);
        self.next_at_ms += (late_ms / self.interval_ms + 1) * self.interval_ms;
    }

    /// Starts over from now, keeping the interval.
    pub fn restart(&mut self, now_ms: u64) {
        self.next_at_ms = now_ms;
    }
}

/// A delay below `span_ms` that is the same for the same key, so that checks spread evenly and
/// come back to their place after a restart.
pub fn phase_ms(key: &impl Hash, span_ms: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish() % span_ms.max(1)
}

const SPREAD_MAX_MS: u64 = 1000;
const SOON_MS: u64 = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_does_not_drift() {
        let mut s = Schedule::new(100, First::AtOnce, &0, 5000);
        let mut starts = Vec::new();
        for _ in 0..5 {
            let now = s.next_at_ms();
            starts.push(now);
            // Each round takes a while; the next one still starts on the grid.
            s.finish(now + 7);
        }
        assert_eq!(starts, [5000, 5100, 5200, 5300, 5400]);
    }

    #[test]
    fn missed_slots_are_skipped() {
        let mut s = Schedule::new(100, First::AtOnce, &0, 0);
        s.finish(99);
        assert_eq!(s.next_at_ms(), 100);
        s.finish(200);
        assert_eq!(s.next_at_ms(), 300);
        s.finish(651);
        assert_eq!(s.next_at_ms(), 700);
        assert!(!s.is_due(699) && s.is_due(700));
    }

    #[test]
    fn first_rounds() {
        assert_eq!(Schedule::new(100, First::AfterInterval, &0, 7).next_at_ms(), 107);
        assert_eq!(Schedule::new(5000, First::Soon, &0, 7).next_at_ms(), 87);
        assert_eq!(Schedule::new(20, First::Soon, &0, 7).next_at_ms(), 27);
        let at = |key: u32| Schedule::new(5000, First::Spread, &key, 0).next_at_ms();
        assert!((0..100).map(at).all(|ms| ms < 1000));
        assert!((0..100).map(at).collect::<std::collections::BTreeSet<_>>().len() > 50);
        assert_eq!(at(3), at(3));
    }
}

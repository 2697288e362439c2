//! Slow start: the weight of a peer that comes back grows from nothing to its own over a time.
//!
//! ```text
//!  weight ┤            ┌────────
//!         │        ┌───┘            begin ──▶ now: weight × elapsed / span
//!         └────────┴───────────▶
//! ```

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// The ramp of one peer; not on one most of the time, which costs a load.
#[derive(Debug, Default)]
pub(super) struct Ramp {
    from_ms: AtomicI64,
    /// 0 off the ramp.
    span_ms: AtomicI64,
    /// Parts of a unit of weight that were not given out yet.
    carry: AtomicI64,
}

impl Ramp {
    pub(super) fn begin(&self, span_ms: u64, now_ms: i64) {
        self.from_ms.store(now_ms, Relaxed);
        self.carry.store(0, Relaxed);
        self.span_ms.store(span_ms.try_into().unwrap_or(i64::MAX), Relaxed);
    }

    /// The part of its weight a peer has, of [`FULL`].
    pub(super) fn share(&self, now_ms: impl FnOnce() -> i64) -> i64 {
        let span_ms = self.span_ms.load(Relaxed);
        if span_ms == 0 {
            return FULL;
        }
        let elapsed_ms = now_ms() - self.from_ms.load(Relaxed);
        if elapsed_ms >= span_ms {
            self.span_ms.store(0, Relaxed);
            return FULL;
        }
        (elapsed_ms.max(0).saturating_mul(FULL) / span_ms).max(1)
    }

    /// Whole units of `weight` for one turn; what is less than one is carried on to the next. The
    /// caller holds the order lock of its set.
    pub(super) fn part(&self, weight: i64, now_ms: impl FnOnce() -> i64) -> i64 {
        let share = self.share(now_ms);
        if share == FULL {
            return weight;
        }
        let parts = self.carry.load(Relaxed) + weight * share;
        self.carry.store(parts % FULL, Relaxed);
        parts / FULL
    }
}

pub(super) const FULL: i64 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_grows_in_a_line() {
        let ramp = Ramp::default();
        assert_eq!(ramp.share(|| 5), FULL);
        ramp.begin(1000, 100);
        let shares: Vec<_> = [100, 350, 600, 1099, 1100].map(|ms| ramp.share(|| ms)).into();
        assert_eq!(shares, [1, 256, 512, 1022, FULL]);
        assert_eq!(ramp.share(|| 0), FULL, "it is over for good");
    }

    #[test]
    fn parts_add_up() {
        let ramp = Ramp::default();
        ramp.begin(1000, 0);
        let sum: i64 = (0..100).map(|_| ramp.part(3, || 250)).sum();
        assert_eq!(sum, 75);
    }
}

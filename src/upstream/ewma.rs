//! Latency of a peer as a moving average whose past fades by the clock.
//!
//! ```text
//!  observe(took, now):  value · e^(−age / DECAY) + took · (1 − e^(−age / DECAY))
//! ```
//! A peer that is not asked for a while is forgiven: its value fades when it is looked at.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The average of one peer, in milliseconds; two peers' values compare at one moment.
#[derive(Debug, Default)]
pub struct Ewma {
    /// The bits of an `f64`.
    value: AtomicU64,
    seen_at_ms: AtomicU64,
}

impl Ewma {
    /// Takes in that an answer took so long.
    pub fn observe(&self, took_ms: u64, now_ms: u64) {
        let keep = self.fading(now_ms);
        let value = f64::from_bits(self.value.load(Relaxed));
        let next = value * keep + took_ms as f64 * (1.0 - keep);
        // Two workers may write at once; one of two neighbouring answers is lost then.
        self.value.store(next.to_bits(), Relaxed);
        self.seen_at_ms.store(now_ms, Relaxed);
    }

    /// The value now.
    pub fn at(&self, now_ms: u64) -> f64 {
        f64::from_bits(self.value.load(Relaxed)) * self.fading(now_ms)
    }

    fn fading(&self, now_ms: u64) -> f64 {
        let age_ms = now_ms.saturating_sub(self.seen_at_ms.load(Relaxed));
        (-(age_ms as f64) / DECAY_MS).exp()
    }
}

impl Clone for Ewma {
    fn clone(&self) -> Self {
        let copy = |number: &AtomicU64| AtomicU64::new(number.load(Relaxed));
        Self { value: copy(&self.value), seen_at_ms: copy(&self.seen_at_ms) }
    }
}

/// After this long a value has faded to a third.
const DECAY_MS: f64 = 10_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_fades() {
        let ewma = Ewma::default();
        ewma.observe(100, 1_000_000);
        assert!((ewma.at(1_000_000) - 100.0).abs() < 1.0);
        ewma.observe(0, 1_010_000);
        let value = ewma.at(1_010_000);
        assert!((36.0..38.0).contains(&value), "{value}");
        assert!(ewma.at(1_100_000) < 0.1);
    }
}

//! How long an ephemeral instance lives without a beat.
//!
//! ```text
//!  beat ──15 s──▶ unhealthy ──15 s──▶ removed        each with an override in the metadata
//! ```

use super::instance::Metadata;

/// The times of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub interval_ms: u64,
    pub timeout_ms: u64,
    pub delete_ms: u64,
}

/// What a silence of some length means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    Alive,
    Lapsed,
    Gone,
}

impl Lease {
    /// The defaults, and what the instance's metadata says otherwise.
    pub fn of(metadata: &Metadata) -> Self {
        let ms = |key: &str, default: u64| {
            metadata.get(key).and_then(|text| text.parse().ok()).unwrap_or(default)
        };
        Self {
            interval_ms: ms(INTERVAL_KEY, 5000),
            timeout_ms: ms(TIMEOUT_KEY, 15_000),
            delete_ms: ms(DELETE_KEY, 30_000),
        }
    }

    pub fn judge(&self, silent_ms: u64) -> Silence {
        match silent_ms {
            ms if ms > self.delete_ms => Silence::Gone,
            ms if ms > self.timeout_ms => Silence::Lapsed,
            _ => Silence::Alive,
        }
    }
}

const INTERVAL_KEY: &str = "preserved.heart.beat.interval";
const TIMEOUT_KEY: &str = "preserved.heart.beat.timeout";
const DELETE_KEY: &str = "preserved.ip.delete.timeout";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_overrides() {
        let plain = Lease::of(&Metadata::new());
        assert_eq!(plain.judge(15_000), Silence::Alive);
        assert_eq!(plain.judge(15_001), Silence::Lapsed);
        assert_eq!(plain.judge(30_001), Silence::Gone);
        let metadata = [(TIMEOUT_KEY, "3000"), (DELETE_KEY, "x"), (INTERVAL_KEY, "1000")];
        let own = metadata.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let lease = Lease::of(&own);
        assert_eq!((lease.interval_ms, lease.delete_ms), (1000, 30_000));
        assert_eq!(lease.judge(3001), Silence::Lapsed);
    }
}

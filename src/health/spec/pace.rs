//! How often a peer is probed, by the state it is in.
//!
//! ```text
//!  up ─ healthy_ms    wavering or unproven ─ fast_ms    down ─ unhealthy_ms … backoff_max_ms
//! ```

use crate::health::schedule::First;

/// The intervals of a check; 0 leaves peers in that state alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pace {
    pub healthy_ms: u64,
    pub unhealthy_ms: u64,
    /// Between the first odd result and the verdict: HAProxy's `fastinter`.
    pub fast_ms: Option<u64>,
    /// By how much a probe may come later than its place, at most an interval.
    pub jitter_ms: u64,
    /// Probes that fall due within this time are sent together.
    pub slot_ms: u64,
    /// Peers down for long are probed ever more rarely, up to this; 0 keeps the interval.
    pub backoff_max_ms: u64,
    /// Healthy and dead peers of a group without requests, at least; 0 keeps the interval.
    pub no_traffic_ms: u64,
    /// Healthy peers that requests went to within the interval are left alone.
    pub skips_busy: bool,
    pub first: First,
}

impl Pace {
    /// One interval for all states.
    pub fn every(interval_ms: u64) -> Self {
        Self {
            healthy_ms: interval_ms,
            unhealthy_ms: interval_ms,
            fast_ms: None,
            jitter_ms: 0,
            slot_ms: SLOT_MS,
            backoff_max_ms: 0,
            no_traffic_ms: 0,
            skips_busy: false,
            first: First::Spread,
        }
    }

    /// The two intervals of `resty.healthcheck`: the first probe comes after one of them.
    pub fn lanes(healthy_ms: u64, unhealthy_ms: u64) -> Self {
        let first = First::AfterInterval;
        Self { unhealthy_ms, slot_ms: LANE_SLOT_MS, first, ..Self::every(healthy_ms) }
    }

    /// True when it matters whether there are requests.
    pub fn minds_traffic(&self) -> bool {
        self.no_traffic_ms > 0 || self.skips_busy
    }

    /// True when no state is ever probed.
    pub fn is_off(&self) -> bool {
        self.healthy_ms == 0 && self.unhealthy_ms == 0 && self.fast_ms.is_none()
    }
}

/// Wakeups decide what probes cost: one for all peers of twenty slots a second is enough.
const SLOT_MS: u64 = 50;
const LANE_SLOT_MS: u64 = 10;

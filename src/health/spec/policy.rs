//! What traffic makes of verdicts, and what verdicts are made of traffic.

use crate::health::machine::Limits;
use crate::health::spec::Pass;

/// How a peer begins, and how far verdicts are followed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    pub initial: Initial,
    /// A new configuration goes on with the states of the old one, even if peers have to prove
    /// themselves at first.
    pub persistent: bool,
    pub all_down: AllDown,
    /// With fewer peers up than this, verdicts are ignored; 0 is off.
    pub panic_percent: u8,
    /// No more peers than this are taken from traffic.
    pub max_ejection_percent: u8,
    /// A peer that recovers gets its full share after this time.
    pub slow_start_ms: u64,
    /// A flapping peer is held down for this time, then twice as long and so on; 0 is off.
    pub hold_down_ms: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            initial: Initial::Up,
            persistent: true,
            all_down: AllDown::Refuse,
            panic_percent: 0,
            max_ejection_percent: 100,
            slow_start_ms: 0,
            hold_down_ms: 0,
        }
    }
}

/// What a peer is before its first result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Initial {
    #[default]
    Up,
    Down,
    /// Down, and one success is enough; while no peer is proven all of them get requests.
    Checking,
}

/// What happens to requests when every peer is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AllDown {
    /// `no live upstreams`, 502.
    #[default]
    Refuse,
    /// As if nobody had checked.
    TryAll,
    /// The backups as if nobody had checked them.
    Backup,
}

/// What requests tell about peers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PassiveSpec {
    /// The thresholds of requests, when they differ from those of probes.
    pub limits: Option<Limits>,
    /// Which statuses are good and bad; without it requests say nothing.
    pub pass: Option<Pass>,
    /// Failures are counted as those of connections.
    pub tcp: bool,
    /// A response that takes longer counts as a timeout; 0 is off.
    pub latency_ms: u64,
    /// Peers with too many failures are taken out for a time, and their machines hear nothing.
    pub eject: Option<Eject>,
    /// A failed request has the peer probed at once.
    pub probe_now: bool,
}

impl PassiveSpec {
    /// True when requests are looked at.
    pub fn is_on(&self) -> bool {
        self.pass.is_some() || self.eject.is_some() || self.latency_ms > 0 || self.probe_now
    }
}

/// Taking a peer out by its requests alone, and letting it in again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Eject {
    /// So many failures …
    pub failures: u32,
    /// … within this time; 0 means in a row.
    pub window_ms: u64,
    /// For how long at first; each further time adds as much again.
    pub base_ms: u64,
    pub max_ms: u64,
}

impl Default for Eject {
    fn default() -> Self {
        Self { failures: 5, window_ms: 0, base_ms: 30_000, max_ms: 300_000 }
    }
}

//! Four lanes and four states: Kong's and APISIX's `resty.healthcheck`.
//!
//! ```text
//!              failure, lane < limit           lane ≥ limit
//!   healthy ─────────────────────▶ mostly_healthy ─────────▶ unhealthy
//!      ▲  ◀── successes ≥ limit ────────┘   ▲                    │ success
//!      │                                    │                    ▼
//!      └────────────── successes ≥ limit ───┴─────────── mostly_unhealthy
//! ```
//!
//! A failure clears the success lane, a success clears the three failure lanes, failures do not
//! clear each other. A limit of 0 switches its lane off: the report changes nothing.

use super::{Seen, State, Transition};

/// The lanes of one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    limits: Limits,
    lanes: Limits,
    state: State,
}

impl Counters {
    pub fn new(limits: Limits, up: bool) -> Self {
        let state = if up { State::Healthy } else { State::Unhealthy };
        Self { limits, lanes: Limits::default(), state }
    }

    /// Counts one report against the limits given at the start.
    pub fn observe(&mut self, seen: Seen) -> Option<Transition> {
        self.observe_with(self.limits, seen)
    }

    /// Counts one report against other limits: active and passive checks share the lanes.
    pub fn observe_with(&mut self, limits: Limits, seen: Seen) -> Option<Transition> {
        let limit = limits.of(seen);
        let success = seen == Seen::Success;
        let settled = if success { State::Healthy } else { State::Unhealthy };
        if limit == 0 || self.state == settled {
            return None;
        }
        let lane = self.lanes.lane(seen);
        *lane = lane.saturating_add(1);
        let count = *lane;
        if success {
            self.lanes = Limits { successes: count, ..Limits::default() };
        } else {
            self.lanes.successes = 0;
        }
        let from = self.state;
        self.state = match from {
            _ if count >= limit => settled,
            State::Healthy => State::MostlyHealthy,
            State::Unhealthy => State::MostlyUnhealthy,
            wavering => wavering,
        };
        let changed = from != self.state;
        changed.then(|| Transition { from, to: self.state, count: u64::from(count) })
    }

    /// Sets the state and forgets all counts, as `set_target_status` does.
    pub fn force(&mut self, up: bool) {
        self.lanes = Limits::default();
        self.state = if up { State::Healthy } else { State::Unhealthy };
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// Successes, and the fullest of the failure lanes.
    pub fn counts(&self) -> (u64, u64) {
        let l = &self.lanes;
        let worst = l.http_failures.max(l.tcp_failures).max(l.timeouts);
        (u64::from(l.successes), u64::from(worst))
    }

    /// The lanes in one number, as the shared dictionary holds them: successes lowest.
    pub fn packed(&self) -> u32 {
        let l = &self.lanes;
        u32::from_le_bytes([l.successes, l.http_failures, l.tcp_failures, l.timeouts])
    }
}

/// One number for each lane; as limits, 0 is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Limits {
    pub successes: u8,
    pub http_failures: u8,
    pub tcp_failures: u8,
    pub timeouts: u8,
}

impl Limits {
    fn of(mut self, seen: Seen) -> u8 {
        *self.lane(seen)
    }

    fn lane(&mut self, seen: Seen) -> &mut u8 {
        match seen {
            Seen::Success => &mut self.successes,
            Seen::HttpFailure => &mut self.http_failures,
            Seen::TcpFailure => &mut self.tcp_failures,
            Seen::Timeout => &mut self.timeouts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { successes: 2, http_failures: 3, tcp_failures: 2, timeouts: 3 };

    #[test]
    fn lanes_in_one_number() {
        let mut m = Counters::new(LIMITS, true);
        for seen in [Seen::HttpFailure, Seen::HttpFailure, Seen::TcpFailure, Seen::Timeout] {
            m.observe(seen);
        }
        assert_eq!(m.packed(), 0x01_01_02_00);
        m.observe(Seen::Success);
        assert_eq!(m.packed(), 0x01);
    }

    #[test]
    fn a_high_lane_does_not_leak_into_its_neighbour() {
        let limits = Limits { http_failures: 200, tcp_failures: 100, ..LIMITS };
        let mut m = Counters::new(limits, true);
        for _ in 0..150 {
            m.observe(Seen::HttpFailure);
        }
        for _ in 0..99 {
            m.observe(Seen::TcpFailure);
        }
        assert_eq!(m.state(), State::MostlyHealthy);
        m.observe(Seen::TcpFailure);
        assert_eq!(m.state(), State::Unhealthy);
    }

    #[test]
    fn passive_limits_use_the_same_lanes() {
        let passive = Limits { http_failures: 2, ..LIMITS };
        let mut m = Counters::new(LIMITS, true);
        m.observe(Seen::HttpFailure);
        let t = m.observe_with(passive, Seen::HttpFailure).expect("two are enough here");
        assert_eq!((t.to, t.count), (State::Unhealthy, 2));
    }

    #[test]
    fn forcing_forgets() {
        let mut m = Counters::new(LIMITS, true);
        m.observe(Seen::HttpFailure);
        m.force(false);
        assert_eq!((m.packed(), m.state()), (0, State::Unhealthy));
    }
}

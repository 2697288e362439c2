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

use super::{Counted, Seen, State, Transition};

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

    /// The same lanes and state under other limits.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Counts one report against the limits given at the start.
    pub fn observe(&mut self, seen: Seen) -> Option<Transition> {
        self.count(None, seen)?.transition
    }

    /// Counts one report, perhaps against other limits: active and passive checks share the lanes.
    pub fn count(&mut self, limits: Option<Limits>, seen: Seen) -> Option<Counted> {
        let success = seen == Seen::Success;
        let settled = if success { State::Healthy } else { State::Unhealthy };
        let limit = limits.unwrap_or(self.limits).of(seen);
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
            _ if count >= limit || seen == Seen::Fatal => settled,
            State::Healthy => State::MostlyHealthy,
            State::Unhealthy => State::MostlyUnhealthy,
            wavering => wavering,
        };
        let (count, limit) = (u64::from(count), u64::from(limit));
        let changed = from != self.state;
        let transition = changed.then_some(Transition { from, to: self.state, count });
        Some(Counted { count, limit, transition })
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

    pub fn lanes(&self) -> Limits {
        self.lanes
    }

    /// Goes on with lanes and a state from elsewhere.
    pub fn restored(&self, lanes: Limits, state: State) -> Self {
        Self { limits: self.limits, lanes, state }
    }

    /// The lanes in one number, as the shared dictionary holds them: successes lowest.
    pub fn packed(&self) -> u32 {
        self.lanes.packed()
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
    /// All four in one number, successes lowest.
    pub fn packed(self) -> u32 {
        u32::from_le_bytes([self.successes, self.http_failures, self.tcp_failures, self.timeouts])
    }

    pub fn unpack(packed: u32) -> Self {
        let [successes, http_failures, tcp_failures, timeouts] = packed.to_le_bytes();
        Self { successes, http_failures, tcp_failures, timeouts }
    }

    fn of(mut self, seen: Seen) -> u8 {
        *self.lane(seen)
    }

    fn lane(&mut self, seen: Seen) -> &mut u8 {
        match seen {
            Seen::Success => &mut self.successes,
            Seen::HttpFailure | Seen::Fatal => &mut self.http_failures,
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
        let counted = m.count(Some(passive), Seen::HttpFailure).expect("two are enough here");
        let turn = counted.transition.map(|t| (t.to, t.count));
        assert_eq!((turn, counted.limit), (Some((State::Unhealthy, 2)), 2));
    }

    #[test]
    fn forcing_forgets() {
        let mut m = Counters::new(LIMITS, true);
        m.observe(Seen::HttpFailure);
        m.force(false);
        assert_eq!((m.packed(), m.state()), (0, State::Unhealthy));
    }
}

//! State machines of one peer: an observation goes in, perhaps a transition comes out.
//!
//! ```text
//!   Seen ──▶ RiseFall   two counters, two states     resty.upstream.healthcheck, Nacos
//!       └──▶ Counters   four lanes, four states      resty.healthcheck, APISIX, Kong
//! ```
//!
//! Machines are values: no clock, no socket, no lock. They can be written down as a line of text,
//! which is how `t/health/*.timeline` tests them.

mod counters;
mod rise_fall;

pub use self::counters::{Counters, Limits};
pub use self::rise_fall::RiseFall;

/// What one probe or one request tells a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Success,
    /// An answer that does not count as healthy.
    HttpFailure,
    /// No usable connection.
    TcpFailure,
    Timeout,
}

/// The states of a peer. Only up or down matters to traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Healthy,
    MostlyHealthy,
    MostlyUnhealthy,
    Unhealthy,
}

impl State {
    /// True when requests may go to a peer in this state.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Healthy | Self::MostlyHealthy)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::MostlyHealthy => "mostly_healthy",
            Self::MostlyUnhealthy => "mostly_unhealthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    pub from: State,
    pub to: State,
    /// How many observations in a row (by the machine's own counting) brought it about.
    pub count: u64,
}

impl Transition {
    /// `Some(true)` for up, `Some(false)` for down, `None` when traffic sees no difference.
    pub fn verdict(&self) -> Option<bool> {
        (self.from.is_up() != self.to.is_up()).then(|| self.to.is_up())
    }
}

/// Any of the machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Machine {
    RiseFall(RiseFall),
    Counters(Counters),
}

impl Machine {
    pub fn observe(&mut self, seen: Seen) -> Option<Transition> {
        match self {
            Self::RiseFall(m) => m.observe(seen == Seen::Success),
            Self::Counters(m) => m.observe(seen),
        }
    }

    pub fn state(&self) -> State {
        match self {
            Self::RiseFall(m) => m.state(),
            Self::Counters(m) => m.state(),
        }
    }

    /// Sets the state from outside; the counters stay as they are.
    pub fn set_up(&mut self, up: bool) {
        match self {
            Self::RiseFall(m) => m.set_down(!up),
            Self::Counters(m) => m.force(up),
        }
    }

    /// Successes and failures as the counting of the machine has them now.
    pub fn counts(&self) -> (u64, u64) {
        match self {
            Self::RiseFall(m) => (m.ok(), m.nok()),
            Self::Counters(m) => m.counts(),
        }
    }
}

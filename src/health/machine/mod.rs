//! State machines of one peer: an observation goes in, perhaps a transition comes out.
//!
//! ```text
//!   Seen ──▶ RiseFall   two counters, two states     resty.upstream.healthcheck, Nacos
//!       ├──▶ Counters   four lanes, four states      resty.healthcheck, APISIX, Kong
//!       └──▶ Lease      a heartbeat keeps it up      Nacos
//! ```
//!
//! Machines are values: no clock, no socket, no lock. They can be written down as a line of text,
//! which is how `t/health/*.timeline` tests them.

mod counters;
mod lease;
mod rise_fall;

pub use self::counters::{Counters, Limits};
pub use self::lease::{Lease, Tick};
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
    /// A failure that needs no second one.
    Fatal,
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

/// What came of an observation that was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The counter after it, and the limit it is compared with.
    pub count: u64,
    pub limit: u64,
    pub transition: Option<Transition>,
}

/// Any of the machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Machine {
    RiseFall(RiseFall),
    Counters(Counters),
    Lease(Lease),
}

impl Machine {
    pub fn observe(&mut self, seen: Seen) -> Option<Transition> {
        self.count(seen, None, 0)?.transition
    }

    /// Takes one observation; `None` when the machine does not count it. `limits` replace those of
    /// a [`Counters`] this once.
    pub fn count(&mut self, seen: Seen, limits: Option<Limits>, now_ms: u64) -> Option<Counted> {
        match self {
            Self::RiseFall(m) if seen == Seen::Fatal => Some(m.fail_for_good()),
            Self::RiseFall(m) => Some(m.count(seen == Seen::Success)),
            Self::Counters(m) => m.count(limits, seen),
            Self::Lease(m) => {
                let up = seen == Seen::Success;
                let transition = if up { m.beat(now_ms) } else { m.turn(false, 1) };
                Some(Counted { count: 1, limit: 1, transition })
            }
        }
    }

    /// Lets time pass.
    pub fn tick(&mut self, now_ms: u64) -> Tick {
        match self {
            Self::Lease(m) => m.tick(now_ms),
            Self::RiseFall(_) | Self::Counters(_) => Tick::Nothing,
        }
    }

    /// When time alone changes something, if it ever does.
    pub fn deadline_ms(&self) -> Option<u64> {
        match self {
            Self::Lease(m) => Some(m.deadline_ms()),
            Self::RiseFall(_) | Self::Counters(_) => None,
        }
    }

    pub fn state(&self) -> State {
        match self {
            Self::RiseFall(m) => m.state(),
            Self::Counters(m) => m.state(),
            Self::Lease(m) => m.state(),
        }
    }

    /// Sets the state from outside; the counters stay as they are.
    pub fn set_up(&mut self, up: bool) {
        match self {
            Self::RiseFall(m) => m.set_down(!up),
            Self::Counters(m) => m.force(up),
            Self::Lease(m) => m.set_up(up),
        }
    }

    /// Sets the state from outside and forgets all counts.
    pub fn force(&mut self, up: bool) {
        match self {
            Self::RiseFall(m) => *m = RiseFall::restored(m, 0, 0, !up),
            Self::Counters(m) => m.force(up),
            Self::Lease(m) => m.set_up(up),
        }
    }

    /// Some results speak against the state, but not enough of them.
    pub fn is_wavering(&self) -> bool {
        match self {
            Self::RiseFall(m) => m.is_wavering(),
            Self::Counters(m) => {
                matches!(m.state(), State::MostlyHealthy | State::MostlyUnhealthy)
            }
            Self::Lease(_) => false,
        }
    }

    /// Successes and failures as the counting of the machine has them now.
    pub fn counts(&self) -> (u64, u64) {
        match self {
            Self::RiseFall(m) => (m.ok(), m.nok()),
            Self::Counters(m) => m.counts(),
            Self::Lease(_) => (0, 0),
        }
    }

    /// The lanes, where there are such.
    pub fn lanes(&self) -> Limits {
        match self {
            Self::Counters(m) => m.lanes(),
            Self::RiseFall(_) | Self::Lease(_) => Limits::default(),
        }
    }
}

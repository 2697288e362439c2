//! The machines a second time, from their description instead of their code.

use moonbeat::health::MachineSpec;
use moonbeat::health::machine::{Limits, Seen, State};

/// State and counts of one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fold {
    pub(super) state: State,
    /// Successes, http failures, tcp failures, timeouts; or successes and failures in a row.
    pub(super) counts: [u64; 4],
}

impl Fold {
    pub(super) fn new(up: bool) -> Self {
        let state = if up { State::Healthy } else { State::Unhealthy };
        Self { state, counts: [0; 4] }
    }

    /// Takes one result; true when the state is another one.
    pub(super) fn take(&mut self, spec: &MachineSpec, limits: Option<Limits>, seen: Seen) -> bool {
        let before = self.state;
        match spec {
            MachineSpec::RiseFall { rise, fall } => self.take_run(*rise, *fall, seen),
            MachineSpec::Counters(own) => self.take_lane(limits.unwrap_or(*own), seen),
            MachineSpec::Lease { .. } => {}
        }
        before != self.state
    }

    fn take_run(&mut self, rise: u64, fall: u64, seen: Seen) {
        let good = seen == Seen::Success;
        let (this, other) = if good { (0, 1) } else { (1, 0) };
        self.counts[this] += 1;
        if self.counts[this] == 1 {
            self.counts[other] = 0;
        }
        match self.state {
            State::Healthy if !good && self.counts[1] >= fall => self.state = State::Unhealthy,
            State::Unhealthy if good && self.counts[0] >= rise => self.state = State::Healthy,
            _ => {}
        }
    }

    fn take_lane(&mut self, limits: Limits, seen: Seen) {
        let (lane, limit) = match seen {
            Seen::Success => (0, limits.successes),
            Seen::HttpFailure | Seen::Fatal => (1, limits.http_failures),
            Seen::TcpFailure => (2, limits.tcp_failures),
            Seen::Timeout => (3, limits.timeouts),
        };
        let (good, state) = (lane == 0, self.state);
        let settled = if good { State::Healthy } else { State::Unhealthy };
        if limit == 0 || state == settled {
            return;
        }
        self.counts[lane] = (self.counts[lane] + 1).min(255);
        if good {
            self.counts[1..].fill(0);
        } else {
            self.counts[0] = 0;
        }
        if self.counts[lane] >= u64::from(limit) {
            self.state = settled;
        } else if good && state == State::Unhealthy {
            self.state = State::MostlyUnhealthy;
        } else if !good && state == State::Healthy {
            self.state = State::MostlyHealthy;
        }
    }

    /// The last results speak against the state.
    pub(super) fn is_wavering(&self, spec: &MachineSpec) -> bool {
        match spec {
            MachineSpec::RiseFall { .. } if self.state.is_up() => {
                self.counts[0] == 0 && self.counts[1] > 0
            }
            MachineSpec::RiseFall { .. } => self.counts[1] == 0 && self.counts[0] > 0,
            _ => matches!(self.state, State::MostlyHealthy | State::MostlyUnhealthy),
        }
    }
}

//! The fake network, and random checks to run over it.

use moonbeat::health::dialect::Dialect;
use moonbeat::health::machine::Limits;
use moonbeat::health::{
    AllDown, CheckSpec, First, Initial, Kind, MachineSpec, Outcome, Pace, PassiveSpec, Policy,
};

use crate::sim_health::Rng;

/// How a peer behaves for now.
#[derive(Clone, Copy, Debug)]
pub(super) enum Weather {
    Fine,
    Refusing,
    Silent,
    /// Answers, but not what is wanted.
    Broken,
    /// A status in neither list.
    Vague,
    Flaky,
}

impl Weather {
    pub(super) fn any(rng: &mut Rng) -> Self {
        use Weather::*;
        [Fine, Fine, Fine, Refusing, Silent, Broken, Vague, Flaky, Flaky][rng.below(9)]
    }

    /// What a probe finds, and after how long.
    pub(super) fn probe(self, rng: &mut Rng, timeout_ms: u64) -> (Outcome, u64) {
        let latency_ms = rng.below(timeout_ms as usize) as u64;
        let (kind, took_ms) = match self {
            // Our own side fails now and then: that is no result.
            _ if rng.below(40) == 0 => (Kind::NoSocket, 0),
            Self::Fine => (Kind::Passed, latency_ms / 4),
            Self::Refusing => (Kind::ConnectFailed, latency_ms / 8),
            Self::Silent => (Kind::ReceiveTimeout, timeout_ms),
            Self::Broken => (Kind::BadStatus, latency_ms),
            Self::Vague => (Kind::Ignored, latency_ms),
            Self::Flaky => {
                ([Kind::Passed, Kind::BadLine, Kind::SendFailed][rng.below(3)], latency_ms)
            }
        };
        (Outcome::new(kind), took_ms)
    }
}

/// A random check.
pub(super) fn spec(rng: &mut Rng) -> CheckSpec {
    let mut span = |limit: usize| rng.below(limit) as u64;
    let healthy_ms = [0, 20, 333, 1000, 5000][span(5) as usize] + span(40);
    let unhealthy_ms = [0, 10, 250, 1000, 3000][span(5) as usize] + span(40);
    let fast_ms = (span(3) == 0).then(|| 10 + span(600));
    let backoff_max_ms = if span(4) == 0 { 2000 + span(20_000) } else { 0 };
    let pace = Pace {
        healthy_ms,
        unhealthy_ms,
        fast_ms,
        jitter_ms: [0, 50, 400, 9000][span(4) as usize],
        slot_ms: [1, 10, 50][span(3) as usize],
        backoff_max_ms,
        first: [First::AtOnce, First::Soon, First::AfterInterval, First::Spread][span(4) as usize],
        ..Pace::every(1000)
    };
    let policy = Policy {
        initial: [Initial::Up, Initial::Up, Initial::Down][span(3) as usize],
        all_down: [AllDown::Refuse, AllDown::TryAll][span(2) as usize],
        panic_percent: [0, 0, 50][span(3) as usize],
        ..Policy::default()
    };
    CheckSpec {
        pace,
        policy,
        timeout_ms: 1 + span(700),
        concurrency: [1, 2, 5, 1000][span(4) as usize],
        machine: machine(rng),
        passive: PassiveSpec { limits: Some(limits(rng)), ..PassiveSpec::default() },
        ..CheckSpec::new(Dialect::Native, "sim")
    }
}

/// The same check with other numbers, of the same kind of machine.
pub(super) fn other_numbers(rng: &mut Rng, old: &CheckSpec) -> CheckSpec {
    let machine = match old.machine {
        MachineSpec::RiseFall { .. } => rise_fall(rng),
        _ => MachineSpec::Counters(limits(rng)),
    };
    CheckSpec { machine, policy: old.policy.clone(), ..spec(rng) }
}

fn machine(rng: &mut Rng) -> MachineSpec {
    if rng.below(2) == 0 { rise_fall(rng) } else { MachineSpec::Counters(limits(rng)) }
}

fn rise_fall(rng: &mut Rng) -> MachineSpec {
    MachineSpec::RiseFall { rise: rng.below(4) as u64, fall: rng.below(5) as u64 }
}

fn limits(rng: &mut Rng) -> Limits {
    let mut limit = || rng.below(4) as u8;
    Limits { successes: limit(), http_failures: limit(), tcp_failures: limit(), timeouts: limit() }
}

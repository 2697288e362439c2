//! `CheckSpec`: our one vocabulary for what to check, when, and when to flip.
//!
//! ```text
//!  spawn_checker{…}  ─┐               ┌ probe    what goes over the wire, what passes
//!  checks.active …   ─┼─ dialect ─▶ CheckSpec ── pace, passive, policy
//!  health_check …    ─┘               └ machine  when a peer flips
//! ```
//!
//! Equal specs of `resty.upstream.healthcheck` are one check. Everywhere else a check is known by
//! its dialect, its upstream and its name: asked for again with other numbers it keeps its states.

mod pace;
mod policy;
mod probe;

use bstr::BString;

pub use self::pace::Pace;
pub use self::policy::{AllDown, Eject, Initial, PassiveSpec, Policy};
pub use self::probe::{
    Expect, GrpcProbe, HeadOrder, HttpProbe, Keepalive, Pass, ProbeSpec, RawProbe, TcpProbe,
    TlsSpec, Version,
};
use super::dialect::Dialect;
use super::machine::{Counters, Lease, Limits, Machine, RiseFall};
use super::statuses::Statuses;

/// One check of one group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CheckSpec {
    /// Name of the upstream, or of the checker.
    pub upstream: BString,
    /// Name of the check among several of one upstream, which must all pass.
    pub name: BString,
    pub dialect: Dialect,
    pub probe: ProbeSpec,
    /// Replaces the port of every inet peer.
    pub port: Option<u16>,
    /// Begins every probe's connection with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// Probes share connections; without it each has its own.
    pub keepalive: Option<Keepalive>,
    pub pace: Pace,
    pub timeout_ms: u64,
    pub timeout_scope: TimeoutScope,
    /// How many peers are probed at a time; 1 is one after the other.
    pub concurrency: usize,
    pub machine: MachineSpec,
    /// Results after which nothing is counted any more: the peer is down.
    pub fatal: Fatal,
    pub passive: PassiveSpec,
    pub policy: Policy,
    /// Name of the shared dictionary the results are mirrored to.
    pub shm: Option<BString>,
}

impl CheckSpec {
    /// A check by `tcp` with NGINX Plus's numbers: every 5 s, one failure down, one success up.
    pub fn new(dialect: Dialect, upstream: impl Into<BString>) -> Self {
        Self {
            upstream: upstream.into(),
            name: BString::default(),
            dialect,
            probe: ProbeSpec::Tcp(TcpProbe::default()),
            port: None,
            proxy_protocol: false,
            keepalive: None,
            pace: Pace::every(5000),
            timeout_ms: 2000,
            timeout_scope: TimeoutScope::WholeProbe,
            concurrency: 1000,
            machine: MachineSpec::RiseFall { rise: 1, fall: 1 },
            fatal: Fatal::default(),
            passive: PassiveSpec::default(),
            policy: Policy::default(),
            shm: None,
        }
    }

    /// True for the check of the same name, whatever its numbers.
    pub fn is_same_check(&self, other: &Self) -> bool {
        (self.dialect, &self.upstream, &self.name) == (other.dialect, &other.upstream, &other.name)
    }
}

/// What the timeout is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeoutScope {
    /// Each connect, handshake, write and read: what the Lua libraries do.
    EachOperation,
    /// The probe from connect to verdict.
    WholeProbe,
}

/// Results that turn a peer down at once, as Envoy and Nacos know them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fatal {
    pub statuses: Statuses,
    /// A refused connection too.
    pub refused: bool,
}

/// Which machine judges, with its numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MachineSpec {
    RiseFall { rise: u64, fall: u64 },
    Counters(Limits),
    Lease { unhealthy_ms: u64, delete_ms: u64 },
}

impl MachineSpec {
    pub fn build(&self, up: bool, now_ms: u64) -> Machine {
        match self {
            Self::RiseFall { rise, fall } => Machine::RiseFall(RiseFall::new(*rise, *fall, !up)),
            Self::Counters(limits) => Machine::Counters(Counters::new(*limits, up)),
            Self::Lease { unhealthy_ms, delete_ms } => {
                Machine::Lease(Lease::new(*unhealthy_ms, *delete_ms, up, now_ms))
            }
        }
    }

    /// The machine of a check that goes on with these numbers.
    pub fn rebuild(&self, old: &Machine, now_ms: u64) -> Machine {
        match (self, old) {
            (Self::RiseFall { .. }, Machine::RiseFall(m)) => {
                let Machine::RiseFall(fresh) = self.build(true, now_ms) else { return old.clone() };
                Machine::RiseFall(RiseFall::restored(&fresh, m.ok(), m.nok(), !old.state().is_up()))
            }
            (Self::Counters(limits), Machine::Counters(m)) => {
                Machine::Counters(m.clone().with_limits(*limits))
            }
            _ => self.build(old.state().is_up(), now_ms),
        }
    }
}

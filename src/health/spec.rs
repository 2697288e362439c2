//! `CheckSpec`: our one vocabulary for what to check, when, and when to flip.
//!
//! ```text
//!  spawn_checker{…}  ─┐
//!  checks.active …   ─┼─ dialect ─▶ CheckSpec ─▶ engine
//!  health_check …    ─┘
//! ```
//!
//! Two equal specs are one check: the spec is the identity under which states survive a reload.

use bstr::BString;

use super::dialect::Dialect;
use super::machine::{Counters, Limits, Machine, RiseFall};
use super::schedule::First;

/// One check of one group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CheckSpec {
    pub upstream: BString,
    pub dialect: Dialect,
    pub probe: ProbeSpec,
    /// Replaces the port of every inet peer.
    pub port: Option<u16>,
    pub interval_ms: u64,
    pub timeout_ms: u64,
    pub timeout_scope: TimeoutScope,
    pub first: First,
    /// How many peers are probed at a time; 1 is one after the other.
    pub concurrency: usize,
    pub machine: MachineSpec,
    /// Name of the shared dictionary the results are mirrored to.
    pub shm: Option<BString>,
}

/// What goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ProbeSpec {
    /// Connect, and be content.
    Tcp,
    Http(HttpProbe),
}

/// A request sent as it is; of the answer only the first line is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpProbe {
    pub request: BString,
    /// Healthy statuses, sorted; `None` takes any line for healthy.
    pub valid_statuses: Option<Vec<u64>>,
    pub tls: Option<TlsSpec>,
}

/// TLS of a probe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsSpec {
    pub sni: Option<BString>,
    pub verify: bool,
}

/// What the timeout is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeoutScope {
    /// Each connect, handshake, write and read: what the Lua libraries do.
    EachOperation,
    /// The probe from connect to verdict.
    WholeProbe,
}

/// Which machine judges, with its numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MachineSpec {
    RiseFall { rise: u64, fall: u64 },
    Counters(Limits),
}

impl MachineSpec {
    pub fn build(&self, up: bool) -> Machine {
        match self {
            Self::RiseFall { rise, fall } => Machine::RiseFall(RiseFall::new(*rise, *fall, !up)),
            Self::Counters(limits) => Machine::Counters(Counters::new(*limits, up)),
        }
    }
}

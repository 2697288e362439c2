//! What a check tells those who listen.

use std::sync::Arc;

use bstr::BString;

use crate::health::machine::{Seen, State, Transition};
use crate::health::outcome::Outcome;
use crate::health::spec::CheckSpec;
use crate::health::target::Target;
use crate::health::watch::Source;

/// Something that happened to a check or to one of its targets.
#[derive(Clone, Debug)]
pub struct Event {
    /// Wall time.
    pub at_ms: u64,
    pub spec: Arc<CheckSpec>,
    /// `None` when it concerns the check as a whole.
    pub target: Option<Arc<Target>>,
    /// State and lanes of the target as the event left them.
    pub after: Option<(State, u32)>,
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Added {
        up: bool,
    },
    Removed,
    Cleared,
    /// A result that the machine counted.
    Counted {
        seen: Seen,
        count: u64,
        limit: u64,
        source: Source,
    },
    Changed {
        transition: Transition,
        why: String,
        source: Source,
    },
    /// The state was set, perhaps to what it was.
    Forced {
        up: bool,
    },
    Overridden(Option<Override>),
    /// Taken from traffic by its requests, for a time; or let in again to be tried.
    Ejected {
        times: u32,
        for_ms: u64,
    },
    Readmitted,
    /// The peer turns too often: it stays out for a time although it is well.
    Flapping {
        for_ms: u64,
    },
    /// Its lease is over: it is to be deleted.
    Expired,
    /// A probe failed for another reason than the one before; `hidden` such were not told.
    Failing {
        why: String,
        /// Failures so far, and how many turn the peer.
        counted: Option<(u64, u64)>,
        hidden: u64,
    },
    /// A probe ended; told only when somebody asked for these.
    Probed(Outcome),
    /// Verdicts are ignored from now on, or followed again.
    Panic(bool),
}

/// What an operator wants a peer to be, whatever checks say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    pub state: Forced,
    pub author: BString,
    pub reason: BString,
    /// Monotonic time; `None` is for good.
    pub expires_at_ms: Option<u64>,
}

/// The states an operator can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forced {
    Up,
    Down,
    /// No new requests; those in flight go on.
    Drain,
}

impl Forced {
    pub fn named(name: &[u8]) -> Option<Self> {
        [Self::Up, Self::Down, Self::Drain].into_iter().find(|f| f.name().as_bytes() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Drain => "drain",
        }
    }
}

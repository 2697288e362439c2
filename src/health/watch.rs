//! One peer under one check: its machine, its last results and its history.
//!
//! ```text
//!   Outcome ──▶ Watch { machine ─▶ Transition ─▶ changes (10), results (10), counts }
//! ```
//!
//! A hundred thousand of these may live in a process, so results are kept small: 32 bytes each,
//! and a text that repeats is kept once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::machine::{Machine, State, Transition};
use super::outcome::{Kind, Outcome};
use super::target::Target;

/// The peer.
#[derive(Debug)]
pub struct Watch {
    pub target: Arc<Target>,
    pub machine: Machine,
    pub results: Results,
    pub changes: VecDeque<Change>,
    pub probes: u64,
    pub failures: u64,
    pub(super) busy: bool,
}

impl Watch {
    pub(super) fn new(target: Arc<Target>, machine: Machine) -> Self {
        Self {
            target,
            machine,
            results: Results::default(),
            changes: VecDeque::new(),
            probes: 0,
            failures: 0,
            busy: false,
        }
    }

    pub fn is_down(&self) -> bool {
        !self.machine.state().is_up()
    }

    /// A probe of this peer is in flight.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// Takes the outcome of a probe into the machine and the memory.
    pub(super) fn take(&mut self, outcome: Outcome, now_ms: u64) -> Finished {
        self.busy = false;
        let was_down = self.is_down();
        let transition = outcome.seen().and_then(|seen| self.machine.observe(seen));
        if let Some(t) = transition {
            self.note(t, outcome.line(), now_ms);
        }
        self.keep(&outcome, Source::Active, now_ms);
        Finished { outcome, was_down, transition }
    }

    /// Keeps a result.
    pub(super) fn keep(&mut self, outcome: &Outcome, source: Source, now_ms: u64) {
        if source == Source::Active {
            self.probes += 1;
        }
        self.failures += u64::from(!outcome.is_pass());
        self.results.push(outcome, source, now_ms);
    }

    /// Writes a transition into the history.
    pub(super) fn note(&mut self, t: Transition, why: String, now_ms: u64) {
        if self.changes.len() == KEPT {
            self.changes.pop_front();
        }
        self.changes.push_back(Change { at_ms: now_ms, from: t.from, to: t.to, why });
    }
}

/// Where a result comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A probe.
    Active,
    /// A request.
    Passive,
    /// A heartbeat.
    Lease,
}

impl Source {
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::Lease => "lease",
        }
    }
}

/// The last results of a peer.
#[derive(Debug, Default)]
pub struct Results {
    list: Vec<Kept>,
    /// The oldest, once the list is full.
    oldest: u8,
}

impl Results {
    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Kept> {
        let (newer, older) = self.list.split_at(usize::from(self.oldest));
        older.iter().chain(newer)
    }

    pub fn last(&self) -> Option<&Kept> {
        self.iter().next_back()
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn push(&mut self, outcome: &Outcome, source: Source, at_ms: u64) {
        let known = self.last().and_then(|k| k.detail.as_ref());
        let detail = match known {
            Some(text) if **text == *outcome.detail => Some(text.clone()),
            _ if outcome.detail.is_empty() => None,
            _ => Some(outcome.detail.as_slice().into()),
        };
        let kept = Kept {
            at_ms,
            took_us: outcome.took.as_micros().try_into().unwrap_or(u32::MAX),
            status: outcome.status.map_or(0, |s| s.try_into().unwrap_or(u16::MAX)),
            kind: outcome.kind,
            source,
            detail,
        };
        if self.list.len() < KEPT {
            self.list.reserve_exact(if self.list.len() < 2 { 1 } else { KEPT - self.list.len() });
            return self.list.push(kept);
        }
        self.list[usize::from(self.oldest)] = kept;
        self.oldest = (self.oldest + 1) % KEPT as u8;
    }
}

/// One result, as kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Wall time.
    pub at_ms: u64,
    pub took_us: u32,
    /// 0 for none.
    pub status: u16,
    pub kind: Kind,
    pub source: Source,
    pub detail: Option<Arc<[u8]>>,
}

impl Kept {
    /// The result as it was reported.
    pub fn outcome(&self) -> Outcome {
        Outcome {
            kind: self.kind,
            status: (self.status > 0).then_some(u64::from(self.status)),
            detail: self.detail.as_deref().unwrap_or_default().into(),
            took: Duration::from_micros(self.took_us.into()),
        }
    }
}

/// One line of a peer's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Wall time.
    pub at_ms: u64,
    pub from: State,
    pub to: State,
    pub why: String,
}

/// What came of an outcome.
#[derive(Debug)]
pub struct Finished {
    pub outcome: Outcome,
    /// The peer was down before this result.
    pub was_down: bool,
    pub transition: Option<Transition>,
}

impl Finished {
    pub fn took(&self) -> Duration {
        self.outcome.took
    }
}

/// How many results and how many transitions are kept of each peer.
const KEPT: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ten_results_in_order() {
        let mut results = Results::default();
        for n in 0..25 {
            let outcome = Outcome::new(Kind::BadStatus).status(500 + n).detail("same");
            results.push(&outcome, Source::Active, n);
        }
        let statuses: Vec<_> = results.iter().map(|k| k.status).collect();
        assert_eq!(statuses, (515..525).collect::<Vec<_>>());
        assert_eq!((results.len(), results.list.capacity()), (10, 10));
        let texts: Vec<_> = results.iter().filter_map(|k| k.detail.as_ref()).collect();
        assert!(texts.windows(2).all(|w| Arc::ptr_eq(w[0], w[1])), "one text for all");
        assert_eq!(
            results.last().map(|k| k.outcome().line()),
            Some("L7STS 524 bad status: same".into())
        );
        assert_eq!(std::mem::size_of::<Kept>(), 32);
    }
}

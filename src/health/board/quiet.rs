//! Which failed probes are told: each reason once, and no more than a few a second.
//!
//! ```text
//!   x x x x . x    refused ×4, pass, refused        told: 1st, 6th; a transition tells its own
//!   10,000 at once                                  told: 10 a second, and how many were not
//! ```

use super::event::What;
use super::{Board, Now};
use crate::health::machine::Counted;
use crate::health::outcome::Outcome;

/// How much was told lately.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    second: u64,
    told: u32,
    hidden: u64,
}

impl Quiet {
    /// One more line: `Some` with how many were not written before it, if it may be.
    fn line(&mut self, now_ms: u64) -> Option<u64> {
        let second = now_ms / 1000;
        if self.second != second {
            (self.second, self.told) = (second, 0);
        }
        if self.told >= LINES_A_SECOND {
            self.hidden += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.hidden))
    }
}

impl Board {
    /// Tells a failed probe, unless a transition says it all or the last one said the same.
    pub(super) fn tell_failure(
        &mut self,
        at: usize,
        outcome: &Outcome,
        counted: Option<Counted>,
        now: Now,
    ) {
        if outcome.is_pass() {
            self.seats[at].told = None;
            return;
        }
        let status = outcome.status.and_then(|s| s.try_into().ok()).unwrap_or_default();
        let reason = Some((outcome.kind, status));
        let same = std::mem::replace(&mut self.seats[at].told, reason) == reason;
        let turned = counted.is_some_and(|c| c.transition.is_some_and(|t| t.verdict().is_some()));
        if same || turned {
            return;
        }
        let Some(hidden) = self.quiet.line(now.mono_ms) else { return };
        let counted = counted.map(|c| (c.count, c.limit));
        self.tell(Some(at), What::Failing { why: outcome.line(), counted, hidden }, now);
    }
}

const LINES_A_SECOND: u32 = 10;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::health::dialect::Dialect;
    use crate::health::outcome::Kind;
    use crate::health::schedule::First;
    use crate::health::spec::{CheckSpec, MachineSpec, Pace};
    use crate::health::target::TargetSpec;
    use crate::upstream::CheckBit;

    fn at(mono_ms: u64) -> Now {
        Now { mono_ms, wall_ms: mono_ms }
    }

    fn board(peers: usize) -> Board {
        let spec = CheckSpec {
            pace: Pace { first: First::AtOnce, ..Pace::every(1000) },
            machine: MachineSpec::RiseFall { rise: 1, fall: 3 },
            concurrency: peers,
            ..CheckSpec::new(Dialect::Native, "foo")
        };
        let mut board = Board::new(Arc::new(spec), CheckBit::nth(0));
        for n in 0..peers {
            board.add(&TargetSpec::new(n.to_string(), "", None), at(0));
        }
        board
    }

    /// Probes everybody and gives what was told of failures.
    fn told(board: &mut Board, now_ms: u64, outcome: &Outcome) -> Vec<(String, u64)> {
        while let Some(launch) = board.launch(at(now_ms)) {
            board.finish(launch.seat, outcome, at(now_ms));
        }
        let events = board.drain().into_iter();
        let told = events.filter_map(|e| match e.what {
            What::Failing { why, hidden, .. } => Some((why, hidden)),
            _ => None,
        });
        told.collect()
    }

    #[test]
    fn each_reason_is_told_once() {
        let mut b = board(1);
        let (refused, pass) = (Outcome::new(Kind::ConnectFailed), Outcome::new(Kind::Passed));
        let bad = |status| Outcome::new(Kind::BadStatus).status(status);
        let mut said = Vec::new();
        // The third failure turns the peer: that line tells the reason.
        for outcome in [&refused, &refused, &bad(500), &bad(500), &bad(503), &pass, &bad(503)] {
            let now_ms = b.next_at_ms().expect("armed");
            said.push(told(&mut b, now_ms, outcome).len());
        }
        assert_eq!(said, [1, 0, 0, 0, 1, 0, 1]);
    }

    #[test]
    fn no_more_than_a_few_a_second() {
        let mut b = board(10_000);
        let lines = told(&mut b, 0, &Outcome::new(Kind::ConnectFailed));
        assert_eq!(lines.len(), 10);
        let lines = told(&mut b, 1000, &Outcome::new(Kind::ConnectTimeout));
        assert_eq!((lines.len(), lines[0].1, lines[1].1), (10, 9990, 0));
    }
}

//! One check without its sockets: rounds, lanes, machines, results. Time and outcomes come in.
//!
//! ```text
//!              ┌──────────── Wait(next slot) ◀───────────┐
//!   next(now) ─┴▶ Open ─▶ Lane, Probe(i) … Busy ─▶ … ─▶ Close
//!                             │      ▲
//!                  the shell probes  └── finish(i, outcome) ─▶ Finished { transition }
//! ```
//!
//! A round probes all primaries, then all backups. With a concurrency of n the peers of a list are
//! dealt into at most n lanes of neighbours; a lane goes one peer after the other, so no peer ever
//! has two probes in flight.

use std::sync::Arc;

use crate::health::machine::Machine;
use crate::health::outcome::Outcome;
use crate::health::schedule::Schedule;
use crate::health::spec::{CheckSpec, MachineSpec};
use crate::health::target::Target;
use crate::health::watch::{Finished, Watch};

/// The check.
#[derive(Debug)]
pub struct Core {
    machine: MachineSpec,
    concurrency: usize,
    schedule: Schedule,
    watches: Vec<Watch>,
    stage: Stage,
}

impl Core {
    /// A check of `targets`; `is_up` tells how each begins.
    pub fn new(
        spec: &CheckSpec,
        targets: Vec<Target>,
        is_up: impl Fn(usize) -> bool,
        now_ms: u64,
    ) -> Self {
        let machine = spec.machine.clone();
        let watch = |(i, t)| Watch::new(Arc::new(t), machine.build(is_up(i), now_ms));
        let watches = targets.into_iter().enumerate().map(watch).collect();
        let schedule = Schedule::new(spec.pace.healthy_ms, spec.pace.first, spec, now_ms);
        Self { machine, concurrency: spec.concurrency, schedule, watches, stage: Stage::Idle }
    }

    /// What to do now.
    pub fn next(&mut self, now_ms: u64) -> Step {
        match &mut self.stage {
            Stage::Idle if !self.schedule.is_due(now_ms) => Step::Wait(self.schedule.next_at_ms()),
            Stage::Idle => {
                self.stage = Stage::Open;
                Step::Open
            }
            Stage::Open => {
                self.stage = Stage::Run { backup: false, lanes: self.deal(false) };
                self.next(now_ms)
            }
            Stage::Run { backup, lanes } => {
                if let Some(step) = lanes.iter_mut().find_map(RunningLane::advance) {
                    if let Step::Probe(at) = step {
                        self.watches[at].busy = true;
                    }
                    return step;
                }
                let backup = *backup;
                if lanes.iter().any(|l| l.busy) {
                    return Step::Busy;
                }
                if !backup {
                    self.stage = Stage::Run { backup: true, lanes: self.deal(true) };
                    return self.next(now_ms);
                }
                self.stage = Stage::Idle;
                self.schedule.finish(now_ms);
                Step::Close
            }
        }
    }

    /// Takes the outcome of a probe that [`Step::Probe`] asked for.
    pub fn finish(&mut self, at: usize, outcome: Outcome, now_ms: u64) -> Finished {
        if let Stage::Run { lanes, .. } = &mut self.stage {
            lanes.iter_mut().for_each(|l| l.done(at));
        }
        self.watches[at].take(outcome, now_ms)
    }

    /// Follows a changed peer list: known peers keep their machines and results. Only between
    /// rounds, or when one has just been opened. Gives back the targets that are gone.
    pub fn reconcile(
        &mut self,
        targets: Vec<Target>,
        is_up: impl Fn(usize) -> bool,
    ) -> Vec<Arc<Target>> {
        let mut old = std::mem::take(&mut self.watches);
        for (i, target) in targets.into_iter().enumerate() {
            let known = old.iter().position(|w| w.target.is_same(&target));
            let watch = match known {
                Some(at) => Watch { target: Arc::new(target), busy: false, ..old.swap_remove(at) },
                None => Watch::new(Arc::new(target), self.machine.build(is_up(i), 0)),
            };
            self.watches.push(watch);
        }
        old.into_iter().map(|w| w.target).collect()
    }

    /// Forgets every count and result and begins a round at once.
    pub fn reset(&mut self, is_up: impl Fn(usize) -> bool, now_ms: u64) {
        for (i, watch) in self.watches.iter_mut().enumerate() {
            *watch = Watch::new(watch.target.clone(), self.machine.build(is_up(i), now_ms));
        }
        self.schedule.restart(now_ms);
    }

    pub fn watches(&self) -> &[Watch] {
        &self.watches
    }

    /// Lets machines go on where an earlier process left them.
    pub fn restore(&mut self, mut each: impl FnMut(&Target, &mut Machine)) {
        self.watches.iter_mut().for_each(|w| each(&w.target, &mut w.machine));
    }

    /// Takes over a verdict that was reached elsewhere.
    pub fn adopt(&mut self, at: usize, up: bool) {
        self.watches[at].machine.set_up(up);
    }

    /// Between rounds: nothing is in flight.
    pub fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle)
    }

    /// Deals one list into lanes, as the Lua library deals it into light threads.
    fn deal(&self, backup: bool) -> Vec<RunningLane> {
        let of_list = |w: &&Watch| w.target.backup == backup;
        let n = self.watches.iter().filter(of_list).count();
        let first = if backup { self.watches.len() - n } else { 0 };
        if n == 0 {
            return Vec::new();
        }
        if self.concurrency <= 1 {
            let lane = Lane { backup, from: 0, to: n - 1, last: true };
            return vec![RunningLane::new(lane, first, false)];
        }
        let size = n.div_ceil(self.concurrency);
        let count = n.div_ceil(size);
        let lane = |i: usize| {
            let (from, to) = (i * size, ((i + 1) * size).min(n) - 1);
            RunningLane::new(Lane { backup, from, to, last: i + 1 == count }, first, true)
        };
        (0..count).map(lane).collect()
    }
}

/// What the shell does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing until this time.
    Wait(u64),
    /// A round begins.
    Open,
    /// A lane begins; told only when there is more than one probe at a time.
    Lane(Lane),
    /// Probe this watch now.
    Probe(usize),
    /// Wait for a probe in flight.
    Busy,
    /// The round is over.
    Close,
}

/// Neighbours probed one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    pub backup: bool,
    /// First and last place in the list.
    pub from: usize,
    pub to: usize,
    /// The last lane of its list.
    pub last: bool,
}

#[derive(Debug)]
enum Stage {
    Idle,
    Open,
    Run { backup: bool, lanes: Vec<RunningLane> },
}

#[derive(Debug)]
struct RunningLane {
    lane: Lane,
    announce: bool,
    /// Places among all watches: the next one, and the one after the last.
    next: usize,
    end: usize,
    busy: bool,
}

impl RunningLane {
    fn new(lane: Lane, first: usize, announce: bool) -> Self {
        Self { lane, announce, next: first + lane.from, end: first + lane.to + 1, busy: false }
    }

    fn advance(&mut self) -> Option<Step> {
        if std::mem::take(&mut self.announce) {
            return Some(Step::Lane(self.lane));
        }
        if self.busy || self.next == self.end {
            return None;
        }
        self.busy = true;
        self.next += 1;
        Some(Step::Probe(self.next - 1))
    }

    fn done(&mut self, at: usize) {
        if self.busy && at + 1 == self.next {
            self.busy = false;
        }
    }
}

#[cfg(test)]
mod tests;

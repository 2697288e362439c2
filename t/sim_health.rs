//! Seeded simulation of a check's core over a fake network: peers die, hang and come back, lists
//! change, time jumps. A failing run prints its seed.
//!
//! Held for every seed:
//! * no peer ever has two probes in flight, and never more than `concurrency` are in flight;
//! * the verdict is the machine's fold over the results that count;
//! * every round probes every peer once, and a round begins on its slot or when the last one ended;
//! * a peer that stays in the list keeps its verdict over a reconciliation.

use std::collections::HashMap;
use std::sync::Arc;

use moonbeat::health::dialect::Dialect;
use moonbeat::health::machine::{Machine, RiseFall};
use moonbeat::health::{CheckSpec, Core, First, Kind, MachineSpec, Outcome, Pace, Step, Target};

use crate::harness::case::Case;

pub fn cases() -> Vec<Case> {
    vec![Case::check("health/sim/core", || {
        (0..SEEDS)
            .try_for_each(|seed| World::new(seed).run().map_err(|e| format!("seed {seed}: {e}")))
    })]
}

/// A small generator, the same everywhere.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

struct World {
    rng: Rng,
    spec: CheckSpec,
    core: Core,
    now_ms: u64,
    /// Place and end of each probe in flight.
    flight: Vec<(usize, u64)>,
    /// What the machine of each peer should be, by name.
    models: HashMap<String, RiseFall>,
    probed: Vec<String>,
    slot_ms: u64,
    next_name: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed + 1);
        let first = [First::AtOnce, First::AfterInterval, First::Spread][rng.below(3)];
        let spec = CheckSpec {
            pace: Pace { first, ..Pace::every(1 + rng.below(500) as u64) },
            timeout_ms: 1 + rng.below(300) as u64,
            concurrency: rng.below(5),
            machine: MachineSpec::RiseFall {
                rise: 1 + rng.below(3) as u64,
                fall: 1 + rng.below(4) as u64,
            },
            ..CheckSpec::new(Dialect::OpenResty, "sim")
        };
        let mut next_name = 0;
        let targets = targets(&mut rng, &[], &mut next_name);
        let core = Core::new(&spec, targets, |_| true, 0);
        let mut world = Self {
            rng,
            spec,
            core,
            now_ms: 0,
            flight: Vec::new(),
            models: HashMap::new(),
            probed: Vec::new(),
            slot_ms: 0,
            next_name,
        };
        world.remodel();
        world
    }

    fn run(&mut self) -> Result<(), String> {
        let mut rounds = 0;
        while rounds < ROUNDS {
            match self.core.next(self.now_ms) {
                Step::Wait(at_ms) => self.wait(at_ms)?,
                Step::Open => self.open()?,
                Step::Lane(_) => {}
                Step::Probe(at) => self.start(at)?,
                Step::Busy => self.land()?,
                Step::Close => {
                    rounds += 1;
                    self.close()?;
                }
            }
        }
        Ok(())
    }

    fn wait(&mut self, at_ms: u64) -> Result<(), String> {
        if at_ms <= self.now_ms {
            return Err("told to wait for the past".into());
        }
        let late_ms = if self.rng.below(20) == 0 { self.rng.below(2000) as u64 } else { 0 };
        self.slot_ms = at_ms;
        self.now_ms = at_ms + late_ms;
        Ok(())
    }

    fn open(&mut self) -> Result<(), String> {
        if self.now_ms < self.slot_ms {
            return Err("a round before its slot".into());
        }
        self.probed.clear();
        if self.rng.below(4) == 0 {
            self.change_list()?;
        }
        Ok(())
    }

    fn change_list(&mut self) -> Result<(), String> {
        let old: Vec<Arc<Target>> = self.core.watches().iter().map(|w| w.target.clone()).collect();
        let next = targets(&mut self.rng, &old, &mut self.next_name);
        self.core.reconcile(next, |_| true);
        self.remodel();
        self.compare()
    }

    fn start(&mut self, at: usize) -> Result<(), String> {
        let watch = &self.core.watches()[at];
        if self.flight.iter().any(|(other, _)| *other == at) || !watch.is_busy() {
            return Err(format!("two probes of {}", watch.target.name));
        }
        self.probed.push(watch.target.name.clone());
        let took_ms = self.rng.below(2 * self.spec.timeout_ms as usize) as u64;
        self.flight.push((at, self.now_ms + took_ms));
        if self.flight.len() > self.spec.concurrency.max(1) {
            return Err(format!("{} probes in flight", self.flight.len()));
        }
        Ok(())
    }

    /// The first probe to end ends.
    fn land(&mut self) -> Result<(), String> {
        let first = (0..self.flight.len()).min_by_key(|i| self.flight[*i].1);
        let (at, end_ms) = self.flight.swap_remove(first.ok_or("busy with nothing")?);
        self.now_ms = self.now_ms.max(end_ms);
        let outcome = self.outcome();
        let name = self.core.watches()[at].target.name.clone();
        let finished = self.core.finish(at, outcome.clone(), self.now_ms);
        let model = self.models.get_mut(&name).ok_or("an unknown peer")?;
        let expected = outcome.seen().and_then(|_| model.observe(outcome.is_pass()));
        if finished.transition != expected {
            return Err(format!("{name}: {:?} instead of {expected:?}", finished.transition));
        }
        self.compare()
    }

    fn outcome(&mut self) -> Outcome {
        let kinds =
            [Kind::Passed, Kind::Passed, Kind::Passed, Kind::ConnectFailed, Kind::BadStatus];
        match self.rng.below(20) {
            0 => Outcome::new(Kind::NoSocket),
            n => Outcome::new(kinds[n % kinds.len()]),
        }
    }

    fn close(&mut self) -> Result<(), String> {
        let mut expected: Vec<_> =
            self.core.watches().iter().map(|w| w.target.name.clone()).collect();
        expected.sort();
        self.probed.sort();
        if self.probed != expected || !self.flight.is_empty() {
            return Err(format!("a round over {:?} of {expected:?}", self.probed));
        }
        Ok(())
    }

    fn compare(&self) -> Result<(), String> {
        for watch in self.core.watches() {
            let name = &watch.target.name;
            let model = self.models.get(name).cloned().map(Machine::RiseFall);
            if model.as_ref() != Some(&watch.machine) {
                return Err(format!("{name} is {:?}, not {model:?}", watch.machine));
            }
            if watch.results.len() > 10 || watch.changes.len() > 10 {
                return Err("results pile up".into());
            }
        }
        Ok(())
    }

    /// New peers get a fresh model, gone ones lose theirs.
    fn remodel(&mut self) {
        let MachineSpec::RiseFall { rise, fall } = self.spec.machine else { return };
        let names: Vec<_> = self.core.watches().iter().map(|w| w.target.name.clone()).collect();
        self.models.retain(|name, _| names.contains(name));
        for name in names {
            self.models.entry(name).or_insert_with(|| RiseFall::new(rise, fall, false));
        }
    }
}

/// A new list: some of the old peers in another order, and some new ones.
fn targets(rng: &mut Rng, old: &[Arc<Target>], next_name: &mut usize) -> Vec<Target> {
    let mut names: Vec<String> =
        old.iter().filter(|_| rng.below(3) > 0).map(|t| t.name.clone()).collect();
    for _ in 0..rng.below(6) {
        *next_name += 1;
        let at = rng.below(names.len() + 1);
        names.insert(at, format!("peer{next_name}"));
    }
    let backups = rng.below(names.len() + 1);
    let split = names.len() - backups;
    let target = |(i, name): (usize, String)| {
        let (backup, id) = (i >= split, if i >= split { i - split } else { i });
        Target { backup, id, ..Target::new(name, "s", None) }
    };
    names.into_iter().enumerate().map(target).collect()
}

const SEEDS: u64 = 10_000;
const ROUNDS: usize = 12;

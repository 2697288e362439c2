//! What checkers do by the clock: they tell their rounds, show who probes, and remove targets.
//!
//! Probes are the engine's. A round stands for one interval of it: each target of its kind is
//! probed once in it. Only the checker that leads its book does any of this.

use super::feed::Hub;
use crate::base::clock;
use crate::base::log::{Level, main_chain};
use crate::health::resty::{hide_prober, show_prober};
use crate::lua::raw::Reply;

/// The clock of one checker.
#[derive(Debug)]
pub struct Plan {
    rounds: [Round; 2],
    active: bool,
    /// Somebody asked for the count of rounds, whatever the log level.
    counts_rounds: bool,
    /// When the key that shows who probes is renewed.
    show_at_ms: u64,
}

/// Rounds over the targets that are up, or down.
#[derive(Debug)]
struct Round {
    up: bool,
    interval_ms: u64,
    next_at_ms: u64,
}

impl Plan {
    pub fn new(healthy_ms: u64, unhealthy_ms: u64, counts_rounds: bool) -> Self {
        let round = |up, interval_ms| Round { up, interval_ms, next_at_ms: 0 };
        let rounds = [round(true, healthy_ms), round(false, unhealthy_ms)];
        Self { rounds, active: false, counts_rounds, show_at_ms: 0 }
    }

    pub fn start(&mut self, active: bool, now_ms: u64) {
        self.active = active;
        self.show_at_ms = now_ms;
        for round in &mut self.rounds {
            round.next_at_ms = now_ms + round.interval_ms;
        }
    }

    /// The rounds that are told; nobody hears of them below the debug level.
    fn told(&mut self) -> impl Iterator<Item = &mut Round> {
        let told = self.counts_rounds || main_chain().level() >= Level::Debug;
        let active = self.active && told;
        self.rounds.iter_mut().filter(move |r| active && r.interval_ms > 0)
    }

    fn next_at_ms(&mut self) -> Option<u64> {
        let shown = self.active.then_some(self.show_at_ms);
        self.told().map(|r| r.next_at_ms).chain(shown).min()
    }
}

impl Hub {
    /// When the clock has to be looked at.
    pub(super) fn next_at_ms(&self) -> Option<u64> {
        let (now_ms, wall_s) = (clock::fresh_mono_ms(), wall_s());
        let mut held = self.held.borrow_mut();
        let leading = held.iter_mut().filter(|(seat, h)| h.book.leads(**seat));
        let next = leading.flat_map(|(_, h)| {
            let purge = h.book.purge_at();
            let purge = purge.map(|at| now_ms + ((at - wall_s).max(0.0) * 1000.0).ceil() as u64);
            [purge, h.plan.next_at_ms()]
        });
        next.flatten().min()
    }

    /// Does what is due.
    pub(super) async fn tick(&self) {
        self.stale.set(true);
        let (mut rounds, mut removed) = (Vec::new(), Vec::new());
        let now_ms = clock::fresh_mono_ms();
        for (seat, held) in &mut *self.held.borrow_mut() {
            if !held.book.leads(*seat) {
                continue;
            }
            if held.plan.active && held.plan.show_at_ms <= now_ms {
                held.plan.show_at_ms = now_ms + SHOW_MS;
                show_prober(&held.book.dict(), std::process::id());
            }
            for round in held.plan.told().filter(|r| r.next_at_ms <= now_ms) {
                let missed = (now_ms - round.next_at_ms) / round.interval_ms;
                round.next_at_ms += (missed + 1) * round.interval_ms;
                rounds.push((*seat, round.up, held.book.count(round.up)));
            }
            removed.extend(held.book.purge().into_iter().map(|ident| (*seat, ident)));
        }
        for (seat, ident) in removed {
            self.tell(seat, "removed", Some(&ident), Reply::none()).await;
        }
        for (seat, up, count) in rounds {
            let mode = if up { "healthy" } else { "unhealthy" };
            self.tell(seat, "round", None, Reply::one(mode).and(count)).await;
        }
    }

    /// Takes away the key that shows who probes, once no checker of the dictionary does.
    pub(super) fn hide_idle_prober(&self, seat: u64) {
        let held = self.held.borrow();
        let Some(dict) = held.get(&seat).map(|h| h.book.dict()) else { return };
        let same = |h: &&super::feed::Held| h.book.dict().name() == dict.name();
        if !held.values().filter(same).any(|h| h.book.is_active()) {
            hide_prober(&dict);
        }
    }
}

fn wall_s() -> f64 {
    clock::fresh_wall().as_ms() as f64 / 1000.0
}

/// How often the key that shows who probes is renewed.
const SHOW_MS: u64 = 1000;

//! One run: the board, the peers' models, the weather, and what happens to them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use moonbeat::health::machine::{Machine, Seen, State};
use moonbeat::health::{
    AllDown, Board, CheckSpec, Forced, Initial, Key, Now, Outcome, Override, Report, SeatId,
    TargetSpec, What,
};
use moonbeat::net::addr::Addr;
use moonbeat::upstream::{CheckBit, Peer, PeerConf};

use super::model::Model;
use super::network::{self, Weather};
use crate::sim_health::Rng;

pub(super) struct World {
    rng: Rng,
    spec: CheckSpec,
    board: Board,
    now_ms: u64,
    models: HashMap<Key, Model>,
    weather: HashMap<Key, Weather>,
    peers: HashMap<Key, Arc<Peer>>,
    flight: Vec<Flight>,
    active: bool,
    /// Probes had to wait for room at this time; a thread slept until this time.
    full_ms: u64,
    stalled_ms: u64,
    /// What the wall clock is ahead: it jumps as it likes, and nobody may care.
    wall_ms: u64,
    last_name: usize,
    story: VecDeque<String>,
}

struct Flight {
    seat: SeatId,
    key: Key,
    end_ms: u64,
    outcome: Outcome,
    /// Its target left while it was under way.
    orphan: bool,
    disturbed: bool,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed + 1);
        let spec = network::spec(&mut rng);
        let board = Board::new(Arc::new(spec.clone()), bit());
        let mut world = Self {
            rng,
            spec,
            board,
            now_ms: 5,
            models: HashMap::new(),
            weather: HashMap::new(),
            peers: HashMap::new(),
            flight: Vec::new(),
            active: true,
            full_ms: 0,
            stalled_ms: 0,
            wall_ms: 1_000_000,
            last_name: 0,
            story: VecDeque::new(),
        };
        world.new_list();
        world
    }

    /// The last things that happened.
    pub(super) fn story(&self) -> String {
        let lines: Vec<_> = self.story.iter().map(|line| format!("  {line}")).collect();
        format!("{:?}\n{}", self.spec, lines.join("\n"))
    }

    /// Time passes to the next thing that happens, and it happens.
    pub(super) fn step(&mut self) -> Result<(), String> {
        let whim_ms = self.now_ms + self.rng.below(700) as u64;
        let first_end_ms = self.flight.iter().map(|f| f.end_ms).min();
        let wakes_ms = self.board.next_at_ms();
        let next_ms = [Some(whim_ms), first_end_ms, wakes_ms].into_iter().flatten().min();
        self.now_ms = next_ms.unwrap_or(whim_ms).max(self.now_ms);
        if self.rng.below(50) == 0 {
            self.stall();
        }
        if self.is_full() {
            self.full_ms = self.now_ms;
            self.excuse();
        }
        self.board.tick(self.now());
        if first_end_ms.is_some_and(|end_ms| end_ms <= self.now_ms) {
            self.land()?;
        } else if self.now_ms >= whim_ms {
            self.whim()?;
        }
        self.launch()?;
        self.listen()?;
        self.compare()
    }

    fn now(&self) -> Now {
        Now { mono_ms: self.now_ms, wall_ms: self.wall_ms + self.now_ms }
    }

    fn note(&mut self, text: String) {
        if self.story.len() == 40 {
            self.story.pop_front();
        }
        self.story.push_back(format!("{} {text}", self.now_ms));
    }

    /// The thread sleeps while things fall due.
    fn stall(&mut self) {
        let from_ms = self.now_ms;
        self.now_ms += self.rng.below(3000) as u64;
        self.note(format!("slept since {from_ms}"));
        self.stalled_ms = self.now_ms;
        self.excuse();
    }

    /// What fell due by now may come now.
    fn excuse(&mut self) {
        for model in self.models.values_mut() {
            if let Some((_, latest_ms)) = &mut model.window {
                *latest_ms = self.now_ms.max(*latest_ms);
            }
        }
    }

    /// A probe ends.
    fn land(&mut self) -> Result<(), String> {
        let ended = (0..self.flight.len()).min_by_key(|i| self.flight[*i].end_ms);
        let flight = self.flight.swap_remove(ended.ok_or("nothing is under way")?);
        self.note(format!("{} {}", flight.key.name, flight.outcome.line()));
        self.board.finish(flight.seat, &flight.outcome, self.now());
        let (false, Some(model)) = (flight.orphan, self.models.get_mut(&flight.key)) else {
            return Ok(());
        };
        model.probes += 1;
        let pass = flight.outcome.is_pass();
        model.dead_probes = match model.fold.state.is_up() {
            _ if pass => 0,
            true => model.dead_probes,
            false => model.dead_probes + 1,
        };
        if let Some(seen) = flight.outcome.seen() {
            model.take(&self.spec, seen, false);
        }
        if self.active {
            let disturbed = flight.disturbed || self.stalled_ms == self.now_ms;
            model.ended(&self.spec, disturbed, self.now_ms);
        }
        Ok(())
    }

    fn launch(&mut self) -> Result<(), String> {
        while let Some(launch) = self.board.launch(self.now()) {
            let key = launch.target.key();
            self.note(format!("probes {}", key.name));
            if self.flight.iter().any(|f| f.key == key && !f.orphan) {
                return Err(format!("two probes of {}", key.name));
            }
            let model = self.models.get_mut(&key).ok_or("a probe of nobody")?;
            let (earliest_ms, latest_ms) = model.window.ok_or("a probe that nobody wants")?;
            let excused = self.full_ms >= model.begun_ms || self.stalled_ms >= model.begun_ms;
            if self.now_ms < earliest_ms {
                return Err(format!("{} is probed before {earliest_ms}", key.name));
            }
            if self.now_ms > latest_ms && self.full_ms < latest_ms {
                return Err(format!("{} is probed after {latest_ms}", key.name));
            }
            model.sent(&self.spec, self.now_ms);
            let weather = self.weather.get(&key).copied().unwrap_or(Weather::Fine);
            let (outcome, took_ms) = weather.probe(&mut self.rng, self.spec.timeout_ms);
            let (seat, end_ms) = (launch.seat, self.now_ms + took_ms);
            if self.is_full() {
                return Err("more probes at once than the cap".into());
            }
            let flight = Flight { seat, key, end_ms, outcome, orphan: false, disturbed: excused };
            self.flight.push(flight);
        }
        if self.is_full() {
            self.full_ms = self.now_ms;
            self.excuse();
        }
        let late = |m: &Model| m.window.is_some_and(|(_, latest_ms)| latest_ms < self.now_ms);
        match self.models.iter().find(|(_, model)| late(model)) {
            Some((key, model)) => Err(format!("{} is not probed: {model:?}", key.name)),
            None => Ok(()),
        }
    }

    /// There is no room for another probe; those of peers that left do not count.
    fn is_full(&self) -> bool {
        self.flight.iter().filter(|f| !f.orphan).count() >= self.spec.concurrency
    }

    /// Something happens that nobody could foresee.
    fn whim(&mut self) -> Result<(), String> {
        match self.rng.below(40) {
            0 => {
                self.new_list();
                // Places that were left are taken again while probes are still under way.
                if self.rng.below(2) == 0 {
                    self.new_list();
                }
            }
            1 => self.new_numbers(),
            2 => self.new_process(),
            3 => self.interfere(),
            4 => {
                let active = self.rng.below(3) > 0;
                self.set_active(active);
            }
            5 => {
                if let Some(key) = self.anyone() {
                    self.note(format!("{} is to be probed", key.name));
                    self.board.probe_key_now(&key, self.now());
                    let idle = !self.flight.iter().any(|f| f.key == key && !f.orphan);
                    let model = self.models.get_mut(&key).ok_or("nobody")?;
                    if self.active && idle {
                        model.asked(self.now_ms);
                    }
                }
            }
            6 => self.wall_ms = self.rng.below(1 << 40) as u64,
            7..=16 => {
                if let Some(key) = self.anyone() {
                    let weather = Weather::any(&mut self.rng);
                    self.weather.insert(key, weather);
                }
            }
            _ => {
                for _ in 0..self.rng.below(4) {
                    self.request();
                }
            }
        }
        Ok(())
    }

    fn anyone(&mut self) -> Option<Key> {
        let keys: Vec<Key> = self.board.seats().map(|s| s.watch.target.key()).collect();
        (!keys.is_empty()).then(|| keys[self.rng.below(keys.len())].clone())
    }

    /// A request tells something about a peer.
    fn request(&mut self) {
        let Some(key) = self.anyone() else { return };
        let kinds = [Seen::Success, Seen::HttpFailure, Seen::TcpFailure, Seen::Timeout];
        let seen = kinds[self.rng.below(4)];
        self.note(format!("{}: a request saw {seen:?}", key.name));
        self.board.report(&key, &Report::passive(seen), self.now());
        self.changed(&key, |model, spec| _ = model.take(spec, seen, true));
    }

    /// Something other than a probe changed a peer: its pace may be another.
    fn changed(&mut self, key: &Key, change: impl FnOnce(&mut Model, &CheckSpec)) {
        let Some(model) = self.models.get_mut(key) else { return };
        let before_ms = model.interval_ms(&self.spec);
        change(model, &self.spec);
        let idle = !self.flight.iter().any(|f| f.key == *key && !f.orphan);
        if idle && self.active {
            model.repaced(&self.spec, before_ms, self.now_ms);
        }
    }

    /// An operator sets a state, or overrides it.
    fn interfere(&mut self) {
        let Some(key) = self.anyone() else { return };
        let up = self.rng.below(2) == 0;
        if self.rng.below(2) == 0 {
            self.note(format!("{} is forced up: {up}", key.name));
            self.board.force(&key, up, self.now());
            return self.changed(&key, |model, _| {
                model.fold = super::fold::Fold::new(up);
                (model.proven, model.dead_probes) = (true, 0);
            });
        }
        let wanted_up = (self.rng.below(3) > 0).then_some(up);
        let over = wanted_up.map(|up| Override {
            state: if up { Forced::Up } else { Forced::Drain },
            author: "op".into(),
            reason: "why not".into(),
            expires_at_ms: None,
        });
        self.note(format!("{} is wanted up: {wanted_up:?}", key.name));
        self.board.set_override(&key, over, self.now());
        if let Some(model) = self.models.get_mut(&key) {
            model.wanted_up = wanted_up;
        }
    }

    fn set_active(&mut self, active: bool) {
        self.note(format!("active: {active}"));
        self.board.set_active(active, self.now());
        if std::mem::replace(&mut self.active, active) == active {
            return;
        }
        for (key, model) in &mut self.models {
            let idle = !self.flight.iter().any(|f| f.key == *key && !f.orphan);
            match active {
                true if idle => model.begin(&self.spec, self.now_ms),
                _ => model.window = None,
            }
        }
    }

    /// Peers come, go, move, get other weights, addresses and places.
    fn new_list(&mut self) {
        let list = self.any_list();
        let names: Vec<_> = list.iter().map(|t| t.target.name.as_str()).collect();
        self.note(format!("peers {names:?}"));
        self.board.reconcile(list.clone(), self.now());
        self.remodel(&list);
    }

    fn any_list(&mut self) -> Vec<TargetSpec> {
        let mut list = Vec::new();
        let known: Vec<Key> = self.board.seats().map(|s| s.watch.target.key()).collect();
        for mut key in known {
            match self.rng.below(8) {
                0 | 1 => continue,
                // A name that stands for the same address now is another peer.
                2 => key.server = "renamed.example".into(),
                _ => {}
            }
            list.push(self.target(key));
        }
        for _ in 0..self.rng.below(4) {
            self.last_name += 1;
            let key = Key::new(format!("peer{}", self.last_name), "s");
            list.insert(self.rng.below(list.len() + 1), self.target(key));
        }
        list.dedup_by_key(|t| t.key());
        list
    }

    fn target(&mut self, key: Key) -> TargetSpec {
        let port = 1 + self.rng.below(60_000) as u16;
        let addr = Addr::Inet(([127, 0, 0, 1], port).into());
        let conf = PeerConf {
            name: key.name.clone(),
            server: key.server.clone(),
            addr: addr.clone(),
            weight: 1 + self.rng.below(9) as i64,
            max_fails: 1,
            fail_timeout_s: 10,
            max_conns: 0,
            down: false,
            drain: false,
            route: None,
            slow_start_ms: 0,
        };
        let mut spec = TargetSpec::new(key.name.clone(), key.server.clone(), Some(addr));
        spec.target.weight = conf.weight as u32;
        let peer = match self.peers.get(&key).filter(|_| self.rng.below(4) > 0) {
            Some(old) => Peer::adopt(conf, old, false),
            None => Peer::new(conf),
        };
        spec.peer = Some(Arc::new(peer));
        spec
    }

    /// Models of the new, and none of the gone.
    fn remodel(&mut self, list: &[TargetSpec]) {
        let keys: Vec<Key> = list.iter().map(TargetSpec::key).collect();
        self.models.retain(|key, _| keys.contains(key));
        for flight in &mut self.flight {
            flight.orphan |= !keys.contains(&flight.key);
        }
        let up = self.spec.policy.initial == Initial::Up;
        let state = if up { State::Healthy } else { State::Unhealthy };
        for (key, spec) in keys.iter().zip(list) {
            if let Some(peer) = &spec.peer {
                self.peers.insert(key.clone(), peer.clone());
            }
            self.models.entry(key.clone()).or_insert_with(|| {
                let mut model = Model::new(up, false, state);
                if self.active {
                    model.begin(&self.spec, self.now_ms);
                }
                model
            });
        }
    }

    /// The configuration was edited: other numbers for the same check.
    fn new_numbers(&mut self) {
        let spec = network::other_numbers(&mut self.rng, &self.spec);
        self.note(format!("numbers {spec:?}"));
        let anew = spec.policy.initial != Initial::Up && !spec.policy.persistent;
        assert!(!anew, "states are kept here");
        self.board.respec(Arc::new(spec.clone()), self.now());
        let old = std::mem::replace(&mut self.spec, spec);
        for (key, model) in &mut self.models {
            let idle = !self.flight.iter().any(|f| f.key == *key && !f.orphan);
            if !idle || !self.active {
                continue;
            }
            match model.window {
                Some(_) => model.repaced(&self.spec, model.interval_ms(&old), self.now_ms),
                None => model.begin(&self.spec, self.now_ms),
            }
            // The old pace may have had room for it a little later than the new one.
            if let Some((earliest_ms, latest_ms)) = &mut model.window {
                (*earliest_ms, *latest_ms) = (self.now_ms, *latest_ms + SLOTS_MS);
            }
        }
        self.full_ms = self.now_ms;
    }

    /// The process dies; the next one knows what this one knew, but not what was under way.
    fn new_process(&mut self) {
        self.note("the process is a new one".into());
        let kept: HashMap<Key, Machine> =
            self.board.seats().map(|s| (s.watch.target.key(), s.watch.machine.clone())).collect();
        let list: Vec<TargetSpec> = kept.keys().map(|key| self.target(key.clone())).collect();
        self.board = Board::new(Arc::new(self.spec.clone()), bit());
        self.board.reconcile(list.clone(), self.now());
        self.board.drain();
        self.board.restore(self.now(), |target, machine| {
            let known = kept.get(&target.key());
            known.map(|known| *machine = known.clone()).is_some()
        });
        self.flight.clear();
        self.active = true;
        self.remodel(&list);
        for model in self.models.values_mut() {
            (model.dead_probes, model.probes) = (0, 0);
            model.wanted_up = None;
            model.proven = true;
            model.begin(&self.spec, self.now_ms);
        }
    }

    /// Events tell every change once, in order.
    fn listen(&mut self) -> Result<(), String> {
        for event in self.board.drain() {
            let Some(target) = &event.target else { continue };
            let Some(model) = self.models.get_mut(&target.key()) else { continue };
            match event.what {
                What::Changed { transition, .. } if transition.from == model.told => {
                    model.told = transition.to;
                }
                What::Changed { transition, .. } => {
                    return Err(format!("{transition:?} after {:?}", model.told));
                }
                What::Forced { up } => {
                    model.told = if up { State::Healthy } else { State::Unhealthy };
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The board is what the models say.
    fn compare(&self) -> Result<(), String> {
        let unfit = |m: &Model| !m.wanted_up.unwrap_or(m.fold.state.is_up());
        let (all, bad) = (self.models.len(), self.models.values().filter(|m| unfit(m)).count());
        let policy = &self.spec.policy;
        let lifted = bad > 0
            && ((policy.all_down == AllDown::TryAll && bad == all)
                || (all - bad) * 100 < all * usize::from(policy.panic_percent));
        if self.board.seats().count() != all {
            return Err(format!("{} seats for {all} peers", self.board.seats().count()));
        }
        let gone = |key: &Key| !self.models.contains_key(key);
        if let Some((key, _)) = self.peers.iter().find(|(key, p)| gone(key) && p.held_by(bit())) {
            return Err(format!("{} is held down by a check that let it go", key.name));
        }
        for seat in self.board.seats() {
            let (watch, key) = (&seat.watch, seat.watch.target.key());
            let model = self.models.get(&key).ok_or("a seat for nobody")?;
            let lanes = watch.machine.lanes().packed().to_le_bytes().map(u64::from);
            let (ok, nok) = watch.machine.counts();
            let counts = match &watch.machine {
                Machine::RiseFall(_) => [ok, nok, 0, 0],
                _ => lanes,
            };
            let is = (watch.machine.state(), counts);
            if is != (model.fold.state, model.fold.counts) || model.told != is.0 {
                return Err(format!("{} is {is:?}, not {model:?}", key.name));
            }
            if watch.probes != model.probes || watch.results.len() > 10 || watch.changes.len() > 10
            {
                return Err(format!("{} forgot or hoards its results", key.name));
            }
            let held = unfit(model) && (!lifted || model.wanted_up.is_some());
            let seen = self.peers.get(&key).is_some_and(|p| p.held_by(bit()));
            if (seat.is_held(), seen) != (held, held) {
                return Err(format!("{}: traffic sees {seen}, not {held}: {model:?}", key.name));
            }
        }
        Ok(())
    }
}

fn bit() -> CheckBit {
    CheckBit::nth(0)
}

const SLOTS_MS: u64 = 50;

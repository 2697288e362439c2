//! Seeded simulation of picking: our shared atomics against a plain model of nginx's round robin.
//!
//! Requests come, fail, are tried again, overlap; peers go down and up; time passes. For every seed
//! each try must go to the peer the model names, and the counters must agree.

use std::sync::Arc;

use moonbeat::net::addr::Addr;
use moonbeat::upstream::{Body, Group, Picked, Seed, Server, Tries};

use crate::harness::case::Case;
use crate::sim_health::Rng;

pub fn cases() -> Vec<Case> {
    vec![Case::check("upstream/sim/round_robin", || {
        (0..SEEDS)
            .try_for_each(|seed| World::new(seed).run().map_err(|e| format!("seed {seed}: {e}")))
    })]
}

/// A peer as nginx's structure has it.
struct Model {
    weight: i64,
    effective: i64,
    current: i64,
    max_fails: i64,
    fail_timeout: i64,
    max_conns: i64,
    conns: i64,
    fails: i64,
    accessed: i64,
    checked: i64,
    down: bool,
}

impl Model {
    fn usable(&self, now: i64) -> bool {
        let failed = self.max_fails > 0
            && self.fails >= self.max_fails
            && now - self.checked <= self.fail_timeout;
        !self.down && !failed && (self.max_conns == 0 || self.conns < self.max_conns)
    }
}

/// One request under way.
struct Flow {
    tries: Tries,
    picked: Option<Picked>,
    at: usize,
    tried: Vec<usize>,
}

struct World {
    rng: Rng,
    group: Arc<Group>,
    model: Vec<Model>,
    flows: Vec<Flow>,
    now: i64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed + 1);
        let count = 2 + rng.below(4);
        let servers: Vec<Server> = (1..=count)
            .map(|port| {
                let name = format!("127.0.0.1:{port}");
                let addr = Addr::literal(name.as_bytes()).expect("a literal address");
                Server {
                    weight: 1 + rng.below(5) as i64,
                    max_fails: rng.below(3) as u32,
                    fail_timeout_s: rng.below(12) as i64,
                    max_conns: rng.below(4) as u32 / 2,
                    ..Server::new(name.into(), vec![addr])
                }
            })
            .collect();
        let model = servers.iter().map(model_of).collect();
        let group = Group::named("sim".into(), 0);
        group.fill(Body { servers, explicit: true, ..Body::default() });
        Self { rng, group: Arc::new(group), model, flows: Vec::new(), now: 1_000_000 }
    }

    fn run(&mut self) -> Result<(), String> {
        for _ in 0..STEPS {
            match self.rng.below(10) {
                0 => self.now += self.rng.below(8) as i64,
                1 => self.turn(),
                2..=5 => self.begin()?,
                _ => self.release()?,
            }
            self.compare()?;
        }
        Ok(())
    }

    /// A script sets a peer down or up.
    fn turn(&mut self) {
        let (at, down) = (self.rng.below(self.model.len()), self.rng.below(2) == 0);
        self.group.snapshot().primary.peers()[at].set_down(down);
        self.model[at].down = down;
        if !down {
            self.model[at].fails = 0;
        }
    }

    fn begin(&mut self) -> Result<(), String> {
        let tries = self.group.tries(Seed::default());
        self.pick(Flow { tries, picked: None, at: 0, tried: Vec::new() })
    }

    fn pick(&mut self, mut flow: Flow) -> Result<(), String> {
        let expected = self.model_pick(&flow.tried);
        let got = flow.tries.next(self.now).ok();
        let port = got.as_ref().map(|p| usize::from(p.peer().conf.addr.port()) - 1);
        if port != expected {
            return Err(format!("picked {port:?}, nginx picks {expected:?}"));
        }
        if let (Some(picked), Some(at)) = (got, port) {
            flow.tried.push(at);
            (flow.picked, flow.at) = (Some(picked), at);
            self.flows.push(flow);
        }
        Ok(())
    }

    /// A try ends: well, badly, or with the client gone; a bad one is tried again.
    fn release(&mut self) -> Result<(), String> {
        if self.flows.is_empty() {
            return Ok(());
        }
        let at = self.rng.below(self.flows.len());
        let mut flow = self.flows.swap_remove(at);
        let Some(picked) = flow.picked.take() else { return Ok(()) };
        let model = &mut self.model[flow.at];
        model.conns -= 1;
        match self.rng.below(4) {
            0 => drop(picked),
            1 | 2 => {
                model.fails += 1;
                (model.accessed, model.checked) = (self.now, self.now);
                if model.max_fails > 0 {
                    model.effective = (model.effective - model.weight / model.max_fails).max(0);
                }
                let disabled = model.max_fails > 0 && model.fails >= model.max_fails;
                if flow.tries.release(picked, true, self.now) != disabled {
                    return Err("temporarily disabled or not?".into());
                }
                if flow.tries.left() > 0 {
                    return self.pick(flow);
                }
            }
            _ => {
                if model.accessed < model.checked {
                    model.fails = 0;
                }
                flow.tries.release(picked, false, self.now);
            }
        }
        Ok(())
    }

    fn model_pick(&mut self, tried: &[usize]) -> Option<usize> {
        let (mut best, mut total) = (None, 0);
        for at in 0..self.model.len() {
            if tried.contains(&at) || !self.model[at].usable(self.now) {
                continue;
            }
            let peer = &mut self.model[at];
            peer.current += peer.effective;
            total += peer.effective;
            if peer.effective < peer.weight {
                peer.effective += 1;
            }
            let current = peer.current;
            if best.is_none_or(|b: usize| current > self.model[b].current) {
                best = Some(at);
            }
        }
        let chosen = &mut self.model[best?];
        chosen.current -= total;
        chosen.conns += 1;
        if self.now - chosen.checked > chosen.fail_timeout {
            chosen.checked = self.now;
        }
        best
    }

    fn compare(&self) -> Result<(), String> {
        for (peer, model) in self.group.snapshot().primary.peers().iter().zip(&self.model) {
            let ours = [
                peer.current_weight(),
                peer.effective_weight(),
                peer.conns().into(),
                peer.fails().into(),
                peer.checked(),
            ];
            let theirs = [model.current, model.effective, model.conns, model.fails, model.checked];
            if ours != theirs {
                return Err(format!("{}: {ours:?} instead of {theirs:?}", peer.conf.name));
            }
        }
        Ok(())
    }
}

fn model_of(s: &Server) -> Model {
    Model {
        weight: s.weight,
        effective: s.weight,
        current: 0,
        max_fails: s.max_fails.into(),
        fail_timeout: s.fail_timeout_s,
        max_conns: s.max_conns.into(),
        conns: 0,
        fails: 0,
        accessed: 0,
        checked: 0,
        down: false,
    }
}

const SEEDS: u64 = 2_000;
const STEPS: usize = 300;

//! The register of checks at their own pace: who holds which, and what outlives them for a while.
//!
//! ```text
//!   open(spec) ─ known by name? ─▶ the running one, under the new numbers
//!                 └─ else kept?  ─▶ a new one with the states of one that ended just now
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bstr::BStr;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, oneshot};

use super::{Engine, NEXT_ID, Task};
use crate::base::clock;
use crate::base::log::Chain;
use crate::health::board::{Board, Override, Seat};
use crate::health::check::{Check, Identity, Shared, Targets, identity};
use crate::health::keep::KeptPeer;
use crate::health::passive::Ear;
use crate::health::report::{self, CheckReport};
use crate::health::runner::{Follow, Memories, Runner};
use crate::health::spec::{CheckSpec, Initial};
use crate::net::tls::ClientTls;
use crate::upstream::{CheckBit, Group, live_generation};

/// What somebody asks for.
pub struct Open {
    pub spec: CheckSpec,
    pub targets: Targets,
    pub log: Arc<Chain>,
    /// Whom a check over TLS trusts.
    pub tls: Option<ClientTls>,
    /// Number of the configuration that asks.
    pub generation: u64,
}

impl Engine {
    /// Asks for a check; it runs as long as a clone of the handle lives.
    pub fn open(self: &Arc<Self>, open: Open) -> Check {
        let mut register = self.register();
        let name = identity(&open.spec);
        let holder = Holder {
            engine: self.clone(),
            name: name.clone(),
            id: NEXT_ID.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
            generation: open.generation,
        };
        let shared = match register.boards.running.get_mut(&name) {
            Some(entry) => entry.go_on(open, &holder),
            None => self.begin(&mut register, name, open, &holder),
        };
        drop(register);
        Check::new(shared, holder)
    }

    /// Everything known of all checks at their own pace.
    pub fn views(&self) -> Vec<CheckReport> {
        let shared: Vec<_> =
            self.register().boards.running.values().map(|e| e.shared.clone()).collect();
        shared.iter().map(|s| report::of_board(&s.lock().board)).collect()
    }

    /// Sets or lifts what an operator wants a peer of an upstream to be, in all its checks; tells
    /// how many of them know the peer.
    pub fn set_override(&self, upstream: &BStr, peer: &BStr, over: Option<Override>) -> usize {
        let boards = self.register().boards.of(upstream);
        let told = boards.iter().map(|shared| {
            shared.with(|board, now| {
                let is_peer = |seat: &&Seat| seat.watch.target.name.as_bytes() == peer;
                let keys: Vec<_> =
                    board.seats().filter(is_peer).map(|seat| seat.watch.target.key()).collect();
                keys.iter().filter(|key| board.set_override(key, over.clone(), now)).count()
            })
        });
        told.filter(|count| *count > 0).count()
    }

    fn begin(
        &self,
        register: &mut super::Register,
        name: Identity,
        open: Open,
        holder: &Holder,
    ) -> Arc<Shared> {
        let spec = Arc::new(open.spec);
        let bit = register.free_bit(spec.upstream.as_ref());
        let board = Board::new(spec.clone(), bit);
        let shared = Arc::new(Shared::new(board, open.log, open.tls, self.dirty.clone()));
        for (_, other) in register.boards.running.iter().filter(|((_, of, _), _)| *of == name.1) {
            shared.join(&other.shared);
        }
        let (follow, ear) = attach(&shared, open.targets, &spec);
        let persistent = spec.policy.persistent || spec.policy.initial == Initial::Up;
        let kept = register.boards.take_parked(&name);
        let kept = kept.unwrap_or_else(|| register.keepers.take(&spec));
        if persistent && !kept.is_empty() {
            shared.with(|board, now| {
                board.restore(now, |target, machine| {
                    let known = kept.iter().find(|k| k.is_of(target));
                    known.inspect(|k| k.restore(machine)).is_some()
                });
            });
        }
        let (stop, stopped) = oneshot::channel();
        let (regroup, regroups) = unbounded_channel();
        let runner = Runner {
            shared: shared.clone(),
            follow,
            budget: register.boards.budget.clone(),
            regroup: regroups,
            memories: Memories::default(),
        };
        // The thread ends with the process only: the channel is open.
        let _ = self.tasks.send(Task::Run { runner: Box::new(runner), stop: stopped });
        let users = vec![(holder.id, holder.generation)];
        let entry = Entry { shared: shared.clone(), bit, users, _stop: stop, regroup, ear };
        register.boards.running.insert(name, entry);
        shared
    }

    /// A handle's last clone is gone.
    fn let_go(&self, holder: &Holder) {
        let mut register = self.register();
        let Some(entry) = register.boards.running.get_mut(&holder.name) else { return };
        entry.users.retain(|(id, _)| *id != holder.id);
        if !entry.users.is_empty() {
            return;
        }
        if live_generation() > holder.generation {
            // A reload: the new workers may be about to ask for the same check.
            let _ = self.tasks.send(Task::ReapBoard(holder.name.clone()));
        } else {
            register.boards.end(&holder.name);
        }
    }

    pub(super) fn reap_board(&self, name: &Identity) {
        let mut register = self.register();
        if register.boards.running.get(name).is_some_and(|e| e.users.is_empty()) {
            register.boards.end(name);
        }
    }
}

/// One holder of a check.
pub(in crate::health) struct Holder {
    engine: Arc<Engine>,
    name: Identity,
    id: u64,
    generation: u64,
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.engine.let_go(self);
    }
}

/// Checks at their own pace.
pub(super) struct Boards {
    pub(super) running: HashMap<Identity, Entry>,
    /// States of checks that ended, for some seconds.
    parked: Vec<Parked>,
    budget: Arc<Semaphore>,
}

impl Default for Boards {
    fn default() -> Self {
        let budget = Arc::new(Semaphore::new(PROBES_IN_FLIGHT));
        Self { running: HashMap::new(), parked: Vec::new(), budget }
    }
}

impl Boards {
    /// What the state file holds of them.
    pub(super) fn kept(&self) -> impl Iterator<Item = (Arc<CheckSpec>, Vec<KeptPeer>)> {
        self.running.values().map(|entry| {
            let inner = entry.shared.lock();
            (inner.board.spec().clone(), KeptPeer::of_board(&inner.board))
        })
    }

    /// True when a check of this upstream uses the bit.
    pub(super) fn uses(&self, bit: CheckBit, upstream: &bstr::BStr) -> bool {
        self.running.iter().any(|((_, of, _), e)| e.bit == bit && of == upstream)
    }

    /// The checks of an upstream.
    fn of(&self, upstream: &BStr) -> Vec<Arc<Shared>> {
        let checks = self.running.iter().filter(|((_, of, _), _)| of == upstream);
        checks.map(|(_, entry)| entry.shared.clone()).collect()
    }

    fn end(&mut self, name: &Identity) {
        let Some(entry) = self.running.remove(name) else { return };
        // The board lives on with the runner for a moment; nobody is held down from now on.
        let mut inner = entry.shared.lock();
        inner.board.end();
        let peers = KeptPeer::of_board(&inner.board);
        drop(inner);
        entry.shared.stir_siblings();
        let until_ms = clock::fresh_mono_ms() + PARKED.as_millis() as u64;
        self.parked.push(Parked { name: name.clone(), peers, until_ms });
    }

    fn take_parked(&mut self, name: &Identity) -> Option<Vec<KeptPeer>> {
        let now_ms = clock::fresh_mono_ms();
        self.parked.retain(|p| p.until_ms > now_ms);
        let at = self.parked.iter().rposition(|p| p.name == *name)?;
        Some(self.parked.swap_remove(at).peers)
    }
}

/// A running check.
pub(super) struct Entry {
    pub(super) shared: Arc<Shared>,
    bit: CheckBit,
    /// Each holder with the number of its configuration.
    users: Vec<(u64, u64)>,
    /// Its end stops the runner.
    _stop: oneshot::Sender<()>,
    regroup: UnboundedSender<Option<Follow>>,
    ear: Option<Ear>,
}

impl Entry {
    /// Asked for again, perhaps with other numbers, perhaps by a newer configuration.
    fn go_on(&mut self, open: Open, holder: &Holder) -> Arc<Shared> {
        let newer = self.users.iter().all(|(_, generation)| *generation < holder.generation);
        self.users.push((holder.id, holder.generation));
        let changed = *self.shared.lock().board.spec().as_ref() != open.spec;
        let spec = Arc::new(open.spec);
        if newer || changed {
            {
                let mut inner = self.shared.lock();
                inner.log = open.log;
                inner.tls = open.tls;
            }
            if changed {
                self.shared.with(|board, now| board.respec(spec.clone(), now));
            }
        }
        let is_group = matches!(open.targets, Targets::Group(_));
        if newer || changed || !is_group {
            let (follow, ear) = attach(&self.shared, open.targets, &spec);
            self.ear = ear;
            let _ = self.regroup.send(follow);
        }
        self.shared.clone()
    }
}

struct Parked {
    name: Identity,
    peers: Vec<KeptPeer>,
    until_ms: u64,
}

/// Gives a board its targets, and ears for a group's requests.
fn attach(
    shared: &Arc<Shared>,
    targets: Targets,
    spec: &CheckSpec,
) -> (Option<Follow>, Option<Ear>) {
    let group: Arc<Group> = match targets {
        Targets::Group(group) => group,
        Targets::List(list) => {
            shared.with(|board, now| list.iter().for_each(|t| _ = board.add(t, now)));
            return (None, None);
        }
    };
    let follow = Follow::new(group.clone(), shared);
    let listens = spec.passive.is_on() || spec.pace.minds_traffic();
    let ear = listens.then(|| Ear::new(group, shared));
    (Some(follow), ear)
}

/// All probes of the process.
const PROBES_IN_FLIGHT: usize = 1000;
/// How long the states of a check that ended are good for one that begins.
const PARKED: Duration = Duration::from_secs(10);

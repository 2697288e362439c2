//! The engine: one thread for all checks of the process, and the register of who wants which.
//!
//! ```text
//!  worker threads ── attach(spec, generation) ──▶ Engine ── Order ──▶ its thread: a task a check
//!        └─ Lease dropped with the worker's VM ──▶ last user gone ──▶ Stop
//! ```
//!
//! Equal specs are one check, however many workers and configurations ask for it. A reload that
//! asks for the same check finds it running, with its states.

mod boards;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bstr::{BStr, BString};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, oneshot};

pub(super) use self::boards::Holder;
pub use self::boards::Open;
use super::check::Identity;
use super::keep::{Disk, Keeper, Keepers, KeptPeer};
use super::rounds::{Checker, Core, Mirror, Order, Setting, Table};
use super::runner::Runner;
use super::spec::CheckSpec;
use crate::base::clock;
use crate::base::errno::Errno;
use crate::base::log::{Chain, Level, emit};
use crate::net::tls::ClientTls;
use crate::upstream::{CheckBit, Group, live_generation};

/// The checks of this process.
pub struct Engine {
    tasks: UnboundedSender<Task>,
    checks: Mutex<Register>,
    dirty: Arc<Notify>,
}

/// What a worker asks for.
pub struct Attach {
    pub spec: CheckSpec,
    pub group: Arc<Group>,
    /// The dictionary `spec.shm` names.
    pub table: Option<Arc<dyn Table>>,
    pub log: Arc<Chain>,
    /// Write debug lines.
    pub debug: bool,
    /// Whom a check over TLS trusts.
    pub tls: Option<ClientTls>,
    /// Number of the configuration the worker runs.
    pub generation: u64,
    /// Told when the round that is running or comes next is over.
    pub after_round: Option<oneshot::Sender<()>>,
}

impl Engine {
    /// The engine, if anything asked for a check yet.
    pub fn running() -> Option<Arc<Self>> {
        ENGINE.get().cloned()
    }

    /// Asks for a check; it runs at least until the lease is dropped.
    pub fn attach(self: &Arc<Self>, ask: Attach) -> Lease {
        let mut register = self.register();
        let generation = ask.generation;
        let found = register.checks.iter_mut().find(|c| *c.spec == ask.spec);
        let id = match found {
            Some(check) => {
                if check.users.iter().all(|u| *u < generation) {
                    let setting =
                        Setting { group: ask.group, log: ask.log, debug: ask.debug, tls: ask.tls };
                    let _ = check.orders.send(Order::Rebind(setting, ask.table));
                }
                if let Some(tell) = ask.after_round {
                    let _ = check.orders.send(Order::AfterRound(tell));
                }
                check.users.push(generation);
                check.id
            }
            None => self.start(&mut register, ask.spec.clone(), ask),
        };
        Lease { engine: self.clone(), id, generation }
    }

    /// Keeps all states in this file, and lets coming checks go on with those found in it. Called
    /// before the first check of a process is asked for; later calls change nothing.
    pub fn keep_in(&self, file: &File) -> io::Result<()> {
        let mut register = self.register();
        if register.keepers.memory.is_none() {
            register.keepers.memory = Some(Keeper::open(file.try_clone()?));
        }
        Ok(())
    }

    /// Keeps all states in a file on disk too. What is found there is good for `max_age_ms`.
    pub fn keep_on_disk(&self, path: &PathBuf, max_age_ms: u64) {
        let mut register = self.register();
        if !register.keepers.disk.as_ref().is_some_and(|disk| disk.is_at(path)) {
            let now_ms = clock::fresh_wall().as_ms().max(0) as u64;
            register.keepers.disk = Some(Disk::open(path.clone(), max_age_ms, now_ms));
        }
    }

    /// True when a worker of this configuration asked for a check of the upstream.
    pub fn has_checker(&self, upstream: &BStr, generation: u64) -> bool {
        let register = self.register();
        let mut of = register.checks.iter().filter(|c| c.spec.upstream == upstream);
        of.any(|c| c.users.contains(&generation))
    }

    /// All checks that work in rounds, with their inner state.
    pub fn rounds(&self) -> Vec<(Arc<CheckSpec>, Arc<Mutex<Core>>)> {
        self.register().checks.iter().map(|c| (c.spec.clone(), c.core.clone())).collect()
    }

    fn start(&self, register: &mut Register, spec: CheckSpec, ask: Attach) -> u64 {
        let spec = Arc::new(spec);
        let bit = register.free_bit(spec.upstream.as_ref());
        let mirror = ask.table.map(|table| register.mirror(table, &spec));
        let setting = Setting { group: ask.group, log: ask.log, debug: ask.debug, tls: ask.tls };
        let dirty = self.dirty.clone();
        let mut checker = Checker::new(spec.clone(), bit, mirror, setting, dirty);
        checker.restore(&register.keepers.take(&spec));
        checker.after_round.extend(ask.after_round);
        let (orders, receiver) = unbounded_channel();
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let (core, users) = (checker.core.clone(), vec![ask.generation]);
        register.checks.push(Check { id, spec, bit, core, users, orders });
        // The thread ends with the process only: the channel is open.
        let _ = self.tasks.send(Task::Start { checker: Box::new(checker), orders: receiver });
        id
    }

    fn detach(&self, id: u64, generation: u64) {
        let mut register = self.register();
        let Some(check) = register.checks.iter_mut().find(|c| c.id == id) else { return };
        if let Some(user) = check.users.iter().position(|u| *u == generation) {
            check.users.swap_remove(user);
        }
        if !check.users.is_empty() {
            return;
        }
        if live_generation() > generation {
            // A reload: the new workers may be about to ask for the same check.
            let _ = self.tasks.send(Task::Reap(id));
        } else {
            register.end(id);
        }
    }

    /// Writes the states of all checks where they are kept.
    pub fn save(&self) {
        let register = &mut *self.register();
        let rounds = register.checks.iter().map(|c| {
            let core = c.core.lock().unwrap_or_else(PoisonError::into_inner);
            (c.spec.clone(), KeptPeer::all(&core))
        });
        let checks = rounds.chain(register.boards.kept());
        let now_ms = clock::fresh_wall().as_ms().max(0) as u64;
        for (text, e) in register.keepers.save(checks, now_ms) {
            emit(Level::Warn, format_args!("{text} {}", Errno(&e)));
        }
    }

    fn register(&self) -> MutexGuard<'_, Register> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to a check. The check ends when its last lease is dropped.
pub struct Lease {
    engine: Arc<Engine>,
    id: u64,
    generation: u64,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.engine.detach(self.id, self.generation);
    }
}

/// The engine of this process; its thread starts with the first call.
pub fn engine() -> io::Result<Arc<Engine>> {
    if let Some(engine) = ENGINE.get() {
        return Ok(engine.clone());
    }
    let (tasks, receiver) = unbounded_channel();
    let dirty = Arc::new(Notify::new());
    let engine = Arc::new(Engine { tasks, checks: Mutex::default(), dirty });
    if ENGINE.set(engine.clone()).is_ok() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let served = engine.clone();
        let body = move || runtime.block_on(serve(served, receiver));
        std::thread::Builder::new().name("health".into()).spawn(body)?;
    }
    Ok(ENGINE.get().cloned().unwrap_or(engine))
}

#[derive(Default)]
struct Register {
    checks: Vec<Check>,
    boards: boards::Boards,
    keepers: Keepers,
    versions: HashMap<(BString, Option<BString>), Arc<AtomicU64>>,
}

impl Register {
    /// Ends a check and forgets it.
    fn end(&mut self, id: u64) {
        if let Some(at) = self.checks.iter().position(|c| c.id == id) {
            let _ = self.checks.swap_remove(at).orders.send(Order::Stop);
        }
    }

    /// A bit no other check of the upstream uses.
    fn free_bit(&self, upstream: &BStr) -> CheckBit {
        let used = |bit: CheckBit| {
            self.checks.iter().any(|c| c.bit == bit && c.spec.upstream == upstream)
                || self.boards.uses(bit, upstream)
        };
        let bits = (0..CheckBit::MAX).map(CheckBit::nth);
        bits.into_iter().find(|b| !used(*b)).unwrap_or(CheckBit::nth(CheckBit::MAX))
    }

    /// A mirror; the first check of an upstream in a dictionary owns the counters there.
    fn mirror(&mut self, table: Arc<dyn Table>, spec: &CheckSpec) -> Mirror {
        let same = |c: &Check| c.spec.upstream == spec.upstream && c.spec.shm == spec.shm;
        let owner = !self.checks.iter().any(same);
        let version = self.versions.entry((spec.upstream.clone(), spec.shm.clone())).or_default();
        if owner {
            version.store(0, Ordering::Relaxed);
        }
        Mirror::new(table, spec.upstream.clone(), version.clone(), owner)
    }
}

struct Check {
    id: u64,
    spec: Arc<CheckSpec>,
    bit: CheckBit,
    core: Arc<Mutex<Core>>,
    /// The configuration of each lease.
    users: Vec<u64>,
    orders: UnboundedSender<Order>,
}

/// What the engine's thread is asked to do.
enum Task {
    Start {
        checker: Box<Checker>,
        orders: UnboundedReceiver<Order>,
    },
    Run {
        runner: Box<Runner>,
        stop: oneshot::Receiver<()>,
    },
    /// End a check, if nobody asks for it soon.
    Reap(u64),
    ReapBoard(Identity),
}

/// Saves soon after a verdict, at most once a second; and now and then, so that a file on disk does
/// not grow old while nothing happens.
async fn keep_states(engine: Arc<Engine>) {
    loop {
        let _ = tokio::time::timeout(SAVE_AT_LEAST, engine.dirty.notified()).await;
        engine.save();
        tokio::time::sleep(SAVE_PAUSE).await;
    }
}

/// A time limit that is always near. The runtime wakes itself through a descriptor whenever a timer
/// is set that is earlier than all it knew of when it went to sleep, which without this one would
/// be the time limit of every probe: a system call for each.
async fn pulse() {
    loop {
        tokio::time::sleep(PULSE).await;
    }
}

/// Runs all checks as parts of one future. Not as tasks of their own: a lease may be dropped by the
/// last destructor of a thread, where waking such a task is no longer possible.
async fn serve(engine: Arc<Engine>, mut tasks: UnboundedReceiver<Task>) {
    let mut running: FuturesUnordered<LocalBoxFuture<'static, ()>> = FuturesUnordered::new();
    running.push(Box::pin(keep_states(engine.clone())));
    running.push(Box::pin(pulse()));
    loop {
        tokio::select! {
            task = tasks.recv() => match task {
                Some(Task::Start { checker, orders }) => {
                    running.push(Box::pin(checker.run(orders)));
                }
                Some(Task::Run { runner, stop }) => running.push(Box::pin(runner.run(stop))),
                Some(Task::Reap(id)) => running.push(Box::pin(reap(engine.clone(), id))),
                Some(Task::ReapBoard(name)) => {
                    let engine = engine.clone();
                    running.push(Box::pin(async move {
                        tokio::time::sleep(RELOAD_GRACE).await;
                        engine.reap_board(&name);
                    }));
                }
                None => break,
            },
            Some(()) = running.next() => {}
        }
    }
}

async fn reap(engine: Arc<Engine>, id: u64) {
    tokio::time::sleep(RELOAD_GRACE).await;
    let mut register = engine.register();
    if register.checks.iter().any(|c| c.id == id && c.users.is_empty()) {
        register.end(id);
    }
}

static ENGINE: OnceLock<Arc<Engine>> = OnceLock::new();
static NEXT_ID: AtomicU64 = AtomicU64::new(1);
/// How long a check outlives the workers of an old configuration.
const RELOAD_GRACE: Duration = Duration::from_millis(400);
const PULSE: Duration = Duration::from_millis(250);
const SAVE_PAUSE: Duration = Duration::from_secs(1);
const SAVE_AT_LEAST: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;

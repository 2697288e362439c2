//! The handle of a check: what faces and scripts hold and call, from any thread, in any phase.
//!
//! ```text
//!   face, script ── Check ── lock ─▶ Board ─▶ events ─▶ log, listeners, state file
//!                     │                └────▶ Peer atomics, read by traffic
//!   Group::report ────┘         runner (engine's thread) ──┘
//! ```
//!
//! Nothing here waits: a lock is held for the time of a few assignments. The check lives as long as
//! a clone of its handle.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bstr::BString;
use tokio::sync::Notify;

use super::board::{Board, Event, Now, Override, Report, Reported, What};
use super::dialect;
use super::engine::Holder;
use super::machine::{Limits, Machine, State};
use super::outcome::{Kind, Outcome};
use super::passive;
use super::probe::{self, Aim, Memory};
use super::report::{self, CheckReport, PeerReport};
use super::spec::CheckSpec;
use super::target::{Key, Target, TargetSpec};
use super::watch::Source;
use crate::base::clock;
use crate::base::log::Chain;
use crate::net::tls::ClientTls;
use crate::upstream::Group;

/// A check that somebody asked for.
#[derive(Clone)]
pub struct Check {
    shared: Arc<Shared>,
    /// Ends the check with its last clone.
    _holder: Arc<Holder>,
}

/// Whom a check probes.
pub enum Targets {
    /// The peers of a group, whoever changes them.
    Group(Arc<Group>),
    List(Vec<TargetSpec>),
}

impl Check {
    pub(super) fn new(shared: Arc<Shared>, holder: Holder) -> Self {
        Self { shared, _holder: Arc::new(holder) }
    }

    pub fn spec(&self) -> Arc<CheckSpec> {
        self.shared.lock().board.spec().clone()
    }

    /// Replaces the whole list; known targets keep their states.
    pub fn set_targets(&self, targets: Vec<TargetSpec>) {
        self.shared.with(|board, now| board.reconcile(targets, now));
    }

    /// Adds a target; false, and nothing else, when it is known.
    pub fn add(&self, target: &TargetSpec) -> bool {
        self.shared.with(|board, now| board.add(target, now))
    }

    pub fn remove(&self, key: &Key) -> bool {
        self.shared.with(|board, now| board.remove(key, now))
    }

    pub fn clear(&self) {
        self.shared.with(Board::clear);
    }

    /// Tells what somebody found out about a target.
    pub fn report(&self, key: &Key, report: &Report) -> Reported {
        self.shared.with(|board, now| board.report(key, report, now))
    }

    /// Tells the status of a response, judged by the check's own lists.
    pub fn report_status(&self, key: &Key, status: u16, source: Source) -> Reported {
        self.shared.with(|board, now| {
            let outcome = passive::judge_status(board.spec(), status, source);
            let Some(seen) = outcome.seen() else { return Reported::Ignored };
            let outcome = Some(outcome);
            board.report(key, &Report { seen, source, limits: None, outcome }, now)
        })
    }

    /// Renews a lease.
    pub fn beat(&self, key: &Key) -> Reported {
        let outcome = Some(Outcome::new(Kind::Beat));
        let seen = super::machine::Seen::Success;
        self.report(key, &Report { seen, source: Source::Lease, limits: None, outcome })
    }

    /// Sets a target's state and forgets its counts.
    pub fn force(&self, key: &Key, up: bool) -> bool {
        self.shared.with(|board, now| board.force(key, up, now))
    }

    /// Sets or lifts what an operator wants a target to be.
    pub fn set_override(&self, key: &Key, over: Option<Override>) -> bool {
        self.shared.with(|board, now| board.set_override(key, over, now))
    }

    /// Probes a target now.
    pub fn probe_now(&self, key: &Key) -> bool {
        self.shared.with(|board, now| board.probe_key_now(key, now))
    }

    /// Begins or ends probing.
    pub fn set_active(&self, active: bool) {
        self.shared.with(|board, now| board.set_active(active, now));
    }

    /// The state of a target; `None` for one that is not known.
    pub fn state(&self, key: &Key) -> Option<State> {
        self.shared.lock().board.seat(key).map(|s| s.watch.machine.state())
    }

    /// The state of a target and its lanes.
    pub fn standing(&self, key: &Key) -> Option<(State, Limits)> {
        let inner = self.shared.lock();
        inner.board.seat(key).map(|s| (s.watch.machine.state(), s.watch.machine.lanes()))
    }

    /// Lets the machines of targets go on where others left them; `each` tells whether it did.
    pub fn restore(&self, each: impl FnMut(&Target, &mut Machine) -> bool) {
        self.shared.with(|board, now| board.restore(now, each));
    }

    /// Probes a target of nobody, outside of the schedule and without counting.
    pub async fn probe(&self, target: &Target) -> Outcome {
        let (spec, tls) = {
            let inner = self.shared.lock();
            (inner.board.spec().clone(), inner.tls.clone())
        };
        let aim = Aim::at(target, &spec, tls.as_ref());
        probe::aimed(&spec, &aim, &mut Memory::default()).await
    }

    /// Everything known of one target.
    pub fn peer(&self, key: &Key) -> Option<PeerReport> {
        let inner = self.shared.lock();
        let spec = inner.board.spec();
        inner.board.seat(key).map(|seat| report::of_seat(seat, spec.policy.initial))
    }

    /// Everything known of all of them.
    pub fn view(&self) -> CheckReport {
        report::of_board(&self.shared.lock().board)
    }

    /// Calls `f` with everything that happens, until the subscription is dropped.
    ///
    /// It is called in order, under the check's lock, on the thread that caused it: it may put
    /// events into a queue, but not call the check.
    pub fn subscribe(&self, f: Listener) -> Subscription {
        self.shared.subscribe(f, false)
    }

    /// The same with an event for every probe.
    pub fn subscribe_with_probes(&self, f: Listener) -> Subscription {
        self.shared.subscribe(f, true)
    }
}

/// Ends with its drop.
pub struct Subscription {
    shared: Weak<Shared>,
    id: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else { return };
        let mut inner = shared.lock();
        inner.listeners.retain(|l| l.id != self.id);
        inner.board.tell_probes = inner.listeners.iter().any(|l| l.probes);
    }
}

/// What handles, the runner and traffic share.
pub(super) struct Shared {
    inner: Mutex<Inner>,
    /// The runner is to look again.
    pub(super) wake: Notify,
    /// The states are to be kept.
    dirty: Arc<Notify>,
    /// When a request to the group ended, if the pace minds; 0 for never.
    heard_ms: AtomicU64,
    idle: AtomicBool,
    /// The other checks of the upstream.
    siblings: Mutex<Vec<Weak<Self>>>,
    /// One of them changed its mind about peers.
    stale: AtomicBool,
}

/// Behind the lock.
pub(super) struct Inner {
    pub(super) board: Board,
    pub(super) log: Arc<Chain>,
    pub(super) tls: Option<ClientTls>,
    listeners: Vec<Registered>,
    last_id: u64,
}

impl Shared {
    pub(super) fn new(
        board: Board,
        log: Arc<Chain>,
        tls: Option<ClientTls>,
        dirty: Arc<Notify>,
    ) -> Self {
        let inner = Inner { board, log, tls, listeners: Vec::new(), last_id: 0 };
        Self {
            inner: Mutex::new(inner),
            wake: Notify::new(),
            dirty,
            heard_ms: AtomicU64::new(0),
            idle: AtomicBool::new(false),
            siblings: Mutex::default(),
            stale: AtomicBool::new(false),
        }
    }

    /// Makes two checks of one upstream count each other's verdicts.
    pub(super) fn join(self: &Arc<Self>, other: &Arc<Self>) {
        for (one, two) in [(self, other), (other, self)] {
            let mut siblings = one.siblings.lock().unwrap_or_else(PoisonError::into_inner);
            siblings.retain(|known| known.strong_count() > 0);
            siblings.push(Arc::downgrade(two));
            one.stale.store(true, Relaxed);
            one.wake.notify_one();
        }
    }

    /// Counts again, if another check asked for it.
    pub(super) fn mind_siblings(&self) {
        if self.stale.swap(false, Relaxed) {
            self.with(|board, now| board.recount(now));
        }
    }

    /// Has the other checks of the upstream count again.
    pub(super) fn stir_siblings(&self) {
        let siblings = self.siblings.lock().unwrap_or_else(PoisonError::into_inner);
        for sibling in siblings.iter().filter_map(Weak::upgrade) {
            sibling.stale.store(true, Relaxed);
            sibling.wake.notify_one();
        }
    }

    /// A request ended: the first one after a quiet time wakes the runner.
    pub(super) fn hear(&self) {
        self.heard_ms.store(clock::mono_ms().max(1), Relaxed);
        if self.idle.load(Relaxed) {
            self.wake.notify_one();
        }
    }

    /// Looks whether the group has requests.
    pub(super) fn mind_traffic(&self) {
        let no_traffic_ms = self.lock().board.spec().pace.no_traffic_ms;
        let heard_ms = self.heard_ms.load(Relaxed);
        let quiet_ms = clock::fresh_mono_ms().saturating_sub(heard_ms);
        let idle = no_traffic_ms > 0 && (heard_ms == 0 || quiet_ms >= no_traffic_ms);
        if self.idle.swap(idle, Relaxed) != idle {
            self.with(|board, now| board.set_idle(idle, now));
        }
    }

    /// Does something to the board and tells everyone what came of it.
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut Board, Now) -> R) -> R {
        let mut inner = self.lock();
        let before = inner.board.next_at_ms();
        let done = f(&mut inner.board, now());
        let events = inner.board.drain();
        if !events.is_empty() {
            inner.deliver(&events);
            if events.iter().any(|e| is_kept(&e.what)) {
                self.dirty.notify_one();
            }
        }
        if before != inner.board.next_at_ms() {
            self.wake.notify_one();
        }
        let stirred = inner.board.take_stirred();
        drop(inner);
        if stirred {
            self.stir_siblings();
        }
        done
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn subscribe(self: &Arc<Self>, f: Listener, probes: bool) -> Subscription {
        let mut inner = self.lock();
        inner.last_id += 1;
        let id = inner.last_id;
        inner.listeners.push(Registered { id, probes, f });
        inner.board.tell_probes |= probes;
        Subscription { shared: Arc::downgrade(self), id }
    }
}

impl Inner {
    fn deliver(&self, events: &[Event]) {
        for event in events {
            if let Some((level, line)) = dialect::log_line(event) {
                self.log.write(level, None, format_args!("{line}"));
            }
            for listener in &self.listeners {
                (listener.f)(event);
            }
        }
    }
}

struct Registered {
    id: u64,
    probes: bool,
    f: Listener,
}

/// Who is told of events.
pub type Listener = Arc<dyn Fn(&Event) + Send + Sync>;

/// The two clocks now.
pub(super) fn now() -> Now {
    let wall_ms = clock::fresh_wall().as_ms().max(0) as u64;
    Now { mono_ms: clock::fresh_mono_ms(), wall_ms }
}

/// True for what the state file holds.
fn is_kept(what: &What) -> bool {
    matches!(what, What::Changed { .. } | What::Forced { .. } | What::Overridden(_))
}

/// A name for those who only hold names.
pub(super) type Identity = (dialect::Dialect, BString, BString);

pub(super) fn identity(spec: &CheckSpec) -> Identity {
    (spec.dialect, spec.upstream.clone(), spec.name.clone())
}

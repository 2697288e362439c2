//! Runs one check: the only file here with a task, a clock and sockets.
//!
//! ```text
//!  loop: core.next(now) ─ Open ──▶ follow the peer list, read the shared dictionary
//!                        ─ Probe ─▶ a future among those in flight
//!                        ─ Busy ──▶ first of: a probe's outcome, an order
//!                        ─ Close ─▶ publish
//!                        ─ Wait ──▶ first of: the next slot, an order
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use super::core::{Core, Step};
use super::mirror::{Mirror, Table};
use crate::base::clock;
use crate::base::log::Chain;
use crate::health::dialect::openresty::Voice;
use crate::health::keep::KeptPeer;
use crate::health::machine::Transition;
use crate::health::outcome::Outcome;
use crate::health::probe::{self, Aim, Memory, http_req};
use crate::health::spec::{CheckSpec, ProbeSpec};
use crate::health::target::Target;
use crate::net::tls::ClientTls;
use crate::upstream::{CheckBit, Group, Peer, Snapshot};

/// The task of one check.
pub(in crate::health) struct Checker {
    pub(in crate::health) spec: Arc<CheckSpec>,
    pub(in crate::health) core: Arc<Mutex<Core>>,
    pub(in crate::health) bit: CheckBit,
    pub(in crate::health) mirror: Option<Mirror>,
    pub(in crate::health) setting: Setting,
    /// The peers of `core`'s watches, in their order.
    peers: Vec<Arc<Peer>>,
    snapshot: Arc<Snapshot>,
    /// Who waits for the end of a round.
    pub(in crate::health) after_round: Vec<oneshot::Sender<()>>,
    /// Told after each verdict, so that it is kept for the next process.
    dirty: Arc<Notify>,
}

/// What comes with the configuration that asked for the check.
pub(in crate::health) struct Setting {
    pub(in crate::health) group: Arc<Group>,
    pub(in crate::health) log: Arc<Chain>,
    pub(in crate::health) debug: bool,
    /// Whom a check over TLS trusts.
    pub(in crate::health) tls: Option<ClientTls>,
}

/// What a running check is told.
pub(in crate::health) enum Order {
    /// A newer configuration asked for the same check.
    Rebind(Setting, Option<Arc<dyn Table>>),
    /// Tell when a round has ended.
    AfterRound(oneshot::Sender<()>),
    Stop,
}

impl Checker {
    /// A check of the group's peers as they are now.
    pub(in crate::health) fn new(
        spec: Arc<CheckSpec>,
        bit: CheckBit,
        mirror: Option<Mirror>,
        setting: Setting,
        dirty: Arc<Notify>,
    ) -> Self {
        let snapshot = setting.group.snapshot();
        let peers = peers_of(&snapshot);
        let targets = Target::all(&snapshot, spec.port);
        let now_ms = clock::fresh_mono_ms();
        let core = Core::new(&spec, targets, |i| begins_up(&peers[i], bit), now_ms);
        let core = Arc::new(Mutex::new(core));
        let after_round = Vec::new();
        let checker =
            Self { spec, core, bit, mirror, setting, peers, snapshot, after_round, dirty };
        checker.hold_down();
        checker
    }

    /// Goes on with what an earlier process knew of the peers.
    pub(in crate::health) fn restore(&mut self, kept: &[KeptPeer]) {
        if kept.is_empty() {
            return;
        }
        self.lock().restore(|target, machine| {
            if let Some(peer) = kept.iter().find(|k| k.is_of(target)) {
                peer.restore(machine);
            }
        });
        self.hold_down();
        let Some(mut mirror) = self.mirror.take() else { return };
        for watch in self.lock().watches() {
            mirror.rewrite(watch, watch.is_down(), &self.voice());
        }
        self.mirror = Some(mirror);
    }

    /// Checks until told to stop; then the peers are held down by this check no more.
    pub(in crate::health) async fn run(mut self, mut orders: UnboundedReceiver<Order>) {
        self.begin();
        let mut flight: FuturesUnordered<Flight> = FuturesUnordered::new();
        let mut pending = Vec::new();
        loop {
            let step = self.lock().next(clock::fresh_mono_ms());
            let order = match step {
                Step::Open => {
                    self.open();
                    None
                }
                Step::Lane(lane) => {
                    self.voice().lane(&lane, self.listed(lane.backup));
                    None
                }
                Step::Probe(at) => {
                    flight.push(self.probe(at));
                    None
                }
                Step::Busy => tokio::select! {
                    Some((at, outcome)) = flight.next() => {
                        self.finish(at, outcome);
                        None
                    }
                    order = orders.recv() => Some(order.unwrap_or(Order::Stop)),
                },
                Step::Close => {
                    self.close();
                    None
                }
                Step::Wait(at_ms) => match pending.pop() {
                    Some(order) => {
                        self.obey(order);
                        None
                    }
                    None => tokio::select! {
                        () = sleep_until(Instant::from_std(clock::instant_at(at_ms))) => None,
                        order = orders.recv() => Some(order.unwrap_or(Order::Stop)),
                    },
                },
            };
            match order {
                Some(Order::Stop) => break,
                Some(Order::AfterRound(tell)) => self.after_round.push(tell),
                // Lists and machines are changed between rounds only.
                Some(order) => pending.insert(0, order),
                None => {}
            }
        }
        self.peers.iter().for_each(|p| p.forget(self.bit));
    }

    fn begin(&self) {
        if let ProbeSpec::Raw(http) = &self.spec.probe {
            for complaint in http_req::complaints(&http.request) {
                let name = &self.spec.upstream;
                self.voice().warn(format_args!("http_req of upstream \"{name}\" {complaint}"));
            }
        }
    }

    /// Shows traffic the peers this check knows to be down.
    fn hold_down(&self) {
        for (peer, watch) in self.peers.iter().zip(self.lock().watches()) {
            if watch.is_down() {
                peer.hold(self.bit, true);
            }
        }
    }

    fn open(&mut self) {
        self.voice().debug(format_args!("run a check cycle"));
        self.follow();
        let Some(mut mirror) = self.mirror.take() else { return };
        let lock = Duration::from_millis(self.spec.pace.healthy_ms.saturating_sub(1).max(1));
        let mut core = self.lock();
        for (at, up) in mirror.open(&core, lock, &self.voice()) {
            core.adopt(at, up);
            self.peers[at].hold(self.bit, !up);
        }
        drop(core);
        self.mirror = Some(mirror);
    }

    fn probe(&self, at: usize) -> Flight {
        let (spec, tls) = (self.spec.clone(), self.setting.tls.clone());
        let target = self.lock().watches()[at].target.clone();
        Box::pin(async move {
            let aim = Aim::at(&target, &spec, tls.as_ref());
            (at, probe::aimed(&spec, &aim, &mut Memory::default()).await)
        })
    }

    fn finish(&mut self, at: usize, outcome: Outcome) {
        let mut core = self.lock();
        let finished = core.finish(at, outcome, clock::fresh_wall().as_ms() as u64);
        let watch = &core.watches()[at];
        self.voice().result(&watch.target, &finished);
        if let Some(mirror) = &self.mirror
            && finished.outcome.seen().is_some()
        {
            mirror.result(watch, finished.outcome.is_pass(), &self.voice());
        }
        let verdict = finished.transition.as_ref().and_then(Transition::verdict);
        drop(core);
        if let Some(up) = verdict {
            self.judge(at, up);
        }
    }

    /// Makes a verdict seen: by traffic first.
    fn judge(&mut self, at: usize, up: bool) {
        self.peers[at].hold(self.bit, !up);
        self.dirty.notify_one();
        let down = self.peers[at].is_down();
        let Some(mut mirror) = self.mirror.take() else { return };
        mirror.verdict(&self.lock().watches()[at], down, &self.voice());
        self.mirror = Some(mirror);
    }

    fn close(&mut self) {
        if let Some(mut mirror) = self.mirror.take() {
            mirror.close(&self.voice());
            self.mirror = Some(mirror);
        }
        for waiting in self.after_round.drain(..) {
            let _ = waiting.send(());
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Rebind(setting, table) => {
                self.setting = setting;
                if let (Some(mirror), Some(table)) = (&mut self.mirror, table) {
                    mirror.move_to(table);
                }
                self.follow();
                self.restart_if_flushed();
            }
            Order::AfterRound(_) | Order::Stop => {}
        }
    }

    /// A new configuration that flushed the dictionary before asking for the check wants it to
    /// begin anew; so it was when every reload forgot the peers' states.
    fn restart_if_flushed(&mut self) {
        let Some(mut mirror) = self.mirror.take() else { return };
        if mirror.is_flushed(&self.lock()) {
            mirror.restart();
            self.peers.iter().for_each(|p| p.forget(self.bit));
            let now_ms = clock::fresh_mono_ms();
            self.lock().reset(|i| begins_up(&self.peers[i], self.bit), now_ms);
        }
        self.mirror = Some(mirror);
    }

    /// Follows a replaced peer list. Keys are named by place, so they move with the peers.
    fn follow(&mut self) {
        let snapshot = self.setting.group.snapshot();
        if Arc::ptr_eq(&snapshot, &self.snapshot) {
            return;
        }
        let peers = peers_of(&snapshot);
        let targets = Target::all(&snapshot, self.spec.port);
        let mut core = self.lock();
        let before: Vec<Arc<Target>> = core.watches().iter().map(|w| w.target.clone()).collect();
        core.reconcile(targets, |i| begins_up(&peers[i], self.bit));
        // A server newly configured `down` has to earn its way up again.
        for (at, peer) in peers.iter().enumerate().filter(|(_, p)| p.is_set_down()) {
            core.adopt(at, false);
            peer.hold(self.bit, true);
        }
        let moved = before.iter().ne(core.watches().iter().map(|w| &w.target));
        for old in &self.peers {
            if !peers.iter().any(|p| p.same_state(old)) {
                old.forget(self.bit);
            }
        }
        drop(core);
        (self.peers, self.snapshot) = (peers, snapshot);
        self.hold_down();
        if moved {
            self.move_keys(&before);
        }
    }

    fn move_keys(&mut self, before: &[Arc<Target>]) {
        let Some(mut mirror) = self.mirror.take() else { return };
        before.iter().for_each(|target| mirror.forget(target));
        for (peer, watch) in self.peers.iter().zip(self.lock().watches()) {
            mirror.rewrite(watch, peer.is_down(), &self.voice());
        }
        self.mirror = Some(mirror);
    }

    /// True when lanes of this list hold several peers: the library words its lines by that.
    fn listed(&self, backup: bool) -> bool {
        let n = self.lock().watches().iter().filter(|w| w.target.backup == backup).count();
        n > self.spec.concurrency
    }

    fn voice(&self) -> Voice<'_> {
        Voice { log: &self.setting.log, debug: self.setting.debug }
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Flight = Pin<Box<dyn Future<Output = (usize, Outcome)>>>;

fn peers_of(snapshot: &Snapshot) -> Vec<Arc<Peer>> {
    snapshot.lists().flat_map(|(_, set)| set.peers().to_vec()).collect()
}

/// A peer begins as the configuration or a script left it; what other checks say is their affair.
fn begins_up(peer: &Peer, bit: CheckBit) -> bool {
    !peer.is_set_down() && !peer.held_by(bit)
}

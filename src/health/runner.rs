//! Runs the probes of one board: the only file with a task and sockets for checks at their own
//! pace.
//!
//! ```text
//!   loop: follow the group ─▶ board: tick, launch … ─▶ wait for the first of
//!           a probe's outcome · the next due time · a wake-up by a handle · the end
//! ```

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, sleep_until};

use super::board::{Launch, SeatId};
use super::check::Shared;
use super::outcome::Outcome;
use super::probe::{self, Aim, Bell, Lean, Memory, Over};
use super::spec::{CheckSpec, GrpcProbe, ProbeSpec};
use super::target::{Target, TargetSpec};
use crate::base::clock;
use crate::net::tls::ClientTls;
use crate::upstream::{Group, Snapshot};

/// The task of one check.
pub(super) struct Runner {
    pub(super) shared: Arc<Shared>,
    pub(super) follow: Option<Follow>,
    /// Probes in flight in the whole process.
    pub(super) budget: Arc<Semaphore>,
    /// A newer configuration's group to follow instead.
    pub(super) regroup: UnboundedReceiver<Option<Follow>>,
    pub(super) memories: Memories,
}

impl Runner {
    /// Checks until the other end of `stop` is gone.
    pub(super) async fn run(mut self, mut stop: oneshot::Receiver<()>) {
        let mut flight: FuturesUnordered<Flight> = FuturesUnordered::new();
        // Without it every probe goes the long way.
        let mut lean = Lean::new().ok();
        let mut over = Vec::new();
        loop {
            if let Some(follow) = &mut self.follow {
                follow.look(&self.shared);
            }
            self.shared.mind_traffic();
            self.shared.mind_siblings();
            self.launch(&mut flight, lean.as_mut(), &mut over);
            if let Some(lean) = &mut lean {
                lean.expire(clock::fresh_mono_ms(), &mut over);
            }
            if !over.is_empty() {
                self.finish(&mut flight, &mut over);
                // There may be room for others now.
                continue;
            }
            let next_at_ms = self.shared.lock().board.next_at_ms();
            let limit_ms = lean.as_mut().and_then(Lean::next_limit_ms);
            let next_at_ms = [next_at_ms, limit_ms].into_iter().flatten().min();
            let alarm = async {
                match next_at_ms {
                    Some(at_ms) => sleep_until(Instant::from_std(clock::instant_at(at_ms))).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = &mut stop => break,
                Some(ended) = flight.next() => {
                    self.land(ended);
                    // What ended in the same turn is taken in the same turn.
                    while let Some(Some(ended)) = flight.next().now_or_never() {
                        self.land(ended);
                    }
                }
                () = wait(lean.as_mut(), &mut over) => {}
                Some(follow) = self.regroup.recv() => self.follow = follow,
                Some(seat) = self.memories.news.1.recv() => {
                    self.shared.with(|board, now| board.probe_seat_now(seat, now));
                }
                () = self.shared.wake.notified() => {}
                () = alarm => {}
            }
        }
        self.shared.lock().board.end();
    }

    fn launch(
        &mut self,
        flight: &mut FuturesUnordered<Flight>,
        mut lean: Option<&mut Lean>,
        over: &mut Vec<Over>,
    ) {
        let mut launches = Vec::new();
        let left = self.shared.with(|board, now| {
            board.tick(now);
            while let Some(launch) = board.launch(now) {
                launches.push(launch);
            }
            board.drain_left()
        });
        left.iter().for_each(|seat| _ = self.memories.of_seats.remove(seat));
        if launches.is_empty() {
            return;
        }
        let inner = self.shared.lock();
        let (spec, tls) = (inner.board.spec().clone(), inner.tls.clone());
        drop(inner);
        self.memories.are_for(&spec);
        for Launch { seat, target } in launches {
            if let Some(lean) = lean.as_mut().filter(|_| Lean::suits(&spec, &target))
                && !self.memories.of_seats.contains_key(&seat)
                && let Ok(permit) = self.budget.clone().try_acquire_owned()
            {
                over.extend(lean.begin(seat, &spec, &target, permit));
                continue;
            }
            let memory = self.memories.of_seats.remove(&seat).unwrap_or_default();
            flight.push(self.long_way(seat, target, (spec.clone(), tls.clone()), memory));
        }
    }

    fn long_way(
        &self,
        seat: SeatId,
        target: Arc<Target>,
        (spec, tls): (Arc<CheckSpec>, Option<ClientTls>),
        mut memory: Memory,
    ) -> Flight {
        let (budget, bell) = (self.budget.clone(), self.memories.bell(&spec, seat));
        Box::pin(async move {
            // Closed never; without a permit the probe is sent all the same.
            let _permit = budget.acquire().await;
            let aim = Aim { bell, ..Aim::at(&target, &spec, tls.as_ref()) };
            let outcome = probe::aimed(&spec, &aim, &mut memory).await;
            Ended { seat, outcome, spec, memory }
        })
    }

    fn finish(&self, flight: &mut FuturesUnordered<Flight>, over: &mut Vec<Over>) {
        self.shared.with(|board, now| {
            for Over { seat, outcome, again } in over.drain(..) {
                match again.then(|| board.target(seat)).flatten() {
                    None => board.finish(seat, &outcome, now),
                    Some(target) => {
                        let memory = Memory::of_refused(outcome);
                        let spec = board.spec().clone();
                        flight.push(self.long_way(seat, target, (spec, None), memory));
                    }
                }
            }
        });
    }

    fn land(&mut self, ended: Ended) {
        let Ended { seat, outcome, spec, memory } = ended;
        let stays = self.shared.with(|board, now| {
            board.finish(seat, &outcome, now);
            if memory.has_news() {
                board.probe_seat_now(seat, now);
            }
            board.is_taken(seat)
        });
        if stays {
            self.memories.put(seat, &spec, memory);
        }
    }
}

async fn wait(lean: Option<&mut Lean>, over: &mut Vec<Over>) {
    match lean {
        Some(lean) => lean.wait(over).await,
        None => std::future::pending().await,
    }
}

/// What the probes of each peer remember, as long as the check asks for the same.
pub(super) struct Memories {
    spec: Option<Arc<CheckSpec>>,
    of_seats: HashMap<SeatId, Memory>,
    /// Seats whose peers said something between two probes.
    news: (UnboundedSender<SeatId>, UnboundedReceiver<SeatId>),
}

impl Default for Memories {
    fn default() -> Self {
        Self { spec: None, of_seats: HashMap::new(), news: unbounded_channel() }
    }
}

impl Memories {
    /// Forgets everything when the check is not the one it was.
    fn are_for(&mut self, spec: &Arc<CheckSpec>) {
        if self.spec.as_ref().is_none_or(|known| !Arc::ptr_eq(known, spec)) {
            self.of_seats.clear();
            self.spec = Some(spec.clone());
        }
    }

    /// What a peer that is listened to rings.
    fn bell(&self, spec: &CheckSpec, seat: SeatId) -> Option<Bell> {
        let ProbeSpec::Grpc(GrpcProbe { watch: true, .. }) = &spec.probe else { return None };
        let news = self.news.0.clone();
        // The runner may be gone: then nobody cares.
        Some(Arc::new(move || _ = news.send(seat)))
    }

    fn put(&mut self, seat: SeatId, spec: &Arc<CheckSpec>, memory: Memory) {
        let same = self.spec.as_ref().is_some_and(|known| Arc::ptr_eq(known, spec));
        if same && !memory.is_blank() {
            self.of_seats.insert(seat, memory);
        }
    }
}

/// A group whose peers a check follows.
pub(super) struct Follow {
    group: Arc<Group>,
    seen: Option<Arc<Snapshot>>,
    watch: u64,
}

impl Follow {
    pub(super) fn new(group: Arc<Group>, shared: &Arc<Shared>) -> Self {
        let check = Arc::downgrade(shared);
        let watch = group.watch(Box::new(move || {
            if let Some(shared) = check.upgrade() {
                shared.wake.notify_one();
            }
        }));
        let mut follow = Self { group, seen: None, watch };
        follow.look(shared);
        follow
    }

    /// Takes over the peers as they are now.
    fn look(&mut self, shared: &Shared) {
        let snapshot = self.group.snapshot();
        if self.seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &snapshot)) {
            return;
        }
        let targets = targets_of(&snapshot);
        shared.with(|board, now| board.reconcile(targets, now));
        self.seen = Some(snapshot);
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.group.unwatch(self.watch);
    }
}

struct Ended {
    seat: SeatId,
    outcome: Outcome,
    spec: Arc<CheckSpec>,
    memory: Memory,
}

type Flight = Pin<Box<dyn Future<Output = Ended>>>;

/// The peers of a group; those configured `down` are nobody's business.
fn targets_of(snapshot: &Snapshot) -> Vec<TargetSpec> {
    let of_list = |(backup, set): (bool, &crate::upstream::PeerSet)| {
        let peers = set.peers().iter().enumerate().filter(|(_, p)| !p.is_set_down());
        let target = |(id, peer): (usize, &Arc<crate::upstream::Peer>)| TargetSpec {
            target: Target::of(peer, backup, id, None),
            port: None,
            up: None,
            peer: Some(peer.clone()),
        };
        peers.map(target).collect::<Vec<_>>()
    };
    snapshot.lists().flat_map(of_list).collect()
}

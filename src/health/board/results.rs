//! What becomes of the results of probes, requests and heartbeats.

use super::event::{Override, What};
use super::seat::Troubles;
use super::{Board, Now, SeatId};
use crate::health::machine::{Counted, Limits, Seen, State, Transition};
use crate::health::outcome::{Kind, Outcome};
use crate::health::spec::Initial;
use crate::health::target::Key;
use crate::health::watch::Source;

/// What somebody other than the engine found out about a target.
#[derive(Clone, Debug)]
pub struct Report {
    pub seen: Seen,
    pub source: Source,
    /// Thresholds that replace those of the check this once.
    pub limits: Option<Limits>,
    /// Kept among the results; without it the result is counted only.
    pub outcome: Option<Outcome>,
}

impl Report {
    /// What a request found out.
    pub fn passive(seen: Seen) -> Self {
        Self { seen, source: Source::Passive, limits: None, outcome: None }
    }

    /// What a probe of somebody else found out.
    pub fn active(seen: Seen) -> Self {
        Self { source: Source::Active, ..Self::passive(seen) }
    }
}

/// What came of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// There is no such target.
    Unknown,
    /// Its state and limits say that this does not count.
    Ignored,
    Counted(Counted),
}

impl Board {
    /// Takes the outcome of a launched probe.
    pub fn finish(&mut self, seat: SeatId, outcome: &Outcome, now: Now) {
        let Some(at) = self.holder(seat) else { return };
        self.flight -= 1;
        let holder = &mut self.seats[at];
        holder.watch.busy = false;
        holder.watch.keep(outcome, Source::Active, now.wall_ms);
        match outcome.is_pass() {
            true => holder.dead_probes = 0,
            false if holder.watch.is_down() => holder.dead_probes += 1,
            false => {}
        }
        if self.tell_probes {
            self.tell(Some(at), What::Probed(outcome.clone()), now);
        }
        let counted = self
            .seen(outcome)
            .and_then(|seen| self.observe(at, seen, None, outcome, Source::Active, now));
        self.tell_failure(at, outcome, counted, now);
        self.rearm(at, now.mono_ms);
    }

    /// Takes a report on a target.
    pub fn report(&mut self, key: &Key, report: &Report, now: Now) -> Reported {
        match self.index.get(key).copied() {
            Some(at) => self.report_at(at, report, now),
            None => Reported::Unknown,
        }
    }

    /// The seat of a traffic peer.
    pub fn of_peer(&self, peer_id: usize) -> Option<usize> {
        self.peers.get(&peer_id).copied()
    }

    /// Takes a report on a seat.
    pub fn report_at(&mut self, at: usize, report: &Report, now: Now) -> Reported {
        let before_ms = self.interval_of(at);
        let default = Outcome::new(default_kind(report.seen));
        let outcome = report.outcome.as_ref().unwrap_or(&default);
        if report.outcome.is_some() && (report.seen != Seen::Success) {
            self.seats[at].watch.keep(outcome, report.source, now.wall_ms);
        }
        let limits = report.limits.or(match report.source {
            Source::Passive => self.spec.passive.limits,
            Source::Active | Source::Lease => None,
        });
        // With ejection, requests take a peer out for a time, and probes alone judge its health.
        let ejects = report.source == Source::Passive && self.spec.passive.eject.is_some();
        let counted = match ejects {
            true => None,
            false => self.observe(at, report.seen, limits, outcome, report.source, now),
        };
        if report.source == Source::Passive {
            self.eject(at, report.seen == Seen::Success, now);
            if self.spec.passive.probe_now && report.seen != Seen::Success {
                self.probe_soon(at, now.mono_ms);
            }
        }
        self.repace(at, before_ms, now.mono_ms);
        counted.map_or(Reported::Ignored, Reported::Counted)
    }

    /// A request that went well changes nothing here.
    pub fn is_calm(&self, at: usize) -> bool {
        let seat = &self.seats[at];
        let machine = &seat.watch.machine;
        machine.state().is_up() && !machine.is_wavering() && seat.troubles.is_none()
    }

    /// Probes a target as soon as there is room for it.
    pub fn probe_key_now(&mut self, key: &Key, now: Now) -> bool {
        let Some(at) = self.index.get(key).copied() else { return false };
        self.probe_now(at, now.mono_ms);
        true
    }

    /// Sets the state of a target and forgets its counts; told even if nothing changes.
    pub fn force(&mut self, key: &Key, up: bool, now: Now) -> bool {
        let Some(at) = self.index.get(key).copied() else { return false };
        let before_ms = self.interval_of(at);
        let seat = &mut self.seats[at];
        let from = seat.watch.machine.state();
        seat.watch.machine.force(up);
        (seat.proven, seat.dead_probes, seat.troubles) = (true, 0, None);
        let to = seat.watch.machine.state();
        if from != to {
            let forced = Transition { from, to, count: 0 };
            seat.watch.note(forced, "set by hand".into(), now.wall_ms);
        }
        self.tell(Some(at), What::Forced { up }, now);
        self.repace(at, before_ms, now.mono_ms);
        self.set_timer(at);
        self.reshade(at, now);
        true
    }

    /// Sets or lifts what an operator wants.
    pub fn set_override(&mut self, key: &Key, over: Option<Override>, now: Now) -> bool {
        let Some(at) = self.index.get(key).copied() else { return false };
        self.seats[at].over = over.clone().map(Box::new);
        self.tell(Some(at), What::Overridden(over), now);
        self.set_timer(at);
        self.reshade(at, now);
        true
    }

    /// How the machine counts an outcome; `None` when it says nothing.
    fn seen(&self, outcome: &Outcome) -> Option<Seen> {
        let fatal = match outcome.kind {
            Kind::BadStatus => {
                let status = outcome.status.and_then(|s| s.try_into().ok());
                status.is_some_and(|s| self.spec.fatal.statuses.contains(s))
            }
            Kind::ConnectFailed => self.spec.fatal.refused,
            _ => false,
        };
        if fatal { Some(Seen::Fatal) } else { outcome.seen() }
    }

    fn observe(
        &mut self,
        at: usize,
        seen: Seen,
        limits: Option<Limits>,
        outcome: &Outcome,
        source: Source,
        now: Now,
    ) -> Option<Counted> {
        let seat = &mut self.seats[at];
        let first = !std::mem::replace(&mut seat.proven, true);
        let from = seat.watch.machine.state();
        let mut counted = seat.watch.machine.count(seen, limits, now.mono_ms);
        // One success is enough for a peer that has yet to show anything.
        let checking = first && self.spec.policy.initial == Initial::Checking;
        if checking && seen == Seen::Success && !seat.watch.machine.state().is_up() {
            seat.watch.machine.set_up(true);
            let (count, limit) = counted.map_or((1, 1), |c| (c.count, c.limit));
            let transition = Some(Transition { from, to: State::Healthy, count });
            counted = Some(Counted { count, limit, transition });
        }
        if let Some(Counted { count, limit, .. }) = counted {
            self.tell(Some(at), What::Counted { seen, count, limit, source }, now);
        }
        match counted.and_then(|c| c.transition) {
            Some(transition) => self.changed(at, transition, outcome, source, now),
            None if first => self.reshade(at, now),
            None => {}
        }
        self.set_timer(at);
        counted
    }

    /// Writes a transition down, tells it and lets traffic know.
    pub(super) fn changed(
        &mut self,
        at: usize,
        transition: Transition,
        outcome: &Outcome,
        source: Source,
        now: Now,
    ) {
        let why = outcome.line();
        self.seats[at].watch.note(transition, why.clone(), now.wall_ms);
        if transition.verdict() == Some(false) {
            self.seats[at].dead_probes = 0;
        }
        self.tell(Some(at), What::Changed { transition, why, source }, now);
        if let Some(up) = transition.verdict()
            && self.spec.policy.hold_down_ms > 0
        {
            let troubles = self.seats[at].troubles.get_or_insert_default();
            let span = troubles.turn(up, self.spec.policy.hold_down_ms, now.mono_ms);
            if let Some(for_ms) = span {
                self.tell(Some(at), What::Flapping { for_ms }, now);
                self.set_timer(at);
            }
        }
        self.reshade(at, now);
    }

    fn eject(&mut self, at: usize, pass: bool, now: Now) {
        let Some(rule) = self.spec.passive.eject.clone() else { return };
        let seat = &mut self.seats[at];
        if pass && seat.troubles.is_none() {
            return;
        }
        let troubles = seat.troubles.get_or_insert_with(Box::<Troubles>::default);
        let Some(for_ms) = troubles.request(pass, &rule, now.mono_ms) else { return };
        let times = troubles.times;
        self.tell(Some(at), What::Ejected { times, for_ms }, now);
        self.set_timer(at);
        self.reshade(at, now);
    }

    /// A failed request asks for a probe; one a second is enough.
    fn probe_soon(&mut self, at: usize, now_ms: u64) {
        if now_ms.saturating_sub(self.seats[at].last_ms) >= PROBE_NOW_PAUSE_MS {
            self.probe_now(at, now_ms);
        }
    }
}

fn default_kind(seen: Seen) -> Kind {
    match seen {
        Seen::Success => Kind::Passed,
        Seen::HttpFailure | Seen::Fatal => Kind::BadStatus,
        Seen::TcpFailure => Kind::ConnectFailed,
        Seen::Timeout => Kind::ReceiveTimeout,
    }
}

const PROBE_NOW_PAUSE_MS: u64 = 1000;

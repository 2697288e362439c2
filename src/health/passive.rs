//! Passive checks: what requests find out about peers.
//!
//! ```text
//!  proxy ─ Group::report(status | timeout | broken) ─▶ Outcome ─▶ Board ─▶ verdict
//! ```

use std::sync::{Arc, Weak};

use super::board::Report;
use super::check::{self, Shared};
use super::machine::Seen;
use super::outcome::{Kind, Outcome};
use super::spec::{CheckSpec, Pass, ProbeSpec};
use super::watch::Source;
use crate::upstream::{self, Group, ReportKind, Step};

/// Listens to a group's requests until it is dropped.
pub(super) struct Ear {
    group: Arc<Group>,
    id: u64,
}

impl Ear {
    pub(super) fn new(group: Arc<Group>, shared: &Arc<Shared>) -> Self {
        let check = Arc::downgrade(shared);
        let id = group.subscribe(Box::new(move |report| hear(&check, report)));
        Self { group, id }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.group.unsubscribe(self.id);
    }
}

/// Judges a status by the lists of requests, or by those of probes.
pub fn judge_status(spec: &CheckSpec, status: u16, source: Source) -> Outcome {
    let pass = match (&spec.probe, source) {
        (ProbeSpec::Http(http), Source::Active) => Some(&http.pass),
        _ => spec.passive.pass.as_ref(),
    };
    let kind = match pass {
        None => Kind::Ignored,
        Some(pass) => kind_of(pass, status),
    };
    Outcome::new(kind).status(status.into())
}

/// What a status alone is worth.
pub(super) fn kind_of(pass: &Pass, status: u16) -> Kind {
    let good = match pass {
        Pass::AnyLine => true,
        Pass::Statuses(good) => good.contains(status),
        Pass::TwoLists { healthy, .. } => healthy.contains(status),
        Pass::Match(tests) => tests.status.as_ref().is_none_or(|t| t.holds(status)),
    };
    match pass {
        _ if good => Kind::Passed,
        // No status at all is a failure, whatever the lists hold.
        Pass::TwoLists { unhealthy, .. } if status != 0 && !unhealthy.contains(status) => {
            Kind::Ignored
        }
        _ => Kind::BadStatus,
    }
}

fn hear(weak: &Weak<Shared>, report: &upstream::Report) {
    let Some(shared) = weak.upgrade() else { return };
    shared.hear();
    {
        let mut inner = shared.lock();
        let at = inner.board.of_peer(report.peer.state_id());
        if let Some(at) = at
            && inner.board.spec().pace.skips_busy
        {
            inner.board.hear(at, check::now());
        }
        if !inner.board.spec().passive.is_on() {
            return;
        }
        // Most requests go well, to peers that are well: nothing to do, nobody to tell.
        let good = matches!(report.kind, ReportKind::Status(200..=299));
        match at {
            None => return,
            Some(at) if good && inner.board.is_calm(at) && !is_slow(inner.board.spec(), report) => {
                return;
            }
            Some(_) => {}
        }
    }
    shared.with(|board, now| {
        let Some(at) = board.of_peer(report.peer.state_id()) else { return };
        let outcome = outcome_of(board.spec(), report);
        let Some(mut seen) = outcome.seen() else { return };
        if board.spec().passive.tcp && seen == Seen::HttpFailure {
            seen = Seen::TcpFailure;
        }
        let source = Source::Passive;
        let outcome = Some(outcome);
        board.report_at(at, &Report { seen, source, limits: None, outcome }, now);
    });
}

fn outcome_of(spec: &CheckSpec, report: &upstream::Report) -> Outcome {
    let kind = match (report.kind, report.step) {
        (ReportKind::Status(_), _) if is_slow(spec, report) => Kind::Slow,
        (ReportKind::Status(status), _) => {
            let mut outcome = judge_status(spec, status, Source::Passive);
            outcome.took = report.took;
            return outcome;
        }
        (ReportKind::Timeout, Step::Connect) => Kind::ConnectTimeout,
        (ReportKind::Timeout, Step::Handshake) => Kind::TlsTimeout,
        (ReportKind::Timeout, Step::Send) => Kind::SendTimeout,
        (ReportKind::Timeout, _) => Kind::ReceiveTimeout,
        (ReportKind::Invalid, _) => Kind::BadLine,
        (ReportKind::Broken, Step::Connect) => Kind::ConnectFailed,
        (ReportKind::Broken, Step::Handshake) => Kind::TlsFailed,
        (ReportKind::Broken, Step::Send) => Kind::SendFailed,
        (ReportKind::Broken, _) => Kind::ReceiveFailed,
    };
    let mut outcome = Outcome::new(kind);
    outcome.took = report.took;
    outcome
}

fn is_slow(spec: &CheckSpec, report: &upstream::Report) -> bool {
    let limit_ms = spec.passive.latency_ms;
    limit_ms > 0 && report.took.as_millis() >= u128::from(limit_ms)
}

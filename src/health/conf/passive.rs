//! `health_passive`: what requests say about peers.
//!
//! ```text
//!  health_passive [failures=5] [window=30s] [ejection=30s] [max_ejection_time=300s]
//!      [statuses=500,502-504] [latency=2s] [probe_now] [mode=eject|probe]
//! ```
//!
//! Alone it ejects a peer for a time and lets it come back half open. With `mode=probe` requests
//! take nobody out: they only have suspects probed, and the check's machine hears their failures.

use bstr::{BStr, ByteSlice};

use super::parameters;
use super::plan::{Draft, Drafts, Origin};
use crate::conf::{Builder, Diag, Directive};
use crate::health::dialect::Dialect;
use crate::health::spec::{CheckSpec, Eject, Pace, Pass, ProbeSpec};
use crate::health::statuses::Statuses;

/// The parameters.
#[derive(Clone)]
pub(super) struct Requests {
    eject: Option<Eject>,
    bad: Statuses,
    latency_ms: u64,
    probe_now: bool,
    origin: Origin,
}

impl Requests {
    /// Adds it to a check.
    pub(super) fn put(&self, spec: &mut CheckSpec) {
        let unhealthy = self.bad.clone();
        spec.passive.pass = Some(Pass::TwoLists { healthy: good(&self.bad), unhealthy });
        spec.passive.eject.clone_from(&self.eject);
        spec.passive.latency_ms = self.latency_ms;
        spec.passive.probe_now = self.probe_now;
    }

    /// A check that sends nothing.
    pub(super) fn alone(&self, upstream: &BStr) -> Draft {
        let mut spec = CheckSpec::new(Dialect::Native, upstream);
        (spec.probe, spec.pace) = (ProbeSpec::None, Pace::every(0));
        Draft { spec, match_name: None, tls: None, origin: self.origin.clone() }
    }
}

pub(super) fn set(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let (mut eject, mut ejects) = (Eject::default(), true);
    let mut bad = Statuses::default();
    let (mut latency_ms, mut probe_now) = (0, false);
    for p in parameters::of(d) {
        match p.name {
            b"failures=" => eject.failures = p.number(1, u32::MAX.into())? as u32,
            b"window=" => eject.window_ms = p.span()?,
            b"ejection=" => eject.base_ms = p.span()?,
            b"max_ejection_time=" => eject.max_ms = p.span()?,
            b"latency=" => latency_ms = p.span()?,
            b"probe_now" => probe_now = true,
            b"mode=" => ejects = p.choice(&[("eject", true), ("probe", false)])?,
            b"statuses=" => {
                if !p.value.split_str(b",").all(|word| bad.add(word).is_some()) {
                    return Err(p.bad_with("it is statuses=500,502-504"));
                }
            }
            _ => return Err(p.bad()),
        }
    }
    if bad.is_empty() {
        bad = default_bad();
    }
    eject.max_ms = eject.max_ms.max(eject.base_ms);
    probe_now |= !ejects;
    let origin = Origin::of(d);
    let eject = ejects.then_some(eject);
    let requests = Requests { eject, bad, latency_ms, probe_now, origin };
    d.once(&mut b.part::<Drafts>().passive, |_| Ok(requests))
}

/// What requests say where no directive does.
pub(super) fn default_pass() -> Pass {
    let unhealthy = default_bad();
    Pass::TwoLists { healthy: good(&unhealthy), unhealthy }
}

fn default_bad() -> Statuses {
    Statuses::of([500, 502, 503, 504])
}

/// Every status that is not bad.
fn good(bad: &Statuses) -> Statuses {
    Statuses::of((100..600).filter(|status| !bad.contains(*status)))
}

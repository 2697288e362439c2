//! The way of one session through its group's peers until one of them is connected.
//!
//! ```text
//!  ┌▶ pick ─▶ open ─▶ Link
//!  └── proxy_next_upstream allows it ◀── Fault
//! ```

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::base::clock;
use crate::base::log::Level;
use crate::stream::session::Session;
use crate::stream::upstream;
use crate::upstream::{Group, Picked, Report, ReportKind, Step, Tries};

use super::conf::Proxy;
use super::fault::Fault;
use super::link::{self, Link};

/// One session on its way.
pub struct Passage<'a> {
    pub s: &'a Rc<Session>,
    pub conf: &'a Proxy,
    group: Arc<Group>,
    tries: Tries,
    /// nginx's `peer.tries`: how many tries are left, the present one included.
    left: usize,
    started_ms: u64,
    seat: Option<Picked>,
}

impl<'a> Passage<'a> {
    pub fn new(s: &'a Rc<Session>, conf: &'a Proxy, group: Arc<Group>) -> Self {
        let tries = group.tries(upstream::seed(s, &group));
        let most = conf.next_upstream_tries() as usize;
        let left = if most > 0 { tries.left().min(most) } else { tries.left() };
        Self { s, conf, group, tries, left, started_ms: clock::mono_ms(), seat: None }
    }

    /// Tries peers until one is connected; otherwise the status to end with.
    pub async fn connect(&mut self) -> Result<Link, u16> {
        loop {
            self.s.action.set("connecting to upstream");
            let picked = match self.tries.next(clock::wall().secs) {
                Ok(picked) => picked,
                Err(none) => {
                    self.s.trace.push(Vec::from(none.group).into(), false);
                    self.s.log(Level::Error, format_args!("no live upstreams"));
                    return Err(502);
                }
            };
            let conf = &picked.peer().conf;
            let addr = conf.addr.clone();
            self.s.trace.push(Bytes::copy_from_slice(conf.name.as_bytes()), true);
            let picked = self.seat.insert(picked);
            let fault = match link::open(self.s, self.conf, &self.group, &addr).await {
                Ok(link) => {
                    picked.connected();
                    self.s.trace.note(|last, took_ms| last.connect_ms = Some(took_ms));
                    // What such a session brings cannot be judged, but the peer took it.
                    self.report(ReportKind::Status(200), Step::Connect);
                    self.s.action.set("proxying connection");
                    return Ok(link);
                }
                Err(fault) => fault,
            };
            self.go_on(&fault)?;
        }
    }

    /// Whether another peer may be tried; otherwise the status to end with.
    pub fn go_on(&mut self, fault: &Fault) -> Result<(), u16> {
        let (level, text) = fault.message();
        self.s.log(level, format_args!("{text}"));
        let (kind, step) = fault.report();
        self.report(kind, step);
        self.release(true);
        let limit_ms = self.conf.next_upstream_timeout_ms();
        let late = limit_ms > 0 && clock::mono_ms() - self.started_ms >= limit_ms;
        if self.left == 0 || !self.conf.next_upstream() || late { Err(502) } else { Ok(()) }
    }

    /// The session is over; the peer is free again.
    pub fn release(&mut self, failed: bool) {
        self.s.trace.end();
        if let Some(picked) = self.seat.take() {
            self.left = if picked.is_single() { 0 } else { self.left.saturating_sub(1) };
            if self.tries.release(picked, failed, clock::wall().secs) {
                self.s.log(Level::Warn, format_args!("upstream server temporarily disabled"));
            }
        }
    }

    /// Tells those who judge peers by live traffic.
    fn report(&self, kind: ReportKind, step: Step) {
        let Some(picked) = &self.seat else { return };
        let mut took = Duration::ZERO;
        self.s.trace.note(|_, took_ms| took = Duration::from_millis(took_ms));
        let peer = picked.peer().clone();
        self.group.report(&Report { peer, kind, step, reused: false, took });
    }
}

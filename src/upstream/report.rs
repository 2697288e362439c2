//! What a request found out about a peer, for those who judge peers by live traffic.
//!
//! ```text
//!  http proxy ──Group::report(Report)──▶ subscribers: passive health checks
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::peer::Peer;

/// One try of one request at one peer.
pub struct Report {
    pub peer: Arc<Peer>,
    pub kind: ReportKind,
    /// How far the try came.
    pub step: Step,
    /// The connection had served a request before.
    pub reused: bool,
    pub took: Duration,
}

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportKind {
    /// A response with this status.
    Status(u16),
    Timeout,
    /// Refused, reset, closed too early.
    Broken,
    /// Something that is not a response.
    Invalid,
}

/// The steps of a try, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Connect,
    Handshake,
    Send,
    Header,
    Body,
}

/// Those who want to know; empty for most groups, so the check is one load.
#[derive(Default)]
pub(super) struct Subscribers {
    any: AtomicBool,
    list: RwLock<Vec<Subscriber>>,
}

impl Subscribers {
    pub(super) fn add(&self, f: Subscriber) {
        self.list.write().unwrap_or_else(PoisonError::into_inner).push(f);
        self.any.store(true, Ordering::Release);
    }

    pub(super) fn tell(&self, report: &Report) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        for f in self.list.read().unwrap_or_else(PoisonError::into_inner).iter() {
            f(report);
        }
    }
}

type Subscriber = Box<dyn Fn(&Report) + Send + Sync>;

//! What a request found out about a peer, for those who judge peers by live traffic.
//!
//! ```text
//!  http proxy ──Group::report(Report)──▶ subscribers: passive health checks
//! ```

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    list: RwLock<Vec<(u64, Subscriber)>>,
    last_id: AtomicU64,
}

impl Subscribers {
    pub(super) fn add(&self, f: Subscriber) -> u64 {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        self.list.write().unwrap_or_else(PoisonError::into_inner).push((id, f));
        self.any.store(true, Ordering::Release);
        id
    }

    pub(super) fn remove(&self, id: u64) {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        list.retain(|(known, _)| *known != id);
        self.any.store(!list.is_empty(), Ordering::Release);
    }

    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    pub(super) fn tell(&self, report: &Report) {
        if !self.any() {
            return;
        }
        for (_, f) in self.list.read().unwrap_or_else(PoisonError::into_inner).iter() {
            f(report);
        }
    }
}

/// Called after each change of a list.
type Watcher = Box<dyn Fn() + Send + Sync>;

/// Those who follow a group's list.
#[derive(Default)]
pub(super) struct Watchers {
    list: RwLock<Vec<(u64, Watcher)>>,
    last_id: AtomicU64,
}

impl Watchers {
    pub(super) fn add(&self, f: Watcher) -> u64 {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        self.list.write().unwrap_or_else(PoisonError::into_inner).push((id, f));
        id
    }

    pub(super) fn remove(&self, id: u64) {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        list.retain(|(known, _)| *known != id);
    }

    pub(super) fn tell(&self) {
        self.list.read().unwrap_or_else(PoisonError::into_inner).iter().for_each(|(_, f)| f());
    }
}

type Subscriber = Box<dyn Fn(&Report) + Send + Sync>;

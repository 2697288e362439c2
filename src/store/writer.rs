//! The thread that writes: orders in, records to the disk, then changes to the readers.
//!
//! ```text
//!  orders ─▶ batch: guards and steps against state + what the batch did so far
//!         ─▶ one append, one fsync for all of them ─▶ state.apply ─▶ replies
//! ```
//! Orders that came while the disk was busy share the next fsync.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use super::StoreError;
use super::entry::{Change, Committed, Entry};
use super::log::Log;
use super::record;
use super::state::State;
use super::txn::{Guard, Op, Txn};
use crate::base::clock;
use crate::base::log::{Level, emit};

/// A transaction and who waits for it.
pub struct Order {
    pub txn: Txn,
    pub reply: oneshot::Sender<Result<Committed, StoreError>>,
}

/// Owns the log.
pub struct Writer {
    state: Arc<Mutex<State>>,
    log: Option<Log>,
}

impl Writer {
    pub fn new(state: Arc<Mutex<State>>, log: Option<Log>) -> Self {
        Self { state, log }
    }

    pub fn spawn(self, orders: Receiver<Order>) -> Result<(), StoreError> {
        let thread = thread::Builder::new().name("store".into());
        let started = thread.spawn(move || self.run(&orders));
        started.map(drop).map_err(|error| StoreError::Unavailable(error.to_string().into()))
    }

    /// Serves until the last handle of the store is gone.
    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            let first = match orders.recv_timeout(EXPIRY_TICK) {
                Ok(order) => Some(order),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            clock::update();
            let more = orders.try_iter().take(BATCH_MOST - 1);
            let batch: Vec<Order> = first.into_iter().chain(more).collect();
            self.serve(batch);
        }
    }

    fn serve(&mut self, orders: Vec<Order>) {
        let mut batch = Batch::new(self.state.clone());
        batch.expire();
        let answers: Vec<_> =
            orders.into_iter().map(|order| (order.reply, batch.take(&order.txn))).collect();
        let kept = self.keep(&batch);
        if kept.is_ok() {
            batch.publish();
        }
        for (reply, answer) in answers {
            let answer = match &kept {
                Err(error) => Err(error.clone()),
                Ok(()) => answer,
            };
            // Who does not wait any more has left the request; the write stands.
            let _ = reply.send(answer);
        }
        self.compact();
    }

    fn keep(&mut self, batch: &Batch) -> Result<(), StoreError> {
        match &mut self.log {
            Some(log) if !batch.records.is_empty() => log.append(&batch.records).inspect_err(|e| {
                emit(Level::Crit, format_args!("{e}"));
            }),
            _ => Ok(()),
        }
    }

    fn compact(&mut self) {
        let Some(log) = &mut self.log else { return };
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = log.compact_if_due(&state) {
            emit(Level::Error, format_args!("{error}"));
        }
    }
}

/// Transactions on their way to the disk, not visible yet.
struct Batch {
    state: Arc<Mutex<State>>,
    revision: u64,
    /// What the batch made of the keys it touched.
    touched: HashMap<Arc<str>, Option<Arc<Entry>>>,
    done: Vec<(u64, Vec<Change>)>,
    records: Vec<u8>,
}

impl Batch {
    fn new(state: Arc<Mutex<State>>) -> Self {
        let revision = state.lock().unwrap_or_else(PoisonError::into_inner).revision();
        Self { state, revision, touched: HashMap::new(), done: Vec::new(), records: Vec::new() }
    }

    /// Removes entries whose time is over.
    fn expire(&mut self) {
        let keys: Vec<Arc<str>> =
            self.state.lock().unwrap_or_else(PoisonError::into_inner).expired(now_ms()).collect();
        if keys.is_empty() {
            return;
        }
        let ops = keys.into_iter().map(|key| Op::Delete { key }).collect();
        // A transaction without guards cannot fail.
        let _ = self.take(&Txn { guards: Vec::new(), ops });
    }

    fn take(&mut self, txn: &Txn) -> Result<Committed, StoreError> {
        for guard in &txn.guards {
            let (key, holds) = match guard {
                Guard::Absent(key) => (key, self.get(key).is_none()),
                Guard::Present(key) => (key, self.get(key).is_some()),
                Guard::Modified(key, at) => {
                    (key, self.get(key).is_some_and(|entry| entry.modified == *at))
                }
            };
            if !holds {
                return Err(StoreError::Conflict(key.clone()));
            }
        }
        let revision = self.revision + 1;
        let changes: Vec<Change> =
            txn.ops.iter().filter_map(|op| self.step(op, revision)).collect();
        if changes.is_empty() {
            return Ok(Committed { revision: self.revision, changes });
        }
        self.revision = revision;
        record::write(&mut self.records, revision, &changes);
        self.done.push((revision, changes.clone()));
        Ok(Committed { revision, changes })
    }

    fn step(&mut self, op: &Op, revision: u64) -> Option<Change> {
        let (key, before, after) = match op {
            Op::Delete { key } => (key, Some(self.get(key)?), None),
            Op::Put { key, value, ttl } => {
                let before = self.get(key);
                let ttl_ms = ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
                let entry = Entry {
                    key: key.clone(),
                    value: value.clone(),
                    created: before.as_ref().map_or(revision, |before| before.created),
                    modified: revision,
                    version: before.as_ref().map_or(1, |before| before.version + 1),
                    expires_at_ms: ttl_ms.map(|ttl_ms| now_ms().saturating_add(ttl_ms)),
                };
                (key, before, Some(Arc::new(entry)))
            }
        };
        self.touched.insert(key.clone(), after.clone());
        Some(Change { before, after })
    }

    fn get(&self, key: &str) -> Option<Arc<Entry>> {
        match self.touched.get(key) {
            Some(touched) => touched.clone(),
            None => self.state.lock().unwrap_or_else(PoisonError::into_inner).get(key),
        }
    }

    /// Shows everything to readers and watchers.
    fn publish(self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for (revision, changes) in &self.done {
            state.apply(*revision, changes);
        }
    }
}

fn now_ms() -> u64 {
    u64::try_from(clock::wall().as_ms()).unwrap_or(0)
}

/// How often expiry is looked at when nobody writes.
const EXPIRY_TICK: Duration = Duration::from_millis(500);
/// How many transactions share one fsync.
const BATCH_MOST: usize = 256;

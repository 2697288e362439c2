//! What the Admin faces are told, kept: keys and values with revisions, durable before they are
//! acknowledged, and told to whoever watches.
//!
//! ```text
//!  face ── Txn ──▶ Store ── orders ──▶ Writer (own thread) ── append, fsync ──▶ store.log
//!   ▲  ▲             │ reads        └▶ etcd (own thread) ── transaction ──▶ etcd
//!   │  └─ Committed ─│───────────────────────┤
//!   └──── Watch ◀────┴── State ◀── apply ────┘
//! ```
//! One store a folder, or a prefix in etcd, for the whole process: worker threads and
//! configurations share it, as they share dictionaries, so a reload changes nothing. What a reader
//! sees is durable already.

pub mod conf;
mod entry;
mod etcd;
mod file;
mod log;
mod record;
mod state;
mod txn;
mod writer;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

pub use self::entry::{Change, Committed, Entry, Event, Range};
pub use self::state::Watch;
pub use self::txn::{Guard, Op, Txn};

use self::etcd::Spec;
use self::log::Log;
use self::state::State;
use self::writer::{Order, Writer};

/// A handle to a store; cheap to clone, usable on every thread.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    state: Arc<Mutex<State>>,
    orders: Orders,
}

/// Who does the writing.
enum Orders {
    Log(Mutex<Sender<Order>>),
    Etcd(UnboundedSender<Order>),
}

/// Where a store lives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    Dir(PathBuf),
    /// And the keys it has there.
    Etcd(Arc<Spec>, &'static str),
}

impl Store {
    /// The store of this folder, opened when the process has not done so yet.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::at(Place::Dir(dir.to_owned()), || {
            let mut state = State::default();
            let log = Log::open(dir, &mut state)?;
            Self::start(state, Some(log))
        })
    }

    /// The store of the keys below `root` in this etcd.
    fn open_etcd(spec: Arc<Spec>, root: &'static str) -> Result<Self, StoreError> {
        Self::at(Place::Etcd(spec.clone(), root), || {
            let state = Arc::new(Mutex::new(State::default()));
            let (orders, receiver) = tokio::sync::mpsc::unbounded_channel();
            etcd::start(&spec, root, state.clone(), receiver)?;
            Ok(Self(Arc::new(Shared { state, orders: Orders::Etcd(orders) })))
        })
    }

    fn at(
        place: Place,
        open: impl FnOnce() -> Result<Self, StoreError>,
    ) -> Result<Self, StoreError> {
        let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = stores.get(&place) {
            return Ok(store.clone());
        }
        let store = open()?;
        stores.insert(place, store.clone());
        Ok(store)
    }

    /// A store that forgets everything with its last handle.
    pub fn memory() -> Result<Self, StoreError> {
        Self::start(State::default(), None)
    }

    fn start(state: State, log: Option<Log>) -> Result<Self, StoreError> {
        let state = Arc::new(Mutex::new(state));
        let (orders, receiver) = std::sync::mpsc::channel();
        Writer::new(state.clone(), log).spawn(receiver)?;
        Ok(Self(Arc::new(Shared { state, orders: Orders::Log(Mutex::new(orders)) })))
    }

    /// Whether both are handles to one store.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The entry of a key.
    pub fn get(&self, key: &str) -> Option<Arc<Entry>> {
        self.state().get(key)
    }

    /// All entries whose keys begin so, in the order of their keys.
    pub fn range(&self, prefix: &str) -> Range {
        self.state().range(prefix)
    }

    /// Whether writes can be taken: etcd may be away, a folder never is.
    pub fn is_reachable(&self) -> bool {
        !self.state().is_away()
    }

    /// The number of the last change.
    pub fn revision(&self) -> u64 {
        self.state().revision()
    }

    /// What is there now, and everything that changes from here on, without a gap.
    pub fn watch(&self, prefix: &str) -> (Range, Watch) {
        self.state().watch(prefix)
    }

    /// Does all of a transaction or nothing; returns when it is on the disk and visible.
    pub async fn commit(&self, txn: Txn) -> Result<Committed, StoreError> {
        self.send(txn).await.unwrap_or_else(|_| Err(StoreError::gone()))
    }

    /// [`Store::commit`] for threads without a runtime.
    pub fn commit_blocking(&self, txn: Txn) -> Result<Committed, StoreError> {
        self.send(txn).blocking_recv().unwrap_or_else(|_| Err(StoreError::gone()))
    }

    /// Sets a value, whatever was there.
    pub async fn put(&self, key: &str, value: impl Into<Bytes>) -> Result<Change, StoreError> {
        self.one(Txn::new().put(key, value)).await
    }

    /// Sets a value if the key was last changed at revision `modified`; 0 stands for no such key.
    pub async fn put_if(
        &self,
        key: &str,
        modified: u64,
        value: impl Into<Bytes>,
    ) -> Result<Change, StoreError> {
        let txn = match modified {
            0 => Txn::new().if_absent(key),
            modified => Txn::new().if_modified(key, modified),
        };
        self.one(txn.put(key, value)).await
    }

    /// Removes a key; returns what was there.
    pub async fn delete(&self, key: &str) -> Result<Option<Arc<Entry>>, StoreError> {
        let done = self.commit(Txn::new().delete(key)).await?;
        Ok(done.changes.first().and_then(|change| change.before.clone()))
    }

    async fn one(&self, txn: Txn) -> Result<Change, StoreError> {
        let done = self.commit(txn).await?;
        done.changes.first().cloned().ok_or_else(StoreError::gone)
    }

    fn send(&self, txn: Txn) -> oneshot::Receiver<Result<Committed, StoreError>> {
        let (reply, answer) = oneshot::channel();
        let order = Order { txn, reply };
        // A writer that is gone drops the reply, which the receiver tells.
        match &self.0.orders {
            Orders::Log(orders) => {
                let orders = orders.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = orders.send(order);
            }
            Orders::Etcd(orders) => _ = orders.send(order),
        }
        answer
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why something was not kept.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// A guard of the transaction does not hold.
    #[error("\"{0}\" was changed meanwhile")]
    Conflict(Arc<str>),
    /// Nothing can be written now; reading goes on.
    #[error("store is unavailable: {0}")]
    Unavailable(Arc<str>),
    #[error("store {action} \"{}\" failed ({error})", path.display())]
    Io { action: &'static str, path: PathBuf, error: Arc<std::io::Error> },
    #[error("store \"{}\" is in use by another process", .0.display())]
    InUse(PathBuf),
    #[error("\"{}\" is not a store: {why}", path.display())]
    Corrupt { path: PathBuf, why: &'static str },
}

impl StoreError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::Io { action, path: path.to_owned(), error: Arc::new(error) }
    }

    fn gone() -> Self {
        Self::Unavailable("its writer has ended".into())
    }
}

static STORES: LazyLock<Mutex<HashMap<Place, Store>>> = LazyLock::new(Mutex::default);

#[cfg(test)]
mod tests;

//! A Lua VM: one per worker thread, or one per request when the code cache is off.
//!
//! ```text
//!   Vm ─┬ host      the Lua state, closed with the last handle
//!       ├ pool      coroutines of finished light threads
//!       ├ chunks    compiled code by place in the configuration
//!       ├ worker    what all VMs of a worker thread share: settings, shutdown
//!       └ parts     state of api topics, by type
//! ```

use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use super::chunk::Key;
use super::prelude;
use super::raw::ffi::Words;
use super::raw::limit::Limits;
use super::raw::{Co, Func, Host};

/// A Lua VM with the whole `ngx` API loaded.
pub struct Vm {
    // Before `host`: everything that points into the state goes first.
    pool: RefCell<Vec<Co>>,
    body: Func,
    pub(super) chunks: RefCell<FxHashMap<Key, Rc<Func>>>,
    parts: RefCell<FxHashMap<TypeId, Rc<dyn Any>>>,
    pub(super) words: Box<Words>,
    pub worker: Rc<Worker>,
    pub host: Rc<Host>,
}

/// What all VMs of one worker thread share.
#[derive(Default)]
pub struct Worker {
    pub settings: Settings,
    /// Not known while init_by_lua runs.
    pub id: Option<usize>,
    exiting: Cell<bool>,
    exit: Notify,
    parts: RefCell<FxHashMap<TypeId, Rc<dyn Any>>>,
}

/// The main-level configuration of Lua.
#[derive(Clone, Debug)]
pub struct Settings {
    pub package_path: Option<String>,
    pub package_cpath: Option<String>,
    /// The server prefix (`-p`), with a slash at the end.
    pub prefix: String,
    pub code_cache: bool,
    pub max_pending_timers: usize,
    pub max_running_timers: usize,
    pub regex_cache_max_entries: usize,
    pub worker_count: usize,
    pub conf_file: String,
    pub is_debug: bool,
    /// A master process supervises this one.
    pub has_master: bool,
    /// The thread is the privileged agent.
    pub is_agent: bool,
    pub configure: String,
    pub limits: Limits,
}

/// Why a VM could not be made.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    #[error("failed to create the Lua VM")]
    NoMemory,
    #[error("failed to load the Lua prelude: {0}")]
    Prelude(String),
}

impl Vm {
    pub fn new(worker: &Rc<Worker>) -> Result<Rc<Self>, VmError> {
        let host = Host::new(worker.settings.limits).ok_or(VmError::NoMemory)?;
        let words = Box::<Words>::default();
        words.exiting.set(i32::from(worker.is_exiting()));
        super::ctx::set_worker(worker);
        let body = prelude::load(&host, &words, worker).map_err(VmError::Prelude)?;
        Ok(Rc::new(Self {
            pool: RefCell::default(),
            body,
            chunks: RefCell::default(),
            parts: RefCell::default(),
            words,
            worker: Rc::clone(worker),
            host,
        }))
    }

    /// The state of a topic in this VM.
    pub fn part<T: Any + Default>(&self) -> Rc<T> {
        part_of(&self.parts)
    }

    pub fn take_co(&self) -> Co {
        let pooled = self.pool.borrow_mut().pop();
        pooled.unwrap_or_else(|| Co::new(&self.host, &self.body))
    }

    /// Gives back a coroutine whose function returned.
    pub fn give_co(&self, co: Co) {
        let mut pool = self.pool.borrow_mut();
        if pool.len() < POOL_MAX {
            co.clear();
            pool.push(co);
        }
    }

    /// Tells scripts that the worker is going down; timers end prematurely.
    pub fn set_exiting(&self) {
        self.words.exiting.set(1);
        self.worker.set_exiting();
    }
}

impl Worker {
    pub fn new(settings: Settings, id: Option<usize>) -> Rc<Self> {
        Rc::new(Self { settings, id, ..Self::default() })
    }

    /// The answer of `ngx.worker.id()`: nothing while init_by_lua runs.
    pub fn number(&self) -> Option<usize> {
        self.id
    }

    pub fn is_exiting(&self) -> bool {
        self.exiting.get()
    }

    pub fn set_exiting(&self) {
        self.exiting.set(true);
        self.exit.notify_waiters();
    }

    /// Ready once the worker is going down.
    pub async fn exiting(&self) {
        let notified = self.exit.notified();
        if !self.exiting.get() {
            notified.await;
        }
    }

    /// State of a topic for the worker thread, whichever VM asks.
    pub fn part<T: Any + Default>(&self) -> Rc<T> {
        part_of(&self.parts)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            package_path: None,
            package_cpath: None,
            prefix: "./".to_owned(),
            code_cache: true,
            max_pending_timers: 1024,
            max_running_timers: 256,
            regex_cache_max_entries: 1024,
            worker_count: 1,
            conf_file: String::new(),
            // As `-V` says: --with-debug.
            is_debug: true,
            has_master: false,
            is_agent: false,
            configure: String::new(),
            limits: Limits::default(),
        }
    }
}

fn part_of<T: Any + Default>(parts: &RefCell<FxHashMap<TypeId, Rc<dyn Any>>>) -> Rc<T> {
    let id = TypeId::of::<T>();
    let known = parts.borrow().get(&id).cloned();
    let part = known.unwrap_or_else(|| {
        let fresh: Rc<dyn Any> = Rc::new(T::default());
        parts.borrow_mut().insert(id, Rc::clone(&fresh));
        fresh
    });
    part.downcast().unwrap_or_else(|_| unreachable!("the bag is keyed by the value's own type"))
}

/// `lua_thread_cache_max_entries` of OpenResty.
const POOL_MAX: usize = 1024;

//! One loaded configuration, and how the process that loads it was started.
//!
//! ```text
//!  Start ──Hooks.load──> Cycle ──Hooks.prepare──> Prepared ──Hooks.run──> a worker thread
//!  flags                 immutable, Arc           VM, init_by_lua         until told to stop
//! ```
//!
//! `process` runs a worker without knowing what one does: the three functions come from `app`.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::conf::ProcessConf;
use crate::conf::{Scope, Snapshot};
use crate::net::listen::{ListenSpec, Listener};

/// Everything a configuration said; never changed after it was loaded.
#[derive(Debug)]
pub struct Cycle {
    /// 1 for the configuration the process started with, one more for each reload.
    pub generation: u64,
    pub paths: Paths,
    /// The main level; blocks hang below it in the parts of their features.
    pub scope: Scope,
    /// The texts it was read from.
    pub snapshot: Arc<Snapshot>,
    pub listens: Vec<ListenSpec>,
}

impl Cycle {
    pub fn conf(&self) -> &ProcessConf {
        self.scope.part()
    }

    /// How many worker threads serve this configuration.
    pub fn workers(&self) -> usize {
        self.conf().workers()
    }

    pub fn pid_path(&self) -> PathBuf {
        self.paths.under_prefix(Path::new(self.conf().pid_path()))
    }
}

/// Where things are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Paths {
    /// `-p`, ending in a slash.
    pub prefix: PathBuf,
    /// The main configuration file.
    pub conf_file: PathBuf,
    /// `-e`, or the compiled-in default.
    pub error_log: PathBuf,
}

impl Paths {
    /// Makes a path of the configuration absolute, as nginx does: relative to the prefix.
    pub fn under_prefix(&self, path: &Path) -> PathBuf {
        self.prefix.join(path)
    }

    /// The folder of the configuration file, where relative `include`s start.
    pub fn conf_dir(&self) -> PathBuf {
        self.conf_file.parent().map(Path::to_path_buf).unwrap_or_default()
    }
}

/// How the process was started.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Start {
    pub paths: Paths,
    /// `-g`
    pub globals: Option<String>,
    /// `-t` or `-T`: load, say what is wrong, leave nothing behind.
    pub testing: bool,
    /// The master has told the user about warnings already.
    pub quiet: bool,
    /// What the master has read; without it the files are read.
    #[serde(skip)]
    pub snapshot: Option<Arc<Snapshot>>,
}

/// What `app` gives: how to load a configuration and how to serve it.
#[derive(Clone, Copy)]
pub struct Hooks {
    /// Reads the configuration; complaints go to the log and the console, not to the caller.
    pub load: fn(&Start, generation: u64) -> Result<Cycle, LoadFailed>,
    /// Makes the calling thread ready to serve; runs before `daemon` forks where it can, so that
    /// an error reaches the console and the exit code.
    pub prepare: fn(&Arc<Cycle>, post: Post) -> Result<Prepared, String>,
    /// Serves until told to stop.
    pub run: fn(ThreadCtx) -> LocalBoxFuture<'static, ()>,
}

/// What `prepare` hands to `run`, on the same thread.
pub struct Prepared {
    pub state: Box<dyn Any>,
    /// A thread that accepts no connections and keeps the rights of the process was asked for.
    pub wants_agent: bool,
}

/// What a thread is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Post {
    /// Serves; its number, from 0.
    Worker(usize),
    /// OpenResty's privileged agent.
    Agent,
}

/// The configuration was refused; the reasons were logged.
#[derive(Debug, thiserror::Error)]
#[error("configuration could not be loaded")]
pub struct LoadFailed;

/// What a worker thread gets.
pub struct ThreadCtx {
    pub cycle: Arc<Cycle>,
    pub post: Post,
    pub count: usize,
    /// In the order of `cycle.listens`; the agent has none.
    pub listeners: Vec<Listener>,
    pub shutdown: watch::Receiver<Stop>,
    pub prepared: Prepared,
}

/// What a worker is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    #[default]
    Serve,
    /// A newer configuration serves: accept nothing more, finish what is under way, in no hurry.
    Replaced,
    /// The process ends: accept nothing more, finish what is under way, return.
    Graceful,
    /// Return now.
    Fast,
}

//! Processes: a master that supervises, one worker process of N threads, reloads, signals.
//!
//! ```text
//!  master_process on                             master_process off
//!    master ──exec──▶ worker process               worker process = the process itself
//!      │ binds           │ control thread            │ control thread, also worker 0
//!      │ pid file        ├ worker thread 0           ├ worker thread 1
//!      └ restarts it     └ worker thread 1 …         └ worker thread 2 …
//! ```
//!
//! A reload loads the files again into a new [`Cycle`], starts new threads on the same sockets and
//! lets the old ones finish. `process` knows how, not what: loading and serving are [`Hooks`].

pub mod conf;
pub mod cycle;
pub mod daemon;
pub mod errorlog;
pub mod signal;

mod channel;
mod master;
mod reload;
pub mod sys;
mod threads;
mod worker;

use std::fs::File;
use std::sync::{Arc, OnceLock};

pub use self::cycle::{Cycle, Hooks, LoadFailed, Paths, Post, Prepared, Start, Stop, ThreadCtx};

use self::daemon::{Launch, Role};
use self::errorlog::ErrorLog;
use self::master::{INHERITANCE, Inheritance};
use self::reload::log_note;
use self::worker::Job;
use crate::base::errno::Errno;
use crate::base::log::{self, Level, emit};
use crate::net::fd;
use crate::net::listen::{BindPlan, Bound, bind_all};

/// Runs the server; returns the exit code.
///
/// Sockets are opened last, when signals are handled and scripts are loaded: who can connect can
/// also send signals, and is answered.
pub fn run(start: Start, hooks: Hooks) -> i32 {
    sys::die_of_faults();
    let Ok(cycle) = (hooks.load)(&start, 1) else { return 1 };
    let cycle = Arc::new(cycle);
    log::set_main_chain(cycle.scope.part::<ErrorLog>().chain());
    if cycle.conf().has_master() {
        with_master(start, hooks, cycle)
    } else {
        alone(start, hooks, cycle)
    }
}

/// `-t`: whether the sockets and the pid file of a configuration could be had; nothing stays.
pub fn try_out(cycle: &Cycle) -> bool {
    let plan = BindPlan { have: &[], workers: 1, testing: true };
    if bind_all(&cycle.listens, &plan, &mut log_note).is_err() {
        return false;
    }
    match daemon::try_pid(&cycle.pid_path()) {
        Ok(()) => true,
        Err(text) => {
            emit(Level::Emerg, format_args!("{text}"));
            false
        }
    }
}

/// Whether this process was started by a master to be its worker.
pub fn is_worker() -> bool {
    std::env::var_os(INHERITANCE).is_some()
}

/// Serves with what the master left in the environment; returns the exit code.
pub fn run_worker(hooks: Hooks) -> i32 {
    sys::die_of_faults();
    log::set_console(true);
    match inherit() {
        Ok((given, channel, have)) => serve_inherited(hooks, given, channel, have),
        Err(text) => {
            emit(Level::Emerg, format_args!("{text}"));
            1
        }
    }
}

/// A file whose content the next worker process will find, should this one die. There is none
/// without a master.
pub fn keepsake() -> Option<&'static File> {
    KEEPSAKE.get()
}

fn with_master(start: Start, hooks: Hooks, cycle: Arc<Cycle>) -> i32 {
    match to_background(&cycle) {
        Ok(Role::Launcher(code)) => code,
        Ok(Role::Daemon(launch)) => master::supervise(start, hooks, cycle, launch),
        Err(code) => code,
    }
}

fn alone(start: Start, hooks: Hooks, cycle: Arc<Cycle>) -> i32 {
    sys::replace_env(&daemon::environment(cycle.conf()));
    // Before the fork: an error in init_by_lua is then seen where the server was started.
    let first = match (hooks.prepare)(&cycle, Post::Worker(0)) {
        Ok(prepared) => Some(prepared),
        Err(text) => {
            emit(Level::Emerg, format_args!("{text}"));
            return 1;
        }
    };
    match to_background(&cycle) {
        Ok(Role::Launcher(code)) => {
            // The daemon owns what was prepared; destructors here would end its connections.
            std::mem::forget(first);
            code
        }
        Ok(Role::Daemon(launch)) => {
            daemon::apply_limits(cycle.conf());
            let job = Job { start, hooks, cycle, have: Vec::new(), first, channel: None };
            worker::serve(job, launch)
        }
        Err(code) => code,
    }
}

fn to_background(cycle: &Cycle) -> Result<Role, i32> {
    if !cycle.conf().is_daemon() {
        return Ok(Role::Daemon(Launch::foreground()));
    }
    daemon::detach().map_err(|e| {
        emit(Level::Emerg, format_args!("fork() failed {}", Errno(&e)));
        1
    })
}

type Inherited = (Inheritance, std::os::unix::net::UnixStream, Vec<Bound>);

fn inherit() -> Result<Inherited, String> {
    let text = std::env::var(INHERITANCE).map_err(|e| format!("{INHERITANCE}: {e}"))?;
    let mut given: Inheritance =
        serde_json::from_str(&text).map_err(|e| format!("{INHERITANCE}: {e}"))?;
    let vars: Vec<_> = std::env::vars_os().filter(|(name, _)| name != INHERITANCE).collect();
    sys::replace_env(&vars);
    let lost = |e: std::io::Error| format!("inherited socket is unusable {}", Errno(&e));
    let channel = fd::adopt(given.channel).map_err(lost)?;
    let texts = File::from(fd::adopt(given.texts).map_err(lost)?);
    given.start.snapshot = Some(worker::read_snapshot(&texts).map_err(lost)?);
    if let Some(number) = given.keepsake {
        // Set once: this process was started by one master.
        let _ = KEEPSAKE.set(fd::adopt(number).map_err(lost)?.into());
    }
    let mut fds = Vec::new();
    for number in &given.fds {
        fds.push(fd::adopt(*number).map_err(lost)?);
    }
    let have = channel::attach(&given.sockets, &mut fds.into());
    Ok((given, channel.into(), have))
}

fn serve_inherited(
    hooks: Hooks,
    given: Inheritance,
    channel: std::os::unix::net::UnixStream,
    have: Vec<Bound>,
) -> i32 {
    let Ok(cycle) = (hooks.load)(&given.start, given.generation) else { return 1 };
    let cycle = Arc::new(cycle);
    log::set_main_chain(cycle.scope.part::<ErrorLog>().chain());
    daemon::apply_limits(cycle.conf());
    let (start, channel) = (given.start, Some(channel));
    let job = Job { start, hooks, cycle, have, first: None, channel };
    worker::serve(job, Launch::foreground())
}

static KEEPSAKE: OnceLock<File> = OnceLock::new();

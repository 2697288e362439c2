//! The master: binds, starts the worker process, starts it again when it dies, reacts to signals.
//!
//! ```text
//!  load ─ bind ─ fork to background ─ pid file ─ exec worker (sockets inherited)
//!  loop: SIGCHLD ─▶ start it again     HUP ─▶ load, bind, hand over     TERM QUIT USR1 ─▶ pass on
//! ```
//!
//! No threads, no event loop, no traffic, no Lua: what cannot fail keeps the sockets open.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::channel::{Channel, Message, SocketNames, describe};
use super::cycle::{Cycle, Hooks, Start};
use super::daemon::{self, Launch};
use super::errorlog::ErrorLog;
use super::reload::log_note;
use super::signal::{self, Action};
use super::sys::{self, Exit, Signals};
use super::worker::{alert, dropped, reopen_logs};
use crate::base::clock;
use crate::base::errno::Errno;
use crate::base::log::{self, Level, emit};
use crate::net::fd;
use crate::net::listen::{BindPlan, Bound, bind_all, unlink_unix};

/// What the worker process finds in its environment.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Inheritance {
    pub(super) start: Start,
    pub(super) generation: u64,
    pub(super) channel: i32,
    /// The texts of the configuration.
    pub(super) texts: i32,
    pub(super) sockets: Vec<SocketNames>,
    /// The descriptors of all `sockets`, in order.
    pub(super) fds: Vec<i32>,
    /// Memory that outlives a worker process: what it writes there the next one finds.
    pub(super) keepsake: Option<i32>,
}

/// Supervises until told to stop; returns the exit code.
pub(super) fn supervise(start: Start, hooks: Hooks, cycle: Arc<Cycle>, launch: Launch) -> i32 {
    let signals = match Signals::open(SIGNALS) {
        Ok(signals) => signals,
        Err(e) => {
            emit(Level::Emerg, format_args!("sigprocmask() failed {}", Errno(&e)));
            return 1;
        }
    };
    let plan = BindPlan { have: &[], workers: cycle.workers(), testing: false };
    let Ok(bound) = bind_all(&cycle.listens, &plan, &mut log_note) else { return 1 };
    let pid_path = cycle.pid_path();
    if let Err(text) = daemon::write_pid(&pid_path) {
        emit(Level::Emerg, format_args!("{text}"));
        return 1;
    }
    sys::set_title(&daemon::master_title());
    let mut master = Master {
        start,
        hooks,
        generation: cycle.generation,
        cycle,
        bound,
        next: None,
        again: false,
        launch,
        worker: None,
        restart_at: None,
        stopping: None,
        kill_at: None,
        failed: false,
        keepsake: sys::memory_file(c"moonbeat-keepsake").ok(),
    };
    master.spawn();
    let code = master.run(&signals);
    daemon::remove_pid(&master.cycle.pid_path());
    unlink_unix(&master.bound, &mut alert);
    emit(Level::Notice, format_args!("exit"));
    code
}

struct Master {
    start: Start,
    hooks: Hooks,
    /// The configuration that serves, and its sockets.
    cycle: Arc<Cycle>,
    bound: Vec<Bound>,
    /// The configuration the worker was asked to take.
    next: Option<(Arc<Cycle>, Vec<Bound>)>,
    /// The number of the newest configuration tried.
    generation: u64,
    /// Another reload was asked for meanwhile.
    again: bool,
    launch: Launch,
    worker: Option<Worker>,
    restart_at: Option<Instant>,
    stopping: Option<Action>,
    kill_at: Option<Instant>,
    /// The first worker never came up.
    failed: bool,
    keepsake: Option<OwnedFd>,
}

/// The worker process as its master knows it.
struct Worker {
    pid: i32,
    channel: Option<Channel>,
    ready: bool,
}

impl Master {
    fn run(&mut self, signals: &Signals) -> i32 {
        loop {
            let channel = self.worker.as_ref().and_then(|w| w.channel.as_ref());
            let mut fds = vec![signals.as_raw_fd()];
            fds.extend(channel.map(AsRawFd::as_raw_fd));
            let readable = sys::wait_readable(&fds, self.patience_ms());
            if readable.get(1) == Some(&true) {
                self.message();
            }
            while let Some((number, sender)) = signals.next() {
                self.signal(number, sender);
            }
            self.look_at_the_clock();
            if self.worker.is_none() && (self.stopping.is_some() || self.failed) {
                return i32::from(self.failed);
            }
        }
    }

    /// How long to wait for the next event.
    fn patience_ms(&self) -> Option<u64> {
        let next = [self.restart_at, self.kill_at].into_iter().flatten().min()?;
        let left = next.saturating_duration_since(clock::instant());
        Some(left.as_millis() as u64 + 1)
    }

    fn look_at_the_clock(&mut self) {
        let now = clock::instant();
        if self.restart_at.is_some_and(|at| at <= now) {
            self.restart_at = None;
            self.spawn();
        }
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill_at = None;
            self.pass_on(sys::SIGKILL);
        }
    }

    fn signal(&mut self, number: i32, sender: u32) {
        let name = signal::name(number);
        let action = Action::from_number(number);
        let doing = action.map_or("", Action::doing);
        emit(Level::Notice, format_args!("signal {number} ({name}) received from {sender}{doing}"));
        match action {
            None if number == sys::SIGCHLD => {
                while let Some((pid, exit)) = sys::reap() {
                    self.died(pid, exit);
                }
            }
            None => {}
            Some(Action::Reload) => self.reload(),
            Some(Action::Reopen) => {
                emit(Level::Notice, format_args!("reopening logs"));
                reopen_logs();
                self.pass_on(number);
            }
            Some(action) => self.stop(action),
        }
    }

    fn stop(&mut self, action: Action) {
        self.stopping = Some(action);
        self.restart_at = None;
        self.pass_on(action.number());
        if action == Action::Stop {
            self.kill_at = Some(clock::instant() + KILL_AFTER);
        } else {
            // The worker finishes what it has; nobody new gets in.
            self.unlink_and_close();
        }
    }

    fn unlink_and_close(&mut self) {
        unlink_unix(&self.bound, &mut alert);
        self.bound.clear();
    }

    fn reload(&mut self) {
        let ready = self.worker.as_ref().is_some_and(|w| w.ready);
        if self.stopping.is_some() {
            return;
        }
        if self.next.is_some() || !ready {
            self.again = true;
            return;
        }
        emit(Level::Notice, format_args!("reconfiguring"));
        self.generation += 1;
        let Ok(cycle) = (self.hooks.load)(&self.start, self.generation) else { return };
        let plan = BindPlan { have: &self.bound, workers: cycle.workers(), testing: false };
        let Ok(bound) = bind_all(&cycle.listens, &plan, &mut log_note) else { return };
        let (sockets, fds) = describe(&bound);
        let message = Message::Reload { generation: self.generation, sockets };
        let channel = self.worker.as_ref().and_then(|w| w.channel.as_ref());
        let sent = channel.map(|channel| {
            let texts = texts_of(&cycle)?;
            let all: Vec<_> = [texts.as_raw_fd()].into_iter().chain(fds).collect();
            channel.send(&message, &all)
        });
        match sent {
            Some(Ok(())) => self.next = Some((Arc::new(cycle), bound)),
            Some(Err(e)) => emit(Level::Alert, format_args!("sendmsg() failed {}", Errno(&e))),
            None => {}
        }
    }

    fn message(&mut self) {
        let Some(worker) = self.worker.as_mut() else { return };
        let Some(channel) = worker.channel.as_mut() else { return };
        match channel.recv() {
            Ok(Some(Message::Ready { .. })) if !worker.ready => self.first_ready(),
            Ok(Some(Message::Ready { generation })) => self.take_over(generation),
            Ok(Some(Message::Failed { .. })) => {
                self.next = None;
                self.reload_again();
            }
            Ok(Some(_)) => {}
            // The worker is going; SIGCHLD tells the rest.
            Ok(None) | Err(_) => worker.channel = None,
        }
    }

    fn first_ready(&mut self) {
        if let Some(worker) = self.worker.as_mut() {
            worker.ready = true;
        }
        log::set_console(false);
        daemon::stderr_to_log(&self.cycle);
        self.launch.is_up();
        self.reload_again();
    }

    /// The worker serves the new configuration: it becomes ours.
    fn take_over(&mut self, generation: u64) {
        let Some((cycle, bound)) = self.next.take_if(|(c, _)| c.generation == generation) else {
            return;
        };
        let (before, now) = (self.cycle.pid_path(), cycle.pid_path());
        if before != now {
            match daemon::write_pid(&now) {
                Ok(()) => daemon::remove_pid(&before),
                Err(text) => emit(Level::Emerg, format_args!("{text}")),
            }
        }
        unlink_unix(&dropped(&self.bound, &bound), &mut alert);
        log::set_main_chain(cycle.scope.part::<ErrorLog>().chain());
        daemon::stderr_to_log(&cycle);
        self.cycle = cycle;
        self.bound = bound;
        self.reload_again();
    }

    fn reload_again(&mut self) {
        if std::mem::take(&mut self.again) {
            self.reload();
        }
    }

    fn died(&mut self, pid: i32, exit: Exit) {
        let Some(worker) = self.worker.take_if(|w| w.pid == pid) else { return };
        match exit {
            Exit::Code(code) => {
                let text = format_args!("worker process {pid} exited with code {code}");
                emit(Level::Notice, text);
            }
            Exit::Signal { number, core } => {
                let core = if core { " (core dumped)" } else { "" };
                let text = format_args!("worker process {pid} exited on signal {number}{core}");
                emit(Level::Alert, text);
            }
        }
        self.next = None;
        if self.stopping.is_some() {
            return;
        }
        // A worker that never served while the user still waits is an error of the start.
        if !worker.ready && !self.start.quiet {
            self.failed = true;
            return;
        }
        let delay = if worker.ready { Duration::ZERO } else { RESTART_DELAY };
        self.restart_at = Some(clock::instant() + delay);
    }

    fn spawn(&mut self) {
        match self.exec_worker() {
            Ok(worker) => {
                emit(Level::Notice, format_args!("start worker process {}", worker.pid));
                self.worker = Some(worker);
            }
            Err(e) => {
                emit(Level::Alert, format_args!("fork() failed {}", Errno(&e)));
                self.restart_at = Some(clock::instant() + RESTART_DELAY);
                self.failed = !self.start.quiet;
            }
        }
    }

    fn exec_worker(&self) -> std::io::Result<Worker> {
        let (ours, theirs) = UnixStream::pair()?;
        let (sockets, fds) = describe(&self.bound);
        let texts = texts_of(&self.cycle)?;
        let given = Inheritance {
            start: Start { quiet: true, ..self.start.clone() },
            generation: self.cycle.generation,
            channel: theirs.as_raw_fd(),
            texts: texts.as_raw_fd(),
            sockets,
            fds,
            keepsake: self.keepsake.as_ref().map(AsRawFd::as_raw_fd),
        };
        let mut inherited = vec![theirs.as_raw_fd(), texts.as_raw_fd()];
        inherited.extend(given.keepsake);
        inherited.extend(&given.fds);
        // Only this process runs here, so nothing else can be started while these are open to it.
        set_inheritable(&inherited, true)?;
        let child = Command::new("/proc/self/exe")
            .arg0("nginx: worker process")
            .env_clear()
            .envs(daemon::environment(self.cycle.conf()))
            .env(INHERITANCE, serde_json::to_string(&given)?)
            .spawn();
        set_inheritable(&inherited, false)?;
        let pid = child?.id() as i32;
        Ok(Worker { pid, channel: Some(Channel::new(ours)), ready: false })
    }

    fn pass_on(&self, number: i32) {
        let Some(worker) = &self.worker else { return };
        if let Err(e) = sys::kill(worker.pid, number) {
            let pid = worker.pid;
            emit(Level::Alert, format_args!("kill({pid}, {number}) failed {}", Errno(&e)));
        }
    }
}

/// A memory file with the texts a configuration was read from.
fn texts_of(cycle: &Cycle) -> std::io::Result<File> {
    let mut file = File::from(sys::memory_file(c"moonbeat-conf")?);
    file.write_all(&cycle.snapshot.encode())?;
    Ok(file)
}

fn set_inheritable(fds: &[i32], on: bool) -> std::io::Result<()> {
    fds.iter().try_for_each(|number| fd::set_inheritable(number, on))
}

/// The environment variable that makes a process a worker.
pub(super) const INHERITANCE: &str = "MOONBEAT_WORKER";

const SIGNALS: &[i32] = &[
    sys::SIGCHLD,
    sys::SIGHUP,
    sys::SIGINT,
    sys::SIGQUIT,
    sys::SIGTERM,
    sys::SIGUSR1,
    sys::SIGUSR2,
    sys::SIGWINCH,
];

/// nginx waits as long before it kills workers that do not exit.
const KILL_AFTER: Duration = Duration::from_millis(1500);
const RESTART_DELAY: Duration = Duration::from_millis(900);

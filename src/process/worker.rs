//! The process that serves: a control loop beside its worker threads.
//!
//! ```text
//!  signals ─┐
//!  master ──┼─▶ Event ─▶ Control ─▶ reload thread ─▶ new Generation, old one drains
//!  threads ─┘                    └▶ stop ─▶ all drained ─▶ exit code
//! ```
//!
//! Without a master the main thread is both the control loop and worker 0: what `prepare` did
//! before the fork to the background is used there.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;

use super::channel::{Channel, Message};
use super::cycle::{Cycle, Hooks, LoadFailed, Post, Prepared, Start, Stop};
use super::daemon::{self, Launch};
use super::errorlog::ErrorLog;
use super::reload::{self, Order, log_note};
use super::signal::{self, Action};
use super::sys;
use super::threads::Generation;
use crate::base::errno::Errno;
use crate::base::log::{self, Level, emit};
use crate::conf::Snapshot;
use crate::net::listen::{BindPlan, Bound, bind_all, unlink_unix};

/// What the control loop reacts to.
pub(super) enum Event {
    Signal(i32),
    /// The master asks for a reload and hands over texts and sockets for it.
    Reload {
        generation: u64,
        snapshot: Option<Arc<Snapshot>>,
        have: Vec<Bound>,
    },
    Loaded(Result<Generation, LoadFailed>),
    /// A worker thread has returned.
    Ended {
        generation: u64,
    },
    /// The time for a graceful end is over.
    Overdue {
        generation: u64,
    },
    /// The time for a fast end is over.
    GiveUp,
}

/// What a process serves with.
pub(super) struct Job {
    pub(super) start: Start,
    pub(super) hooks: Hooks,
    pub(super) cycle: Arc<Cycle>,
    /// Sockets the master has opened.
    pub(super) have: Vec<Bound>,
    /// Worker 0, prepared on this thread; None: every worker gets a thread.
    pub(super) first: Option<Prepared>,
    /// The way to the master, when there is one.
    pub(super) channel: Option<UnixStream>,
}

/// Serves until told to stop; returns the exit code.
pub(super) fn serve(job: Job, mut launch: Launch) -> i32 {
    let runtime = match runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_unpark(crate::base::clock::update)
        .build()
    {
        Ok(runtime) => runtime,
        Err(e) => {
            emit(Level::Emerg, format_args!("event loop failed {}", Errno(&e)));
            return 1;
        }
    };
    let (events, inbox) = unbounded_channel();
    let local = LocalSet::new();
    local.block_on(&runtime, async move {
        let alone = job.channel.is_none();
        if let Err(e) = listen_to_signals(&events) {
            emit(Level::Emerg, format_args!("sigaction() failed {}", Errno(&e)));
            return 1;
        }
        sys::unblock_signals();
        let plan = BindPlan { have: &job.have, workers: job.cycle.workers(), testing: false };
        let Ok(bound) = bind_all(&job.cycle.listens, &plan, &mut log_note) else { return 1 };
        let pid_path = job.cycle.pid_path();
        if alone && let Err(text) = daemon::write_pid(&pid_path) {
            emit(Level::Emerg, format_args!("{text}"));
            return 1;
        }
        let code = start_and_control(job, bound, &events, inbox, &mut launch).await;
        if alone {
            daemon::remove_pid(&pid_path);
        }
        code
    })
}

async fn start_and_control(
    job: Job,
    bound: Vec<Bound>,
    events: &UnboundedSender<Event>,
    inbox: UnboundedReceiver<Event>,
    launch: &mut Launch,
) -> i32 {
    let Job { start, hooks, cycle, have, first, channel } = job;
    // What the configuration does not listen on is closed, now and after every reload.
    drop(have);
    let alone = channel.is_none();
    let current = match Generation::start(cycle, bound, hooks, first.iter().len(), events) {
        Ok(generation) => generation,
        Err(text) => {
            // Who failed may have told already.
            if !text.is_empty() {
                emit(Level::Emerg, format_args!("{text}"));
            }
            return 1;
        }
    };
    let channel = match channel.map(|stream| listen_to_master(stream, events)).transpose() {
        Ok(channel) => channel,
        Err(e) => {
            emit(Level::Emerg, format_args!("channel failed {}", Errno(&e)));
            return 1;
        }
    };
    let first = first.map(|prepared| (current.seat(Post::Worker(0), hooks, events), prepared));
    let mut control = Control {
        start: Start { quiet: !alone, ..start },
        hooks,
        channel,
        events: events.clone(),
        last: current.cycle.generation,
        current,
        draining: Vec::new(),
        loading: false,
        again: false,
        stopping: None,
        exit_code: 0,
    };
    control.announce(launch);
    let first = async {
        if let Some((seat, prepared)) = first {
            seat.serve(prepared).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        code = control.run(inbox) => code,
        () = first => 0,
    }
}

/// The state of the control loop.
struct Control {
    start: Start,
    hooks: Hooks,
    channel: Option<Channel>,
    events: UnboundedSender<Event>,
    current: Generation,
    draining: Vec<Generation>,
    /// The number of the newest configuration tried.
    last: u64,
    loading: bool,
    /// Another reload was asked for while one was under way.
    again: bool,
    stopping: Option<Stop>,
    exit_code: i32,
}

impl Control {
    /// The process is up: logs go where the configuration says, stderr too, the launcher returns.
    fn announce(&mut self, launch: &mut Launch) {
        self.tell(&Message::Ready { generation: self.current.cycle.generation });
        log::set_console(false);
        daemon::stderr_to_log(&self.current.cycle);
        launch.is_up();
    }

    async fn run(&mut self, mut inbox: UnboundedReceiver<Event>) -> i32 {
        while let Some(event) = inbox.recv().await {
            match event {
                Event::Signal(number) => self.signal(number),
                Event::Reload { generation, snapshot, have } => {
                    self.start.snapshot = snapshot;
                    self.reload(generation, have);
                }
                Event::Loaded(loaded) => self.loaded(loaded),
                Event::Ended { generation } => self.ended(generation),
                Event::Overdue { generation } => self.overdue(generation),
                Event::GiveUp => break,
            }
            if self.is_over() {
                break;
            }
        }
        self.finish()
    }

    fn signal(&mut self, number: i32) {
        let Some(action) = Action::from_number(number) else { return };
        let alone = self.channel.is_none();
        let name = signal::name(number);
        emit(Level::Notice, format_args!("signal {number} ({name}) received{}", action.doing()));
        match action {
            Action::Stop => self.stop(Stop::Fast),
            Action::Quit => self.stop(Stop::Graceful),
            Action::Reopen => reopen_logs(),
            // Under a master the reload comes through the channel, with the sockets.
            Action::Reload if alone => self.reload(self.last + 1, Vec::new()),
            Action::Reload => {}
        }
    }

    fn stop(&mut self, how: Stop) {
        self.stopping = self.stopping.max(Some(how));
        self.current.stop(how);
        self.close_sockets();
        for generation in &self.draining {
            generation.stop(how);
        }
        if how == Stop::Fast {
            self.later(FAST_LIMIT, Event::GiveUp);
        } else {
            self.limit_drain(self.current.cycle.generation);
        }
    }

    /// Who only finishes what has begun refuses everybody else, instead of letting them wait.
    fn close_sockets(&mut self) {
        if self.channel.is_none() {
            unlink_unix(&self.current.bound, &mut alert);
        }
        self.current.bound = Arc::default();
    }

    fn reload(&mut self, generation: u64, have: Vec<Bound>) {
        if self.stopping.is_some() {
            return;
        }
        if self.loading {
            self.again = true;
            return;
        }
        self.loading = true;
        self.last = generation;
        let have = if have.is_empty() { self.current.bound.to_vec() } else { have };
        let (start, hooks) = (self.start.clone(), self.hooks);
        reload::spawn(Order { start, hooks, generation, have }, self.events.clone());
    }

    fn loaded(&mut self, loaded: Result<Generation, LoadFailed>) {
        self.loading = false;
        match loaded {
            Ok(new) => self.take_over(new),
            Err(LoadFailed) => self.tell(&Message::Failed { generation: self.last }),
        }
        if std::mem::take(&mut self.again) {
            self.reload(self.last + 1, Vec::new());
        }
    }

    /// The new threads accept already; the old ones stop accepting and finish.
    fn take_over(&mut self, new: Generation) {
        log::set_main_chain(new.cycle.scope.part::<ErrorLog>().chain());
        daemon::stderr_to_log(&new.cycle);
        let mut old = std::mem::replace(&mut self.current, new);
        if self.channel.is_none() {
            self.replace_files(&old);
        }
        // The draining side must not keep an address open that was removed.
        old.bound = Arc::default();
        old.stop(Stop::Replaced);
        let number = old.cycle.generation;
        if old.running > 0 {
            self.draining.push(old);
        }
        self.limit_drain(number);
        if let Some(how) = self.stopping {
            self.current.stop(how);
            self.close_sockets();
        }
        self.tell(&Message::Ready { generation: self.current.cycle.generation });
    }

    /// The pid file and unix sockets of an old configuration, where the new one has others.
    fn replace_files(&self, old: &Generation) {
        let (before, now) = (old.cycle.pid_path(), self.current.cycle.pid_path());
        if before != now {
            match daemon::write_pid(&now) {
                Ok(()) => daemon::remove_pid(&before),
                Err(text) => emit(Level::Emerg, format_args!("{text}")),
            }
        }
        unlink_unix(&dropped(&old.bound, &self.current.bound), &mut alert);
    }

    fn limit_drain(&self, generation: u64) {
        let limit = self.find(generation).and_then(|g| g.cycle.conf().shutdown_timeout_ms);
        if let Some(ms) = limit {
            self.later(Duration::from_millis(ms), Event::Overdue { generation });
        }
    }

    fn overdue(&mut self, generation: u64) {
        if let Some(late) = self.find(generation).filter(|g| g.is_stopping()) {
            late.stop(Stop::Fast);
        }
    }

    fn ended(&mut self, generation: u64) {
        if generation == self.current.cycle.generation {
            self.current.running = self.current.running.saturating_sub(1);
            if !self.current.is_stopping() {
                // Under a master a fresh process replaces this one.
                emit(Level::Alert, format_args!("worker thread exited unexpectedly"));
                self.exit_code = 1;
                self.stop(Stop::Graceful);
            }
        }
        for old in &mut self.draining {
            if old.cycle.generation == generation {
                old.running = old.running.saturating_sub(1);
            }
        }
        self.draining.retain(|g| g.running > 0);
    }

    fn is_over(&self) -> bool {
        self.stopping.is_some()
            && !self.loading
            && self.current.running == 0
            && self.draining.is_empty()
    }

    fn finish(&mut self) -> i32 {
        if self.channel.is_none() {
            unlink_unix(&self.current.bound, &mut alert);
        }
        emit(Level::Notice, format_args!("exit"));
        self.exit_code
    }

    fn find(&self, generation: u64) -> Option<&Generation> {
        std::iter::once(&self.current)
            .chain(&self.draining)
            .find(|g| g.cycle.generation == generation)
    }

    fn tell(&self, message: &Message) {
        if let Some(Err(e)) = self.channel.as_ref().map(|c| c.send(message, &[])) {
            emit(Level::Alert, format_args!("sendmsg() failed {}", Errno(&e)));
        }
    }

    fn later(&self, delay: Duration, event: Event) {
        let events = self.events.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(delay).await;
            let _ = events.send(event);
        });
    }
}

/// Those of `old` whose addresses `new` does not have.
pub(super) fn dropped(old: &[Bound], new: &[Bound]) -> Vec<Bound> {
    let kept = |b: &&Bound| new.iter().any(|n| n.spec.addr == b.spec.addr);
    old.iter().filter(|b| !kept(b)).cloned().collect()
}

pub(super) fn alert(text: String) {
    emit(Level::Alert, format_args!("{text}"));
}

/// USR1.
pub(super) fn reopen_logs() {
    for (path, e) in log::reopen() {
        let path = path.display();
        emit(Level::Emerg, format_args!("open() \"{path}\" failed {}", Errno(&e)));
    }
}

fn listen_to_signals(events: &UnboundedSender<Event>) -> io::Result<()> {
    for number in [sys::SIGTERM, sys::SIGINT, sys::SIGQUIT, sys::SIGHUP, sys::SIGUSR1] {
        let mut stream = signal(SignalKind::from_raw(number))?;
        let events = events.clone();
        tokio::task::spawn_local(async move {
            while stream.recv().await.is_some() {
                if events.send(Event::Signal(number)).is_err() {
                    break;
                }
            }
        });
    }
    // nginx's workers ignore these; as an only process it does not know them either.
    for number in [sys::SIGUSR2, sys::SIGWINCH] {
        drop(signal(SignalKind::from_raw(number))?);
    }
    Ok(())
}

/// Reads the master's messages on a thread of its own; returns the way back.
fn listen_to_master(stream: UnixStream, events: &UnboundedSender<Event>) -> io::Result<Channel> {
    let mut channel = Channel::new(stream);
    let back = channel.writer()?;
    let events = events.clone();
    thread::Builder::new().name("channel".into()).spawn(move || {
        // When the master is gone the worker goes on serving, as nginx's do.
        while let Ok(Some(message)) = channel.recv() {
            if let Message::Reload { generation, sockets } = message {
                let texts = channel.next_fd().map(File::from);
                let snapshot = texts.and_then(|file| read_snapshot(&file).ok());
                let have = channel.sockets(&sockets);
                let _ = events.send(Event::Reload { generation, snapshot, have });
            }
        }
    })?;
    Ok(back)
}

/// The texts a master has put into a memory file.
pub(super) fn read_snapshot(file: &File) -> io::Result<Arc<Snapshot>> {
    let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or_default()];
    // From the start, whoever else has read from the file they share.
    file.read_exact_at(&mut bytes, 0)?;
    Snapshot::decode(&bytes).map(Arc::new).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// How long threads may take to return when told to do so at once.
const FAST_LIMIT: Duration = Duration::from_secs(1);

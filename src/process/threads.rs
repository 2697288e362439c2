//! The worker threads of one configuration: made ready together, stopped together.
//!
//! ```text
//!  Generation::start ── a thread each: prepare ─▶ "ready" ─ wait for "go" ─▶ run ─▶ Event::Ended
//!        └ all ready? go : nobody starts                        ▲
//!           └ one of them asked for the privileged agent? a thread more
//!  Generation.stop(Graceful | Fast) ───────── watch ────────────┘
//! ```

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, mpsc};
use std::thread;

use futures_util::FutureExt;
use tokio::runtime;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::LocalSet;

use super::cycle::{Cycle, Hooks, Post, Prepared, Stop, ThreadCtx};
use super::sys;
use super::worker::Event;
use crate::base::errno::Errno;
use crate::base::log::{Level, emit};
use crate::net::listen::Bound;

/// One configuration being served.
pub(super) struct Generation {
    pub(super) cycle: Arc<Cycle>,
    pub(super) bound: Arc<Vec<Bound>>,
    pub(super) running: usize,
    stop: watch::Sender<Stop>,
}

impl Generation {
    /// Starts a thread for each worker but the first `skip`, and waits until all are ready.
    pub(super) fn start(
        cycle: Arc<Cycle>,
        bound: Vec<Bound>,
        hooks: Hooks,
        skip: usize,
        events: &UnboundedSender<Event>,
    ) -> Result<Self, String> {
        let (stop, _) = watch::channel(Stop::Serve);
        let workers = cycle.workers();
        let has_master = cycle.conf().has_master();
        let mut generation = Self { cycle, bound: Arc::new(bound), running: workers, stop };
        let posts: Vec<_> = (skip..workers).map(Post::Worker).collect();
        let mut crew = generation.enlist(&posts, hooks, events)?;
        // As in nginx, the master is who starts an agent.
        if has_master && crew.want_agent {
            let agent = generation.enlist(&[Post::Agent], hooks, events)?;
            generation.running += 1;
            crew.gates.extend(agent.gates);
            let pid = std::process::id();
            emit(Level::Notice, format_args!("start privileged agent process {pid}"));
        }
        for gate in crew.gates {
            // A thread that is gone by now tells so through its event.
            let _ = gate.send(());
        }
        Ok(generation)
    }

    /// Starts threads and waits until they are ready.
    fn enlist(
        &self,
        posts: &[Post],
        hooks: Hooks,
        events: &UnboundedSender<Event>,
    ) -> Result<Crew, String> {
        let (ready, is_ready) = mpsc::channel();
        let mut crew = Crew { gates: Vec::new(), want_agent: false };
        for &post in posts {
            let seat = self.seat(post, hooks, events);
            let ready = ready.clone();
            let (gate, opened) = mpsc::channel::<()>();
            crew.gates.push(gate);
            let name = match post {
                Post::Worker(index) => format!("worker-{index}"),
                Post::Agent => "agent".to_owned(),
            };
            thread::Builder::new()
                .name(name)
                .stack_size(STACK_BYTES)
                .spawn(move || seat.live(&ready, &opened))
                .map_err(|e| format!("thread could not be started {}", Errno(&e)))?;
        }
        drop(ready);
        for _ in posts {
            // A thread that ends without a word has panicked; its message is in the log.
            let wants_agent =
                is_ready.recv().unwrap_or_else(|_| Err("worker thread panicked".into()))?;
            crew.want_agent |= wants_agent;
        }
        Ok(crew)
    }

    /// The place of one worker, to be taken on the thread that will serve.
    pub(super) fn seat(&self, post: Post, hooks: Hooks, events: &UnboundedSender<Event>) -> Seat {
        Seat {
            cycle: self.cycle.clone(),
            bound: self.bound.clone(),
            post,
            hooks,
            shutdown: self.stop.subscribe(),
            end: End { generation: self.cycle.generation, events: events.clone() },
        }
    }

    /// Tells every thread; a milder word after a stronger one changes nothing.
    pub(super) fn stop(&self, how: Stop) {
        self.stop.send_if_modified(|now| {
            let worse = how > *now;
            *now = how.max(*now);
            worse
        });
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.stop.borrow() > Stop::Serve
    }
}

/// Threads that are ready and wait for the word.
struct Crew {
    gates: Vec<mpsc::Sender<()>>,
    want_agent: bool,
}

/// Everything one worker needs, before it runs.
pub(super) struct Seat {
    cycle: Arc<Cycle>,
    bound: Arc<Vec<Bound>>,
    post: Post,
    hooks: Hooks,
    shutdown: watch::Receiver<Stop>,
    end: End,
}

impl Seat {
    /// The life of a worker thread.
    fn live(self, ready: &mpsc::Sender<Result<bool, String>>, opened: &mpsc::Receiver<()>) {
        let prepared = match (self.hooks.prepare)(&self.cycle, self.post) {
            Ok(prepared) => prepared,
            Err(text) => {
                // Nobody listens when another thread has failed before.
                let _ = ready.send(Err(text));
                return;
            }
        };
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .on_thread_unpark(crate::base::clock::update)
            .build_local(runtime::LocalOptions::default());
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(e) => {
                let _ = ready.send(Err(format!("event loop failed {}", Errno(&e))));
                return;
            }
        };
        let _ = ready.send(Ok(prepared.wants_agent));
        if opened.recv().is_err() || !self.drop_root() {
            return;
        }
        // The tasks end with the runtime. No `LocalSet`: its queue costs a lock for each wake-up.
        let end = runtime.block_on(self.run(prepared));
        drop(runtime);
        drop(end);
    }

    /// Serves on the control thread's runtime until told to stop.
    pub(super) async fn serve(self, prepared: Prepared) {
        // Of its own, so that the tasks end with this worker and not with the process.
        let local = LocalSet::new();
        let end = local.run_until(self.run(prepared)).await;
        drop(local);
        drop(end);
    }

    /// Serves until told to stop. What is given back tells of the end when it is dropped: after
    /// the tasks that are left.
    async fn run(self, prepared: Prepared) -> End {
        let Self { cycle, bound, post, hooks, shutdown, end } = self;
        let listeners: Result<Vec<_>, _> = match post {
            Post::Worker(index) => bound.iter().map(|b| b.listener(index)).collect(),
            Post::Agent => Ok(Vec::new()),
        };
        let listeners = match listeners {
            Ok(listeners) => listeners,
            Err(e) => {
                emit(Level::Alert, format_args!("listening socket is unusable {}", Errno(&e)));
                return end;
            }
        };
        // The sockets live in the listeners and with the control thread from here on: a worker
        // that drains must not keep an address alive that was removed.
        drop(bound);
        let count = cycle.workers();
        let ctx = ThreadCtx { cycle, post, count, listeners, shutdown, prepared };
        let life = AssertUnwindSafe((hooks.run)(ctx)).catch_unwind();
        if life.await.is_err() {
            emit(Level::Alert, format_args!("thread {post:?} panicked"));
        }
        end
    }

    /// Worker threads of a master give up root; the control thread stays to read keys and logs,
    /// and the agent is there for the rights it keeps.
    fn drop_root(&self) -> bool {
        let conf = self.cycle.conf();
        let privileged = self.post == Post::Agent || !conf.has_master();
        let Some(who) = conf.identity().filter(|_| !privileged) else { return true };
        let tell = |call: &str, e| {
            emit(Level::Emerg, format_args!("{call}({}) failed {}", who.uid, Errno(e)));
        };
        match sys::become_on_this_thread(&who) {
            Ok(without_groups) => {
                if let Some(e) = &without_groups {
                    tell("initgroups", e);
                }
                true
            }
            Err((call, e)) => {
                tell(call, &e);
                false
            }
        }
    }
}

/// Tells the control thread when a worker is gone, however it went.
struct End {
    generation: u64,
    events: UnboundedSender<Event>,
}

impl Drop for End {
    fn drop(&mut self) {
        // The control thread may have returned already.
        let _ = self.events.send(Event::Ended { generation: self.generation });
    }
}

/// Lua code recurses deeper than Rust code usually does.
const STACK_BYTES: usize = 8 * 1024 * 1024;

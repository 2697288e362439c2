//! `ngx.run_worker_thread`: a function of a module, run in an OS thread with a Lua VM of its own.
//!
//! ```text
//!   light thread ─ Job { module, function, arguments by value } ─▶ Lane: thread + VM, reused
//!        ▲                                                             │
//!        └──────────── Reply: true, results … | false, why ◀───────────┘
//! ```
//!
//! As in OpenResty the VMs are limited for the worker, and the threads that run at a time for each
//! pool of the configuration. A killed light thread does not stop the job, only forgets its reply.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::c_int;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

use tokio::sync::{Semaphore, oneshot};

use super::Topic;
use crate::lua::phase::YIELDABLE;
use crate::lua::raw::{Call, Func, Kind, Op, Raise, Reply, Val, View};
use crate::lua::vm::{Settings, Vm, Worker};
use crate::process::conf::ThreadPool;

pub const TOPIC: Topic = Topic::of(&[Op { name: "worker_thread.run", phases: YIELDABLE, run }]);

/// What of the worker its lanes may use too.
type Share = Box<dyn FnOnce(&Worker) + Send>;

/// The pools and lanes of one worker.
pub struct Lanes {
    pools: RefCell<HashMap<Vec<u8>, Rc<Pool>>>,
    idle: RefCell<Vec<Lane>>,
    count: Cell<usize>,
    vms_max: Cell<usize>,
    share: RefCell<Option<Rc<dyn Fn() -> Share>>>,
}

/// One `thread_pool` of the configuration.
struct Pool {
    running: Semaphore,
    queued: Cell<usize>,
    queue_max: usize,
}

/// A thread with its VM, waiting for a job.
struct Lane(mpsc::Sender<(Job, oneshot::Sender<Reply>)>);

/// A call to be made.
struct Job {
    module: Vec<u8>,
    function: Vec<u8>,
    path: Vec<u8>,
    cpath: Vec<u8>,
    args: Vec<Val>,
}

/// Why a value cannot go to another VM.
#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error("unsupported Lua type: {0}")]
    Type(&'static str),
    #[error("unsupported Lua type")]
    Other,
    #[error("suspicious circular references, table depth exceed max depth: {DEPTH_MAX}")]
    Deep,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            pools: RefCell::default(),
            idle: RefCell::default(),
            count: Cell::new(0),
            vms_max: Cell::new(VMS_MAX),
            share: RefCell::default(),
        }
    }
}

/// Tells a worker about the pools of the configuration, how many VMs it may make
/// (`lua_worker_thread_vm_pool_size`) and what else its lanes use.
pub fn bind(
    worker: &Worker,
    pools: &[ThreadPool],
    vms_max: Option<usize>,
    share: impl Fn() -> Share + 'static,
) {
    let lanes = worker.part::<Lanes>();
    let rows = pools.iter().map(|pool| (pool.name.to_vec(), Rc::new(Pool::new(pool))));
    *lanes.pools.borrow_mut() = rows.collect();
    lanes.vms_max.set(vms_max.unwrap_or(VMS_MAX));
    *lanes.share.borrow_mut() = Some(Rc::new(share));
}

impl Pool {
    fn new(conf: &ThreadPool) -> Self {
        Self {
            running: Semaphore::new(conf.threads),
            queued: Cell::new(0),
            queue_max: conf.max_queue,
        }
    }
}

impl Lanes {
    /// The lane used last, or a new one while there may be more.
    fn take(&self, worker: &Worker) -> Option<Lane> {
        if let Some(lane) = self.idle.borrow_mut().pop() {
            return Some(lane);
        }
        if self.count.get() >= self.vms_max.get() {
            return None;
        }
        let share = self.share.borrow().as_ref().map(|share| share());
        let lane = Lane::spawn(worker.settings.clone(), share)?;
        self.count.set(self.count.get() + 1);
        Some(lane)
    }

    /// Runs the job when the pool has a thread free; the reply goes to whoever still waits.
    async fn run(self: Rc<Self>, pool: Rc<Pool>, lane: Lane, job: Job, to: oneshot::Sender<Reply>) {
        pool.queued.set(pool.queued.get() + 1);
        let permit = pool.running.acquire().await;
        pool.queued.set(pool.queued.get() - 1);
        let (done, result) = oneshot::channel();
        let sent = lane.0.send((job, done)).is_ok();
        let reply = if sent { result.await.ok() } else { None };
        drop(permit);
        match reply {
            Some(reply) => {
                self.idle.borrow_mut().push(lane);
                _ = to.send(reply);
            }
            // The thread is gone, and its VM with it.
            None => {
                self.count.set(self.count.get().saturating_sub(1));
                _ = to.send(Reply::one(false).and("no available Lua vm"));
            }
        }
    }
}

impl Lane {
    /// Starts the thread; its VM is made there, at the first job.
    fn spawn(settings: Settings, share: Option<Share>) -> Option<Self> {
        let (jobs, inbox) = mpsc::channel::<(Job, oneshot::Sender<Reply>)>();
        let serve = move || {
            let worker = Worker::new(settings, None);
            if let Some(share) = share {
                share(&worker);
            }
            let Ok(vm) = Vm::new(&worker) else { return };
            let Ok(main) = vm.host.load(CODE.as_bytes(), "=worker_thread") else { return };
            let Ok(main) = vm.host.call_kept(&main, &[]) else { return };
            while let Ok((job, done)) = inbox.recv() {
                let reply = job.call(&vm, &main);
                // The reply is dropped when the request ended before.
                _ = done.send(reply);
            }
        };
        thread::Builder::new().name("lua worker".to_owned()).spawn(serve).ok()?;
        Some(Self(jobs))
    }
}

impl Job {
    fn call(self, vm: &Vm, main: &Func) -> Reply {
        let mut args: Vec<Val> =
            vec![self.path.into(), self.cpath.into(), self.module.into(), self.function.into()];
        args.extend(self.args);
        let reply = vm.host.call(main, &args, |view| {
            let mut reply = Reply::default();
            for index in 1..=view.len() {
                match copy(view, index, 1) {
                    Ok(value) => reply = reply.and(value),
                    Err(why) => {
                        return Reply::one(false).and(format!("{why} in the return value"));
                    }
                }
            }
            reply
        });
        vm.host.collect();
        reply.unwrap_or_else(|message| Reply::one(false).and(message))
    }
}

/// `(package.path, package.cpath, pool, module, function, ...)`.
fn run(c: &Call<'_>) -> Result<c_int, Raise> {
    let refuse = |why: String| c.ret((false, why));
    if c.len() < 5 {
        return refuse("expecting at least 3 arguments".to_owned());
    }
    let worker = Rc::clone(&c.ctx()?.vm.worker);
    let lanes = worker.part::<Lanes>();
    let Some(name) = c.to_bytes(3) else {
        return refuse("threadpool should be a string".to_owned());
    };
    let pool = lanes.pools.borrow().get(name).cloned();
    let Some(pool) = pool else {
        return refuse(format!("thread pool {} not found", String::from_utf8_lossy(name)));
    };
    let Some(module) = c.to_bytes(4) else {
        return refuse("module name should be a string".to_owned());
    };
    let Some(function) = c.to_bytes(5) else {
        return refuse("function name should be a string".to_owned());
    };
    let mut args = Vec::new();
    for index in 6..=c.len() {
        match copy(c, index, 1) {
            Ok(value) => args.push(value),
            Err(why) => return refuse(format!("{why} in the argument")),
        }
    }
    if pool.queued.get() > pool.queue_max {
        return refuse("ngx_thread_task_post failed".to_owned());
    }
    let Some(lane) = lanes.take(&worker) else {
        return refuse("no available Lua vm".to_owned());
    };
    let job = Job {
        module: module.to_vec(),
        function: function.to_vec(),
        path: c.to_bytes(1).unwrap_or_default().to_vec(),
        cpath: c.to_bytes(2).unwrap_or_default().to_vec(),
        args,
    };
    let (to, reply) = oneshot::channel();
    tokio::task::spawn_local(lanes.run(pool, lane, job, to));
    c.wait(async move {
        let lost = || Reply::one(false).and("no available Lua vm");
        reply.await.unwrap_or_else(|_| lost())
    })
}

/// A value without its VM.
fn copy(view: &View<'_>, index: c_int, depth: usize) -> Result<Val, CopyError> {
    if let Some(value) = view.to_val(index) {
        return Ok(value);
    }
    match view.kind(index) {
        Kind::Table if depth < DEPTH_MAX => copy_table(view, index, depth),
        Kind::Table => Err(CopyError::Deep),
        Kind::Func => Err(CopyError::Type("LUA_TFUNCTION")),
        Kind::User => Err(CopyError::Type("LUA_TUSERDATA")),
        Kind::Thread => Err(CopyError::Type("LUA_TTHREAD")),
        _ => Err(CopyError::Other),
    }
}

fn copy_table(view: &View<'_>, index: c_int, depth: usize) -> Result<Val, CopyError> {
    let mut fields = Vec::new();
    let mut error = None;
    view.each(index, |view, key, value| {
        let field = copy(view, key, depth + 1).and_then(|k| Ok((k, copy(view, value, depth + 1)?)));
        match field {
            Ok(field) => fields.push(field),
            Err(why) => error = Some(why),
        }
        error.is_none()
    });
    error.map_or(Ok(Val::Map(fields)), Err)
}

/// The script half of a lane.
const CODE: &str = include_str!("../../../lua/worker_thread.lua");

const DEPTH_MAX: usize = 100;
/// `lua_worker_thread_vm_pool_size` of OpenResty.
const VMS_MAX: usize = 10;

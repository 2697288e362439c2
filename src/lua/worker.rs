//! The Lua of one worker thread: its VM, init and init_worker code, shutdown.
//!
//! ```text
//!   prepare: Settings from the http block ─▶ Vm ─▶ init_by_lua       (an error refuses to start)
//!   run:     install ─▶ init_worker_by_lua … exiting ─▶ timers end ─▶ exit_worker_by_lua
//! ```

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::api;
use super::chunk::{LoadError, Script};
use super::conf::{LuaLoc, LuaMain};
use super::ctx::{Ctx, clear_worker, enter};
use super::phase::Phase;
use super::raw::limit::Limits;
use super::raw::symbols::keep_argv;
use super::request::LuaRequest;
use super::vm::{Settings, Vm, VmError, Worker};
use crate::base::log::{Level, emit};
use crate::base::regex::set_lua_match_limit;
use crate::http::{HttpConf, Request};
use crate::process::conf::ThreadPool;
use crate::process::{Post, sys};

/// What a worker thread keeps.
#[derive(Clone)]
pub struct LuaWorker {
    vm: Rc<Vm>,
    http: Arc<HttpConf>,
}

/// What the process tells about itself.
#[derive(Clone, Debug)]
pub struct Place {
    pub post: Post,
    pub count: usize,
    pub conf_file: String,
    pub thread_pools: Vec<ThreadPool>,
    pub has_master: bool,
    /// What `ngx.config.nginx_configure()` tells.
    pub configure: String,
}

impl LuaWorker {
    /// Makes the VM of this thread and runs `init_by_lua`, whose error is told here: the text is
    /// empty then.
    pub fn prepare(http: &Arc<HttpConf>, place: &Place) -> Result<Self, String> {
        keep_argv();
        let main = http.scope.part::<LuaMain>();
        set_lua_match_limit(main.regex_match_limit.unwrap_or(0) as u32);
        let id = match place.post {
            Post::Worker(index) => Some(index),
            Post::Agent => None,
        };
        let worker = Worker::new(settings(http, main, place), id);
        if let Some(size_bytes) = main.capture_error_log {
            api::errlog::capture(&worker, size_bytes);
        }
        let vms_max = main.worker_thread_vms.map(|n| n as usize);
        let conf = Arc::clone(http);
        api::worker_thread::bind(&worker, &place.thread_pools, vms_max, move || {
            let conf = Arc::clone(&conf);
            Box::new(move |lane| api::shdict::open(lane, &conf))
        });
        let vm = fresh_vm(&worker, http)?;
        Ok(Self { vm, http: Arc::clone(http) })
    }

    /// What all VMs of the thread share.
    pub fn shared(&self) -> &Worker {
        &self.vm.worker
    }

    /// Makes this VM the one that requests of the thread use, and runs `init_worker_by_lua`.
    pub fn start(&self) {
        WORKER.with_borrow_mut(|w| *w = Some(self.clone()));
        let main = self.http.scope.part::<LuaMain>();
        sys::pass_over_signals(main.sa_restart.unwrap_or(true));
        if let Some(script) = &main.init_worker {
            self.run(script, Phase::InitWorker, "init_worker_by_lua");
        }
    }

    /// The worker is told to end: timers fire prematurely.
    pub fn exiting(&self) {
        self.vm.set_exiting();
    }

    /// Waits for the timers that still run, then runs `exit_worker_by_lua`.
    pub async fn finish(&self) {
        let timers = self.vm.worker.part::<api::timer::Timers>();
        while timers.running() + timers.pending() > 0 {
            tokio::time::sleep(TIMER_POLL).await;
        }
        self.exit();
    }

    /// Runs `exit_worker_by_lua` and forgets the VM.
    pub fn exit(&self) {
        let main = self.http.scope.part::<LuaMain>();
        if let Some(script) = &main.exit_worker {
            self.run(script, Phase::ExitWorker, "exit_worker_by_lua");
        }
        self.retire();
    }

    /// Lets go of the VM while the thread still stands: its finalizers use other thread locals,
    /// which may be gone when this one's turn comes.
    fn retire(&self) {
        let last = WORKER
            .with_borrow_mut(|worker| worker.take_if(|worker| Rc::ptr_eq(&worker.vm, &self.vm)));
        drop(last);
        clear_worker();
    }

    fn run(&self, script: &Script, phase: Phase, what: &'static str) {
        let ctx = Ctx::new(&self.vm, phase, None);
        let done = {
            let _entered = enter(&ctx);
            run_sync(&self.vm, script)
        };
        if let Err(message) = done {
            let what = script.words(what);
            emit(Level::Error, format_args!("{what} error: {message}"));
        }
    }
}

/// The `http` block of this thread's configuration, whose settings hold where there is no request.
pub fn http() -> Option<Arc<HttpConf>> {
    WORKER.with_borrow(|worker| worker.as_ref().map(|w| Arc::clone(&w.http)))
}

/// The VM that runs the code of a request: the thread's, or its own when the code cache is off.
pub fn vm_for(r: &Rc<Request>) -> Option<Rc<Vm>> {
    if r.with_location(|l| l.scope.part::<LuaLoc>().code_cache()) {
        return vm();
    }
    let worker = WORKER.with_borrow(Clone::clone)?;
    let kept = r.ext::<LuaRequest>();
    if let Some(vm) = &*kept.vm.borrow() {
        return Some(Rc::clone(vm));
    }
    match fresh_vm(&worker.vm.worker, &worker.http) {
        Ok(vm) => {
            *kept.vm.borrow_mut() = Some(Rc::clone(&vm));
            Some(vm)
        }
        Err(message) => {
            if !message.is_empty() {
                r.log(Level::Error, format_args!("{message}"));
            }
            None
        }
    }
}

/// The VM of this thread, outside of requests.
pub fn vm() -> Option<Rc<Vm>> {
    WORKER.with_borrow(|w| w.as_ref().map(|w| Rc::clone(&w.vm)))
}

fn fresh_vm(worker: &Rc<Worker>, http: &HttpConf) -> Result<Rc<Vm>, String> {
    api::shdict::open(worker, http);
    let vm = Vm::new(worker).map_err(|e: VmError| e.to_string())?;
    if let Some(script) = &http.scope.part::<LuaMain>().init {
        let ctx = Ctx::new(&vm, Phase::Init, None);
        let _entered = enter(&ctx);
        run_sync(&vm, script).map_err(|message| {
            let what = script.words("init_by_lua");
            emit(Level::Error, format_args!("{what} error: {message}"));
            String::new()
        })?;
    }
    Ok(vm)
}

fn run_sync(vm: &Rc<Vm>, script: &Script) -> Result<(), String> {
    let func = script.load(vm, None).map_err(|e| match e {
        LoadError::Inline(message)
        | LoadError::File { message, .. }
        | LoadError::Missing { message, .. } => message,
    })?;
    vm.host.call(&func, &[], |_| ())
}

fn settings(http: &HttpConf, main: &LuaMain, place: &Place) -> Settings {
    let text = |v: &Option<bstr::BString>| v.as_ref().map(ToString::to_string);
    Settings {
        package_path: text(&main.package_path),
        package_cpath: text(&main.package_cpath),
        prefix: http.prefix.to_string_lossy().into_owned(),
        max_pending_timers: main.max_pending_timers.unwrap_or(1024) as usize,
        max_running_timers: main.max_running_timers.unwrap_or(256) as usize,
        worker_count: place.count.max(1),
        conf_file: place.conf_file.clone(),
        has_master: place.has_master,
        is_agent: place.post == Post::Agent,
        configure: place.configure.clone(),
        limits: Limits { memory_bytes: main.max_memory_bytes, cpu_ms: main.max_cpu_ms },
        ..Settings::default()
    }
}

thread_local! {
    static WORKER: RefCell<Option<LuaWorker>> = const { RefCell::new(None) };
}

const TIMER_POLL: std::time::Duration = std::time::Duration::from_millis(5);

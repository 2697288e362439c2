//! Rows of the main level: who runs the server, as whom, with which limits; `events {}`.

use std::ffi::CString;

use bstr::{BStr, BString, ByteSlice};

use super::sys::{self, Identity};
use crate::base::units;
use crate::conf::row::{EVENTS, MAIN, args, at_least, block, flag, row, take};
use crate::conf::{Builder, Diag, Directive, Part, Row, Scope, Severity};

/// The main level of the configuration.
#[derive(Debug, Default)]
pub struct ProcessConf {
    pub worker_processes: Option<usize>,
    pub daemon: Option<bool>,
    pub master_process: Option<bool>,
    pub user: Option<Identity>,
    pub pid: Option<BString>,
    pub lock_file: Option<BString>,
    pub working_directory: Option<BString>,
    pub rlimit_nofile: Option<u64>,
    pub rlimit_core: Option<u64>,
    pub priority: Option<i32>,
    pub shutdown_timeout_ms: Option<u64>,
    /// `NAME` keeps a variable of our own environment, `NAME=value` sets one.
    pub env: Vec<BString>,
    pub events: Option<Events>,
    pub thread_pools: Vec<ThreadPool>,
    /// Directives without a meaning here, accepted once each.
    accepted: Vec<BString>,
}

impl ProcessConf {
    pub fn workers(&self) -> usize {
        self.worker_processes.unwrap_or(1).max(1)
    }

    pub fn is_daemon(&self) -> bool {
        self.daemon.unwrap_or(true)
    }

    pub fn has_master(&self) -> bool {
        self.master_process.unwrap_or(true)
    }

    pub fn pid_path(&self) -> &str {
        self.pid.as_ref().and_then(|p| p.to_str().ok()).unwrap_or(DEFAULT_PID)
    }

    /// Whom the worker threads become: nginx's default is nobody, and only root can change.
    pub fn identity(&self) -> Option<Identity> {
        if !sys::is_root() {
            return None;
        }
        self.user.clone().or_else(|| find_user(b"nobody").ok())
    }
}

impl Part for ProcessConf {
    fn inherit(&mut self, _: &Self) {}
}

/// `events {}`: accepted for nginx's sake, tokio decides how to wait.
#[derive(Debug, Default)]
pub struct Events {
    pub worker_connections: Option<u64>,
    seen: Vec<BString>,
}

/// `thread_pool NAME threads=N max_queue=N`: who may run blocking work.
#[derive(Clone, Debug)]
pub struct ThreadPool {
    pub name: BString,
    pub threads: usize,
    pub max_queue: usize,
}

pub const ROWS: &[Row] = &[
    flag("daemon", MAIN, |b, d| d.flag_slot(&mut main(b).daemon)),
    flag("master_process", MAIN, |b, d| d.flag_slot(&mut main(b).master_process)),
    row("worker_processes", MAIN, take(1), |b, d| {
        d.once(&mut main(b).worker_processes, worker_processes)
    }),
    row("user", MAIN, args(1, 2), set_user),
    row("pid", MAIN, take(1), |b, d| d.str_slot(&mut main(b).pid)),
    row("lock_file", MAIN, take(1), |b, d| d.str_slot(&mut main(b).lock_file)),
    row("working_directory", MAIN, take(1), |b, d| d.str_slot(&mut main(b).working_directory)),
    row("worker_rlimit_nofile", MAIN, take(1), |b, d| d.number_slot(&mut main(b).rlimit_nofile)),
    row("worker_rlimit_core", MAIN, take(1), |b, d| d.offset_slot(&mut main(b).rlimit_core)),
    row("worker_priority", MAIN, take(1), |b, d| d.once(&mut main(b).priority, priority)),
    row("worker_shutdown_timeout", MAIN, take(1), |b, d| {
        d.msec_slot(&mut main(b).shutdown_timeout_ms)
    }),
    row("env", MAIN, take(1), |b, d| {
        main(b).env.push(d.arg(1).to_owned());
        Ok(())
    }),
    row("load_module", MAIN, take(1), load_module),
    row("worker_cpu_affinity", MAIN, at_least(1), accept),
    row("worker_rlimit_sigpending", MAIN, take(1), |b, d| {
        d.number(1)?;
        accept(b, d)
    }),
    flag("ssl_object_cache_inheritable", MAIN, |b, d| {
        d.flag(1)?;
        accept(b, d)
    }),
    row("timer_resolution", MAIN, take(1), accept_time),
    row("debug_points", MAIN, take(1), |b, d| {
        d.choice(1, &[("stop", ()), ("abort", ())])?;
        accept(b, d)
    }),
    flag("pcre_jit", MAIN, |b, d| {
        d.flag(1)?;
        accept(b, d)
    }),
    row("thread_pool", MAIN, args(2, 3), set_thread_pool),
    block("events", MAIN, take(0), EVENTS, set_events),
    row("worker_connections", EVENTS, take(1), |b, d| {
        d.once(&mut events(b).worker_connections, |d| {
            let text = || format!("invalid number \"{}\"", d.arg(1));
            units::parse_number(d.arg(1)).ok_or_else(|| d.wrong_arg(1, text()))
        })
    }),
    // nginx's old name of the same.
    row("use", EVENTS, take(1), |b, d| {
        if !EVENT_TYPES.contains(&d.arg(1).as_bytes()) {
            return Err(d.wrong_arg(1, format!("invalid event type \"{}\"", d.arg(1))));
        }
        accept_event(b, d)
    }),
    flag("multi_accept", EVENTS, accept_event_flag),
    flag("accept_mutex", EVENTS, accept_event_flag),
    row("accept_mutex_delay", EVENTS, take(1), |b, d| {
        d.msec(1)?;
        accept_event(b, d)
    }),
    row("debug_connection", EVENTS, take(1), |_, _| Ok(())),
    row("worker_aio_requests", EVENTS, take(1), |b, d| {
        d.number(1)?;
        accept_event(b, d)
    }),
];

/// Checks what can be checked only when the whole configuration was read.
pub fn finish(b: &mut Builder<'_>) -> Result<(), Diag> {
    if main(b).events.is_some() || b.stands_in_main("events") {
        return Ok(());
    }
    Err(Diag::emerg("no \"events\" section in configuration"))
}

fn main<'b>(b: &'b mut Builder<'_>) -> &'b mut ProcessConf {
    b.main()
}

fn events<'b>(b: &'b mut Builder<'_>) -> &'b mut Events {
    b.main::<ProcessConf>().events.get_or_insert_default()
}

fn set_events(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if main(b).events.is_some() {
        return Err(d.wrong("is duplicate"));
    }
    main(b).events = Some(Events::default());
    b.block(d, Scope::new());
    Ok(())
}

fn worker_processes(d: &Directive) -> Result<usize, Diag> {
    if d.arg(1) == b"auto".as_bstr() {
        return Ok(std::thread::available_parallelism().map_or(1, usize::from));
    }
    let digits = d.arg(1).iter().all(u8::is_ascii_digit);
    let number = digits.then(|| d.arg(1).to_str().ok()?.parse().ok()).flatten();
    number.ok_or_else(|| d.wrong("invalid value"))
}

/// As nginx, what is neither of the two parameters is not looked at.
fn set_thread_pool(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let name = d.arg(1).to_owned();
    if main(b).thread_pools.iter().any(|pool| pool.name == name) {
        return Err(Diag::emerg(format!("duplicate thread pool \"{name}\"")));
    }
    let mut pool = ThreadPool { name, threads: 0, max_queue: MAX_QUEUE };
    for index in 2..=d.arg_count() {
        let number = |text| units::parse_number(text).and_then(|n| usize::try_from(n).ok());
        if let Some(text) = d.arg(index).strip_prefix(b"threads=") {
            let wrong = || format!("invalid threads value \"{}\"", d.arg(index));
            pool.threads = number(text.as_bstr())
                .filter(|n| *n > 0)
                .ok_or_else(|| d.wrong_arg(index, wrong()))?;
        } else if let Some(text) = d.arg(index).strip_prefix(b"max_queue=") {
            let wrong = || format!("invalid max_queue value \"{}\"", d.arg(index));
            pool.max_queue = number(text.as_bstr()).ok_or_else(|| d.wrong_arg(index, wrong()))?;
        }
    }
    if pool.threads == 0 {
        return Err(Diag::emerg("\"thread_pool\" must have \"threads\" parameter"));
    }
    main(b).thread_pools.push(pool);
    Ok(())
}

fn priority(d: &Directive) -> Result<i32, Diag> {
    let text = d.arg(1).to_str().unwrap_or_default();
    text.parse().map_err(|_| d.wrong("invalid number"))
}

fn set_user(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if main(b).user.is_some() {
        return Err(d.wrong("is duplicate"));
    }
    if !sys::is_root() {
        b.warn(
            "the \"user\" directive makes sense only if the master process runs with super-user \
             privileges, ignored",
        );
        return Ok(());
    }
    let failed = |call: &str, name: &BStr| Diag::emerg(format!("{call}(\"{name}\") failed"));
    let mut who = find_user(d.arg(1)).map_err(|()| failed("getpwnam", d.arg(1)))?;
    // Without a group nginx takes the one with the user's name.
    let group = if d.arg_count() == 2 { d.arg(2) } else { d.arg(1) };
    let gid = sys::group(group).ok().flatten();
    who.gid = gid.ok_or_else(|| failed("getgrnam", group))?;
    main(b).user = Some(who);
    Ok(())
}

fn find_user(name: &[u8]) -> Result<Identity, ()> {
    let (uid, gid) = sys::user(name).ok().flatten().ok_or(())?;
    Ok(Identity { user: CString::new(name).map_err(drop)?, uid, gid })
}

fn load_module(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if main(b).events.is_some() {
        return Err(d.wrong("is specified too late"));
    }
    let file = d.arg(1).rsplit_str("/").next().unwrap_or_default();
    let name = file.strip_suffix(b".so").unwrap_or(file).as_bstr();
    if BUILT_IN.contains(&name.as_bytes()) {
        let text = format!("module \"{name}\" is built in, \"load_module\" is not needed");
        b.report(Diag::new(Severity::Notice, text));
        return Ok(());
    }
    let path = b.prefix_path(d.arg(1));
    let path = path.display();
    let text = format!(
        "dlopen() \"{path}\" failed ({path}: cannot open shared object file: \
         No such file or directory)"
    );
    let hint = "modules for nginx cannot be loaded; what is built in needs no load_module";
    Err(d.wrong_arg(1, text).hint(hint))
}

fn accept(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    once_seen(&mut main(b).accepted, d)
}

fn accept_time(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    d.msec(1)?;
    accept(b, d)
}

fn accept_event(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    once_seen(&mut events(b).seen, d)
}

fn accept_event_flag(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    d.flag(1)?;
    accept_event(b, d)
}

fn once_seen(seen: &mut Vec<BString>, d: &Directive) -> Result<(), Diag> {
    if seen.iter().any(|name| name == d.name()) {
        return Err(d.wrong("is duplicate"));
    }
    seen.push(d.name().to_owned());
    Ok(())
}

/// Modules of nginx and OpenResty whose work is done here.
const BUILT_IN: &[&[u8]] = &[
    b"ndk_http_module",
    b"ngx_http_echo_module",
    b"ngx_http_headers_more_filter_module",
    b"ngx_http_lua_module",
    b"ngx_http_lua_upstream_module",
    b"ngx_http_set_misc_module",
];
const EVENT_TYPES: &[&[u8]] = &[b"epoll", b"poll", b"select"];
/// Of a thread pool that says nothing else.
const MAX_QUEUE: usize = 65536;
const DEFAULT_PID: &str = "logs/nginx.pid";

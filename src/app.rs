//! Assembly: the only file that knows every feature.
//!
//! ```text
//!  main ─ Request ─▶ run ─┬─ load: files ─ rows of all features ─▶ Cycle
//!                         └─ process::run(Hooks { load, prepare, serve })
//! ```

mod configure;

use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::ByteSlice;
use futures_util::future::LocalBoxFuture;
use tokio::sync::watch;

use crate::base::errno::Errno;
use crate::base::log::{self, Chain, Level, Sink};
use crate::conf::{self, Check, Diag, Dirs, Disk, Recorder, Row, Scope, Severity, Sources, Table};
use crate::http::modules;
use crate::net::addr::Addr;
use crate::net::listen::Listener;
use crate::process::errorlog::{self, DefaultLog};
use crate::process::signal::{self, Action};
use crate::process::{
    self, Cycle, Hooks, LoadFailed, Paths, Post, Prepared, Start, ThreadCtx, conf as process_conf,
};
use crate::{face, health, http, lua, server, store, stream, upstream};

/// What `main` read from the command line.
#[derive(Debug)]
pub struct Request {
    pub prefix: Option<String>,
    pub conf: Option<String>,
    pub error_log: Option<String>,
    pub globals: Option<String>,
    pub quiet: bool,
    pub what: What,
}

/// What to do with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Serve,
    Test,
    /// Test and print.
    Dump,
    /// Test and tell what the health checks do.
    ExplainHealth,
    /// Probe the peers of an upstream once.
    CheckNow(String),
    Signal(Action),
}

/// Does what was asked; returns the exit code.
pub fn run(request: &Request) -> i32 {
    log::install_tracing();
    log::set_console(true);
    let paths = paths(request);
    open_first_log(&paths);
    let testing = !matches!(request.what, What::Serve | What::Signal(_));
    let globals = request.globals.clone();
    let start = Start { paths, globals, testing, ..Start::default() };
    match &request.what {
        What::Serve => process::run(start, HOOKS),
        What::Test | What::Dump | What::ExplainHealth => test(&start, request),
        What::CheckNow(upstream) => check_now(&start, upstream),
        What::Signal(action) => send(&start, *action),
    }
}

/// The worker process of a master; returns the exit code.
pub fn run_worker() -> i32 {
    log::install_tracing();
    process::run_worker(HOOKS)
}

/// `-v`
pub fn version() -> String {
    format!("nginx version: nginx/{NGINX_VERSION} (moonbeat {})\n", env!("CARGO_PKG_VERSION"))
}

/// What `-V` adds.
pub fn build_info() -> String {
    configure::describe(&table(), DEFAULT_PREFIX)
}

const HOOKS: Hooks = Hooks { load, prepare, run: serve };

/// The directives of all features.
const ROWS: &[&[Row]] = &[
    process_conf::ROWS,
    errorlog::ROWS,
    upstream::conf::ROWS,
    upstream::names::ROWS,
    health::conf::ROWS,
    store::conf::ROWS,
    http::conf::ROWS,
    http::conf_accepted::ROWS,
    http::server_conf::ROWS,
    http::h2::conf::ROWS,
    server::tls::ROWS,
    modules::rewrite::conf::ROWS,
    modules::access::ROWS,
    modules::access_log::ROWS,
    modules::tables::ROWS,
    lua::api::socket::conf::ROWS,
    lua::api::socket::tls::ROWS,
    modules::echo::conf::ROWS,
    http::balancer::ROWS,
    modules::index::ROWS,
    modules::sticky::ROWS,
    modules::auth_basic::ROWS,
    modules::autoindex::ROWS,
    modules::mirror::ROWS,
    modules::addition::ROWS,
    modules::gunzip::ROWS,
    modules::gzip_static::ROWS,
    http::keepalive::ROWS,
    http::limit_rate::ROWS,
    modules::random_index::ROWS,
    modules::realip::ROWS,
    modules::secure_link::ROWS,
    modules::stub_status::ROWS,
    modules::sub_filter::ROWS,
    modules::userid::ROWS,
    modules::referer::ROWS,
    modules::auth_request::ROWS,
    modules::limits::req::ROWS,
    modules::limits::conn::ROWS,
    modules::charset::ROWS,
    modules::dav::ROWS,
    modules::ssi::ROWS,
    modules::empty_gif::ROWS,
    modules::gzip::ROWS,
    modules::add_header::ROWS,
    modules::headers_more::conf::ROWS,
    modules::set_misc::ROWS,
    modules::try_files::ROWS,
    stream::conf::ROWS,
    stream::content::ROWS,
    stream::proxy::conf::ROWS,
    stream::proxy::conf::SSL_ROWS,
    stream::tls::ROWS,
    stream::access::ROWS,
    stream::access_log::ROWS,
    stream::set::ROWS,
    stream::limit_conn::ROWS,
    stream::realip::ROWS,
    stream::ssl_preread::ROWS,
    stream::tables::ROWS,
    stream::upstream::ROWS,
    face::check_status::ROWS,
    face::health_override::ROWS,
    face::grpc::conf::ROWS,
    face::kong::conf::ROWS,
    face::apisix::conf::ROWS,
    face::nacos::conf::ROWS,
    face::nacos::source::conf::ROWS,
];

fn table() -> Table {
    Table::new(&[ROWS, http::proxy::ROWS, lua::conf::ROWS].concat())
}

/// Participants of the phases, in the order they run within a phase.
const HANDLERS: &[&[http::Registered]] = &[
    modules::realip::HANDLERS,
    &lua::phases::EARLY_HANDLERS,
    modules::rewrite::HANDLERS,
    modules::access::HANDLERS,
    modules::auth_basic::HANDLERS,
    modules::auth_request::HANDLERS,
    modules::limits::req::HANDLERS,
    modules::limits::conn::HANDLERS,
    modules::try_files::HANDLERS,
    modules::mirror::HANDLERS,
    &lua::phases::HANDLERS,
    modules::headers_more::HANDLERS,
    modules::random_index::HANDLERS,
    modules::index::HANDLERS,
    modules::autoindex::HANDLERS,
    modules::dav::HANDLERS,
    modules::gzip_static::HANDLERS,
    modules::static_files::HANDLERS,
    modules::access_log::HANDLERS,
];

/// Header and body filters, first to last on the way out.
const FILTERS: &[&dyn http::Filter] = &[
    &modules::not_modified::FILTER,
    &modules::ranges::BODY,
    &modules::headers_more::FILTER,
    &lua::phases::FILTER,
    &modules::echo::FILTER,
    &modules::add_header::FILTER,
    &modules::userid::FILTER,
    &modules::gunzip::FILTER,
    &modules::addition::FILTER,
    &modules::sub_filter::FILTER,
    &modules::charset::FILTER,
    &modules::ssi::FILTER,
    &face::apisix::gateway::FILTER,
    &modules::gzip::FILTER,
    &modules::ranges::HEADER,
    &http::limit_rate::FILTER,
];

/// Variables.
const VARS: &[&[http::vars::VarRow]] = &[
    http::vars_core::VARS,
    server::vars_process::Vars::ROWS,
    server::vars_ssl::Vars::ROWS,
    modules::echo::VARS,
    http::proxy::vars::VARS,
    http::proxy::memc::VARS,
    http::proxy::cgi::fastcgi::VARS,
    modules::gzip::VARS,
    modules::referer::VARS,
    http::limit_rate::VARS,
    server::proxy_protocol::Vars::ROWS,
    modules::realip::VARS,
    modules::secure_link::VARS,
    modules::stub_status::VARS,
    modules::ssi::VARS,
    modules::userid::VARS,
    modules::limits::req::VARS,
    modules::limits::conn::VARS,
];

/// Participants of the phases of sessions.
const STREAM_HANDLERS: &[&[stream::phase::Registered]] = &[
    stream::realip::HANDLERS,
    stream::limit_conn::HANDLERS,
    stream::access::HANDLERS,
    stream::ssl_preread::HANDLERS,
    stream::set::HANDLERS,
    stream::access_log::HANDLERS,
];

/// Variables of sessions.
const STREAM_VARS: &[&[stream::build::VarRow]] = &[
    stream::vars::VARS,
    stream::realip::VARS,
    stream::limit_conn::VARS,
    stream::ssl_preread::VARS,
    server::vars_process::Vars::ROWS,
    server::vars_ssl::Vars::ROWS,
    server::proxy_protocol::Vars::ROWS,
];

/// What features do at the end of the `http` block.
const FINISHERS: &[http::build::Finish] =
    &[modules::access_log::finish, http::proxy::cache::conf::finish, |b, http| {
        upstream::resolve::settle(b, http, upstream::Realm::Http)
    }];

/// What is looked at when the whole configuration was read.
const CHECKS: &[Check] =
    &[process_conf::finish, errorlog::finish, upstream::conf::finish, checks, health::conf::finish];

/// Checks go the ways of the locations they are written in.
fn checks(b: &mut conf::Builder<'_>) -> Result<(), Diag> {
    if let Some(http) = b.main::<http::HttpRoot>().0.clone() {
        let sites = b.main::<health::conf::Sites>();
        http.each_location(&mut |server, location| {
            let way = http::proxy::way_of(&http, server, location);
            sites.add(&location.scope, location.name.as_ref(), way);
        });
    }
    Ok(())
}

fn load(start: &Start, generation: u64) -> Result<Cycle, LoadFailed> {
    let (cycle, sources, diags) = read(start, generation);
    for diag in diags.iter().filter(|d| d.is_error() || !start.quiet) {
        report(diag, &sources);
    }
    if diags.iter().any(Diag::is_error) { Err(LoadFailed) } else { Ok(cycle) }
}

fn read(start: &Start, generation: u64) -> (Cycle, Sources, Vec<Diag>) {
    let paths = start.paths.clone();
    let globals = start.globals.as_deref().unwrap_or_default();
    let main_file = paths.conf_file.as_os_str().as_bytes().as_bstr();
    let files: &dyn conf::Files = match &start.snapshot {
        Some(snapshot) => &**snapshot,
        None => &Disk,
    };
    let recorder = Recorder::new(files);
    let parsed = conf::parse(&recorder, main_file, globals.as_bytes());
    let snapshot = Arc::new(recorder.snapshot());
    let dirs = Dirs { prefix: paths.prefix.clone(), conf: paths.conf_dir() };
    let mut main = Scope::new();
    main.part_mut::<DefaultLog>().0 = paths.error_log.clone();
    *main.part_mut::<http::Features>() =
        http::Features { handlers: HANDLERS, filters: FILTERS, vars: VARS, finishers: FINISHERS };
    *main.part_mut::<stream::build::Features>() =
        stream::build::Features { handlers: STREAM_HANDLERS, vars: STREAM_VARS };
    // A text that could not be read to its end misses things for that reason alone.
    let whole = !parsed.diags.iter().any(|(_, diag)| diag.is_error());
    let checks = if whole { CHECKS } else { &[] };
    let (scope, diags) = conf::build(&parsed, &table(), &dirs, main, checks);
    // Those of http come first; `serve` tells them apart by that.
    let mut listens = scope.part::<http::HttpRoot>().0.as_ref().map_or(Vec::new(), |h| h.sockets());
    if let Some(stream) = &scope.part::<stream::build::StreamRoot>().0 {
        listens.extend(stream.sockets());
    }
    let cycle = Cycle { generation, paths, scope, snapshot, listens };
    (cycle, parsed.sources, diags)
}

/// Makes a thread ready to serve: its Lua VM, with `init_by_lua` run.
fn prepare(cycle: &Arc<Cycle>, post: Post) -> Result<Prepared, String> {
    let groups = wake_upstreams(cycle);
    health::conf::start(&cycle.scope, &groups, &log::main_chain(), cycle.generation)?;
    face::prepare(cycle)?;
    let Some(http) = &cycle.scope.part::<http::HttpRoot>().0 else {
        return Ok(Prepared { state: Box::new(()), wants_agent: false });
    };
    let conf_file = cycle.paths.conf_file.to_string_lossy().into_owned();
    let place = lua::worker::Place {
        post,
        count: cycle.workers(),
        conf_file,
        thread_pools: cycle.conf().thread_pools.clone(),
        has_master: cycle.conf().has_master(),
        configure: configure::arguments(&table(), DEFAULT_PREFIX),
    };
    let worker = lua::worker::LuaWorker::prepare(http, &place)?;
    lua::api::upstream::bind(worker.shared(), groups, cycle.generation);
    let wants_agent = lua::api::process::wants_agent(worker.shared());
    Ok(Prepared { state: Box::new(worker), wants_agent })
}

/// Peers go on with the states they had under the configuration before, and checks with those an
/// earlier worker process left.
fn wake_upstreams(cycle: &Cycle) -> Arc<upstream::Groups> {
    let kept = process::keepsake().map(|file| health::engine().and_then(|e| e.keep_in(file)));
    if let Some(Err(e)) = kept {
        log::emit(Level::Alert, format_args!("health states are not kept {}", Errno(&e)));
    }
    cycle.scope.part::<upstream::conf::UpstreamConf>().groups.go_live(cycle.generation)
}

/// Serves on one thread.
fn serve(ctx: ThreadCtx) -> LocalBoxFuture<'static, ()> {
    Box::pin(async move {
        let lua = ctx.prepared.state.downcast::<lua::worker::LuaWorker>().ok();
        face::grpc::bind(ctx.shutdown.clone());
        if ctx.post == Post::Worker(0) {
            let conf = ctx.cycle.scope.part::<upstream::conf::UpstreamConf>();
            upstream::resolve::start(&conf.groups);
        }
        if let Some(lua) = &lua {
            lua.start();
        }
        let mut shutdown = ctx.shutdown.clone();
        let told = lua.clone();
        tokio::task::spawn_local(async move {
            // An error means that the control thread is gone.
            let _ = shutdown.wait_for(|stop| *stop > process::Stop::Serve).await;
            if let Some(lua) = told {
                lua.exiting();
            }
        });
        let sockets = ctx.cycle.listens.iter().map(|spec| spec.addr.clone());
        let listeners = ctx.listeners.into_iter().zip(sockets).collect();
        serve_sockets(&ctx.cycle, listeners, &ctx.shutdown).await;
        let mut shutdown = ctx.shutdown;
        // An error means that the control thread is gone: nothing to serve for.
        let _ = shutdown.wait_for(|stop| *stop > process::Stop::Serve).await;
        if let Some(engine) = health::Engine::running() {
            engine.save();
        }
        face::grpc::left().await;
        if let Some(lua) = lua {
            let fast = shutdown.wait_for(|stop| *stop == process::Stop::Fast);
            tokio::select! {
                () = lua.finish() => {}
                _ = fast => lua.exit(),
            }
        }
        log::flush_all();
    })
}

/// Requests and sessions, side by side; the sockets of http come first.
async fn serve_sockets(
    cycle: &Cycle,
    mut http_sockets: Vec<(Listener, Addr)>,
    shutdown: &watch::Receiver<process::Stop>,
) {
    let http = cycle.scope.part::<http::HttpRoot>().0.clone();
    let stream = cycle.scope.part::<stream::build::StreamRoot>().0.clone();
    let count = http.as_ref().map_or(0, |http| http.sockets().len());
    let stream_sockets = http_sockets.split_off(count.min(http_sockets.len()));
    let requests = async {
        if let Some(http) = http {
            http::server::serve(http, http_sockets, shutdown.clone()).await;
        }
    };
    let sessions = async {
        if let Some(stream) = stream {
            stream::server::serve(stream, stream_sockets, shutdown.clone()).await;
        }
    };
    tokio::join!(requests, sessions);
}

fn test(start: &Start, request: &Request) -> i32 {
    let (cycle, sources, diags) = read(start, 1);
    let shown = start.paths.conf_file.display();
    for diag in &diags {
        report(diag, &sources);
    }
    if diags.iter().any(Diag::is_error) {
        eprintln!("nginx: configuration file {shown} test failed");
        return 1;
    }
    if !request.quiet {
        eprintln!("nginx: the configuration file {shown} syntax is ok");
    }
    if !process::try_out(&cycle) {
        eprintln!("nginx: configuration file {shown} test failed");
        return 1;
    }
    if !request.quiet {
        eprintln!("nginx: configuration file {shown} test is successful");
    }
    let print = match request.what {
        What::Dump => conf::dump::files(&sources),
        What::ExplainHealth => health::explain(&cycle.scope, &sources).into_bytes(),
        _ => Vec::new(),
    };
    i32::from(std::io::stdout().lock().write_all(&print).is_err())
}

/// Probes the peers of an upstream: 0 when all are well, 1 when one is not.
fn check_now(start: &Start, upstream: &str) -> i32 {
    let Ok(cycle) = load(start, 1) else { return 1 };
    match health::check_now(&cycle.scope, upstream.into(), &mut std::io::stdout().lock()) {
        Ok(Some(passed)) => i32::from(!passed),
        Ok(None) => {
            eprintln!("nginx: no health check in upstream \"{upstream}\"");
            1
        }
        Err(e) => {
            eprintln!("nginx: health check failed {}", Errno(&e));
            1
        }
    }
}

fn send(start: &Start, action: Action) -> i32 {
    let Ok(cycle) = load(start, 1) else { return 1 };
    match signal::send(&cycle.pid_path(), action) {
        Ok(()) => 0,
        Err(e) => {
            log::emit(e.level(), format_args!("{e}"));
            1
        }
    }
}

/// nginx's line goes to the log; a console sees the place and the hints as well.
fn report(diag: &Diag, sources: &Sources) {
    let console = log::console();
    log::set_console(false);
    log::emit(level(diag.severity), format_args!("{}", diag.line(sources)));
    log::set_console(console);
    if console && diag.severity <= Severity::Warn {
        eprintln!("{}", diag.render(sources));
    }
}

fn level(severity: Severity) -> Level {
    match severity {
        Severity::Emerg => Level::Emerg,
        Severity::Error => Level::Error,
        Severity::Alert => Level::Alert,
        Severity::Warn => Level::Warn,
        Severity::Notice => Level::Notice,
    }
}

/// The log for what happens before the configuration names one.
fn open_first_log(paths: &Paths) {
    let path = paths.under_prefix(&paths.error_log);
    if let (Some(dir), true) = (path.parent(), paths.error_log == Path::new(DEFAULT_ERROR_LOG)) {
        // A prefix may be any folder: nginx's installation makes this one, we have none. When it
        // cannot be made the complaint about the file says why.
        let _ = std::fs::create_dir(dir);
    }
    let sink = match paths.error_log.as_os_str() == "stderr" {
        true => Ok(Sink::Stderr),
        false => Sink::file(&path),
    };
    let sink = sink.unwrap_or_else(|e| {
        let path = path.display();
        eprintln!(
            "nginx: [alert] could not open error log file: open() \"{path}\" failed {}",
            Errno(&e)
        );
        // The console is all there is; a sink that takes the lines keeps them from appearing twice.
        Sink::Capture(Arc::new(|_, _| ()))
    });
    log::set_main_chain(Arc::new(Chain::new(vec![(sink, Level::Notice)])));
}

fn paths(request: &Request) -> Paths {
    let conf = request.conf.as_deref().unwrap_or(DEFAULT_CONF);
    let here = Path::new(DEFAULT_CONF).is_file();
    let prefix = match &request.prefix {
        Some(prefix) => prefix.as_str(),
        None if here => "./",
        None => DEFAULT_PREFIX,
    };
    let mut prefix = prefix.to_string();
    if !prefix.ends_with('/') {
        prefix.push('/');
    }
    let prefix = PathBuf::from(prefix);
    let conf_file = prefix.join(conf);
    let error_log = request.error_log.as_deref().unwrap_or(DEFAULT_ERROR_LOG).into();
    Paths { prefix, conf_file, error_log }
}

/// The nginx whose behaviour is followed.
pub const NGINX_VERSION: &str = "1.29.4";

/// Where a server without `-p` lives, unless it is started in a folder with a configuration.
pub const DEFAULT_PREFIX: &str = match option_env!("MOONBEAT_PREFIX") {
    Some(prefix) => prefix,
    None => "/usr/local/moonbeat/",
};
const DEFAULT_CONF: &str = "conf/nginx.conf";
const DEFAULT_ERROR_LOG: &str = "logs/error.log";

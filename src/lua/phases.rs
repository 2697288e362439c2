//! Lua code as handlers and filters of the http core.
//!
//! ```text
//!   Handler.run(r) ─▶ script of the location ─▶ Ctx ─▶ sched ─▶ Outcome ─▶ Flow
//!   Filter.header / body, log ─▶ protected call on the main thread, cannot wait
//! ```

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::ask::{Leave, Outcome};
use super::chunk::{LoadError, Script};
use super::conf::{LuaLoc, LuaMain};
use super::ctx::{Ctx, enter};
use super::output;
use super::phase::Phase;
use super::request::LuaRequest;
use super::sched;
use super::worker;
use crate::base::log::Level;
use crate::conf::Scope;
use crate::http::modules::rewrite::CustomCode;
use crate::http::template::Template;
use crate::http::vars::VarRef;
use crate::http::{
    Chunk, Chunks, Filter, Flow, Handler, OutputError, Phase as HttpPhase, Registered, Request,
    Step, finish, redirect,
};

pub static CONTENT: ByLua = by_lua(Phase::Content, |l| &l.content, |_| false, false);
static SERVER_REWRITE: ByLua =
    by_lua(Phase::ServerRewrite, |l| &l.server_rewrite, |_| false, false);
static EARLY_REWRITE: ByLua = by_lua(Phase::Rewrite, |l| &l.rewrite, rewrite_is_early, true);
static REWRITE: ByLua = by_lua(Phase::Rewrite, |l| &l.rewrite, rewrite_is_early, false);
static EARLY_ACCESS: ByLua = by_lua(Phase::Access, |l| &l.access, access_is_early, true);
static ACCESS: ByLua = by_lua(Phase::Access, |l| &l.access, access_is_early, false);
static EARLY_PRECONTENT: ByLua =
    by_lua(Phase::Precontent, |l| &l.precontent, precontent_is_early, true);
static PRECONTENT: ByLua = by_lua(Phase::Precontent, |l| &l.precontent, precontent_is_early, false);
static LOG: LogByLua = LogByLua;
/// `header_filter_by_lua` and `body_filter_by_lua`.
pub static FILTER: FilterByLua = FilterByLua;

/// To be registered before the handlers of nginx's own modules: what is not postponed.
pub const EARLY_HANDLERS: [Registered; 4] = [
    Registered { phase: HttpPhase::ServerRewrite, handler: &SERVER_REWRITE },
    Registered { phase: HttpPhase::Rewrite, handler: &EARLY_REWRITE },
    Registered { phase: HttpPhase::Access, handler: &EARLY_ACCESS },
    Registered { phase: HttpPhase::Precontent, handler: &EARLY_PRECONTENT },
];

/// To be registered after the handlers of nginx's own modules.
pub const HANDLERS: [Registered; 4] = [
    Registered { phase: HttpPhase::Rewrite, handler: &REWRITE },
    Registered { phase: HttpPhase::Access, handler: &ACCESS },
    Registered { phase: HttpPhase::Precontent, handler: &PRECONTENT },
    Registered { phase: HttpPhase::Log, handler: &LOG },
];

fn rewrite_is_early(main: &LuaMain) -> bool {
    main.rewrite_no_postpone.unwrap_or(false)
}

fn access_is_early(main: &LuaMain) -> bool {
    main.access_no_postpone.unwrap_or(false)
}

fn precontent_is_early(main: &LuaMain) -> bool {
    main.precontent_no_postpone.unwrap_or(false)
}

/// A phase that runs as a light thread.
pub struct ByLua {
    phase: Phase,
    script: fn(&LuaLoc) -> &Option<Arc<Script>>,
    /// Whether the configuration wants this phase before nginx's own handlers.
    wants_early: fn(&LuaMain) -> bool,
    is_early: bool,
}

const fn by_lua(
    phase: Phase,
    script: fn(&LuaLoc) -> &Option<Arc<Script>>,
    wants_early: fn(&LuaMain) -> bool,
    is_early: bool,
) -> ByLua {
    ByLua { phase, script, wants_early, is_early }
}

impl Handler for ByLua {
    fn applies(&self, scope: &Scope) -> bool {
        (self.script)(scope.part::<LuaLoc>()).is_some()
            && (self.wants_early)(scope.part::<LuaMain>()) == self.is_early
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        if self.phase == Phase::Rewrite && r.uri_changed.get() {
            return Step::Ready(Flow::Decline);
        }
        let needs_body = r.with_location(|l| l.scope.part::<LuaLoc>().need_request_body());
        if needs_body && !r.body.is_read() {
            return Step::wait(async move {
                match r.read_body().await {
                    Ok(()) => self.enter(r).answer().await,
                    Err(e) => Flow::Status(e.0),
                }
            });
        }
        self.enter(r)
    }
}

impl ByLua {
    fn enter<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        let lua = r.ext::<LuaRequest>();
        if self.phase == Phase::Content {
            lua.entered_content.set(true);
        }
        let Some(vm) = worker::vm_for(r) else { return Step::Ready(Flow::Status(500)) };
        let loaded = r.with_location(|location| {
            let script = (self.script)(location.scope.part::<LuaLoc>()).as_ref()?;
            Some(script.load(&vm, Some(r)))
        });
        let func = match loaded {
            None => return Step::Ready(Flow::Decline),
            Some(Ok(func)) => func,
            Some(Err(e)) => {
                r.log(Level::Error, format_args!("{e}"));
                let is_missing = matches!(e, LoadError::Missing { .. });
                return Step::Ready(Flow::Status(if is_missing { 404 } else { 500 }));
            }
        };
        let ctx = Ctx::new(&vm, self.phase, Some(Rc::clone(r)));
        match sched::start(&ctx, &func, &[]) {
            Some(outcome) => Step::Ready(settle(r, &lua, self.phase, outcome)),
            None => Step::wait(async move {
                match watched(r, &lua, &ctx).await {
                    Some(outcome) => settle(r, &lua, self.phase, outcome),
                    None => Flow::Status(499),
                }
            }),
        }
    }
}

/// Drives a context; `None` when the client went away and nobody wants to know.
async fn watched(r: &Rc<Request>, lua: &LuaRequest, ctx: &Rc<Ctx>) -> Option<Outcome> {
    let watches = r.with_location(|l| l.scope.part::<LuaLoc>().check_client_abort());
    if !watches {
        return Some(sched::drive(ctx).await);
    }
    let mut drive = std::pin::pin!(sched::drive(ctx));
    let gone = async {
        // Whatever ends the watch, the client is not there any more.
        let _ = r.conn.closed_by_client().await;
    };
    tokio::select! {
        biased;
        outcome = &mut drive => return Some(outcome),
        () = gone => {}
    }
    r.log(Level::Info, format_args!("client prematurely closed connection"));
    r.main().keepalive.set(false);
    let handler = lua.on_abort.take()?;
    sched::add(ctx, &handler);
    Some(drive.await)
}

/// What the end of a Lua phase means for the request.
fn settle(r: &Rc<Request>, lua: &LuaRequest, phase: Phase, outcome: Outcome) -> Flow {
    let flow = meaning(r, lua, phase, outcome);
    match lua.refused.take() {
        // Codes for which there is no answer get one here: a head and nothing behind it.
        Some(code @ (408 | 444 | 499)) => {
            finish::own_page(r, code);
            Flow::Done
        }
        Some(code) => {
            lua.eof.set(false);
            Flow::Status(code)
        }
        None => flow,
    }
}

fn meaning(r: &Rc<Request>, lua: &LuaRequest, phase: Phase, outcome: Outcome) -> Flow {
    let code = match outcome {
        Outcome::Done => OK,
        Outcome::Error if r.header_sent.get() => return Flow::Close,
        Outcome::Error => return Flow::Status(500),
        Outcome::Leave(Leave::Jump) => {
            lua.table.take();
            return Flow::Next;
        }
        Outcome::Leave(Leave::Exec { uri, args }) => return exec(r, uri, args),
        Outcome::Leave(Leave::Exit(code)) => match exit(r, lua, code) {
            Ok(code) => code,
            Err(flow) => return flow,
        },
    };
    if code == ERROR && r.is_subrequest() && !r.header_sent.get() {
        // The parent sees a failure, not a lost connection.
        r.set_status(500);
        return Flow::Done;
    }
    if phase == Phase::Content {
        return match code {
            OK => end_response(r, lua),
            // nginx would go on with the next content handler, and there is none.
            DECLINED => Flow::Close,
            code => answer(code),
        };
    }
    if code == OK || code == DECLINED {
        // A response already begun leaves nothing to the later phases.
        let began = r.headers_out.borrow().status != 0 && !lua.held.borrow().is_empty();
        if r.header_sent.get() || began {
            return end_response(r, lua);
        }
        return match phase {
            Phase::Access if code == OK => Flow::Next,
            _ => Flow::Decline,
        };
    }
    answer(code)
}

fn end_response(r: &Rc<Request>, lua: &LuaRequest) -> Flow {
    match output::send(r, lua, None) {
        Ok(()) => Flow::Done,
        Err(e) => failed(e),
    }
}

fn failed(e: OutputError) -> Flow {
    match e {
        OutputError::Status(code) => Flow::Status(code),
        OutputError::HeaderSent | OutputError::Broken => Flow::Close,
    }
}

/// A return code of an nginx handler as a flow.
fn answer(code: i32) -> Flow {
    match code {
        ERROR => Flow::Close,
        200 => Flow::Done,
        code if code > 0 => Flow::Status(code as u16),
        _ => Flow::Done,
    }
}

/// `ngx.exit(code)`: what has been said goes out, the code is what the phase answers.
fn exit(r: &Rc<Request>, lua: &LuaRequest, code: i32) -> Result<i32, Flow> {
    let leaves_silently = matches!(code, ERROR | 408 | 499 | 444);
    lua.exit.set(Some(code));
    if !r.header_sent.get() && r.headers_out.borrow().status == 0 && code >= 200 {
        r.set_status(code as u16);
    }
    if lua.buffering.get() && r.headers_out.borrow().status != 0 && !leaves_silently {
        output::send(r, lua, None).map_err(failed)?;
        return Ok(if code >= 200 { 200 } else { code });
    }
    let ends_here = code == OK && lua.entered_content.get();
    if ends_here || ((200..300).contains(&code) && code != 204) {
        output::send(r, lua, None).map_err(failed)?;
    }
    if r.header_sent.get() && code > OK && !leaves_silently {
        return Ok(if lua.entered_content.get() { OK } else { 200 });
    }
    Ok(code)
}

fn exec(r: &Rc<Request>, uri: Vec<u8>, args: Vec<u8>) -> Flow {
    if uri.first() != Some(&b'@') {
        return redirect::internal(r, uri.into(), args.into());
    }
    if !args.is_empty() {
        let (args, uri) = (bstr::BStr::new(&args), bstr::BStr::new(&uri));
        r.log(
            Level::Warn,
            format_args!("query strings {args} ignored when exec'ing named location {uri}"),
        );
    }
    redirect::named(r, &uri)
}

/// Runs code that cannot wait; gives what `results` read, or logs the error.
pub(super) fn run_sync<T>(
    r: &Rc<Request>,
    script: &Script,
    phase: Phase,
    results: impl FnOnce(&super::raw::View<'_>) -> T,
) -> Option<T> {
    let vm = worker::vm_for(r)?;
    let func = match script.load(&vm, Some(r)) {
        Ok(func) => func,
        Err(e) => {
            r.log(Level::Error, format_args!("{e}"));
            return None;
        }
    };
    let ctx = Ctx::new(&vm, phase, Some(Rc::clone(r)));
    let _entered = enter(&ctx);
    match vm.host.call(&func, &[], results) {
        Ok(value) => Some(value),
        Err(message) => {
            r.log(Level::Error, format_args!("failed to run {}: {message}", phase.context_name()));
            None
        }
    }
}

/// `set_by_lua`.
pub struct SetByLua {
    pub target: VarRef,
    pub script: Arc<Script>,
    pub args: Vec<Template>,
}

impl CustomCode for SetByLua {
    fn run(&self, r: &Rc<Request>) -> Result<(), u16> {
        let lua = r.ext::<LuaRequest>();
        let args = self.args.iter().map(|arg| arg.eval(r)).collect();
        let before = lua.set_args.replace(args);
        let value = run_sync(r, &self.script, Phase::Set, |v| {
            v.to_bytes(1).map(Bytes::copy_from_slice).unwrap_or_default()
        });
        lua.set_args.replace(before);
        r.set_var(self.target, Some(value.ok_or(500u16)?));
        Ok(())
    }
}

struct LogByLua;

impl Handler for LogByLua {
    fn applies(&self, scope: &Scope) -> bool {
        scope.part::<LuaLoc>().log.is_some()
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        let script = r.with_location(|l| l.scope.part::<LuaLoc>().log.clone());
        if let Some(script) = script {
            run_sync(r, &script, Phase::Log, |_| ());
        }
        Step::Ready(Flow::Decline)
    }
}

/// The filters.
pub struct FilterByLua;

impl Filter for FilterByLua {
    fn applies(&self, scope: &Scope) -> bool {
        let conf = scope.part::<LuaLoc>();
        conf.header_filter.is_some() || conf.body_filter.is_some()
    }

    fn header(&self, r: &Rc<Request>) -> Result<(), OutputError> {
        let script = r.with_location(|l| l.scope.part::<LuaLoc>().header_filter.clone());
        let Some(script) = script else { return Ok(()) };
        let lua = r.ext::<LuaRequest>();
        let before = lua.exit.get();
        run_sync(r, &script, Phase::HeaderFilter, |_| ()).ok_or(OutputError::Broken)?;
        match lua.exit.get() {
            // Only a code that is new says something: the page for a code passes here too.
            code if code == before || code.is_none() || code == Some(OK) => Ok(()),
            Some(ERROR) => Err(OutputError::Broken),
            Some(code) => Err(OutputError::Status(code.clamp(0, 999) as u16)),
            None => Ok(()),
        }
    }

    fn body(&self, r: &Rc<Request>, chunks: &mut Chunks) -> Result<(), OutputError> {
        let script = r.with_location(|l| l.scope.part::<LuaLoc>().body_filter.clone());
        let Some(script) = script else { return Ok(()) };
        if r.header_only.get() {
            return Ok(());
        }
        let lua = r.ext::<LuaRequest>();
        if lua.filter_saw_last.get() {
            chunks.clear();
            return Ok(());
        }
        let before = lua.filtering.replace(std::mem::take(chunks));
        let code = run_sync(r, &script, Phase::BodyFilter, |v| v.to_num(1).unwrap_or(0.0));
        *chunks = lua.filtering.replace(before);
        if chunks.iter().any(|c: &Chunk| c.last) {
            lua.filter_saw_last.set(true);
        }
        match code {
            Some(code) if code as i32 == ERROR && r.is_subrequest() => {
                // It takes the client's request with it, as in nginx.
                r.conn.fail(std::io::ErrorKind::ConnectionAborted);
                Err(OutputError::Broken)
            }
            Some(code) if code as i32 != ERROR && code < 300.0 => Ok(()),
            _ => Err(OutputError::Broken),
        }
    }
}

const OK: i32 = 0;
const ERROR: i32 = -1;
const DECLINED: i32 = -5;

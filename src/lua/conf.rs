//! The rows of lua-nginx-module.
//!
//! ```text
//!   content_by_lua_block { … } ─▶ Script in the location's LuaLoc ─▶ phases reads it
//!   lua_package_path …         ─▶ LuaMain of the http block       ─▶ worker makes VMs of it
//! ```

use std::path::Path;
use std::sync::Arc;

use bstr::{BString, ByteSlice};

use super::api::errlog;
use super::balancer::BalancerByLua;
use super::chunk::{Code, Script, inline_name};
use super::handshake::{self, SslScripts};
use super::phases;
use super::proxy_tls::{self, ProxyScripts};
use crate::conf::row::{
    HTTP, HTTP_LEVELS, IF_LOCATION, LOCATION, Row, SERVER, UPSTREAM, at_least, flag, lua_block,
    row, take,
};
use crate::conf::{Builder, Diag, Directive, Part, Severity, inherit};
use crate::http::balancer::{Balancer, Chooser};
use crate::http::build::Content;
use crate::http::modules::rewrite::{self, conf::REWRITE_LEVELS};
use crate::http::proxy::secure::SecureHooks;
use crate::http::template::Template;
use crate::http::tls::HandshakeHook;

/// Settings of the `http` block.
#[derive(Default)]
pub struct LuaMain {
    pub package_path: Option<BString>,
    pub package_cpath: Option<BString>,
    pub max_pending_timers: Option<u64>,
    pub max_running_timers: Option<u64>,
    pub regex_cache_max_entries: Option<u64>,
    pub regex_match_limit: Option<u64>,
    pub worker_thread_vms: Option<u64>,
    pub init: Option<Arc<Script>>,
    pub init_worker: Option<Arc<Script>>,
    pub exit_worker: Option<Arc<Script>>,
    pub rewrite_no_postpone: Option<bool>,
    pub access_no_postpone: Option<bool>,
    pub precontent_no_postpone: Option<bool>,
    pub sa_restart: Option<bool>,
    pub capture_error_log: Option<usize>,
    pub max_cpu_ms: Option<u64>,
    pub max_memory_bytes: Option<usize>,
    ignored: Option<u64>,
}

/// Settings of a location.
#[derive(Default)]
pub struct LuaLoc {
    pub server_rewrite: Option<Arc<Script>>,
    pub rewrite: Option<Arc<Script>>,
    pub access: Option<Arc<Script>>,
    pub precontent: Option<Arc<Script>>,
    pub content: Option<Arc<Script>>,
    pub header_filter: Option<Arc<Script>>,
    pub body_filter: Option<Arc<Script>>,
    pub log: Option<Arc<Script>>,
    pub code_cache: Option<bool>,
    pub need_request_body: Option<bool>,
    pub http10_buffering: Option<bool>,
    pub check_client_abort: Option<bool>,
    pub use_default_type: Option<bool>,
    pub transform_underscores: Option<bool>,
}

impl Part for LuaMain {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: rewrite_no_postpone, access_no_postpone, precontent_no_postpone);
    }
}

impl Part for LuaLoc {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: server_rewrite, rewrite, access, precontent, content, header_filter,
            body_filter, log, code_cache, need_request_body, http10_buffering, check_client_abort,
            use_default_type, transform_underscores);
    }
}

macro_rules! accessors {
    ($($name:ident: $kind:ty = $default:expr;)+) => {
        impl LuaLoc {
            $(pub fn $name(&self) -> $kind { self.$name.unwrap_or($default) })+
        }
    };
}

accessors! {
    code_cache: bool = true;
    need_request_body: bool = false;
    http10_buffering: bool = true;
    check_client_abort: bool = false;
    use_default_type: bool = true;
    transform_underscores: bool = true;
}

/// A script slot of a location.
type Slot = fn(&mut LuaLoc) -> &mut Option<Arc<Script>>;

/// The three ways to write a phase's code: a string, a block, a file.
macro_rules! phase {
    ($contexts:expr, $slot:ident, $name:literal) => {
        [
            row($name, $contexts, take(1), |b, d| set_inline(b, d, |l| &mut l.$slot)),
            lua_block(concat!($name, "_block"), $contexts, take(0), |b, d| {
                set_inline(b, d, |l| &mut l.$slot)
            }),
            row(concat!($name, "_file"), $contexts, take(1), |b, d| {
                set_file(b, d, |l| &mut l.$slot)
            }),
        ]
    };
}

macro_rules! main_phase {
    ($slot:ident, $name:literal) => {
        [
            row($name, HTTP, take(1), |b, d| {
                let script = inline(b, d)?;
                d.once(&mut b.part::<LuaMain>().$slot, |_| Ok(script))
            }),
            lua_block(concat!($name, "_block"), HTTP, take(0), |b, d| {
                let script = inline(b, d)?;
                d.once(&mut b.part::<LuaMain>().$slot, |_| Ok(script))
            }),
            row(concat!($name, "_file"), HTTP, take(1), |b, d| {
                let script = file(b, d)?;
                d.once(&mut b.part::<LuaMain>().$slot, |_| Ok(script))
            }),
        ]
    };
}

/// `set_by_lua`: a step of the rewrite program.
const SET: [Row; 3] = [
    row("set_by_lua", REWRITE_LEVELS, at_least(2), |b, d| set_by_lua(b, d, 2)),
    lua_block("set_by_lua_block", REWRITE_LEVELS, take(1), |b, d| set_by_lua(b, d, 1)),
    row("set_by_lua_file", REWRITE_LEVELS, at_least(2), |b, d| {
        let script = file_arg(b, d, 2)?;
        push_set(b, d, script, 2)
    }),
];

const BALANCER: [Row; 2] = [
    lua_block("balancer_by_lua_block", UPSTREAM, take(0), |b, d| {
        let script = inline(b, d)?;
        set_balancer(b, d, script)
    }),
    row("balancer_by_lua_file", UPSTREAM, take(1), |b, d| {
        let script = file(b, d)?;
        set_balancer(b, d, script)
    }),
];

/// A script of the TLS handshake with a client, on levels of servers.
macro_rules! ssl_phase {
    ($contexts:expr, $slot:ident, $name:literal) => {
        [
            lua_block(concat!($name, "_block"), $contexts, take(0), |b, d| {
                let script = inline(b, d)?;
                set_ssl(b, d, script, |scripts| &mut scripts.$slot)
            }),
            row(concat!($name, "_file"), $contexts, take(1), |b, d| {
                let script = file(b, d)?;
                set_ssl(b, d, script, |scripts| &mut scripts.$slot)
            }),
        ]
    };
}

/// A script of the TLS handshake with an upstream.
macro_rules! proxy_ssl_phase {
    ($slot:ident, $hook:expr, $name:literal) => {
        [
            lua_block(concat!($name, "_block"), LOCATION, take(0), |b, d| {
                let script = inline(b, d)?;
                d.once(&mut b.part::<ProxyScripts>().$slot, |_| Ok(script))?;
                b.part::<SecureHooks>().$slot = Some($hook);
                b.part::<SecureHooks>().name = concat!($name, "*");
                Ok(())
            }),
            row(concat!($name, "_file"), LOCATION, take(1), |b, d| {
                let script = file(b, d)?;
                d.once(&mut b.part::<ProxyScripts>().$slot, |_| Ok(script))?;
                b.part::<SecureHooks>().$slot = Some($hook);
                b.part::<SecureHooks>().name = concat!($name, "*");
                Ok(())
            }),
        ]
    };
}

const SSL_CERTIFICATE: [Row; 2] = ssl_phase!(HTTP | SERVER, certificate, "ssl_certificate_by_lua");
const SSL_CLIENT_HELLO: [Row; 2] =
    ssl_phase!(HTTP | SERVER, client_hello, "ssl_client_hello_by_lua");
const SSL_SESSION_FETCH: [Row; 2] = ssl_phase!(HTTP, session_fetch, "ssl_session_fetch_by_lua");
const SSL_SESSION_STORE: [Row; 2] = ssl_phase!(HTTP, session_store, "ssl_session_store_by_lua");
const PROXY_CERTIFICATE: [Row; 2] =
    proxy_ssl_phase!(certificate, proxy_tls::certificate, "proxy_ssl_certificate_by_lua");
const PROXY_VERIFY: [Row; 2] =
    proxy_ssl_phase!(verify, proxy_tls::verify, "proxy_ssl_verify_by_lua");

const NO_CODE: &str = "invalid location config: no runnable Lua code";
const LEVELS: u32 = HTTP_LEVELS | IF_LOCATION;

const REWRITE: [Row; 3] = phase!(LEVELS, rewrite, "rewrite_by_lua");
const ACCESS: [Row; 3] = phase!(LEVELS, access, "access_by_lua");
const PRECONTENT: [Row; 3] = phase!(LEVELS, precontent, "precontent_by_lua");
const HEADER_FILTER: [Row; 3] = phase!(LEVELS, header_filter, "header_filter_by_lua");
const BODY_FILTER: [Row; 3] = phase!(LEVELS, body_filter, "body_filter_by_lua");
const LOG: [Row; 3] = phase!(LEVELS, log, "log_by_lua");
const SERVER_REWRITE: [Row; 3] = phase!(HTTP | SERVER, server_rewrite, "server_rewrite_by_lua");
const INIT: [Row; 3] = main_phase!(init, "init_by_lua");
const INIT_WORKER: [Row; 3] = main_phase!(init_worker, "init_worker_by_lua");
const EXIT_WORKER: [Row; 3] = main_phase!(exit_worker, "exit_worker_by_lua");

/// All rows, by groups.
pub const ROWS: &[&[Row]] = &[
    &SET,
    &REWRITE,
    &ACCESS,
    &PRECONTENT,
    &HEADER_FILTER,
    &BODY_FILTER,
    &LOG,
    &SERVER_REWRITE,
    &INIT,
    &INIT_WORKER,
    &EXIT_WORKER,
    &BALANCER,
    &SSL_CERTIFICATE,
    &SSL_CLIENT_HELLO,
    &SSL_SESSION_FETCH,
    &SSL_SESSION_STORE,
    &PROXY_CERTIFICATE,
    &PROXY_VERIFY,
    OTHERS,
];

/// Everything but the phases above.
const OTHERS: &[Row] = &[
    row("content_by_lua", LOCATION | IF_LOCATION, take(1), set_content),
    lua_block("content_by_lua_block", LOCATION | IF_LOCATION, take(0), set_content),
    row("content_by_lua_file", LOCATION | IF_LOCATION, take(1), |b, d| {
        set_file(b, d, |l| &mut l.content)?;
        b.part::<Content>().0 = Some(&phases::CONTENT);
        Ok(())
    }),
    row("lua_package_path", HTTP, take(1), |b, d| {
        d.str_slot(&mut b.part::<LuaMain>().package_path)
    }),
    row("lua_package_cpath", HTTP, take(1), |b, d| {
        d.str_slot(&mut b.part::<LuaMain>().package_cpath)
    }),
    flag("lua_upstream_skip_openssl_default_verify", LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<SecureHooks>().skips_default_verify)
    }),
    row("lua_shared_dict", HTTP, take(2), set_shared_dict),
    row("lua_max_pending_timers", HTTP, take(1), |b, d| {
        d.number_slot(&mut b.part::<LuaMain>().max_pending_timers)
    }),
    row("lua_max_running_timers", HTTP, take(1), |b, d| {
        d.number_slot(&mut b.part::<LuaMain>().max_running_timers)
    }),
    row("lua_regex_cache_max_entries", HTTP, take(1), |b, d| {
        d.number_slot(&mut b.part::<LuaMain>().regex_cache_max_entries)
    }),
    row("lua_regex_match_limit", HTTP, take(1), |b, d| {
        d.number_slot(&mut b.part::<LuaMain>().regex_match_limit)
    }),
    row("lua_thread_max_cpu_time", HTTP, take(1), |b, d| {
        d.msec_slot(&mut b.part::<LuaMain>().max_cpu_ms)
    }),
    row("lua_vm_max_memory", HTTP, take(1), |b, d| {
        d.size_slot(&mut b.part::<LuaMain>().max_memory_bytes)
    }),
    row("lua_capture_error_log", HTTP, take(1), set_capture),
    flag("rewrite_by_lua_no_postpone", HTTP, |b, d| {
        d.flag_slot(&mut b.part::<LuaMain>().rewrite_no_postpone)
    }),
    flag("access_by_lua_no_postpone", HTTP, |b, d| {
        d.flag_slot(&mut b.part::<LuaMain>().access_no_postpone)
    }),
    flag("precontent_by_lua_no_postpone", HTTP, |b, d| {
        d.flag_slot(&mut b.part::<LuaMain>().precontent_no_postpone)
    }),
    // Checked and without a meaning here: coroutines are always reused, resty.core is built in.
    flag("lua_load_resty_core", HTTP, |b, _| {
        b.warn(
            "lua_load_resty_core is deprecated (the lua-resty-core library is required since \
             ngx_lua v0.10.16)",
        );
        Ok(())
    }),
    flag("lua_sa_restart", HTTP, |b, d| d.flag_slot(&mut b.part::<LuaMain>().sa_restart)),
    row("lua_thread_cache_max_entries", HTTP, take(1), ignore_number),
    row("lua_worker_thread_vm_pool_size", HTTP, take(1), |b, d| {
        d.number_slot(&mut b.part::<LuaMain>().worker_thread_vms)
    }),
    row("lua_malloc_trim", HTTP, take(1), ignore_number),
    flag("lua_code_cache", LEVELS, set_code_cache),
    flag("lua_need_request_body", LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<LuaLoc>().need_request_body)
    }),
    flag("lua_http10_buffering", LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<LuaLoc>().http10_buffering)
    }),
    flag("lua_check_client_abort", LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<LuaLoc>().check_client_abort)
    }),
    flag("lua_use_default_type", LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<LuaLoc>().use_default_type)
    }),
    flag("lua_transform_underscores_in_response_headers", LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<LuaLoc>().transform_underscores)
    }),
];

fn set_inline(b: &mut Builder<'_>, d: &Directive, slot: Slot) -> Result<(), Diag> {
    let script = inline(b, d)?;
    d.once(slot(b.part::<LuaLoc>()), |_| Ok(script))
}

fn set_file(b: &mut Builder<'_>, d: &Directive, slot: Slot) -> Result<(), Diag> {
    let script = file(b, d)?;
    d.once(slot(b.part::<LuaLoc>()), |_| Ok(script))
}

fn set_ssl(
    b: &mut Builder<'_>,
    d: &Directive,
    script: Arc<Script>,
    slot: fn(&mut SslScripts) -> &mut Option<Arc<Script>>,
) -> Result<(), Diag> {
    d.once(slot(b.part::<SslScripts>()), |_| Ok(script))?;
    b.part::<HandshakeHook>().0 = Some(handshake::choose);
    Ok(())
}

fn set_content(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    set_inline(b, d, |l| &mut l.content)?;
    b.part::<Content>().0 = Some(&phases::CONTENT);
    Ok(())
}

fn set_by_lua(b: &mut Builder<'_>, d: &Directive, at: usize) -> Result<(), Diag> {
    let script = inline_arg(b, d, at)?;
    push_set(b, d, script, at)
}

/// Adds the step; arguments of the script follow the argument at `last`.
fn push_set(
    b: &mut Builder<'_>,
    d: &Directive,
    script: Arc<Script>,
    last: usize,
) -> Result<(), Diag> {
    let target = rewrite::conf::define(b, d.arg(1))?;
    let mut args = Vec::new();
    for index in last + 1..=d.arg_count() {
        let text = d.arg(index).to_owned();
        args.push(Template::compile(b, &text)?);
    }
    rewrite::push(b, rewrite::Code::Custom(Arc::new(phases::SetByLua { target, script, args })));
    Ok(())
}

/// The script of a block, or of a string argument: the last one.
pub fn inline(b: &mut Builder<'_>, d: &Directive) -> Result<Arc<Script>, Diag> {
    inline_arg(b, d, 1)
}

/// The same with the code in another argument.
pub fn inline_arg(b: &mut Builder<'_>, d: &Directive, at: usize) -> Result<Arc<Script>, Diag> {
    let (text, line) = match d.lua() {
        Some(lua) => (lua.text.to_vec(), lua.start_line),
        None => (d.arg(at).to_vec(), d.at.place.line),
    };
    if text.is_empty() {
        return Err(Diag::new(Severity::Error, NO_CODE));
    }
    let conf = b.dirs().conf.clone();
    let raw = b.file_name(d).map(|name| name.to_str_lossy().into_owned()).unwrap_or_default();
    let name = inline_name(&d.name().to_str_lossy(), Path::new(&raw), &conf, line as usize);
    Ok(Arc::new(Script::new(Code::Inline { name, text })))
}

fn file(b: &mut Builder<'_>, d: &Directive) -> Result<Arc<Script>, Diag> {
    file_arg(b, d, 1)
}

fn file_arg(b: &mut Builder<'_>, d: &Directive, at: usize) -> Result<Arc<Script>, Diag> {
    let path = d.arg(at).to_owned();
    if path.is_empty() {
        return Err(Diag::new(Severity::Error, NO_CODE));
    }
    let path = Template::compile(b, &path)?;
    Ok(Arc::new(Script::new(Code::File(path))))
}

fn set_balancer(b: &mut Builder<'_>, d: &Directive, script: Arc<Script>) -> Result<(), Diag> {
    crate::upstream::conf::chosen_by_script(b);
    let chooser = &mut b.part::<Chooser>().0;
    d.once(chooser, |_| Ok(Arc::new(BalancerByLua(script)) as Arc<dyn Balancer>))
}

fn set_shared_dict(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    super::api::shdict::declare(b, d)
}

fn set_capture(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    d.once(&mut b.part::<LuaMain>().capture_error_log, |d| {
        let size = d.size(1).ok().filter(|size| *size >= errlog::SIZE_MIN_BYTES);
        let min = errlog::SIZE_MIN_BYTES;
        let text =
            || format!("invalid capture error log size \"{}\", minimum size is {min}", d.arg(1));
        size.ok_or_else(|| d.wrong_arg(1, text()))
    })
}

fn set_code_cache(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    d.flag_slot(&mut b.part::<LuaLoc>().code_cache)?;
    if b.part::<LuaLoc>().code_cache == Some(false) {
        let text = "lua_code_cache is off; this will hurt performance";
        b.report(Diag::new(Severity::Alert, text));
    }
    Ok(())
}

fn ignore_number(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    b.part::<LuaMain>().ignored = None;
    d.number_slot(&mut b.part::<LuaMain>().ignored)
}

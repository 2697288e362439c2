//! `ngx.exit`, `exec`, `redirect`: leaving Lua.

use std::ffi::c_int;

use super::Topic;
use super::encode::args_of_table;
use super::uri::{split_unsafe, unsafe_byte};
use crate::base::escape;
use crate::base::log::Level;
use crate::lua::ask::{Ask, Leave};
use crate::lua::conf::LuaLoc;
use crate::lua::phase::{HANDLERS, Phase, REQUEST, YIELDABLE};
use crate::lua::raw::{Call, Kind, Op, Raise};
use crate::lua::request::LuaRequest;

pub const TOPIC: Topic = Topic::of(&[
    Op { name: "control.exit", phases: EXIT, run: exit },
    Op { name: "control.exec", phases: HANDLERS, run: exec },
    Op { name: "control.redirect", phases: HANDLERS, run: redirect },
    Op { name: "control.on_abort", phases: REQUEST, run: on_abort },
]);

const EXIT: u32 =
    YIELDABLE | Phase::HeaderFilter.bit() | Phase::Balancer.bit() | Phase::SslSessStore.bit();

fn exit(c: &Call<'_>) -> Result<c_int, Raise> {
    let mut status = c.int(1)? as i32;
    if status == AGAIN || status == DONE {
        return Err(Raise::text(
            "bad argument to 'ngx.exit': does not accept NGX_AGAIN or NGX_DONE",
        ));
    }
    let ctx = c.ctx()?;
    let is_silent = matches!(status, ERROR | 408 | 444 | 499);
    if ctx.pending_subrequests.get() > 0 && !is_silent {
        return Err(Raise::text("attempt to abort with pending subrequests"));
    }
    if ctx.phase == Phase::SslSessStore {
        // It runs to its end, and the handshake is over whatever it says.
        return Ok(0);
    }
    let Some(r) = &ctx.request else { return c.leave(Ask::Leave(Leave::Exit(status))) };
    let sent = r.header_sent.get() && ctx.phase != Phase::HeaderFilter;
    if sent && status >= 300 && !is_silent {
        let sent = r.headers_out.borrow().status;
        if status != i32::from(sent) {
            r.log(
                Level::Error,
                format_args!(
                    "attempt to set status {status} via ngx.exit after sending out the response \
                     status {sent}"
                ),
            );
        }
        status = 200;
    }
    if matches!(ctx.phase, Phase::HeaderFilter | Phase::Balancer) {
        // These run to their end; the code is looked at afterwards.
        r.ext::<LuaRequest>().exit.set(Some(status));
        return Ok(0);
    }
    c.leave(Ask::Leave(Leave::Exit(status)))
}

fn exec(c: &Call<'_>) -> Result<c_int, Raise> {
    if c.len() != 1 && c.len() != 2 {
        let n = c.len();
        return Err(Raise::text(format!("expecting one or two arguments, but got {n}")));
    }
    let target = c.bytes(1)?;
    if target.is_empty() {
        return Err(Raise::text("The uri argument is empty"));
    }
    abortable(c)?;
    let r = c.request()?;
    let Some((uri, mut args)) = split_unsafe(r, target) else {
        return Err(Raise::text("unsafe uri"));
    };
    let more = match c.kind(2) {
        Kind::None | Kind::Nil => Vec::new(),
        Kind::Str | Kind::Num => c.bytes(2)?.to_vec(),
        Kind::Table => args_of_table(c, 2)?,
        _ => {
            let what = c.type_name(2);
            let text = format!("string, number, or table expected, but got {what}");
            return Err(c.arg_error(2, text));
        }
    };
    if !more.is_empty() {
        if !args.is_empty() {
            args.push(b'&');
        }
        args.extend_from_slice(&more);
    }
    if r.header_sent.get() {
        return Err(Raise::text("attempt to call ngx.exec after sending out response headers"));
    }
    c.leave(Ask::Leave(Leave::Exec { uri, args }))
}

fn redirect(c: &Call<'_>) -> Result<c_int, Raise> {
    if c.len() != 1 && c.len() != 2 {
        return Err(Raise::text("expecting one or two arguments"));
    }
    let target = c.bytes(1)?;
    let status = if c.len() == 2 { c.int(2)? } else { 302 };
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return Err(Raise::text(
            "only ngx.HTTP_MOVED_TEMPORARILY, ngx.HTTP_MOVED_PERMANENTLY, \
             ngx.HTTP_PERMANENT_REDIRECT, ngx.HTTP_SEE_OTHER, and ngx.HTTP_TEMPORARY_REDIRECT \
             are allowed",
        ));
    }
    abortable(c)?;
    let r = c.request()?;
    if r.header_sent.get() {
        return Err(Raise::text("attempt to call ngx.redirect after sending out the headers"));
    }
    if let Some(byte) = unsafe_byte(target) {
        let shown = String::from_utf8_lossy(&escape::log(target)).into_owned();
        return Err(Raise::text(format!(
            "unsafe byte \"0x{byte:02x}\" in redirect uri \"{shown}\""
        )));
    }
    {
        let mut out = r.headers_out.borrow_mut();
        out.list.add("Location", target.to_vec());
        out.location_as_is = true;
    }
    r.set_status(status as u16);
    c.leave(Ask::Leave(Leave::Exit(status as i32)))
}

/// The function becomes a light thread when the client goes away.
fn on_abort(c: &Call<'_>) -> Result<c_int, Raise> {
    let r = c.request()?;
    let lua = r.ext::<LuaRequest>();
    if lua.on_abort.borrow().is_some() {
        return c.fail("duplicate call");
    }
    if !r.with_location(|l| l.scope.part::<LuaLoc>().check_client_abort()) {
        return c.fail("lua_check_client_abort is off");
    }
    if !c.is_lua_func(1) {
        return Err(c.arg_error(1, "Lua function expected"));
    }
    *lua.on_abort.borrow_mut() = Some(c.keep(&c.ctx()?.vm.host, 1));
    c.ret(1)
}

fn abortable(c: &Call<'_>) -> Result<(), Raise> {
    match c.ctx()?.pending_subrequests.get() {
        0 => Ok(()),
        _ => Err(Raise::text("attempt to abort with pending subrequests")),
    }
}

const ERROR: i32 = -1;
const AGAIN: i32 = -2;
const DONE: i32 = -4;

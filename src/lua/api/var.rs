//! `ngx.var`, `ndk.set_var`, and the values behind `ngx.status` and its kin.

use std::cell::RefCell;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use bytes::Bytes;

use super::Topic;
use crate::base::log::Level;
use crate::http::vars::VarWriteError;
use crate::lua::ctx::{self, Ctx};
use crate::lua::handshake::Keepsake;
use crate::lua::phase::{REQUEST, WITH_CTX};
use crate::lua::raw::ffi::{Ffi, FfiAddr, In, Out};
use crate::lua::raw::{Call, Func, Kind, Op, Raise};
use crate::net::http1::HTTP_09;

pub const TOPIC: Topic = Topic {
    ops: OPS,
    ffi: &[Ffi {
        name: "var_get",
        ctype: "int (*)(const char *, size_t, const char **)",
        addr: FfiAddr(get_fast as *const ()),
    }],
};

const OPS: &[Op] = &[
    Op { name: "var.get", phases: REQUEST, run: get },
    Op { name: "var.set", phases: REQUEST, run: set },
    Op { name: "var.ctx", phases: WITH_CTX, run: context },
    Op { name: "var.handshake_ctx", phases: WITH_CTX, run: handshake_context },
    Op { name: "var.set_ctx", phases: WITH_CTX, run: set_context },
    Op { name: "var.status", phases: REQUEST, run: status },
    Op { name: "var.set_status", phases: REQUEST, run: set_status },
    Op { name: "var.headers_sent", phases: REQUEST, run: headers_sent },
    Op { name: "var.is_subrequest", phases: REQUEST, run: |c| c.ret(c.request()?.is_subrequest()) },
];

thread_local! {
    /// The value that was read last; its bytes stay until the next one of this thread.
    static LAST: RefCell<Bytes> = const { RefCell::new(Bytes::new()) };
}

/// The length of a value, -1 for nil, -2 for what `get` answers or refuses. No variable runs Lua.
extern "C" fn get_fast(name: In<u8>, len: usize, out: Out<*const u8>) -> c_int {
    let body = AssertUnwindSafe(|| {
        let name = name.slice(len);
        let Some(ctx) = ctx::current() else { return -2 };
        let Some(r) = &ctx.request else { return -2 };
        if ctx.phase.bit() & REQUEST == 0 || name.first().is_none_or(u8::is_ascii_digit) {
            return -2;
        }
        let Some(value) = r.var_by_name(name) else { return -1 };
        let length = c_int::try_from(value.len()).unwrap_or(-2);
        out.set(value.as_ptr());
        LAST.replace(value);
        length
    });
    catch_unwind(body).unwrap_or(-2)
}

fn get(c: &Call<'_>) -> Result<c_int, Raise> {
    let r = c.request()?;
    if c.kind(1) == Kind::Num {
        let group = usize::try_from(c.int(1)?).unwrap_or(0);
        // The whole match is none of them.
        let found = if group == 0 { None } else { r.captures.borrow().get(group).cloned() };
        return c.ret(found.flatten());
    }
    let name = match c.kind(1) {
        Kind::Str => c.bytes(1)?,
        _ => return Err(Raise::text("bad variable name")),
    };
    if let [digit @ b'0'..=b'9'] = name {
        let group = usize::from(digit - b'0');
        return c.ret(r.captures.borrow().get(group).cloned().flatten());
    }
    c.ret(r.var_by_name(name))
}

fn set(c: &Call<'_>) -> Result<c_int, Raise> {
    let r = c.request()?;
    let name = match c.kind(1) {
        Kind::Str => c.bytes(1)?,
        Kind::Num => return Err(Raise::text("bad variable name")),
        _ => return Err(Raise::text("bad variable name")),
    };
    let value = match c.kind(2) {
        Kind::Nil => None,
        _ => Some(Bytes::copy_from_slice(c.bytes(2)?)),
    };
    let shown = String::from_utf8_lossy(name);
    match r.set_var_by_name(name, value) {
        Ok(()) => Ok(0),
        Err(VarWriteError::NotChangeable) => {
            Err(Raise::text(format!("variable \"{shown}\" not changeable")))
        }
        Err(VarWriteError::NotFound) => Err(Raise::text(format!(
            "variable \"{shown}\" not found for writing; maybe it is a built-in variable that is \
             not changeable or you forgot to use \"set ${shown} '';\" in the config file to \
             define it first"
        ))),
    }
}

/// The table of `ngx.ctx`; nothing when it has not been made yet.
fn context(c: &Call<'_>) -> Result<c_int, Raise> {
    let ctx = c.ctx()?;
    match with_table(ctx, |table| table.clone()) {
        Some(table) => {
            ctx.show_table(table.slot());
            Ok(c.push_kept(&table))
        }
        None => c.ret(()),
    }
}

/// Where the table of `ngx.ctx` is kept: with the request, or with the context without one.
fn with_table<R>(ctx: &Ctx, f: impl FnOnce(&mut Option<Rc<Func>>) -> R) -> R {
    match &ctx.request {
        Some(r) => f(&mut ctx.kept(r).table.borrow_mut()),
        None => f(&mut ctx.table.get_or_init(Rc::default).borrow_mut()),
    }
}

/// The `ngx.ctx` of the TLS handshake this request's connection began with.
fn handshake_context(c: &Call<'_>) -> Result<c_int, Raise> {
    let ctx = c.ctx()?;
    let keepsake = ctx.request.as_ref().and_then(|r| r.conn.keepsake.get());
    let keepsake = keepsake.and_then(|kept| kept.downcast_ref::<Keepsake>());
    match keepsake.and_then(|kept| kept.table.borrow().clone()) {
        Some(table) => Ok(c.push_kept(&table)),
        None => c.ret(()),
    }
}

fn set_context(c: &Call<'_>) -> Result<c_int, Raise> {
    let ctx = c.ctx()?;
    with_table(ctx, |table| match table {
        // Other entries of this request know the place already.
        Some(kept) if Rc::strong_count(kept) == 1 => kept.replace(c, 1),
        _ => *table = Some(Rc::new(c.keep(&ctx.vm.host, 1))),
    });
    let slot = with_table(ctx, |table| table.as_ref().map_or(0, |kept| kept.slot()));
    ctx.show_table(slot);
    Ok(0)
}

fn status(c: &Call<'_>) -> Result<c_int, Raise> {
    let r = c.request()?;
    if r.err_status.get() != 0 {
        return c.ret(r.err_status.get());
    }
    let status = r.headers_out.borrow().status;
    // Until it has a status, a response of HTTP/0.9 has its version for one.
    c.ret(if status == 0 && r.line.version == HTTP_09 { HTTP_09 } else { status })
}

fn set_status(c: &Call<'_>) -> Result<c_int, Raise> {
    let r = c.request()?;
    let status = c.int(1)?;
    if r.header_sent.get() && c.ctx()?.phase != crate::lua::phase::Phase::HeaderFilter {
        r.log(
            Level::Error,
            format_args!("attempt to set ngx.status after sending out response headers"),
        );
        return Ok(0);
    }
    r.err_status.set(0);
    r.set_status(status.clamp(0, i64::from(u16::MAX)) as u16);
    if status == 101 {
        // nginx has no text for this one.
        let line = Bytes::from_static(b"101 Switching Protocols");
        r.headers_out.borrow_mut().status_line = Some(line);
    }
    Ok(0)
}

fn headers_sent(c: &Call<'_>) -> Result<c_int, Raise> {
    let is_filter = c.ctx()?.phase == crate::lua::phase::Phase::HeaderFilter;
    c.ret(c.request()?.header_sent.get() && !is_filter)
}

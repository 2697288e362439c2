//! `ngx.say`, `print`, `flush`, `eof`, `send_headers`.

use std::ffi::c_int;

use bytes::Bytes;

use super::Topic;
use crate::http::{Chunk, OutputError};
use crate::lua::output;
use crate::lua::phase::HANDLERS;
use crate::lua::raw::{Call, Kind, Op, Raise, Reply, View};
use crate::lua::request::LuaRequest;

pub const TOPIC: Topic = Topic::of(&[
    Op { name: "output.say", phases: HANDLERS, run: |c| say(c, true) },
    Op { name: "output.print", phases: HANDLERS, run: |c| say(c, false) },
    Op { name: "output.flush", phases: HANDLERS, run: flush },
    Op { name: "output.eof", phases: HANDLERS, run: eof },
    Op { name: "output.send_headers", phases: HANDLERS, run: send_headers },
]);

fn say(c: &Call<'_>, newline: bool) -> Result<c_int, Raise> {
    let r = c.request()?;
    let lua = c.ctx()?.kept(r);
    if let Some(refusal) = refusal(c, lua)? {
        return Ok(refusal);
    }
    let mut text = Vec::with_capacity(length_hint(c) + usize::from(newline));
    for index in 1..=c.len() {
        append(c, index, &mut text).map_err(|message| c.arg_error(index, message))?;
    }
    if newline {
        text.push(b'\n');
    }
    let done = if text.is_empty() {
        output::send_head(r, lua)
    } else {
        lua.seen_body_data.set(true);
        output::send(r, lua, Some(Bytes::from(text)))
    };
    sent(c, done)
}

/// The length of the text when all arguments are strings: exact, so that it need not move.
fn length_hint(c: &Call<'_>) -> usize {
    (1..=c.len()).filter(|index| c.kind(*index) == Kind::Str).map(|index| c.raw_len(index)).sum()
}

fn refusal(c: &Call<'_>, lua: &LuaRequest) -> Result<Option<c_int>, Raise> {
    let reason = match () {
        () if lua.raw_socket.get() => "raw request socket acquired",
        () if c.request()?.header_only.get() => "header only",
        () if lua.eof.get() => "seen eof",
        () => return Ok(None),
    };
    c.fail(reason).map(Some)
}

fn sent(c: &Call<'_>, done: Result<(), OutputError>) -> Result<c_int, Raise> {
    match done {
        Ok(()) => c.ret(1),
        Err(_) => c.fail("nginx output filter error"),
    }
}

/// Appends a value as `ngx.say` writes it; the error is about the argument.
pub fn append(v: &View<'_>, index: c_int, out: &mut Vec<u8>) -> Result<(), String> {
    match v.kind(index) {
        Kind::Str | Kind::Num => out.extend_from_slice(v.to_bytes(index).unwrap_or_default()),
        Kind::Nil => out.extend_from_slice(b"nil"),
        Kind::Bool if v.truthy(index) => out.extend_from_slice(b"true"),
        Kind::Bool => out.extend_from_slice(b"false"),
        Kind::Light if v.is_null(index) => out.extend_from_slice(b"null"),
        Kind::Light => {}
        Kind::Table => return append_list(v, index, out, false),
        _ => {
            let what = v.type_name(index);
            return Err(format!(
                "string, number, boolean, nil, ngx.null, or array table expected, but got {what}"
            ));
        }
    }
    Ok(())
}

/// Appends the items of a list and of the lists in it; `strict` takes texts and numbers only.
pub fn append_list(
    v: &View<'_>,
    index: c_int,
    out: &mut Vec<u8>,
    strict: bool,
) -> Result<(), String> {
    let mut most = 0;
    let mut is_list = true;
    v.each(index, |v, key, _| {
        let n = if v.kind(key) == Kind::Num { v.to_num(key).unwrap_or(0.0) } else { 0.0 };
        is_list = n >= 1.0 && n.fract() == 0.0;
        most = most.max(n as usize);
        is_list
    });
    if !is_list {
        return Err("non-array table found".to_owned());
    }
    for n in 1..=most {
        v.with_item(index, n, |v, item| match v.kind(item) {
            Kind::Table => append_list(v, item, out, strict),
            Kind::Str | Kind::Num => append(v, item, out),
            Kind::Nil | Kind::Bool | Kind::Light if !strict => append(v, item, out),
            _ => Err(format!("bad data type {} found", v.type_name(item))),
        })?;
    }
    Ok(())
}

fn flush(c: &Call<'_>) -> Result<c_int, Raise> {
    if c.len() > 1 {
        let n = c.len();
        return Err(Raise::text(format!("attempt to pass {n} arguments, but accepted 0 or 1")));
    }
    let r = c.request()?.clone();
    let mut wait = false;
    if c.len() == 1 && !r.is_subrequest() {
        if c.kind(1) != Kind::Bool {
            return Err(c.expected(1, "boolean"));
        }
        wait = c.truthy(1);
    }
    let lua = r.ext::<LuaRequest>();
    if let Some(refusal) = refusal(c, &lua)? {
        return Ok(refusal);
    }
    if lua.buffering.get() {
        return c.fail("buffering");
    }
    if !r.header_sent.get() || (!lua.seen_body_data.get() && !wait) {
        return c.fail("nothing to flush");
    }
    if r.output(Chunk::flush()).is_err() {
        return c.fail("nginx output filter error");
    }
    if !wait {
        return c.ret(1);
    }
    c.ask(async move {
        match r.flushed().await {
            Ok(()) => Reply::one(1),
            Err(_) if r.conn.send_timed_out.get() => Reply::fail("timeout"),
            Err(_) => Reply::fail("client aborted"),
        }
    })
}

fn eof(c: &Call<'_>) -> Result<c_int, Raise> {
    if !c.is_empty() {
        return Err(Raise::text("no argument is expected"));
    }
    let r = c.request()?;
    let lua = r.ext::<LuaRequest>();
    if lua.raw_socket.get() {
        return c.fail("raw request socket acquired");
    }
    if lua.eof.get() {
        return c.fail("seen eof");
    }
    sent(c, output::send(r, &lua, None))
}

fn send_headers(c: &Call<'_>) -> Result<c_int, Raise> {
    let r = c.request()?;
    sent(c, output::send_head(r, &r.ext::<LuaRequest>()))
}

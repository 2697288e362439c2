//! The response as scripts write it: the head when first needed, HTTP/1.0 bodies held for their
//! length.
//!
//! ```text
//!   say/print ─▶ send(Some) ─┬▶ http's filters
//!   eof, end  ─▶ send(None) ─┘   └ buffering: held until the end, then Content-Length
//! ```

use std::rc::Rc;

use bytes::Bytes;

use super::conf::LuaLoc;
use super::request::LuaRequest;
use crate::http::method::Method;
use crate::http::{Chunk, OutputError, Request};

/// Sends a piece of the body, or with `None` its end.
pub fn send(r: &Rc<Request>, lua: &LuaRequest, data: Option<Bytes>) -> Result<(), OutputError> {
    if lua.eof.get() || lua.raw_socket.get() {
        return Ok(());
    }
    if r.method.borrow().is(Method::HEAD) {
        r.header_only.set(true);
    }
    let holds = r.with_location(|l| l.scope.part::<LuaLoc>().http10_buffering());
    if holds
        && !r.header_sent.get()
        && r.line.version < 1001
        && r.headers_out.borrow().content_length.is_none()
    {
        lua.buffering.set(true);
    }
    send_head(r, lua)?;
    if lua.eof.get() {
        return Ok(());
    }
    if r.header_only.get() {
        lua.eof.set(true);
        r.discard_body().map_err(|_| OutputError::Broken)?;
        return if lua.buffering.get() { send_held_head(r, lua) } else { Ok(()) };
    }
    match data {
        None => send_end(r, lua),
        Some(data) if lua.buffering.get() => {
            lua.held.borrow_mut().push(data);
            Ok(())
        }
        Some(data) => r.output(Chunk::data(data)),
    }
}

/// Sends the head unless that has happened or is held back.
pub fn send_head(r: &Rc<Request>, lua: &LuaRequest) -> Result<(), OutputError> {
    if r.header_sent.get() {
        return Ok(());
    }
    if r.headers_out.borrow().status == 0 {
        r.set_status(200);
    }
    set_media_type(r, lua);
    if !lua.headers_set.get() {
        let mut out = r.headers_out.borrow_mut();
        out.content_length = None;
        out.accept_ranges = false;
    }
    if lua.buffering.get() {
        return Ok(());
    }
    let sent = r.send_header();
    if let (Err(OutputError::Status(code)), false) = (&sent, r.header_sent.get()) {
        // It is given at the end of the phase, what the script says from here on is dropped.
        lua.eof.set(true);
        lua.refused.set(Some(*code));
    }
    sent
}

fn send_end(r: &Rc<Request>, lua: &LuaRequest) -> Result<(), OutputError> {
    r.discard_body().map_err(|_| OutputError::Broken)?;
    if lua.buffering.get() {
        send_held_head(r, lua)?;
        for data in std::mem::take(&mut *lua.held.borrow_mut()) {
            r.output(Chunk::data(data))?;
        }
    }
    lua.eof.set(true);
    r.output(Chunk::last())
}

fn send_held_head(r: &Rc<Request>, lua: &LuaRequest) -> Result<(), OutputError> {
    if r.header_sent.get() {
        return Ok(());
    }
    if !r.header_only.get() && r.headers_out.borrow().content_length.is_none() {
        let length = lua.held.borrow().iter().map(Bytes::len).sum::<usize>();
        r.headers_out.borrow_mut().content_length = Some(length as u64);
    }
    r.send_header()
}

fn set_media_type(r: &Rc<Request>, lua: &LuaRequest) {
    let has_none = r.headers_out.borrow().status == 304;
    if lua.mime_set.get() || has_none || r.headers_out.borrow().content_type.is_some() {
        return;
    }
    let kind = r.with_location(|location| {
        let wanted = location.scope.part::<LuaLoc>().use_default_type();
        wanted.then(|| location.core().media_type(&r.uri.borrow()))
    });
    if let Some(kind) = kind.filter(|kind| !kind.is_empty()) {
        r.headers_out.borrow_mut().content_type = Some(kind);
    }
}

//! `ngx.req.socket`: the client's connection as a cosocket.

use std::cell::Cell;
use std::ffi::c_int;
use std::rc::Rc;

use super::link::Link;
use super::tcp::Tcp;
use super::{SOCKETS, conf, hold, owner_of, request_of};
use crate::http::Request;
use crate::http::body::Expected;
use crate::lua::raw::{Call, Raise};
use crate::lua::request::LuaRequest;

/// `req(raw)`: the socket's id.
pub fn socket(c: &Call<'_>) -> Result<c_int, Raise> {
    let Some(r) = request_of(c) else { return Err(Raise::text("no request found")) };
    if r.is_subrequest() {
        return Err(Raise::text("attempt to read the request body in a subrequest"));
    }
    if r.line.version == 2000 {
        return Err(Raise::text("http v2 not supported yet"));
    }
    let refused = if c.truthy(1) { refuse_raw(&r) } else { refuse_body(&r) };
    if let Some(reason) = refused {
        return c.fail(reason);
    }
    let link = if c.truthy(1) {
        take_connection(&r);
        Link::Raw(Rc::clone(&r))
    } else {
        r.ext::<Given>().body.set(true);
        r.send_continue();
        Link::Body { left: Cell::new(r.body.take_over()), request: Rc::clone(&r) }
    };
    let socket = Rc::new(Tcp::new(owner_of(c), conf::settings(c)));
    socket.attach(link);
    hold(c, &socket);
    let id = SOCKETS.with_borrow_mut(|all| all.insert(socket));
    c.ret(id.to_bits())
}

fn refuse_body(r: &Request) -> Option<&'static str> {
    if r.body.expected() == Expected::Chunked {
        return Some("chunked request bodies not supported yet");
    }
    if r.body.is_read() || r.ext::<Given>().body.get() {
        return Some("request body already exists");
    }
    if r.body.is_discarded() {
        return Some("request body discarded");
    }
    (r.body.expected_length().unwrap_or_default() == 0).then_some("no body")
}

fn refuse_raw(r: &Rc<Request>) -> Option<&'static str> {
    if r.body.is_reading() {
        return Some("pending request body reading in some other thread");
    }
    if r.conn.unsent() > 0 && r.header_sent.get() {
        r.conn.try_send();
        if r.conn.unsent() > 0 {
            return Some("pending data to write");
        }
    }
    if r.ext::<LuaRequest>().buffering.get() {
        return Some("http 1.0 buffering");
    }
    r.conn.hijacked.get().then_some("duplicate call")
}

/// From here on the script speaks with the client: nothing else may send a head or a body.
fn take_connection(r: &Request) {
    r.header_sent.set(true);
    r.conn.hijacked.set(true);
    r.ext::<LuaRequest>().raw_socket.set(true);
    r.keepalive.set(false);
}

/// What a request has handed out of its connection.
#[derive(Default)]
struct Given {
    body: Cell<bool>,
}

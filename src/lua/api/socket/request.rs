//! `ngx.req.socket`: the client's connection as a cosocket.

use std::cell::Cell;
use std::ffi::c_int;
use std::rc::Rc;

use super::link::Link;
use super::tcp::Tcp;
use super::{SOCKETS, conf, hold, owner_of, request_of};
use crate::http::body::Expected;
use crate::lua::raw::{Call, Raise};

/// `req(raw)`: the socket's id.
pub fn socket(c: &Call<'_>) -> Result<c_int, Raise> {
    let Some(r) = request_of(c) else { return Err(Raise::text("no request found")) };
    let raw = c.truthy(1);
    if r.is_subrequest() {
        return c.fail("attempt to read the request body in a subrequest");
    }
    if r.line.version == 2000 {
        return c.fail("http v2 not supported yet");
    }
    if !raw && r.body.expected() == Expected::Chunked {
        return c.fail("chunked request bodies not supported yet");
    }
    if raw {
        if !r.header_sent.get() && r.conn.unsent() > 0 {
            return c.fail("pending data to write");
        }
        if r.ext::<Given>().raw.replace(true) {
            return c.fail("duplicate call");
        }
        if r.body.is_read() && r.body.length() == 0 && r.body.expected() != Expected::None {
            return c.fail("request body already exists");
        }
    }
    if r.ext::<Given>().body.get() {
        return c.fail("duplicate call");
    }
    if r.body.is_read() && r.body.expected() != Expected::None {
        return c.fail("request body already exists");
    }
    let link = if raw {
        if r.header_sent.get() {
            r.conn.try_send();
        }
        r.conn.hijacked.set(true);
        r.keepalive.set(false);
        Link::Raw(Rc::clone(&r))
    } else {
        if r.body.is_discarded() {
            return c.fail("request body discarded");
        }
        let left = r.body.take_over();
        if left == 0 {
            return c.fail("no body");
        }
        Link::Body { request: Rc::clone(&r), left: Cell::new(left) }
    };
    r.ext::<Given>().body.set(true);
    let socket = Rc::new(Tcp::new(owner_of(c), conf::settings(c)));
    socket.attach(link);
    hold(c, &socket);
    let id = SOCKETS.with_borrow_mut(|all| all.insert(socket));
    c.ret(id.to_bits())
}

/// What a request has handed out of its connection.
#[derive(Default)]
struct Given {
    body: Cell<bool>,
    raw: Cell<bool>,
}

//! Cosockets: `ngx.socket.tcp`, `ngx.socket.udp`, `ngx.req.socket`.
//!
//! ```text
//!  prelude 40_socket_tcp.lua ── id ──▶ ops ──▶ Tcp { link, read buffer, busy marks }
//!                                               │ link: own stream, or the client's connection
//!                                               └ setkeepalive ─▶ pool ─▶ connect
//! ```
//! A script holds an id; a socket that is gone answers `closed`.

mod connect;
mod failure;
mod link;
mod pool;
mod read;
mod request;
mod tcp;
mod udp;
mod until;
mod write;

pub mod conf;
pub mod tls;

use std::cell::RefCell;
use std::ffi::c_int;
use std::rc::Rc;
use std::sync::Arc;

use super::Topic;
use crate::base::slot::{Id, Slots};
use crate::http::Request;
use crate::http::location::Location;
use crate::lua::phase::{ANY, YIELDABLE};
use crate::lua::raw::{Call, Op, Raise};

use self::tcp::Tcp;

pub const TOPIC: Topic = Topic::of(&[
    Op { name: "socket.tcp", phases: YIELDABLE, run: new_tcp },
    Op { name: "socket.free", phases: ANY, run: free },
    Op { name: "socket.connect", phases: YIELDABLE, run: connect::connect },
    Op { name: "socket.bind", phases: ANY, run: connect::bind },
    Op { name: "socket.send", phases: YIELDABLE, run: write::send },
    Op { name: "socket.receive", phases: YIELDABLE, run: read::receive },
    Op { name: "socket.receiveany", phases: YIELDABLE, run: read::receiveany },
    Op { name: "socket.until", phases: ANY, run: until::prepare },
    Op { name: "socket.receiveuntil", phases: YIELDABLE, run: until::receive },
    Op { name: "socket.settimeouts", phases: ANY, run: tcp::settimeouts },
    Op { name: "socket.setoption", phases: ANY, run: tcp::setoption },
    Op { name: "socket.getoption", phases: ANY, run: tcp::getoption },
    Op { name: "socket.close", phases: ANY, run: tcp::close },
    Op { name: "socket.setkeepalive", phases: ANY, run: pool::setkeepalive },
    Op { name: "socket.getreusedtimes", phases: ANY, run: tcp::getreusedtimes },
    Op { name: "socket.getfd", phases: ANY, run: tcp::getfd },
    Op { name: "socket.setclientcert", phases: ANY, run: tls::setclientcert },
    Op { name: "socket.sslhandshake", phases: YIELDABLE, run: tls::sslhandshake },
    Op { name: "socket.getsslsession", phases: ANY, run: tls::getsslsession },
    Op { name: "udp.new", phases: YIELDABLE, run: udp::new },
    Op { name: "udp.free", phases: ANY, run: udp::free },
    Op { name: "udp.setpeername", phases: YIELDABLE, run: udp::setpeername },
    Op { name: "udp.bind", phases: ANY, run: udp::bind },
    Op { name: "udp.send", phases: YIELDABLE, run: udp::send },
    Op { name: "udp.receive", phases: YIELDABLE, run: udp::receive },
    Op { name: "udp.settimeout", phases: ANY, run: udp::settimeout },
    Op { name: "udp.close", phases: ANY, run: udp::close },
    Op { name: "socket.req", phases: YIELDABLE, run: request::socket },
]);

thread_local! {
    static SOCKETS: RefCell<Slots<Rc<Tcp>>> = const { RefCell::new(Slots::new()) };
}

/// The request a call serves, if any.
pub(super) fn request_of(c: &Call<'_>) -> Option<Rc<Request>> {
    c.try_ctx()?.request.clone()
}

/// The location whose settings hold for a call.
fn location_of(c: &Call<'_>) -> Option<Arc<Location>> {
    c.try_ctx()?.location()
}

/// Who may use a socket: the request it was made in, or the timer.
fn owner_of(c: &Call<'_>) -> usize {
    match (request_of(c), c.try_ctx()) {
        (Some(request), _) => Rc::as_ptr(&request) as usize,
        (None, Some(ctx)) => Rc::as_ptr(ctx) as usize,
        (None, None) => 0,
    }
}

fn new_tcp(c: &Call<'_>) -> Result<c_int, Raise> {
    let socket = Rc::new(Tcp::new(owner_of(c), conf::settings(c)));
    hold(c, &socket);
    let id = SOCKETS.with_borrow_mut(|all| all.insert(socket));
    c.ret(id.to_bits())
}

/// The socket is closed when the client's request ends; a subrequest's sockets live as long, though
/// nobody else may use them.
fn hold(c: &Call<'_>, socket: &Rc<Tcp>) {
    if let Some(request) = request_of(c) {
        let owned = request.main().ext::<Owned>();
        let mut sockets = owned.0.borrow_mut();
        // What is gone keeps its memory for as long as it is remembered here.
        if sockets.len() == sockets.capacity() {
            sockets.retain(|socket| socket.strong_count() > 0);
        }
        sockets.push(Rc::downgrade(socket));
    }
}

/// Sockets of one request, closed at its end.
#[derive(Default)]
struct Owned(RefCell<Vec<std::rc::Weak<Tcp>>>);

impl Drop for Owned {
    fn drop(&mut self) {
        for socket in self.0.borrow().iter().filter_map(std::rc::Weak::upgrade) {
            socket.abandon();
        }
    }
}

fn free(c: &Call<'_>) -> Result<c_int, Raise> {
    let id = Id::from_bits(c.int(1)? as u64);
    // The thread may be ending already.
    let gone = SOCKETS.try_with(|all| all.borrow_mut().remove(id)).ok().flatten();
    if let Some(socket) = gone {
        socket.abandon();
    }
    Ok(0)
}

/// A socket by the number the prelude holds.
fn socket(id: f64) -> Option<Rc<Tcp>> {
    SOCKETS.with_borrow(|all| all.get(Id::from_bits(id as i64 as u64)).cloned())
}

/// The socket behind argument 1, checked to belong to the running request.
fn own_socket(c: &Call<'_>) -> Result<Rc<Tcp>, Raise> {
    let id = Id::from_bits(c.int(1)? as u64);
    let socket = SOCKETS.with_borrow(|all| all.get(id).cloned());
    let socket = socket.ok_or(Raise::text("bad request"))?;
    if socket.link.borrow().is_some() && socket.owner.get() != owner_of(c) {
        return Err(Raise::text("bad request"));
    }
    socket.owner.set(owner_of(c));
    Ok(socket)
}

//! A TCP cosocket: its state, its options, its end.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::future::Future;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;

use super::conf::Settings;
use super::failure::Failure;
use super::link::Link;
use super::own_socket;
use super::pool::{Idle, Seat};
use crate::base::log::Level;
use crate::lua::raw::{Call, Kind, Raise};
use crate::net::addr::Addr;
use crate::net::tls::{Chain, ClientSession, Key};

/// One cosocket.
pub struct Tcp {
    pub settings: Settings,
    /// Address of the request or timer it belongs to.
    pub owner: Cell<usize>,
    /// `host:port(address)`, for log lines.
    pub far_end: RefCell<String>,
    pub link: RefCell<Option<Rc<Link>>>,
    /// Bytes read and not yet received by the script.
    pub input: RefCell<BytesMut>,
    pub at_eof: Cell<bool>,
    pub connect_timeout_ms: Cell<u64>,
    pub send_timeout_ms: Cell<u64>,
    pub read_timeout_ms: Cell<u64>,
    pub busy: Busy,
    pub read_closed: Cell<bool>,
    pub write_closed: Cell<bool>,
    pub reused_times: Cell<u64>,
    pub pool_key: RefCell<Vec<u8>>,
    /// Its place in a pool that counts connections.
    pub seat: RefCell<Option<Seat>>,
    pub bind: RefCell<Option<Addr>>,
    pub secured: Cell<bool>,
    /// What the script wants of the handshake to come, and the session of the last one.
    pub own_certificate: RefCell<Option<(Chain, Key)>>,
    pub trusted: RefCell<Option<Chain>>,
    pub session: RefCell<Option<Arc<ClientSession>>>,
}

/// What a light thread is doing with the socket right now.
#[derive(Default)]
pub struct Busy {
    /// From the wait in line to the connection.
    pub connecting: Cell<bool>,
    /// The part of it after the name was resolved.
    pub dialing: Cell<bool>,
    pub reading: Cell<bool>,
    pub writing: Cell<bool>,
}

/// Sets a busy mark for as long as it lives.
pub struct Mark {
    socket: Rc<Tcp>,
    which: fn(&Busy) -> &Cell<bool>,
}

impl Mark {
    pub fn set(socket: &Rc<Tcp>, which: fn(&Busy) -> &Cell<bool>) -> Self {
        which(&socket.busy).set(true);
        Self { socket: Rc::clone(socket), which }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        (self.which)(&self.socket.busy).set(false);
    }
}

impl Tcp {
    pub fn new(owner: usize, settings: Settings) -> Self {
        Self {
            connect_timeout_ms: Cell::new(settings.connect_timeout_ms),
            send_timeout_ms: Cell::new(settings.send_timeout_ms),
            read_timeout_ms: Cell::new(settings.read_timeout_ms),
            settings,
            owner: Cell::new(owner),
            far_end: RefCell::default(),
            link: RefCell::default(),
            input: RefCell::default(),
            at_eof: Cell::new(false),
            busy: Busy::default(),
            read_closed: Cell::new(false),
            write_closed: Cell::new(false),
            reused_times: Cell::new(0),
            pool_key: RefCell::default(),
            seat: RefCell::default(),
            bind: RefCell::default(),
            secured: Cell::new(false),
            own_certificate: RefCell::default(),
            trusted: RefCell::default(),
            session: RefCell::default(),
        }
    }

    /// The link, unless the socket is not connected.
    pub fn linked(&self) -> Option<Rc<Link>> {
        self.link.borrow().clone()
    }

    /// Takes a fresh connection.
    pub fn attach(&self, link: Link) {
        *self.link.borrow_mut() = Some(Rc::new(link));
        self.input.borrow_mut().clear();
        self.at_eof.set(false);
        self.read_closed.set(false);
        self.write_closed.set(false);
        self.secured.set(false);
    }

    /// Takes a connection out of a pool.
    pub fn reuse(&self, idle: Idle, seat: Option<Seat>) {
        self.attach(Link::Own(idle.stream.into()));
        self.reused_times.set(idle.reused_times + 1);
        self.secured.set(idle.secured);
        *self.seat.borrow_mut() = seat;
    }

    /// Lets go of the connection, whatever state it is in.
    pub fn abandon(&self) {
        // Dropped outside of the borrow: a link may hold the last handle of a request, which ends
        // other sockets.
        let link = self.link.borrow_mut().take();
        let seat = self.seat.borrow_mut().take();
        drop((link, seat));
        self.input.borrow_mut().clear();
        self.read_closed.set(true);
        self.write_closed.set(true);
    }

    /// The answer to an operation while another light thread is at it.
    pub fn busy_word(&self, reading: bool, writing: bool) -> Option<&'static str> {
        if self.busy.connecting.get() {
            return Some("socket busy connecting");
        }
        if reading && self.busy.reading.get() {
            return Some("socket busy reading");
        }
        if writing && self.busy.writing.get() {
            return Some("socket busy writing");
        }
        None
    }

    /// The answer of operations that want a connection: there is none, or none yet.
    pub fn unlinked_word(&self) -> &'static str {
        if self.busy.dialing.get() { "socket busy connecting" } else { "closed" }
    }

    /// Runs `future` for at most `ms`.
    pub async fn limited<T>(
        ms: u64,
        future: impl Future<Output = std::io::Result<T>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(Duration::from_millis(ms), future).await {
            Ok(done) => done.map_err(Failure::from),
            Err(_) => Err(Failure::Timeout),
        }
    }
}

/// Logs an operation on a closed socket, with the facts lua-nginx-module puts behind it.
pub fn complain_closed(c: &Call<'_>, socket: &Tcp, doing: &str) {
    if socket.busy.dialing.get() {
        return;
    }
    let at = std::ptr::from_ref(socket) as usize;
    let eof = u8::from(socket.at_eof.get());
    let text = format!("attempt to {doing} on a closed socket: u:{at:016X}, c:0, ft:0 eof:{eof}");
    complain(c, socket, &text);
}

/// Logs a socket's trouble unless `lua_socket_log_errors` is off.
pub fn complain(c: &Call<'_>, socket: &Tcp, text: &str) {
    if socket.settings.log_errors
        && let Some(ctx) = c.try_ctx()
    {
        ctx.log(Level::Error, text);
    }
}

/// `settimeouts(id, connect, send, read)`; nil or negative leaves one as it is.
pub fn settimeouts(c: &Call<'_>) -> Result<c_int, Raise> {
    let socket = own_socket(c)?;
    let cells = [&socket.connect_timeout_ms, &socket.send_timeout_ms, &socket.read_timeout_ms];
    let defaults = [
        socket.settings.connect_timeout_ms,
        socket.settings.send_timeout_ms,
        socket.settings.read_timeout_ms,
    ];
    for ((cell, default), index) in cells.into_iter().zip(defaults).zip(2..) {
        if let Some(ms) = c.opt_num(index)? {
            if !(0.0..=f64::from(i32::MAX)).contains(&ms) {
                return Err(Raise::text("bad timeout value"));
            }
            // As in lua-nginx-module, nothing positive means the configured value.
            cell.set(if ms > 0.0 { ms as u64 } else { default });
        }
    }
    Ok(0)
}

pub fn setoption(c: &Call<'_>) -> Result<c_int, Raise> {
    let socket = own_socket(c)?;
    let Some(link) = socket.linked() else { return c.fail("closed") };
    let name = c.bytes(2)?;
    let on = c.to_num(3).map_or_else(|| c.truthy(3), |value| value != 0.0);
    let size = c.to_num(3).unwrap_or_default() as usize;
    let done = link.with_stream(|stream| {
        let socket = socket2::SockRef::from(stream.socket());
        match name {
            b"keepalive" => socket.set_keepalive(on),
            b"reuseaddr" => socket.set_reuse_address(on),
            b"tcp-nodelay" => stream.socket().set_nodelay(on),
            b"sndbuf" => socket.set_send_buffer_size(size),
            b"rcvbuf" => socket.set_recv_buffer_size(size),
            _ => Err(std::io::ErrorKind::Unsupported.into()),
        }
    });
    match done.unwrap_or_else(|| Err(std::io::ErrorKind::Unsupported.into())) {
        Ok(()) => c.ret(true),
        Err(e) if e.kind() == std::io::ErrorKind::Unsupported => {
            c.fail(format!("unsupported option {}", String::from_utf8_lossy(name)))
        }
        Err(e) => c.ret(Failure::from(e).reply()),
    }
}

pub fn getoption(c: &Call<'_>) -> Result<c_int, Raise> {
    let socket = own_socket(c)?;
    let Some(link) = socket.linked() else { return c.fail("closed") };
    let name = c.bytes(2)?;
    let value = link.with_stream(|stream| {
        let socket = socket2::SockRef::from(stream.socket());
        match name {
            b"keepalive" => socket.keepalive().map(usize::from),
            b"reuseaddr" => socket.reuse_address().map(usize::from),
            b"tcp-nodelay" => socket.tcp_nodelay().map(usize::from),
            b"sndbuf" => socket.send_buffer_size(),
            b"rcvbuf" => socket.recv_buffer_size(),
            _ => Err(std::io::ErrorKind::Unsupported.into()),
        }
    });
    match value.unwrap_or_else(|| Err(std::io::ErrorKind::Unsupported.into())) {
        Ok(value) => c.ret(value as f64),
        Err(e) if e.kind() == std::io::ErrorKind::Unsupported => {
            c.fail(format!("unsupported option {}", String::from_utf8_lossy(name)))
        }
        Err(e) => c.ret(Failure::from(e).reply()),
    }
}

pub fn close(c: &Call<'_>) -> Result<c_int, Raise> {
    let socket = own_socket(c)?;
    if socket.linked().is_none() || socket.read_closed.get() && socket.write_closed.get() {
        return c.fail(socket.unlinked_word());
    }
    if let Some(word) = socket.busy_word(true, true) {
        return c.fail(word);
    }
    if socket.linked().is_some_and(|link| link.is_request()) {
        return c.fail("attempt to close a request socket");
    }
    socket.abandon();
    c.ret(1.0)
}

pub fn getreusedtimes(c: &Call<'_>) -> Result<c_int, Raise> {
    let socket = own_socket(c)?;
    if socket.busy.dialing.get() {
        return c.ret(0.0);
    }
    if socket.linked().is_none() || socket.read_closed.get() && socket.write_closed.get() {
        return c.fail("closed");
    }
    c.ret(socket.reused_times.get() as f64)
}

pub fn getfd(c: &Call<'_>) -> Result<c_int, Raise> {
    let socket = own_socket(c)?;
    match socket.linked().and_then(|link| link.with_stream(|stream| stream.as_raw_fd())) {
        Some(fd) => c.ret(f64::from(fd)),
        None => c.fail("closed"),
    }
}

/// Whether the argument is a Lua number, not a string that reads as one.
pub fn is_number(c: &Call<'_>, index: c_int) -> bool {
    c.kind(index) == Kind::Num
}

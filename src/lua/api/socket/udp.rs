//! `ngx.socket.udp`: datagrams over UDP and unix sockets.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UdpSocket, UnixDatagram};

use super::conf::{self, Settings};
use super::failure::Failure;
use super::owner_of;
use crate::base::errno::Errno;
use crate::base::log::Level;
use crate::base::slot::{Id, Slots};
use crate::lua::ctx::Ctx;
use crate::lua::raw::{Call, Raise, Reply};
use crate::net::addr::Addr;

/// One UDP cosocket.
struct Udp {
    settings: Settings,
    owner: usize,
    timeout_ms: Cell<u64>,
    socket: RefCell<Option<Rc<Datagrams>>>,
    bind: RefCell<Option<std::net::IpAddr>>,
    receiving: Cell<bool>,
}

enum Datagrams {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

thread_local! {
    static SOCKETS: RefCell<Slots<Rc<Udp>>> = const { RefCell::new(Slots::new()) };
}

pub fn new(c: &Call<'_>) -> Result<c_int, Raise> {
    let settings = conf::settings(c);
    let socket = Rc::new(Udp {
        timeout_ms: Cell::new(settings.read_timeout_ms),
        settings,
        owner: owner_of(c),
        socket: RefCell::default(),
        bind: RefCell::default(),
        receiving: Cell::new(false),
    });
    c.ret(SOCKETS.with_borrow_mut(|all| all.insert(socket)).to_bits())
}

pub fn free(c: &Call<'_>) -> Result<c_int, Raise> {
    let id = Id::from_bits(c.int(1)? as u64);
    drop(SOCKETS.with_borrow_mut(|all| all.remove(id)));
    Ok(0)
}

fn find(c: &Call<'_>) -> Result<Rc<Udp>, Raise> {
    let id = Id::from_bits(c.int(1)? as u64);
    let socket = SOCKETS.with_borrow(|all| all.get(id).cloned());
    socket.ok_or(Raise::text("bad request"))
}

/// The socket, checked to belong to the running request.
fn own(c: &Call<'_>) -> Result<Rc<Udp>, Raise> {
    let socket = find(c)?;
    if socket.owner != owner_of(c) && socket.socket.borrow().is_some() {
        return Err(Raise::text("bad request"));
    }
    Ok(socket)
}

pub fn settimeout(c: &Call<'_>) -> Result<c_int, Raise> {
    let socket = find(c)?;
    let ms = c.num(2)?;
    let default = socket.settings.read_timeout_ms;
    socket.timeout_ms.set(if ms > 0.0 { ms as u64 } else { default });
    Ok(0)
}

/// `bind(id, address)`
pub fn bind(c: &Call<'_>) -> Result<c_int, Raise> {
    let socket = own(c)?;
    let text = String::from_utf8_lossy(c.bytes(2)?).into_owned();
    match text.parse() {
        Ok(ip) => {
            *socket.bind.borrow_mut() = Some(ip);
            c.ret(true)
        }
        Err(_) => c.fail("bad address"),
    }
}

/// `setpeername(id, host, port | nil)`
pub fn setpeername(c: &Call<'_>) -> Result<c_int, Raise> {
    let socket = own(c)?;
    let host = c.bytes(2)?.to_vec();
    let port = c.opt_num(3)?.unwrap_or_default();
    if !(0.0..=65535.0).contains(&port) {
        return c.fail(format!("bad port number: {port}"));
    }
    if socket.receiving.get() {
        return c.fail("socket busy");
    }
    c.ask(open(socket, host, port as u16))
}

async fn open(socket: Rc<Udp>, host: Vec<u8>, port: u16) -> Reply {
    let unix = host.starts_with(b"unix:");
    let literal = if unix {
        Addr::literal(&host)
    } else {
        std::str::from_utf8(&host)
            .ok()
            .and_then(|text| text.trim_matches(['[', ']']).parse().ok())
            .map(|ip: std::net::IpAddr| Addr::from(std::net::SocketAddr::new(ip, port)))
    };
    let addr = match literal {
        Some(addr) => addr,
        None => match socket.settings.resolve(&host, port).await {
            Ok(addr) => addr,
            Err(reason) => return Reply::fail(reason),
        },
    };
    let bind = *socket.bind.borrow();
    match connected(&addr, bind).await {
        Ok(datagrams) => {
            *socket.socket.borrow_mut() = Some(Rc::new(datagrams));
            Reply::one(1.0)
        }
        Err(error) => Failure::from(error).reply(),
    }
}

async fn connected(addr: &Addr, bind: Option<std::net::IpAddr>) -> io::Result<Datagrams> {
    match addr {
        Addr::Inet(addr) => {
            let any = match addr {
                std::net::SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
                std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
            };
            let socket = UdpSocket::bind((bind.unwrap_or(any), 0)).await?;
            socket.connect(addr).await?;
            Ok(Datagrams::Udp(socket))
        }
        Addr::Unix(_) => {
            // The name the system finds for it lets the peer answer.
            let unnamed = SockAddr::unix("")?;
            let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
            socket.bind(&unnamed)?;
            socket.set_nonblocking(true)?;
            let socket = UnixDatagram::from_std(socket.into())?;
            let path = addr.path().ok_or(io::ErrorKind::InvalidInput)?;
            socket.connect(path)?;
            Ok(Datagrams::Unix(socket))
        }
    }
}

/// `send(id, data)`
pub fn send(c: &Call<'_>) -> Result<c_int, Raise> {
    let socket = own(c)?;
    let Some(datagrams) = socket.socket.borrow().clone() else {
        complain(c, &socket, "attempt to send data on a closed socket");
        return c.fail("closed");
    };
    let data = Bytes::copy_from_slice(c.bytes(2)?);
    c.ask(async move {
        let sent = match &*datagrams {
            Datagrams::Udp(socket) => socket.send(&data).await,
            Datagrams::Unix(socket) => socket.send(&data).await,
        };
        match sent {
            Ok(_) => Reply::one(1.0),
            Err(error) => Failure::from(error).reply(),
        }
    })
}

/// `receive(id, size | nil)`
pub fn receive(c: &Call<'_>) -> Result<c_int, Raise> {
    let socket = own(c)?;
    let size = c.opt_num(2)?.map_or(DATAGRAM_BYTES, |size| size as usize);
    let Some(datagrams) = socket.socket.borrow().clone() else {
        complain(c, &socket, "attempt to receive data on a closed socket");
        return c.fail("closed");
    };
    if socket.receiving.get() {
        return c.fail("socket busy");
    }
    let ctx = Rc::clone(c.ctx()?);
    c.ask(take(ctx, socket, datagrams, size.min(DATAGRAM_BYTES)))
}

async fn take(ctx: Rc<Ctx>, socket: Rc<Udp>, datagrams: Rc<Datagrams>, size: usize) -> Reply {
    struct Done(Rc<Udp>);
    impl Drop for Done {
        fn drop(&mut self) {
            self.0.receiving.set(false);
        }
    }
    socket.receiving.set(true);
    let done = Done(socket);
    let mut space = vec![0; size];
    let limit = Duration::from_millis(done.0.timeout_ms.get());
    let received = tokio::time::timeout(limit, async {
        match &*datagrams {
            Datagrams::Udp(socket) => socket.recv(&mut space).await,
            Datagrams::Unix(socket) => socket.recv(&mut space).await,
        }
    });
    match received.await {
        Ok(Ok(count)) => {
            space.truncate(count);
            Reply::one(Bytes::from(space))
        }
        Ok(Err(error)) => {
            // As the socket calls of nginx complain by themselves, whatever lua_socket_log_errors.
            ctx.log(Level::Error, &format!("recv() failed {}", Errno(&error)));
            Failure::from(error).reply()
        }
        Err(_) => {
            if done.0.settings.log_errors {
                ctx.log(Level::Error, "lua udp socket read timed out");
            }
            Failure::Timeout.reply()
        }
    }
}

pub fn close(c: &Call<'_>) -> Result<c_int, Raise> {
    let socket = own(c)?;
    if socket.receiving.get() {
        return c.fail("socket busy");
    }
    match socket.socket.borrow_mut().take() {
        Some(_) => c.ret(1.0),
        None => c.fail("closed"),
    }
}

fn complain(c: &Call<'_>, socket: &Udp, text: &str) {
    if socket.settings.log_errors
        && let Some(ctx) = c.try_ctx()
    {
        ctx.log(Level::Error, text);
    }
}

/// The most a datagram can carry.
const DATAGRAM_BYTES: usize = 65536;

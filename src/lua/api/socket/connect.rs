//! `sock:connect` and `sock:bind`.

use std::ffi::c_int;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::failure::Failure;
use super::link::Link;
use super::own_socket;
use super::pool::{self, Seating};
use super::tcp::{Mark, Tcp};
use crate::base::errno::Errno;
use crate::base::log::Level;
use crate::lua::ctx::Ctx;
use crate::lua::raw::{Call, Raise, Reply};
use crate::net::addr::Addr;
use crate::net::dial::{self, Dial, DialError};

/// Where and how to connect.
pub struct Target {
    pub host: Vec<u8>,
    pub port: u16,
    pub pool: pool::Wish,
}

/// `connect(id, host, port | nil, pool name | nil, pool_size | nil, backlog | nil)`; the prelude
/// has checked types.
pub fn connect(c: &Call<'_>) -> Result<c_int, Raise> {
    let socket = own_socket(c)?;
    if let Some(word) = socket.busy_word(true, true) {
        return c.fail(word);
    }
    if socket.linked().is_some_and(|link| link.is_request()) {
        return Err(Raise::text("attempt to re-connect a request socket"));
    }
    let host = c.bytes(2)?.to_vec();
    let port = c.opt_num(3)?;
    if port.is_none() && !host.starts_with(b"unix:") {
        return c.fail("missing the port number");
    }
    if let Some(port) = port
        && !(0.0..=65535.0).contains(&port)
    {
        return c.fail(format!("bad port number: {port}"));
    }
    let name = match (c.opt_bytes(4)?, port) {
        (Some(name), _) => name.to_vec(),
        // As a number with a fraction is written too, but faster.
        (None, Some(port)) if port.fract() == 0.0 => {
            [&host[..], b":", itoa::Buffer::new().format(port as u32).as_bytes()].concat()
        }
        (None, Some(port)) => [&host[..], b":", port.to_string().as_bytes()].concat(),
        (None, None) => host.clone(),
    };
    let wish = pool::Wish {
        name,
        size: c.opt_num(5)?.map(|size| size as usize),
        backlog: c.opt_num(6)?.map(|backlog| backlog as usize),
        default_size: socket.settings.pool_size,
    };
    socket.abandon();
    if let Some((idle, seat)) = pool::take_idle(&wish.name) {
        *socket.pool_key.borrow_mut() = wish.name;
        socket.reuse(idle, seat);
        return c.ret(1.0);
    }
    let target = Target { host, port: port.unwrap_or_default() as u16, pool: wish };
    let ctx = Rc::clone(c.ctx()?);
    c.ask(establish(ctx, socket, target))
}

/// `bind(id, address, port | nil)`: the local address of the next connect.
pub fn bind(c: &Call<'_>) -> Result<c_int, Raise> {
    let socket = own_socket(c)?;
    let text = c.bytes(2)?;
    let port = c.opt_num(3)?.unwrap_or_default();
    if !(0.0..=65535.0).contains(&port) {
        return c.fail(format!("bad port number: {port}"));
    }
    match std::str::from_utf8(text).unwrap_or_default().parse::<IpAddr>() {
        Ok(ip) => {
            let addr = SocketAddr::new(ip, port as u16);
            *socket.bind.borrow_mut() = Some(Addr::Inet(addr));
            c.ret(true)
        }
        Err(_) => c.fail("bad address"),
    }
}

async fn establish(ctx: Rc<Ctx>, socket: Rc<Tcp>, target: Target) -> Reply {
    let _busy = Mark::set(&socket, |busy| &busy.connecting);
    socket.pool_key.borrow_mut().clone_from(&target.pool.name);
    let seat = match pool::seat(&target.pool, socket.connect_timeout_ms.get()).await {
        Seating::Idle(idle, seat) => {
            socket.reuse(idle, seat);
            return Reply::one(1.0);
        }
        Seating::Refused(reason) => {
            if reason == "timeout" && socket.settings.log_errors {
                let host = bstr::BStr::new(&target.host);
                let text = format!(
                    "lua tcp socket queued connect timed out, when trying to connect to {host}:{}",
                    target.port
                );
                ctx.log(Level::Error, &text);
            }
            return Reply::fail(reason);
        }
        // Whoever gives up on the way leaves it to the next in line.
        Seating::Fresh(seat) => seat,
    };
    let addr = match address(&socket, &target).await {
        Ok(addr) => addr,
        Err(reason) => return Reply::fail(reason),
    };
    *socket.far_end.borrow_mut() = far_end(&target, &addr);
    let how = Dial {
        bind: socket.bind.borrow().clone(),
        timeout: Some(Duration::from_millis(socket.connect_timeout_ms.get())),
        keepalive: false,
    };
    let dialed = {
        let _busy = Mark::set(&socket, |busy| &busy.dialing);
        dial::connect(&addr, &how).await
    };
    match dialed {
        Ok(stream) => {
            // A unix socket has no such option.
            let _ = stream.socket().set_nodelay(true);
            socket.attach(Link::Own(stream.into()));
            *socket.seat.borrow_mut() = seat;
            socket.reused_times.set(0);
            Reply::one(1.0)
        }
        Err(error) => {
            log_failure(&ctx, &socket, &addr, &error);
            failure(&error).reply()
        }
    }
}

/// What lua-nginx-module puts behind a line about a socket.
fn far_end(target: &Target, addr: &Addr) -> String {
    let host = bstr::BStr::new(&target.host);
    match addr.port() {
        0 => format!(", upstream: {host}"),
        port => format!(", upstream: {host}:{port}({})", addr.ip_text()),
    }
}

fn failure(error: &DialError) -> Failure {
    match error.io() {
        Some(io) if !error.is_timeout() => {
            Failure::System(crate::base::errno::text(io).to_lowercase())
        }
        _ => Failure::Timeout,
    }
}

fn log_failure(ctx: &Ctx, socket: &Tcp, addr: &Addr, error: &DialError) {
    if !socket.settings.log_errors {
        return;
    }
    let level = match error.io().map(std::io::Error::kind) {
        None
        | Some(
            ErrorKind::ConnectionRefused
            | ErrorKind::TimedOut
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown,
        ) => Level::Error,
        Some(_) => Level::Crit,
    };
    let far_end = socket.far_end.borrow();
    match error {
        DialError::Timeout => {
            ctx.log(level, &format!("lua tcp socket connect timed out{far_end}"));
        }
        // Where there is no request, the context is all lua-nginx-module tells.
        DialError::Connect(_) if ctx.request.is_none() => ctx.log(level, &error.to_string()),
        DialError::Connect(_) => ctx.log(level, &format!("{error}{far_end}")),
        DialError::Refused { error, .. } => {
            ctx.log(level, &format!("connect() to {addr} failed {}", Errno(error)));
        }
        other => ctx.log(level, &other.to_string()),
    }
}

/// The address of a literal, or of a name through the location's resolver.
async fn address(socket: &Tcp, target: &Target) -> Result<Addr, Bytes> {
    if target.host.starts_with(b"unix:") {
        return Addr::literal(&target.host).ok_or(Bytes::from_static(b"bad unix path"));
    }
    let text = literal_with_port(&target.host, target.port);
    if let Some(addr) = Addr::literal(&text) {
        return Ok(addr);
    }
    socket.settings.resolve(&target.host, target.port).await
}

/// `host:port`, with brackets around a bare IPv6 address.
fn literal_with_port(host: &[u8], port: u16) -> Vec<u8> {
    let port = port.to_string();
    if host.first() != Some(&b'[') && host.contains(&b':') {
        return [b"[", host, b"]:", port.as_bytes()].concat();
    }
    let is_ip = std::str::from_utf8(host)
        .is_ok_and(|text| text.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok());
    if is_ip { [host, b":", port.as_bytes()].concat() } else { Vec::new() }
}

//! Listening sockets: bound once, handed to every worker thread, kept over reloads and restarts.
//!
//! ```text
//!  ListenSpec ──bind_all──> Bound {spec, sockets} ──listener(i)──> Listener (one a worker thread)
//!                    ^ sockets inherited from the master or the previous configuration
//! ```

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bstr::{BString, ByteSlice};
use socket2::{Domain, SockAddr, Socket as RawSocket, Type};
use tokio::net::{TcpListener, UdpSocket, UnixListener};

use super::addr::Addr;
use super::fd;
use super::stream::Stream;
use crate::base::errno::Errno;

/// What one `listen` directive asks of its socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenSpec {
    pub addr: Addr,
    /// Datagrams, not connections.
    pub udp: bool,
    pub backlog: i32,
    pub rcvbuf: Option<usize>,
    pub sndbuf: Option<usize>,
    pub reuseport: bool,
    /// `ipv6only=on|off`; nginx's default is on.
    pub ipv6only: bool,
    pub fastopen: Option<i32>,
    pub deferred: bool,
    pub keepalive: Option<Keepalive>,
}

impl ListenSpec {
    pub fn new(addr: Addr) -> Self {
        Self {
            addr,
            udp: false,
            backlog: DEFAULT_BACKLOG,
            rcvbuf: None,
            sndbuf: None,
            reuseport: false,
            ipv6only: true,
            fastopen: None,
            deferred: false,
            keepalive: None,
        }
    }

    /// Whether one socket serves both.
    pub fn is_same_socket(&self, other: &Self) -> bool {
        self.addr == other.addr && self.udp == other.udp
    }
}

/// `so_keepalive=on|off|[idle]:[interval]:[count]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keepalive {
    pub on: bool,
    pub idle_s: Option<u32>,
    pub interval_s: Option<u32>,
    pub count: Option<u32>,
}

/// A bound address: one socket, or with `reuseport` one for each worker.
#[derive(Clone, Debug)]
pub struct Bound {
    pub spec: ListenSpec,
    pub sockets: Vec<Arc<OwnedFd>>,
}

impl Bound {
    /// The listener worker `index` accepts on; must be called on that worker's runtime.
    pub fn listener(&self, index: usize) -> io::Result<Listener> {
        let socket = self.sockets.get(index % self.sockets.len().max(1));
        let fd = socket.ok_or(io::ErrorKind::NotFound)?.try_clone()?;
        if self.spec.udp {
            let std = std::net::UdpSocket::from(fd);
            std.set_nonblocking(true)?;
            Ok(Listener::Udp(UdpSocket::from_std(std)?))
        } else if let Addr::Unix(path) = &self.spec.addr {
            OPEN.with_borrow_mut(|all| all.push(path.clone()));
            let std = std::os::unix::net::UnixListener::from(fd);
            std.set_nonblocking(true)?;
            Ok(Listener::Unix(UnixListener::from_std(std)?))
        } else {
            let std = std::net::TcpListener::from(fd);
            std.set_nonblocking(true)?;
            Ok(Listener::Tcp(TcpListener::from_std(std)?))
        }
    }

    pub fn raw_fds(&self) -> impl Iterator<Item = RawFd> {
        self.sockets.iter().map(|s| s.as_raw_fd())
    }
}

/// The worker of this thread shall not accept on a unix socket any more; others may. False when it
/// never did.
pub fn mute(path: &[u8]) -> bool {
    OPEN.with_borrow_mut(|all| {
        let before = all.len();
        all.retain(|open| open != path);
        all.len() < before
    })
}

/// True when the worker of this thread does not accept on this address.
pub fn is_muted(addr: &Addr) -> bool {
    match addr {
        Addr::Unix(path) => OPEN.with_borrow(|all| !all.contains(path)),
        Addr::Inet(_) => false,
    }
}

thread_local! {
    /// The unix sockets the worker of this thread accepts on.
    static OPEN: RefCell<Vec<BString>> = const { RefCell::new(Vec::new()) };
}

/// A listening socket registered with the runtime of one worker thread.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
    /// Datagrams come over it, no connections.
    Udp(UdpSocket),
}

impl Listener {
    /// Takes the next connection and the address of its client.
    pub async fn accept(&self) -> io::Result<(Stream, Addr)> {
        match self {
            Self::Tcp(l) => l.accept().await.map(|(s, a)| (s.into(), Addr::Inet(a))),
            Self::Unix(l) => {
                let (stream, _) = l.accept().await?;
                Ok((stream.into(), Addr::Unix(Default::default())))
            }
            Self::Udp(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// What happens while binding, for the log; the words are nginx's.
#[derive(Debug)]
pub enum Note {
    Emerg(String),
    Notice(String),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Emerg(text) | Self::Notice(text)) = self;
        f.write_str(text)
    }
}

/// Binding failed; everything to say was said through the notes.
#[derive(Debug, thiserror::Error)]
#[error("listening sockets could not be opened")]
pub struct BindFailed;

/// How to bind.
pub struct BindPlan<'a> {
    /// Sockets that are open already: their order of use is kept, unused ones are left alone.
    pub have: &'a [Bound],
    /// Sockets of a `reuseport` address.
    pub workers: usize,
    /// `-t`: an address in use is fine, and nothing stays behind.
    pub testing: bool,
}

/// Opens every address of `specs`, taking over sockets of `plan.have` with the same address.
///
/// An address in use is tried five times, 500 ms apart, as nginx does.
pub fn bind_all(
    specs: &[ListenSpec],
    plan: &BindPlan<'_>,
    note: &mut dyn FnMut(Note),
) -> Result<Vec<Bound>, BindFailed> {
    let mut bound: Vec<Option<Bound>> = specs.iter().map(|s| reuse(s, plan)).collect();
    for _ in 0..BIND_TRIES {
        let mut in_use = false;
        for (slot, spec) in bound.iter_mut().zip(specs) {
            if slot.is_some() {
                continue;
            }
            match bind_spec(spec, plan.workers) {
                Ok(b) => *slot = Some(b),
                Err(e) if plan.testing && e.is_in_use() => {}
                Err(e) => {
                    note(Note::Emerg(e.to_string()));
                    if !e.is_in_use() {
                        return Err(BindFailed);
                    }
                    in_use = true;
                }
            }
        }
        if !in_use {
            if plan.testing {
                remove_test_sockets(&bound, plan);
            }
            return Ok(bound.into_iter().flatten().collect());
        }
        note(Note::Notice("try again to bind() after 500ms".into()));
        thread::sleep(BIND_PAUSE);
    }
    note(Note::Emerg("still could not bind()".into()));
    Err(BindFailed)
}

/// Removes the files of unix sockets, as nginx's master does when it exits.
pub fn unlink_unix(bound: &[Bound], warn: &mut dyn FnMut(String)) {
    for b in bound {
        let Some(path) = b.spec.addr.path() else { continue };
        if let Err(e) = std::fs::remove_file(path) {
            warn(format!("unlink() {} failed {}", path.display(), Errno(&e)));
        }
    }
}

fn reuse(spec: &ListenSpec, plan: &BindPlan<'_>) -> Option<Bound> {
    let have = plan.have.iter().find(|b| b.spec.is_same_socket(spec))?;
    let mut sockets = have.sockets.clone();
    // One socket becoming several needs SO_REUSEPORT on the first too, as nginx sets on reload.
    if spec.reuseport && sockets.len() < plan.workers {
        for socket in &sockets {
            socket2::SockRef::from(&**socket).set_reuse_port(true).ok()?;
        }
        while sockets.len() < plan.workers {
            sockets.push(Arc::new(open(spec).ok()?));
        }
    }
    if spec.backlog != have.spec.backlog && !spec.udp {
        let _ = socket2::SockRef::from(&*sockets[0]).listen(spec.backlog);
    }
    Some(Bound { spec: spec.clone(), sockets })
}

fn bind_spec(spec: &ListenSpec, workers: usize) -> Result<Bound, OpenError> {
    let count = if spec.reuseport { workers.max(1) } else { 1 };
    let mut sockets = Vec::with_capacity(count);
    for _ in 0..count {
        sockets.push(Arc::new(open(spec)?));
    }
    Ok(Bound { spec: spec.clone(), sockets })
}

/// One step of opening a socket that failed: `bind() to 0.0.0.0:80 failed (98: …)`.
#[derive(Debug, thiserror::Error)]
#[error("{call} {addr}{tail} failed {}", Errno(.error))]
struct OpenError {
    call: &'static str,
    addr: String,
    tail: String,
    error: io::Error,
}

impl OpenError {
    fn is_in_use(&self) -> bool {
        self.call.starts_with("bind") && self.error.kind() == io::ErrorKind::AddrInUse
    }
}

fn open(spec: &ListenSpec) -> Result<OwnedFd, OpenError> {
    let at = |call: &'static str| {
        let addr = spec.addr.to_string();
        move |error| OpenError { call, addr, tail: String::new(), error }
    };
    let (domain, addr) = sockaddr(&spec.addr).map_err(at("socket()"))?;
    let kind = if spec.udp { Type::DGRAM } else { Type::STREAM };
    let socket = RawSocket::new(domain, kind, None).map_err(at("socket()"))?;
    let inet = matches!(spec.addr, Addr::Inet(_));
    if inet {
        socket.set_reuse_address(true).map_err(at("setsockopt(SO_REUSEADDR)"))?;
    }
    if spec.reuseport {
        socket.set_reuse_port(true).map_err(at("setsockopt(SO_REUSEPORT)"))?;
    }
    if matches!(spec.addr, Addr::Inet(SocketAddr::V6(_))) {
        socket.set_only_v6(spec.ipv6only).map_err(at("setsockopt(IPV6_V6ONLY)"))?;
    }
    socket.set_nonblocking(true).map_err(at("ioctl(FIONBIO)"))?;
    // nginx only warns when one of these is refused; they are hints, so we go on as well.
    apply_hints(&socket, spec);
    socket.bind(&addr).map_err(at("bind() to"))?;
    if let Some(path) = spec.addr.path() {
        let mode = std::fs::Permissions::from_mode(0o666);
        std::fs::set_permissions(path, mode).map_err(at("chmod()"))?;
    }
    if spec.udp {
        return Ok(socket.into());
    }
    socket.listen(spec.backlog).map_err(|error| OpenError {
        call: "listen() to",
        addr: spec.addr.to_string(),
        tail: format!(", backlog {}", spec.backlog),
        error,
    })?;
    Ok(socket.into())
}

fn apply_hints(socket: &RawSocket, spec: &ListenSpec) {
    let _ = spec.rcvbuf.map(|n| socket.set_recv_buffer_size(n));
    let _ = spec.sndbuf.map(|n| socket.set_send_buffer_size(n));
    let _ = spec.fastopen.map(|n| fd::set_fastopen(socket, n));
    if spec.deferred {
        let _ = fd::set_deferred_accept(socket, 1);
    }
    let Some(keepalive) = spec.keepalive else { return };
    let _ = socket.set_keepalive(keepalive.on);
    if keepalive.on {
        let mut k = socket2::TcpKeepalive::new();
        if let Some(s) = keepalive.idle_s {
            k = k.with_time(Duration::from_secs(s.into()));
        }
        if let Some(s) = keepalive.interval_s {
            k = k.with_interval(Duration::from_secs(s.into()));
        }
        if let Some(n) = keepalive.count {
            k = k.with_retries(n);
        }
        let _ = socket.set_tcp_keepalive(&k);
    }
}

fn remove_test_sockets(bound: &[Option<Bound>], plan: &BindPlan<'_>) {
    let fresh = bound
        .iter()
        .flatten()
        .filter(|b| !plan.have.iter().any(|h| h.spec.is_same_socket(&b.spec)));
    for path in fresh.filter_map(|b| b.spec.addr.path()) {
        let _ = std::fs::remove_file(path);
    }
}

/// The kernel's form of an address.
pub(super) fn sockaddr(addr: &Addr) -> io::Result<(Domain, SockAddr)> {
    match addr {
        Addr::Inet(a) => Ok((Domain::for_address(*a), SockAddr::from(*a))),
        Addr::Unix(path) => {
            let path = path.to_path().map_err(|_| io::ErrorKind::InvalidInput)?;
            Ok((Domain::UNIX, SockAddr::unix(path)?))
        }
    }
}

/// nginx's NGX_LISTEN_BACKLOG on Linux.
pub const DEFAULT_BACKLOG: i32 = 511;
const BIND_TRIES: usize = 5;
const BIND_PAUSE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(testing: bool) -> BindPlan<'static> {
        BindPlan { have: &[], workers: 2, testing }
    }

    #[test]
    fn in_use_is_told_in_nginx_words() {
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = other.local_addr().unwrap();
        let spec = ListenSpec::new(Addr::Inet(addr));
        let mut notes = Vec::new();
        let bound =
            bind_all(std::slice::from_ref(&spec), &plan(true), &mut |n| notes.push(n.to_string()));
        assert!(bound.is_ok() && notes.is_empty(), "-t forgives");
        let bound = bind_all(&[spec], &plan(false), &mut |n| notes.push(n.to_string()));
        assert!(bound.is_err());
        let line = format!("bind() to {addr} failed (98: Address already in use)");
        assert_eq!(notes.len(), 11);
        assert_eq!(notes[0], line);
        assert_eq!(notes[1], "try again to bind() after 500ms");
        assert_eq!(notes[10], "still could not bind()");
    }

    #[test]
    fn reuseport_opens_one_a_worker() {
        let mut spec = ListenSpec::new(Addr::literal(b"127.0.9.1:9471").unwrap());
        spec.reuseport = true;
        let bound = bind_all(&[spec.clone()], &plan(false), &mut |n| panic!("{n}")).unwrap();
        assert_eq!(bound[0].sockets.len(), 2);
        let again = BindPlan { have: &bound, workers: 2, testing: false };
        let reused = bind_all(&[spec], &again, &mut |n| panic!("{n}")).unwrap();
        assert_eq!(reused[0].sockets[1].as_raw_fd(), bound[0].sockets[1].as_raw_fd());
    }

    #[test]
    fn unix_sockets() {
        let path = std::env::temp_dir().join(format!("moonbeat-{}.sock", std::process::id()));
        let text = format!("unix:{}", path.display());
        let spec = ListenSpec::new(Addr::literal(text.as_bytes()).unwrap());
        let bound = bind_all(&[spec], &plan(false), &mut |n| panic!("{n}")).unwrap();
        assert!(path.exists());
        unlink_unix(&bound, &mut |w| panic!("{w}"));
        assert!(!path.exists());
    }
}

//! One type for every connection: TCP, unix, TLS as server or as client.
//!
//! ```text
//!  Stream ── Plain(Socket) ──────────── Tcp | Unix
//!         └─ TlsServer | TlsClient ──── rustls over a Socket
//! ```
//!
//! Reading and writing go through tokio's `AsyncRead`/`AsyncWrite`; what only a socket can tell
//! (addresses, options, pending error) is asked from `socket()`.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bstr::BString;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::addr::Addr;
use super::fd;
use super::tls::{ClientStream, ServerStream};

/// A connection of any kind.
#[derive(Debug)]
pub enum Stream {
    Plain(Socket),
    TlsServer(Box<ServerStream>),
    TlsClient(Box<ClientStream>),
}

/// A connection without TLS.
#[derive(Debug)]
pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// The socket below, whatever runs over it.
    pub fn socket(&self) -> &Socket {
        match self {
            Self::Plain(s) => s,
            Self::TlsServer(s) => s.get_ref().0,
            Self::TlsClient(s) => s.get_ref().0,
        }
    }

    pub fn is_tls(&self) -> bool {
        !matches!(self, Self::Plain(_))
    }

    pub fn peer_addr(&self) -> io::Result<Addr> {
        self.socket().peer_addr()
    }

    pub fn local_addr(&self) -> io::Result<Addr> {
        self.socket().local_addr()
    }

    /// Reads without waiting; `WouldBlock` when nothing is there. For plain sockets only: a TLS
    /// connection answers `WouldBlock` and must be polled.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(Socket::Tcp(s)) => s.try_read(buf),
            Self::Plain(Socket::Unix(s)) => s.try_read(buf),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// True if the peer has closed or reset the connection; takes no bytes.
    pub fn peer_closed(&self) -> bool {
        fd::peer_closed(self)
    }
}

impl Socket {
    pub fn peer_addr(&self) -> io::Result<Addr> {
        match self {
            Self::Tcp(s) => s.peer_addr().map(Addr::Inet),
            Self::Unix(s) => s.peer_addr().map(|a| unix_addr(&a)),
        }
    }

    pub fn local_addr(&self) -> io::Result<Addr> {
        match self {
            Self::Tcp(s) => s.local_addr().map(Addr::Inet),
            Self::Unix(s) => s.local_addr().map(|a| unix_addr(&a)),
        }
    }

    /// The error pending on the socket (`SO_ERROR`), cleared by reading it.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Self::Tcp(s) => s.take_error(),
            Self::Unix(s) => s.take_error(),
        }
    }

    /// Sets `TCP_NODELAY`; a unix socket has none and says yes.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        match self {
            Self::Tcp(s) => s.set_nodelay(on),
            Self::Unix(_) => Ok(()),
        }
    }

    pub fn set_keepalive(&self, on: bool) -> io::Result<()> {
        socket2::SockRef::from(self).set_keepalive(on)
    }

    /// Makes the coming close send RST (`reset_timedout_connection`).
    pub fn reset_on_close(&self) -> io::Result<()> {
        socket2::SockRef::from(self).set_linger(Some(Duration::ZERO))
    }

    /// Copies what can be read, once there is something, and leaves it there; 0 at the end.
    pub async fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            self.readable().await?;
            let look = || fd::peek(self, into);
            let seen = match self {
                Self::Tcp(s) => s.try_io(Interest::READABLE, look),
                Self::Unix(s) => s.try_io(Interest::READABLE, look),
            };
            match seen {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
        }
    }

    /// Waits until something can be read or the peer has closed; takes no bytes.
    pub async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(s) => s.readable().await,
            Self::Unix(s) => s.readable().await,
        }
    }

    /// Writes without waiting.
    pub fn try_write(&self, data: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(s) => s.try_write(data),
            Self::Unix(s) => s.try_write(data),
        }
    }

    /// The next byte without taking it; `None` when the peer has closed. Tells TLS from plain text.
    pub async fn peek_byte(&self) -> io::Result<Option<u8>> {
        std::future::poll_fn(|cx| self.poll_peek(cx)).await
    }

    /// Waits for a byte or the end, taking nothing.
    pub fn poll_peek(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<u8>>> {
        loop {
            ready!(self.poll_read_ready(cx))?;
            let look = || fd::peek_byte(self);
            // Being told "not yet" makes tokio wait for the next event, and the loop with it.
            let seen = match self {
                Self::Tcp(s) => s.try_io(Interest::READABLE, look),
                Self::Unix(s) => s.try_io(Interest::READABLE, look),
            };
            match seen {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
        }
    }

    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(s) => s.poll_read_ready(cx),
            Self::Unix(s) => s.poll_read_ready(cx),
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(s: TcpStream) -> Self {
        Self::Plain(Socket::Tcp(s))
    }
}

impl From<UnixStream> for Stream {
    fn from(s: UnixStream) -> Self {
        Self::Plain(Socket::Unix(s))
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        self.socket().as_raw_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Tcp(s) => s.as_raw_fd(),
            Self::Unix(s) => s.as_raw_fd(),
        }
    }
}

impl std::os::fd::AsFd for Socket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Self::Tcp(s) => s.as_fd(),
            Self::Unix(s) => s.as_fd(),
        }
    }
}

/// Calls the same method on whichever stream is inside.
macro_rules! each {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Plain($stream) => $call,
            Stream::TlsServer($stream) => $call,
            Stream::TlsClient($stream) => $call,
        }
    };
}

/// The same for the two kinds of socket.
macro_rules! each_socket {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Socket::Tcp($stream) => $call,
            Socket::Unix($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match ready!(each!(self, s => Pin::new(s).poll_read(cx, buf))) {
            // nginx, too, takes a peer that closes without saying so in TLS for one at its end.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            done => Poll::Ready(done),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, s => Pin::new(s).poll_write(cx, data))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, s => Pin::new(s).poll_write_vectored(cx, data))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, s => Pin::new(s).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, s => Pin::new(s).poll_shutdown(cx))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each_socket!(self, s => Pin::new(s).poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        each_socket!(self, s => Pin::new(s).poll_write(cx, data))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each_socket!(self, s => Pin::new(s).poll_write_vectored(cx, data))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each_socket!(self, s => Pin::new(s).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each_socket!(self, s => Pin::new(s).poll_shutdown(cx))
    }
}

fn unix_addr(a: &tokio::net::unix::SocketAddr) -> Addr {
    use std::os::unix::ffi::OsStrExt;
    let path = a.as_pathname().map(|p| p.as_os_str().as_bytes()).unwrap_or_default();
    Addr::Unix(BString::from(path))
}

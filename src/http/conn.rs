//! One client connection: its buffers, and the pump that empties the write buffer.
//!
//! ```text
//!  filters ── write() ──▶ buffer ── try_send() ──▶ socket
//!                            └── pump task, only while the socket would block
//! ```
//! Reading and writing borrow the stream for one poll only, so a reader may wait while a writer
//! works.

use std::{
    any::Any,
    cell::{Cell, OnceCell, Ref, RefCell},
    collections::VecDeque,
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    base::clock,
    net::{
        addr::Addr,
        stream::Stream,
        tls::{ServerTls, Session},
    },
};

use crate::net::proxy_protocol::Told;

use super::{build::HttpConf, deadline::Deadline, h2, limit_rate::Pace, location::Server};

/// A client connection, shared by its requests.
pub struct Conn {
    /// nginx's connection serial, the `*1` of log lines.
    pub number: u64,
    /// The configuration that holds for all its requests.
    pub http: Arc<HttpConf>,
    /// The client, or whom a trusted proxy speaks for.
    peer: RefCell<Addr>,
    /// Who is connected, when `peer` is somebody else.
    replaced: RefCell<Option<Addr>>,
    pub proxy_protocol: OnceCell<Told>,
    pub local: Addr,
    /// What `$remote_addr` says.
    pub remote_text: RefCell<Bytes>,
    wire: Wire,
    read: RefCell<BytesMut>,
    write: RefCell<WriteBuffer>,
    pub requests: Cell<u64>,
    /// The present request came before the one before it was answered.
    pub pipelined: Cell<bool>,
    pub opened: clock::Wall,
    eof: Cell<bool>,
    error: Cell<Option<io::ErrorKind>>,
    pumping: Cell<bool>,
    drain_wakers: RefCell<Vec<Waker>>,
    /// When the client has to have sent its next head.
    pub deadline: Deadline,
    /// How long the client may stay silent after a request.
    pub idle_ms: Cell<u64>,
    pub send_timeout_ms: Cell<u64>,
    pub send_timed_out: Cell<bool>,
    /// The subrequest whose output may pass to the client now; others wait in `Postponed`.
    pub active: RefCell<std::rc::Weak<super::request::Request>>,
    /// Bytes sent, for `$bytes_sent`.
    pub sent: Cell<u64>,
    /// Set when a script took the raw socket; the server must not write any more.
    pub hijacked: Cell<bool>,
    pub tls: bool,
    /// What is being done for the client, nginx's words behind `while` in log lines; empty for
    /// none.
    pub action: Cell<&'static str>,
    /// The server the client asked for in its TLS hello.
    pub tls_server: OnceCell<Arc<Server>>,
    /// The settings a hook has chosen for the handshake.
    pub chosen_tls: OnceCell<ServerTls>,
    /// What the hook wants back in the connection's requests.
    pub keepsake: OnceCell<Rc<dyn Any>>,
    /// What is known about the TLS connection; read when first asked for.
    pub session: OnceCell<Option<Rc<Session>>>,
    /// How fast the present response may go (`limit_rate`).
    pub pace: RefCell<Option<Box<Pace>>>,
}

/// What carries the bytes.
enum Wire {
    Socket(RefCell<Stream>),
    /// A stream of an HTTP/2 connection: bytes are those of bodies.
    Http2(Rc<h2::stream::Stream>),
}

/// Bytes on their way out.
#[derive(Default)]
pub struct WriteBuffer {
    chunks: VecDeque<Bytes>,
    tail: BytesMut,
    bytes: usize,
}

impl Conn {
    /// How long ago it was opened.
    pub fn age_ms(&self) -> u64 {
        let now = clock::wall();
        let ms = |wall: clock::Wall| wall.secs * 1000 + i64::from(wall.msec);
        u64::try_from(ms(now) - ms(self.opened)).unwrap_or(0)
    }

    pub fn new(
        http: Arc<HttpConf>,
        number: u64,
        stream: Stream,
        peer: Addr,
        local: Addr,
    ) -> Rc<Self> {
        let tls = stream.is_tls();
        let remote = Bytes::from(peer.ip_text());
        let wire = Wire::Socket(RefCell::new(stream));
        Rc::new(Self::over(http, number, wire, tls, peer, local, remote))
    }

    /// The connection as the request of one HTTP/2 stream sees it.
    pub fn of_stream(whole: &Self, stream: Rc<h2::stream::Stream>) -> Rc<Self> {
        let (peer, local) = (whole.peer().clone(), whole.local.clone());
        let remote = whole.remote_text.borrow().clone();
        let (http, wire) = (whole.http.clone(), Wire::Http2(stream));
        let own = Self::over(http, whole.number, wire, whole.tls, peer, local, remote);
        own.requests.set(whole.requests.get());
        Rc::new(Self {
            opened: whole.opened,
            tls_server: whole.tls_server.clone(),
            proxy_protocol: whole.proxy_protocol.clone(),
            session: OnceCell::from(super::tls::session(whole)),
            ..own
        })
    }

    fn over(
        http: Arc<HttpConf>,
        number: u64,
        wire: Wire,
        tls: bool,
        peer: Addr,
        local: Addr,
        remote_text: Bytes,
    ) -> Self {
        Self {
            http,
            number,
            tls,
            peer: RefCell::new(peer),
            replaced: RefCell::default(),
            proxy_protocol: OnceCell::new(),
            pace: RefCell::default(),
            local,
            remote_text: RefCell::new(remote_text),
            wire,
            read: RefCell::default(),
            write: RefCell::default(),
            requests: Cell::new(0),
            pipelined: Cell::new(false),
            opened: clock::wall(),
            eof: Cell::new(false),
            error: Cell::new(None),
            pumping: Cell::new(false),
            drain_wakers: RefCell::default(),
            deadline: Deadline::default(),
            idle_ms: Cell::new(75_000),
            send_timeout_ms: Cell::new(60_000),
            send_timed_out: Cell::new(false),
            active: RefCell::default(),
            sent: Cell::new(0),
            hijacked: Cell::new(false),
            action: Cell::new(""),
            tls_server: OnceCell::new(),
            chosen_tls: OnceCell::new(),
            keepsake: OnceCell::new(),
            session: OnceCell::new(),
        }
    }

    /// The HTTP/2 stream this is, if it is one.
    pub fn http2(&self) -> Option<&Rc<h2::stream::Stream>> {
        match &self.wire {
            Wire::Socket(_) => None,
            Wire::Http2(stream) => Some(stream),
        }
    }

    pub fn peer(&self) -> Ref<'_, Addr> {
        self.peer.borrow()
    }

    /// Lets the client be `addr` for the present request.
    pub fn replace_peer(&self, addr: Addr) {
        *self.remote_text.borrow_mut() = addr.ip_text().into();
        let before = self.peer.replace(addr);
        self.replaced.borrow_mut().get_or_insert(before);
    }

    pub fn replaced_peer(&self) -> Option<Ref<'_, Addr>> {
        Ref::filter_map(self.replaced.borrow(), Option::as_ref).ok()
    }

    /// The request is over: what it said about the client does not count for the next one.
    pub fn restore_peer(&self) {
        if let Some(before) = self.replaced.take() {
            *self.remote_text.borrow_mut() = before.ip_text().into();
            *self.peer.borrow_mut() = before;
        }
        self.pace.take();
    }

    /// Runs `f` on the bytes read and not yet consumed.
    pub fn with_read<T>(&self, f: impl FnOnce(&mut BytesMut) -> T) -> T {
        f(&mut self.read.borrow_mut())
    }

    /// Runs `f` on the socket's stream; a stream of HTTP/2 has none of its own.
    pub fn with_stream<T>(&self, f: impl FnOnce(&mut Stream) -> T) -> Option<T> {
        match &self.wire {
            Wire::Socket(stream) => Some(f(&mut stream.borrow_mut())),
            Wire::Http2(_) => None,
        }
    }

    /// Reads more bytes into the buffer, up to `most`; 0 means the client closed.
    pub async fn fill(&self, most: usize) -> io::Result<usize> {
        poll_fn(|cx| self.poll_fill(cx, most)).await
    }

    pub fn poll_fill(&self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<usize>> {
        if self.eof.get() {
            return Poll::Ready(Ok(0));
        }
        let stream = match &self.wire {
            Wire::Socket(stream) => stream,
            Wire::Http2(stream) => {
                let filled = stream.poll_fill(cx, most, &mut self.read.borrow_mut());
                if let Poll::Ready(Ok(0)) = filled {
                    self.eof.set(true);
                }
                return filled;
            }
        };
        let mut space = [std::mem::MaybeUninit::<u8>::uninit(); 16 * 1024];
        let room = most.min(space.len()).max(1);
        let mut buf = ReadBuf::uninit(&mut space[..room]);
        let mut stream = stream.borrow_mut();
        match Pin::new(&mut *stream).poll_read(cx, &mut buf) {
            Poll::Ready(Ok(())) => {
                let filled = buf.filled();
                self.read.borrow_mut().extend_from_slice(filled);
                if filled.is_empty() {
                    self.eof.set(true);
                }
                Poll::Ready(Ok(filled.len()))
            }
            Poll::Ready(Err(error)) => {
                self.error.set(Some(error.kind()));
                Poll::Ready(Err(error))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Waits until the client closes or breaks the connection; what it sends meanwhile is kept.
    pub async fn closed_by_client(&self) -> io::Result<()> {
        if let Wire::Http2(stream) = &self.wire {
            stream.gone().await;
            return Ok(());
        }
        loop {
            if self.read.borrow().len() > CLOSE_WATCH_BYTES_MAX {
                return std::future::pending().await;
            }
            if self.fill(4096).await? == 0 {
                return Ok(());
            }
        }
    }

    pub fn at_eof(&self) -> bool {
        self.eof.get()
    }

    pub fn failed(&self) -> bool {
        self.error.get().is_some() || self.http2().is_some_and(|stream| stream.is_broken())
    }

    /// Marks the connection as unusable.
    pub fn fail(&self, kind: io::ErrorKind) {
        self.error.set(Some(kind));
        self.write.borrow_mut().clear();
        self.wake_drained();
    }

    /// Appends bytes to the write buffer.
    pub fn write(&self, bytes: Bytes) {
        if !self.failed() {
            self.write.borrow_mut().push(bytes);
        }
    }

    pub fn write_slice(&self, bytes: &[u8]) {
        if !self.failed() {
            self.write.borrow_mut().push_slice(bytes);
        }
    }

    /// Drops what was not sent yet.
    pub fn forget_unsent(&self) {
        self.write.borrow_mut().clear();
        self.wake_drained();
    }

    pub fn unsent(&self) -> usize {
        self.write.borrow().bytes
    }

    /// Sends what the socket takes now; the pump sends the rest.
    pub fn try_send(self: &Rc<Self>) {
        if self.pumping.get() || self.failed() {
            return;
        }
        if self.pace.borrow().is_some() {
            self.pumping.set(true);
            tokio::task::spawn_local(pump(self.clone()));
            return;
        }
        let mut cx = Context::from_waker(Waker::noop());
        match self.poll_send(&mut cx) {
            Poll::Ready(_) => self.wake_drained(),
            Poll::Pending => {
                self.pumping.set(true);
                tokio::task::spawn_local(pump(self.clone()));
            }
        }
    }

    /// Writes until the buffer is empty.
    fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = match &self.wire {
            Wire::Socket(stream) => stream,
            Wire::Http2(stream) => {
                let (mut buffer, mut pace) = (self.write.borrow_mut(), self.pace.borrow_mut());
                let sent = stream.poll_send(cx, &mut buffer, pace.as_deref_mut(), &self.sent);
                if let Poll::Ready(Err(error)) = &sent {
                    self.error.set(Some(error.kind()));
                }
                return sent;
            }
        };
        let mut stream = stream.borrow_mut();
        let mut buffer = self.write.borrow_mut();
        let mut pace = self.pace.borrow_mut();
        while let Some(mut front) = buffer.front() {
            if let Some(pace) = pace.as_mut() {
                let room = std::task::ready!(pace.poll_room(cx));
                front = &front[..front.len().min(room)];
            }
            match Pin::new(&mut *stream).poll_write(cx, front) {
                Poll::Ready(Ok(0)) => {
                    self.error.set(Some(io::ErrorKind::WriteZero));
                    buffer.clear();
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                Poll::Ready(Ok(n)) => {
                    buffer.advance(n);
                    if let Some(pace) = pace.as_mut() {
                        pace.spend(n);
                    }
                    self.sent.set(self.sent.get() + n as u64);
                }
                Poll::Ready(Err(error)) => {
                    self.error.set(Some(error.kind()));
                    buffer.clear();
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        if self.tls {
            return Pin::new(&mut *stream).poll_flush(cx);
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until everything written so far has been handed to the kernel.
    pub async fn drained(&self) -> io::Result<()> {
        poll_fn(|cx| {
            if let Some(kind) = self.error.get() {
                return Poll::Ready(Err(kind.into()));
            }
            if self.unsent() == 0 && !self.pumping.get() {
                return Poll::Ready(Ok(()));
            }
            self.drain_wakers.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Sends everything and closes the writing side.
    pub async fn shutdown(self: &Rc<Self>) {
        self.try_send();
        if self.drained().await.is_ok() {
            let _ = poll_fn(|cx| match &self.wire {
                Wire::Socket(stream) => Pin::new(&mut *stream.borrow_mut()).poll_shutdown(cx),
                Wire::Http2(_) => Poll::Ready(Ok(())),
            })
            .await;
        }
    }

    /// Wakes the task when the write buffer is empty.
    pub fn wake_when_drained(&self, cx: &Context<'_>) {
        self.drain_wakers.borrow_mut().push(cx.waker().clone());
    }

    fn wake_drained(&self) {
        for waker in self.drain_wakers.borrow_mut().drain(..) {
            waker.wake();
        }
    }
}

impl WriteBuffer {
    fn push(&mut self, bytes: Bytes) {
        if bytes.len() < COPY_BELOW_BYTES {
            return self.push_slice(&bytes);
        }
        self.bytes += bytes.len();
        if !self.tail.is_empty() {
            self.chunks.push_back(self.tail.split().freeze());
        }
        self.chunks.push_back(bytes);
    }

    fn push_slice(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.tail.extend_from_slice(bytes);
    }

    fn front(&mut self) -> Option<&[u8]> {
        if self.chunks.is_empty() {
            return Some(&self.tail[..]).filter(|tail| !tail.is_empty());
        }
        self.chunks.front().map(|chunk| &chunk[..])
    }

    fn advance(&mut self, n: usize) {
        self.bytes -= n;
        match self.chunks.front_mut() {
            None if n == self.tail.len() => self.tail.clear(),
            None => self.tail.advance(n),
            Some(chunk) => {
                chunk.advance(n);
                if chunk.is_empty() {
                    self.chunks.pop_front();
                }
            }
        }
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    pub fn len(&self) -> usize {
        self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Takes up to `most` bytes from the front.
    pub fn take(&mut self, most: usize) -> Bytes {
        let taken = match self.chunks.front_mut() {
            None => self.tail.split_to(most.min(self.tail.len())).freeze(),
            Some(chunk) => chunk.split_to(most.min(chunk.len())),
        };
        if self.chunks.front().is_some_and(Bytes::is_empty) {
            self.chunks.pop_front();
        }
        self.bytes -= taken.len();
        taken
    }
}

/// Empties the write buffer while the socket would block; gives up after `send_timeout` without
/// progress.
async fn pump(conn: Rc<Conn>) {
    loop {
        let before = conn.unsent();
        let timeout = Duration::from_millis(conn.send_timeout_ms.get().max(1));
        let progress = poll_fn(|cx| match conn.poll_send(cx) {
            Poll::Pending if conn.unsent() < before => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
            Poll::Ready(_) => Poll::Ready(true),
        });
        match tokio::time::timeout(timeout, progress).await {
            Ok(true) => break,
            Ok(false) => {}
            // Waiting for its turn is not the client's fault.
            Err(_) if conn.pace.borrow().as_ref().is_some_and(|pace| pace.waits()) => {}
            Err(_) => {
                conn.send_timed_out.set(true);
                conn.fail(io::ErrorKind::TimedOut);
                break;
            }
        }
    }
    conn.pumping.set(false);
    conn.wake_drained();
}

/// Chunks smaller than this are gathered into one write.
const COPY_BELOW_BYTES: usize = 16 * 1024;
/// A client that pipelines more than this is not watched for its abort any further.
const CLOSE_WATCH_BYTES_MAX: usize = 64 * 1024;

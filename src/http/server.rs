//! Accepting connections, and the life of one: requests in turn until somebody closes.
//!
//! ```text
//!  accept ─▶ (TLS) ─▶ read head ─▶ Request ─▶ phases ─▶ log ─┬▶ next request
//!                        ▲                                   └▶ close, lingering when needed
//!                        └──────────── keep-alive ───────────┘
//! ```

use std::{
    cell::Cell,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Buf;
use tokio::sync::{Notify, futures::Notified, watch};

use crate::{
    base::clock,
    net::{addr::Addr, http2::PREFACE, listen::Listener, stream::Stream},
    process::Stop,
    server::{
        accept, listen,
        proxy_protocol::{self, Between},
    },
};

use super::{
    build::{HttpConf, Listening},
    conn::Conn,
    finish, h2,
    modules::stub_status::Counts,
    phase::{self, Flow, Phase},
    read_head::{self, Head},
    request::Request,
    subrequest,
};

/// Connections of one worker thread under one configuration.
pub struct Server {
    http: Arc<HttpConf>,
    shutdown: watch::Receiver<Stop>,
    stopping: Cell<bool>,
    /// Wakes idle connections when the worker is told to stop.
    stop: Notify,
    open: Cell<usize>,
    idle: Notify,
    counts: Arc<Counts>,
}

/// Serves on one worker thread until told to stop; then waits for open connections to end.
pub async fn serve(
    http: Arc<HttpConf>,
    listeners: Vec<(Listener, Addr)>,
    mut shutdown: watch::Receiver<Stop>,
) {
    tokio::task::spawn_local(super::proxy::cache::zone::keep_house(http.clone()));
    let server = Server::new(http, shutdown.clone());
    for (listener, socket) in listeners {
        tokio::task::spawn_local(server.clone().accept(listener, socket));
    }
    // An error means that the control thread is gone: nothing to serve for.
    let stop = shutdown.wait_for(|stop| *stop > Stop::Serve).await.map(|stop| *stop);
    server.stopping.set(true);
    server.stop.notify_waiters();
    if stop.is_ok_and(|stop| stop < Stop::Fast) {
        tokio::select! {
            () = server.drained() => {}
            _ = shutdown.wait_for(|stop| *stop == Stop::Fast) => {}
        }
    }
}

impl Server {
    pub fn new(http: Arc<HttpConf>, shutdown: watch::Receiver<Stop>) -> Rc<Self> {
        Rc::new(Self {
            http,
            shutdown,
            stopping: Cell::new(false),
            stop: Notify::new(),
            open: Cell::new(0),
            idle: Notify::new(),
            counts: Counts::registered(),
        })
    }

    /// Accepts on one socket until told to stop.
    pub async fn accept(self: Rc<Self>, listener: Listener, socket: Addr) {
        let take = |stream, peer| self.clone().take(stream, peer, &socket);
        let serves = |stop: &Stop| *stop == Stop::Serve;
        accept::accept(listener, &socket, self.shutdown.clone(), serves, take).await;
    }

    /// Waits until no connection is left.
    pub async fn drained(&self) {
        while self.open.get() > 0 {
            self.idle.notified().await;
        }
    }

    fn take(self: Rc<Self>, stream: Stream, peer: Addr, socket: &Addr) {
        clock::update();
        let socket = socket.clone();
        self.open.set(self.open.get() + 1);
        self.counts.accepted();
        tokio::task::spawn_local(async move {
            let http = self.http.clone();
            if let Ok(local) = stream.local_addr()
                && let Some(listening) = listen::find(&http.addresses, &socket, false, &local)
            {
                self.connection(stream, peer, local, listening).await;
            }
            self.open.set(self.open.get() - 1);
            self.counts.closed();
            self.idle.notify_waiters();
        });
    }

    async fn connection(
        self: &Rc<Self>,
        stream: Stream,
        peer: Addr,
        local: Addr,
        listening: &Listening,
    ) {
        let number = crate::server::serial();
        // A unix socket or a closed peer has no such option.
        let _ = stream.socket().set_nodelay(true);
        let mut stream = stream;
        let mut told = None;
        if listening.proxy_protocol {
            let server = &listening.servers.default;
            let (log, listen) = (server.root.log(), &listening.spec.addr);
            let who = Between { log: &log, number, client: &peer, listen };
            let limit = Duration::from_millis(server.client_header_timeout_ms);
            let Some(header) = proxy_protocol::read(&mut stream, limit, &who).await else {
                return;
            };
            told = Some(header);
        }
        let conn = if listening.ssl {
            match super::tls::accept(stream, listening, number, &peer, &local).await {
                Some(accepted) => accepted.into_conn(self.http.clone(), number, peer, local),
                None => return,
            }
        } else {
            Conn::new(self.http.clone(), number, stream, peer, local)
        };
        if let Some(told) = told {
            // Set once, before anybody reads it.
            let _ = conn.proxy_protocol.set(told);
        }
        let mut first = true;
        let mut stop = StopWatch { notified: Box::pin(self.stop.notified()), listens: false };
        if listening.may_speak_h2() && self.preface(&conn, listening, &mut stop).await {
            let stop = stop.notified.as_mut();
            return h2::session::serve(self, listening, conn, stop).await;
        }
        loop {
            self.counts.waits();
            let arrived = self.next_head_arrives(&conn, listening, first, &mut stop).await;
            self.counts.waited();
            if !arrived {
                break;
            }
            if !self.request(&conn, listening, first).await {
                break;
            }
            first = false;
        }
        if !conn.hijacked.get() || conn.unsent() > 0 {
            conn.try_send();
            let _ = conn.drained().await;
        }
    }

    /// Waits for the first byte of a request; idle connections end when the worker shuts down.
    async fn next_head_arrives(
        &self,
        conn: &Rc<Conn>,
        listening: &Listening,
        first: bool,
        stop: &mut StopWatch<'_>,
    ) -> bool {
        if conn.with_read(|read| !read.is_empty()) {
            return true;
        }
        let server = &listening.servers.default;
        conn.deadline.set(if first { server.client_header_timeout_ms } else { conn.idle_ms.get() });
        let mut told = false;
        let arrived = poll_fn(|cx| {
            if let Poll::Ready(filled) = conn.poll_fill(cx, read_head::FIRST_READ_BYTES) {
                return Poll::Ready(matches!(filled, Ok(count) if count > 0));
            }
            stop.listen(cx);
            if self.stopping.get() && !told {
                // What is on its way already is still served.
                told = true;
                conn.deadline.set(grace_ms(*self.shutdown.borrow()));
            }
            conn.deadline.poll(cx).map(|()| false)
        });
        let arrived = arrived.await;
        clock::tick();
        arrived
    }

    /// Whether the client speaks HTTP/2: as agreed in the TLS handshake, or by its first bytes.
    async fn preface(
        &self,
        conn: &Rc<Conn>,
        listening: &Listening,
        stop: &mut StopWatch<'_>,
    ) -> bool {
        let agreed = super::tls::session(conn)
            .is_some_and(|session| session.alpn.as_deref() == Some(&b"h2"[..]));
        if listening.ssl && !agreed {
            return false;
        }
        loop {
            let (begins, whole) = conn.with_read(|read| {
                let size = read.len().min(PREFACE.len());
                (read[..size] == PREFACE[..size], read.len() >= PREFACE.len())
            });
            if begins && whole {
                conn.with_read(|read| read.advance(PREFACE.len()));
                return true;
            }
            let empty = conn.with_read(|read| read.is_empty());
            if !begins {
                return false;
            }
            let arrived = match empty {
                true => self.next_head_arrives(conn, listening, true, stop).await,
                false => conn.fill(read_head::FIRST_READ_BYTES).await.is_ok_and(|count| count > 0),
            };
            if !arrived {
                return false;
            }
        }
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// Runs a request to its end, log included.
    pub async fn run(&self, r: &Rc<Request>, early: Option<Flow>) {
        *r.conn.active.borrow_mut() = Rc::downgrade(r);
        match early {
            None => phase::run(r, Phase::ServerRewrite).await,
            Some(flow) => {
                if let Some(next) = finish::conclude(r, flow) {
                    phase::run(r, next).await;
                }
            }
        }
        if r.conn.pace.borrow().is_some() {
            // What is throttled is not over until it is sent, or the client has left.
            tokio::select! {
                _ = r.conn.drained() => {}
                _ = r.conn.closed_by_client() => r.conn.fail(std::io::ErrorKind::ConnectionReset),
            }
        }
        if r.with_location(|location| location.core().post_action.is_some()) {
            subrequest::post_action(r).await;
        }
        finish::log_phase(r).await;
    }

    /// Serves one request; tells whether the connection can carry another.
    async fn request(&self, conn: &Rc<Conn>, listening: &Listening, first: bool) -> bool {
        conn.requests.set(conn.requests.get() + 1);
        conn.action.set("");
        conn.pipelined.set(!first && conn.with_read(|read| !read.is_empty()));
        self.counts.reads();
        let head = read_head::read(conn, listening, first).await;
        self.counts.has_read();
        let (r, early) = match head {
            Head::Request(r) => {
                let refused = super::tls::refuse(&r, listening);
                (r, refused)
            }
            Head::Refused(r, flow) => (r, Some(flow)),
            Head::Gone => return false,
        };
        if self.stopping.get() {
            r.keepalive.set(false);
        }
        self.run(&r, early).await;
        let again = self.afterwards(conn, &r).await;
        // Feature contexts may hold the request: sockets a script made of its connection, for one.
        r.clear_ext();
        conn.restore_peer();
        again
    }

    async fn afterwards(&self, conn: &Rc<Conn>, r: &Rc<Request>) -> bool {
        if conn.hijacked.get() || conn.failed() {
            return false;
        }
        if r.keepalive.get() && !r.connection_error.get() && !r.body.is_pending() {
            return true;
        }
        let timeouts = r.with_location(|location| {
            let core = location.core();
            (core.lingering_close(), core.lingering_timeout_ms(), core.lingering_time_ms())
        });
        if r.keepalive.get() && !r.connection_error.get() {
            let drain = tokio::time::timeout(Duration::from_millis(timeouts.1), r.drain_body());
            return matches!(drain.await, Ok(true));
        }
        if r.body.is_pending() && timeouts.0 > 0 || timeouts.0 == 2 {
            linger(conn, timeouts.1, timeouts.2).await;
        }
        false
    }
}

/// Wakes a connection's task when the worker is told to stop.
struct StopWatch<'a> {
    notified: Pin<Box<Notified<'a>>>,
    listens: bool,
}

impl StopWatch<'_> {
    /// Asks to be woken; once is enough, as a connection has one task only.
    fn listen(&mut self, cx: &mut Context<'_>) {
        if !self.listens {
            self.listens = self.notified.as_mut().poll(cx).is_pending();
        }
    }
}

/// How long an idle connection may still bring a request. A client that sends while we close sees
/// an error, so a reload waits long enough for any client that is busy.
fn grace_ms(stop: Stop) -> u64 {
    if stop == Stop::Replaced { 500 } else { 50 }
}

/// Closes the writing side and reads on for a while, so that the client gets to see the response.
pub async fn linger(conn: &Rc<Conn>, timeout_ms: u64, time_ms: u64) {
    conn.shutdown().await;
    let step = Duration::from_millis(timeout_ms);
    let whole = tokio::time::timeout(Duration::from_millis(time_ms), async {
        while let Ok(Ok(count)) = tokio::time::timeout(step, conn.fill(16 * 1024)).await {
            conn.with_read(|read| read.clear());
            if count == 0 {
                return;
            }
        }
    });
    // Time is up: the client had its chance.
    let _ = whole.await;
}

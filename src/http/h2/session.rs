//! One HTTP/2 connection: frames in, requests out, until somebody closes.
//!
//! ```text
//!  bytes ─▶ next frame ─┬ HEADERS + CONTINUATION ─▶ Draft ─▶ Request ─▶ a task of its own
//!                       ├ DATA ─▶ stream            WINDOW_UPDATE, SETTINGS ─▶ link
//!                       └ whatever is wrong ─▶ GOAWAY, or RST_STREAM for one stream
//! ```

use std::{future::poll_fn, pin::Pin, rc::Rc, sync::Arc, task::Poll};

use bytes::BytesMut;
use tokio::sync::futures::Notified;

use crate::{
    base::{clock, log::Level},
    http::{
        build::Listening, conn::Conn, location::Server as Virtual, phase::Flow, request::Request,
        server::Server,
    },
    net::http2::{
        self, Code,
        frame::{self, Head, kind, setting},
        hpack::Decoder,
    },
};

use super::{conf::Http2, link::Link, stream::Stream};

/// The serving side of a connection.
pub struct Session<'a> {
    pub(super) server: &'a Rc<Server>,
    pub(super) listening: &'a Listening,
    pub(super) host: Arc<Virtual>,
    pub(super) link: Rc<Link>,
    pub(super) decoder: Decoder,
    pub(super) last_id: u32,
    /// A header block whose end has not come yet.
    pub(super) block: Option<Block>,
    /// A DATA frame, or one to be skipped, of which bytes are still to come.
    pub(super) data: Option<Incoming>,
    pub(super) recv_window: i64,
    pub(super) settings_acked: bool,
    pub(super) goaway_sent: bool,
    /// Streams begun since the client was last waited for, and those refused.
    pub(super) new_streams: usize,
    pub(super) refused: usize,
    /// All bytes received, and those of bodies and header fields: floods have few of the latter.
    total_bytes: u64,
    pub(super) useful_bytes: u64,
}

/// Header fragments up to their end.
pub(super) struct Block {
    pub stream: u32,
    pub in_closed: bool,
    pub text: BytesMut,
    pub purpose: Purpose,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Request,
    /// Fields behind a body.
    Trailers,
    /// Decoded only to keep the tables in step.
    Discard,
}

/// The payload of a frame that is taken piece by piece.
pub(super) struct Incoming {
    pub stream: Option<Rc<Stream>>,
    pub left: usize,
    pub padding: usize,
    pub end: bool,
}

/// The connection has to end: what GOAWAY says, and the log.
#[derive(Debug)]
pub(super) struct Fatal(pub Code, pub String);

pub(super) type Outcome = Result<(), Fatal>;

/// Serves a connection whose preface has been read.
pub async fn serve(
    server: &Rc<Server>,
    listening: &Listening,
    conn: Rc<Conn>,
    mut stop: Pin<&mut Notified<'_>>,
) {
    let host = conn.tls_server.get().unwrap_or(&listening.servers.default).clone();
    let mut session = Session {
        server,
        listening,
        host,
        link: Link::new(conn.clone()),
        decoder: Decoder::default(),
        last_id: 0,
        block: None,
        data: None,
        recv_window: http2::MAX_WINDOW,
        settings_acked: false,
        goaway_sent: false,
        new_streams: 0,
        refused: 0,
        total_bytes: 0,
        useful_bytes: 0,
    };
    conn.action.set("processing HTTP/2 connection");
    session.greet();
    let ended = session.run(stop.as_mut()).await;
    if let Err(Fatal(code, text)) = ended {
        if !text.is_empty() {
            session.log(Level::Info, &text);
        }
        session.goaway(code);
    }
    session.link.each(Stream::break_off);
    session.last_streams().await;
    conn.try_send();
    session.close(&conn).await;
}

impl Session<'_> {
    pub(super) fn conf(&self) -> &Http2 {
        self.host.root.scope.part::<Http2>()
    }

    fn greet(&self) {
        let conf = self.conf();
        let window = conf.preread_bytes() as u32;
        self.link.put(|out| {
            frame::put_settings(
                out,
                &[
                    (setting::MAX_STREAMS, conf.max_streams() as u32),
                    (setting::INITIAL_WINDOW, window),
                    (setting::MAX_FRAME, http2::MAX_FRAME_BYTES as u32),
                ],
            );
            let more = http2::MAX_WINDOW - http2::DEFAULT_WINDOW;
            frame::put_window_update(out, 0, more as u32);
        });
        self.link.conn.try_send();
    }

    /// Handles frames until the connection is to be closed; `Err` also tells the client why.
    async fn run(&mut self, mut stop: Pin<&mut Notified<'_>>) -> Outcome {
        let conn = self.link.conn.clone();
        loop {
            while self.step()? {}
            conn.try_send();
            self.new_streams = 0;
            if conn.failed() {
                return Ok(());
            }
            if self.goaway_sent && self.link.processing.get() == 0 {
                return Ok(());
            }
            self.set_deadline();
            match self.wait(stop.as_mut()).await {
                Event::Bytes(count) => {
                    clock::update();
                    self.total_bytes += count as u64;
                    if self.total_bytes / 8 > self.useful_bytes + FLOOD_SLACK_BYTES {
                        return Err(Fatal(Code::NoError, "http2 flood detected".into()));
                    }
                }
                Event::Closed => return Ok(()),
                Event::StreamEnded => {}
                Event::Stop => self.goaway(Code::NoError),
                Event::TimedOut => self.timed_out()?,
            }
        }
    }

    async fn wait(&self, mut stop: Pin<&mut Notified<'_>>) -> Event {
        let conn = &self.link.conn;
        let before = self.link.processing.get();
        poll_fn(|cx| {
            if let Poll::Ready(filled) = conn.poll_fill(cx, RECV_BYTES) {
                return Poll::Ready(match filled {
                    Ok(count) if count > 0 => Event::Bytes(count),
                    _ => Event::Closed,
                });
            }
            if conn.failed() {
                return Poll::Ready(Event::Closed);
            }
            let stopping = self.server.is_stopping() || stop.as_mut().poll(cx).is_ready();
            if stopping && !self.goaway_sent {
                return Poll::Ready(Event::Stop);
            }
            if self.link.processing.get() < before {
                return Poll::Ready(Event::StreamEnded);
            }
            self.link.watch(cx);
            conn.deadline.poll(cx).map(|()| Event::TimedOut)
        })
        .await
    }

    /// A head that has begun has to arrive in time; else only an idle connection ends.
    fn set_deadline(&self) {
        let deadline = &self.link.conn.deadline;
        if self.pending_head().is_some() {
            deadline.set(self.host.client_header_timeout_ms);
        } else if self.link.processing.get() == 0 {
            deadline.set(self.host.root.core().keepalive_timeout_ms());
        } else {
            deadline.set(NEVER_MS);
        }
    }

    /// The stream whose head is incomplete.
    fn pending_head(&self) -> Option<u32> {
        let block = self.block.as_ref().filter(|block| block.purpose == Purpose::Request);
        if let Some(block) = block {
            return Some(block.stream);
        }
        let head = self.link.conn.with_read(|read| Head::parse(read))?;
        let news = head.kind == kind::HEADERS && head.stream > self.last_id;
        (self.data.is_none() && news).then_some(head.stream)
    }

    fn timed_out(&mut self) -> Outcome {
        let Some(stream) = self.pending_head() else {
            return Err(Fatal(Code::NoError, String::new()));
        };
        self.log(Level::Info, "client timed out (110: Connection timed out)");
        self.link.reset(stream, Code::Protocol);
        self.last_id = stream;
        match &mut self.block {
            Some(block) => block.purpose = Purpose::Discard,
            None => {
                let text = BytesMut::new();
                let purpose = Purpose::Discard;
                self.block = Some(Block { stream, in_closed: false, text, purpose });
            }
        }
        Ok(())
    }

    /// Starts the request of a stream.
    pub(super) fn begin(&mut self, stream: Rc<Stream>, r: Rc<Request>, refused: Option<Flow>) {
        self.link.add(&stream);
        let spent = {
            let location = r.location();
            let core = location.core();
            let requests = r.conn.requests.get();
            core.keepalive_timeout_ms() == 0
                || requests >= core.keepalive_requests()
                || r.conn.age_ms() > core.keepalive_time_ms()
        };
        if spent && !self.goaway_sent {
            self.goaway(Code::NoError);
        }
        tokio::task::spawn_local(serve_stream(self.server.clone(), stream, r, refused));
    }

    /// Says that no new streams are served.
    pub(super) fn goaway(&mut self, code: Code) {
        self.goaway_sent = true;
        let last = self.last_id;
        self.link.put(|out| frame::put_goaway(out, last, code));
        self.link.conn.try_send();
    }

    /// Waits until no request uses the connection.
    async fn last_streams(&self) {
        poll_fn(|cx| {
            self.link.watch(cx);
            if self.link.processing.get() == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Lets the client read what we said last.
    async fn close(&self, conn: &Rc<Conn>) {
        let core = self.host.root.core();
        if conn.drained().await.is_ok() && core.lingering_close() > 0 && !conn.at_eof() {
            let (step, whole) = (core.lingering_timeout_ms(), core.lingering_time_ms());
            crate::http::server::linger(conn, step.min(LINGER_MS_MAX), whole).await;
        }
    }

    pub(super) fn log(&self, level: Level, text: &str) {
        let conn = &self.link.conn;
        let chain = self.host.root.log();
        if chain.enabled(level) {
            let client = bstr::BStr::new(&*conn.remote_text.borrow()).to_string();
            let at = &self.listening.spec.addr;
            let tail =
                format!("while processing HTTP/2 connection, client: {client}, server: {at}");
            chain.write(level, Some(conn.number), format_args!("{text} {tail}"));
        }
    }
}

/// What a session waits for.
enum Event {
    Bytes(usize),
    Closed,
    StreamEnded,
    Stop,
    TimedOut,
}

/// Runs one request to its end, then the stream is over.
async fn serve_stream(
    server: Rc<Server>,
    stream: Rc<Stream>,
    r: Rc<Request>,
    refused: Option<Flow>,
) {
    server.run(&r, refused).await;
    let timed_out = r.conn.send_timed_out.get() || r.status() == 408;
    if !r.connection_error.get() && !stream.is_broken() {
        r.conn.try_send();
        // A client that is gone misses nothing.
        let _ = r.conn.drained().await;
    }
    r.clear_ext();
    stream.link.close(&stream, timed_out || r.conn.send_timed_out.get());
}

const RECV_BYTES: usize = 16 * 1024;
/// nginx's measure of a flood: an eighth of all bytes must be of use, after the first mebibyte.
const FLOOD_SLACK_BYTES: u64 = 1 << 20;
const NEVER_MS: u64 = 365 * 24 * 3_600_000;
const LINGER_MS_MAX: u64 = 5_000;

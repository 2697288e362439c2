//! Bytes of a session in both directions until one side ends.
//!
//! ```text
//!  client ─▶ buffer ─▶ peer        peer ─▶ buffer ─▶ client
//! ```

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::base::clock;
use crate::base::errno::Errno;
use crate::base::log::Level;
use crate::net::stream::Stream;
use crate::stream::content::farewell;

use super::passage::Passage;
use super::rate::Rate;

/// Runs until one side has ended, or nothing has moved for too long; gives back the status.
pub async fn run(p: &mut Passage<'_>, client: &mut Stream, peer: &mut Stream) -> u16 {
    let ahead = std::mem::take(&mut *p.s.preread.borrow_mut());
    let size = p.conf.buffer_size();
    let mut relay = Relay {
        up: Way::new(size, &ahead, Rate::of(p.s, p.conf.upload_rate.as_ref())),
        down: Way::new(size, &[], Rate::of(p.s, p.conf.download_rate.as_ref())),
        half_close: p.conf.half_close(),
    };
    let limit_ms = p.conf.timeout_ms();
    let timer = tokio::time::sleep(Duration::from_millis(limit_ms));
    tokio::pin!(timer);
    let mut moved_ms = clock::mono_ms();
    let end = poll_fn(|cx| {
        loop {
            clock::update();
            match relay.step(cx, p, client, peer) {
                Poll::Ready(Step::Moved) => moved_ms = clock::mono_ms(),
                Poll::Ready(Step::End(end)) => return Poll::Ready(end),
                Poll::Pending => {
                    if timer.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    let idle_ms = clock::mono_ms() - moved_ms;
                    if idle_ms >= limit_ms {
                        return Poll::Ready(End::Timeout);
                    }
                    let rest = Duration::from_millis(limit_ms - idle_ms);
                    timer.as_mut().reset(tokio::time::Instant::now() + rest);
                }
            }
        }
    })
    .await;
    conclude(p, &end);
    p.release(relay.down.broken);
    farewell(peer).await;
    200
}

/// nginx's line about the end.
fn conclude(p: &Passage<'_>, end: &End) {
    let s = p.s;
    match end {
        End::Timeout => {
            s.log(Level::Info, format_args!("connection timed out (110: Connection timed out)"));
        }
        End::Send(error) => {
            s.log(Level::Info, format_args!("send() failed {}", Errno(error)));
        }
        End::Client | End::Peer => {
            let who = if matches!(end, End::Peer) { "upstream" } else { "client" };
            let (received, sent) = s.trace.totals();
            let (from, to) = (s.received.get(), s.sent.get());
            s.log_bare(
                Level::Info,
                format_args!(
                    "{who} disconnected, bytes from/to client:{from}/{to}, \
                     bytes from/to upstream:{received}/{sent}"
                ),
            );
        }
    }
}

/// How a session ends.
enum End {
    Client,
    Peer,
    Timeout,
    Send(io::Error),
}

enum Step {
    Moved,
    End(End),
}

struct Relay {
    up: Way,
    down: Way,
    half_close: bool,
}

impl Relay {
    /// Moves what can be moved, once each way.
    fn step(
        &mut self,
        cx: &mut Context<'_>,
        p: &Passage<'_>,
        client: &mut Stream,
        peer: &mut Stream,
    ) -> Poll<Step> {
        let (s, half_close) = (p.s, self.half_close);
        let up = self.up.turn(cx, client, peer, half_close);
        if let Ok(moved) = &up {
            s.count_received(moved.read);
            s.trace.note(|last, _| last.sent += moved.written as u64);
        }
        let down = self.down.turn(cx, peer, client, half_close);
        if let Ok(moved) = &down {
            s.count_sent(moved.written);
            s.trace.note(|last, took_ms| {
                last.received += moved.read as u64;
                if moved.read > 0 {
                    last.first_byte_ms.get_or_insert(took_ms);
                }
            });
        }
        let (up, down) = match (up, down) {
            (Ok(up), Ok(down)) => (up, down),
            (Err(error), _) | (_, Err(error)) => return Poll::Ready(Step::End(End::Send(error))),
        };
        if let Some(end) = self.end() {
            return Poll::Ready(Step::End(end));
        }
        if up.any() || down.any() { Poll::Ready(Step::Moved) } else { Poll::Pending }
    }

    /// Whether all is over: a side has ended and what it said has arrived.
    fn end(&self) -> Option<End> {
        let (client, peer) = (&self.up, &self.down);
        let open = |side: &Way, other: &Way| !side.eof && other.is_loaded();
        if !client.eof && !peer.eof || open(client, peer) || open(peer, client) {
            return None;
        }
        let all = client.eof && peer.eof && !client.is_loaded() && !peer.is_loaded();
        if self.half_close && !all {
            return None;
        }
        Some(if peer.eof && peer.ended_last(client) { End::Peer } else { End::Client })
    }
}

/// One direction.
struct Way {
    buffer: Box<[u8]>,
    begin: usize,
    end: usize,
    eof: bool,
    /// When it ended, to tell which side did last.
    eof_ms: u64,
    /// It ended with an error.
    broken: bool,
    /// Written, but perhaps still within TLS.
    unflushed: bool,
    shut: bool,
    rate: Rate,
    moved: u64,
    delay: Option<Pin<Box<Sleep>>>,
}

#[derive(Default)]
struct Moved {
    read: usize,
    written: usize,
    ended: bool,
}

impl Moved {
    fn any(&self) -> bool {
        self.read > 0 || self.written > 0 || self.ended
    }
}

impl Way {
    fn new(size: usize, ahead: &[u8], rate: Rate) -> Self {
        let mut buffer = vec![0; size.max(ahead.len())].into_boxed_slice();
        buffer[..ahead.len()].copy_from_slice(ahead);
        Self {
            buffer,
            begin: 0,
            end: ahead.len(),
            eof: false,
            eof_ms: 0,
            broken: false,
            unflushed: false,
            shut: false,
            rate,
            moved: ahead.len() as u64,
            delay: None,
        }
    }

    fn is_loaded(&self) -> bool {
        self.begin < self.end || self.unflushed
    }

    fn ended_last(&self, other: &Self) -> bool {
        !other.eof || self.eof_ms >= other.eof_ms
    }

    /// Reads what fits and writes what was read; an error is one of writing.
    fn turn(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Stream,
        to: &mut Stream,
        half_close: bool,
    ) -> io::Result<Moved> {
        let mut moved = Moved::default();
        moved.read = self.read(cx, from, &mut moved.ended);
        while self.begin < self.end {
            match Pin::new(&mut *to).poll_write(cx, &self.buffer[self.begin..self.end]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    self.begin += count;
                    moved.written += count;
                    self.unflushed = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        if self.begin == self.end {
            (self.begin, self.end) = (0, 0);
        }
        if self.unflushed && Pin::new(&mut *to).poll_flush(cx)?.is_ready() {
            self.unflushed = false;
        }
        if half_close && self.eof && !self.shut && !self.is_loaded() {
            self.shut = true;
            // A side that is gone altogether cannot be shut; reading will tell.
            let _ = Pin::new(to).poll_shutdown(cx);
        }
        Ok(moved)
    }

    /// Reads once, as far as buffer and rate allow. An error is an end, as in nginx.
    fn read(&mut self, cx: &mut Context<'_>, from: &mut Stream, ended: &mut bool) -> usize {
        if let Some(delay) = &mut self.delay {
            if delay.as_mut().poll(cx).is_pending() {
                return 0;
            }
            self.delay = None;
            clock::update();
        }
        if self.eof || self.end == self.buffer.len() {
            return 0;
        }
        let room = match self.rate.allows(self.moved) {
            Ok(room) => room.min(self.buffer.len() - self.end),
            Err(wait_ms) => {
                self.wait(cx, wait_ms);
                return 0;
            }
        };
        let mut space = ReadBuf::new(&mut self.buffer[self.end..self.end + room]);
        let count = match Pin::new(from).poll_read(cx, &mut space) {
            Poll::Pending => return 0,
            Poll::Ready(Ok(())) => space.filled().len(),
            Poll::Ready(Err(_)) => {
                self.broken = true;
                0
            }
        };
        if count == 0 {
            (self.eof, self.eof_ms, *ended) = (true, clock::mono_ms(), true);
            return 0;
        }
        self.end += count;
        self.moved += count as u64;
        match self.rate.pause_ms(count) {
            0 => {}
            pause_ms => self.wait(cx, pause_ms),
        }
        count
    }

    fn wait(&mut self, cx: &mut Context<'_>, ms: u64) {
        let mut delay = Box::pin(tokio::time::sleep(Duration::from_millis(ms)));
        if delay.as_mut().poll(cx).is_pending() {
            self.delay = Some(delay);
        }
    }
}

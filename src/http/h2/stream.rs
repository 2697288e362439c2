//! One stream: body bytes both ways, within the windows.
//!
//! ```text
//!  DATA ─▶ received ─ poll_fill ─▶ Conn's read buffer ─▶ request body      (window given back)
//!  output ─▶ Conn's write buffer ─ poll_send ─▶ DATA, as windows, frame size and socket allow
//! ```

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::Notify;

use crate::{
    http::{conn::WriteBuffer, headers::Headers, limit_rate::Pace},
    net::http2::{Code, frame, hpack},
};

use super::link::Link;

/// A stream of an HTTP/2 connection.
pub struct Stream {
    pub id: u32,
    pub link: Rc<Link>,
    /// What may be sent; negative when the client made its window smaller meanwhile.
    send_window: Cell<i64>,
    /// What the client may still send.
    recv_window: Cell<i64>,
    /// How far its window is opened at most.
    allowance: Cell<i64>,
    received: RefCell<VecDeque<Bytes>>,
    received_bytes: Cell<usize>,
    /// The client has ended its side.
    in_closed: Cell<bool>,
    out_closed: Cell<bool>,
    /// The response is complete but for what the write buffer holds; trailers follow.
    ending: Cell<bool>,
    trailers: RefCell<Headers>,
    /// Reset by the client or lost with the connection.
    broken: Cell<bool>,
    /// A reset was sent: nothing more is to be said.
    reset_sent: Cell<bool>,
    /// `http2_chunk_size`
    chunk_bytes: Cell<usize>,
    reader: RefCell<Option<Waker>>,
    writer: RefCell<Option<Waker>>,
    gone: Notify,
}

impl Stream {
    pub fn new(link: &Rc<Link>, id: u32, recv_window: i64, in_closed: bool) -> Rc<Self> {
        Rc::new(Self {
            id,
            link: link.clone(),
            send_window: Cell::new(link.initial_window.get()),
            recv_window: Cell::new(recv_window),
            allowance: Cell::new(recv_window),
            received: RefCell::default(),
            received_bytes: Cell::new(0),
            in_closed: Cell::new(in_closed),
            out_closed: Cell::new(false),
            ending: Cell::new(false),
            trailers: RefCell::default(),
            broken: Cell::new(false),
            reset_sent: Cell::new(false),
            chunk_bytes: Cell::new(8 * 1024),
            reader: RefCell::default(),
            writer: RefCell::default(),
            gone: Notify::new(),
        })
    }

    /// Takes `size` bytes of the window for a DATA frame; false when the client may not send them.
    pub fn charge(&self, size: usize) -> bool {
        let left = self.recv_window.get() - size as i64;
        self.recv_window.set(left);
        left >= 0
    }

    /// Takes body bytes the client sent. Without a reader to come they are thrown away.
    pub fn receive(&self, data: Bytes) {
        if !data.is_empty() && !self.broken.get() {
            self.received_bytes.set(self.received_bytes.get() + data.len());
            self.received.borrow_mut().push_back(data);
            wake(&self.reader);
        }
    }

    /// The client has ended its side.
    pub fn end_of_input(&self) {
        self.in_closed.set(true);
        wake(&self.reader);
    }

    pub fn is_in_closed(&self) -> bool {
        self.in_closed.get()
    }

    /// All the client sent has been read.
    pub fn at_end(&self) -> bool {
        self.in_closed.get() && self.received.borrow().is_empty()
    }

    /// Moves received bytes to `into`; 0 at the end.
    pub fn poll_fill(
        &self,
        cx: &Context<'_>,
        most: usize,
        into: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let mut received = self.received.borrow_mut();
        let Some(front) = received.front_mut() else {
            if self.broken.get() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            if self.in_closed.get() {
                return Poll::Ready(Ok(0));
            }
            *self.reader.borrow_mut() = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let count = front.len().min(most.max(1));
        into.extend_from_slice(&front[..count]);
        front.advance(count);
        if front.is_empty() {
            received.pop_front();
        }
        self.received_bytes.set(self.received_bytes.get() - count);
        drop(received);
        self.give_back();
        Poll::Ready(Ok(count))
    }

    /// Somebody reads the body from now on: the client may be `bytes` ahead of the reader.
    pub fn open_window(&self, bytes: i64) {
        if bytes > self.allowance.get() {
            self.allowance.set(bytes);
        }
        self.give_back();
    }

    /// Tells the client that it may send more, when that is worth a frame.
    fn give_back(&self) {
        if self.in_closed.get() || self.broken.get() || self.reset_sent.get() {
            return;
        }
        let allowed = self.allowance.get() - self.received_bytes.get() as i64;
        let more = allowed - self.recv_window.get();
        if more <= 0 || more * 2 < self.allowance.get() {
            return;
        }
        self.recv_window.set(allowed);
        self.link.put(|out| frame::put_window_update(out, self.id, more as u32));
        self.link.conn.try_send();
    }

    /// Changes the window for sending; false when it would grow beyond its limit.
    pub fn change_window(&self, by: i64) -> bool {
        let window = self.send_window.get() + by;
        self.send_window.set(window);
        if window > 0 {
            self.wake_writer();
        }
        window <= crate::net::http2::MAX_WINDOW
    }

    pub fn wake_writer(&self) {
        wake(&self.writer);
    }

    pub fn set_chunk_bytes(&self, bytes: usize) {
        self.chunk_bytes.set(bytes);
    }

    /// Sends a header block; with `end` the response is over.
    pub fn send_headers(&self, block: &[u8], end: bool) {
        if self.is_broken() {
            return;
        }
        if end {
            self.out_closed.set(true);
        }
        let most = self.link.frame_bytes.get();
        self.link.put(|out| frame::put_headers(out, self.id, block, end, most));
    }

    /// What is in the write buffer is the rest of the response.
    pub fn finish(&self, trailers: Headers) {
        *self.trailers.borrow_mut() = trailers;
        self.ending.set(true);
    }

    /// Sends what the windows and the socket allow.
    pub fn poll_send(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut WriteBuffer,
        mut pace: Option<&mut Pace>,
        sent: &Cell<u64>,
    ) -> Poll<io::Result<()>> {
        let link = &self.link;
        if self.is_broken() {
            buffer.clear();
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if self.out_closed.get() {
            // The head said that there is no body.
            buffer.clear();
        }
        while !buffer.is_empty() {
            let window = self.send_window.get().min(link.window.get());
            if window <= 0 || link.poll_room(cx).is_pending() {
                *self.writer.borrow_mut() = Some(cx.waker().clone());
                link.conn.try_send();
                return Poll::Pending;
            }
            let mut most = link.frame_bytes.get().min(self.chunk_bytes.get()).min(window as usize);
            if let Some(pace) = pace.as_deref_mut() {
                most = most.min(std::task::ready!(pace.poll_room(cx)));
            }
            let data = buffer.take(most);
            if let Some(pace) = pace.as_deref_mut() {
                pace.spend(data.len());
            }
            let last = buffer.is_empty() && self.ending.get() && self.trailers.borrow().is_empty();
            self.send_data(data, last, sent);
        }
        if self.ending.get() && !self.out_closed.get() {
            self.send_end(sent);
        }
        link.conn.try_send();
        Poll::Ready(Ok(()))
    }

    fn send_data(&self, data: Bytes, last: bool, sent: &Cell<u64>) {
        let size = data.len() as i64;
        self.send_window.set(self.send_window.get() - size);
        self.link.window.set(self.link.window.get() - size);
        self.link.put(|out| frame::put_data_head(out, self.id, data.len(), last));
        self.link.conn.write(data);
        sent.set(sent.get() + size as u64 + frame::HEAD_BYTES as u64);
        self.out_closed.set(last);
    }

    fn send_end(&self, sent: &Cell<u64>) {
        let trailers = self.trailers.take();
        if trailers.is_empty() {
            return self.send_data(Bytes::new(), true, sent);
        }
        let mut block = BytesMut::new();
        for line in &trailers {
            hpack::encode::field(&mut block, &line.name, &line.value);
        }
        self.send_headers(&block, true);
    }

    pub fn is_broken(&self) -> bool {
        self.broken.get() || self.reset_sent.get() || self.link.conn.failed()
    }

    /// The client reset the stream, or the connection is gone.
    pub fn break_off(&self) {
        self.broken.set(true);
        self.received.borrow_mut().clear();
        wake(&self.reader);
        wake(&self.writer);
        self.gone.notify_waiters();
    }

    /// Resets the stream from our side.
    pub fn reset(&self, code: Code) {
        if !self.reset_sent.replace(true) {
            self.link.reset(self.id, code);
        }
        self.break_off();
    }

    /// Waits until the client has reset the stream or left.
    pub async fn gone(&self) {
        let notified = self.gone.notified();
        if !self.broken.get() {
            notified.await;
        }
    }

    /// How the end of the request is told: nothing when both sides have said all.
    pub(super) fn closing_code(&self, timed_out: bool) -> Option<Code> {
        match () {
            () if self.is_broken() => None,
            () if timed_out => Some(Code::Protocol),
            () if !self.out_closed.get() => Some(Code::Internal),
            () if !self.in_closed.get() => Some(Code::NoError),
            () => None,
        }
    }
}

fn wake(slot: &RefCell<Option<Waker>>) {
    if let Some(waker) = slot.borrow_mut().take() {
        waker.wake();
    }
}

//! What the streams of one connection share: the socket, its window, what the client asked for.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::BytesMut;

use crate::{
    http::conn::Conn,
    net::http2::{self, Code, frame},
};

use super::stream::Stream;

/// One HTTP/2 connection as its streams see it.
pub struct Link {
    /// The connection of the socket; requests have others.
    pub conn: Rc<Conn>,
    streams: RefCell<HashMap<u32, Rc<Stream>>>,
    /// What may still be sent on all streams together.
    pub window: Cell<i64>,
    /// The window new streams get from the client.
    pub initial_window: Cell<i64>,
    pub frame_bytes: Cell<usize>,
    /// Streams whose requests are not over.
    pub processing: Cell<usize>,
    /// The session, which waits for streams to end.
    session: RefCell<Option<Waker>>,
}

impl Link {
    pub fn new(conn: Rc<Conn>) -> Rc<Self> {
        Rc::new(Self {
            conn,
            streams: RefCell::default(),
            window: Cell::new(http2::DEFAULT_WINDOW),
            initial_window: Cell::new(http2::DEFAULT_WINDOW),
            frame_bytes: Cell::new(http2::DEFAULT_FRAME_BYTES),
            processing: Cell::new(0),
            session: RefCell::default(),
        })
    }

    pub fn stream(&self, id: u32) -> Option<Rc<Stream>> {
        self.streams.borrow().get(&id).cloned()
    }

    pub fn add(&self, stream: &Rc<Stream>) {
        self.processing.set(self.processing.get() + 1);
        self.streams.borrow_mut().insert(stream.id, stream.clone());
    }

    /// Forgets a stream whose request is over, and tells the client if it cannot know that yet.
    pub fn close(&self, stream: &Stream, timed_out: bool) {
        if let Some(code) = stream.closing_code(timed_out) {
            self.put(|out| frame::put_rst_stream(out, stream.id, code));
            self.conn.try_send();
        }
        self.streams.borrow_mut().remove(&stream.id);
        self.processing.set(self.processing.get() - 1);
        if let Some(waker) = self.session.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Writes control frames behind what is on its way already.
    pub fn put(&self, write: impl FnOnce(&mut BytesMut)) {
        let mut out = BytesMut::with_capacity(64);
        write(&mut out);
        self.conn.write_slice(&out);
    }

    pub fn reset(&self, id: u32, code: Code) {
        self.put(|out| frame::put_rst_stream(out, id, code));
    }

    /// A larger window lets all streams try again.
    pub fn wake_writers(&self) {
        self.each(Stream::wake_writer);
    }

    pub fn each(&self, act: impl Fn(&Stream)) {
        for stream in self.streams.borrow().values() {
            act(stream);
        }
    }

    /// Keeps the session's waker: it is called when a stream ends.
    pub fn watch(&self, cx: &Context<'_>) {
        *self.session.borrow_mut() = Some(cx.waker().clone());
    }

    /// Ready when the socket has taken most of what was written.
    pub fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        if self.conn.unsent() <= UNSENT_BYTES_MAX || self.conn.failed() {
            return Poll::Ready(());
        }
        self.conn.try_send();
        if self.conn.unsent() <= UNSENT_BYTES_MAX {
            return Poll::Ready(());
        }
        self.conn.wake_when_drained(cx);
        Poll::Pending
    }
}

/// Streams do not write ahead more than this of what the socket takes.
const UNSENT_BYTES_MAX: usize = 64 * 1024;

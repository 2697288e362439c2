//! The request body: read into memory or a file, handed out, or thrown away.
//!
//! ```text
//!  expected ─ read() ─▶ memory (≤ client_body_buffer_size) ─▶ temp file
//!     └────── discard() ─▶ drained after the response
//! ```

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};

use crate::{
    base::log::Level,
    net::{
        http1::chunked::{self, Decoder},
        http2::MAX_WINDOW,
    },
};

use super::{body_file::TempFile, core::InFile, h2::stream::Stream, request::Request};

/// The body of one request.
#[derive(Default)]
pub struct Body {
    expected: Cell<Expected>,
    state: Cell<State>,
    data: RefCell<Bytes>,
    file: RefCell<Option<Rc<TempFile>>>,
    decoder: RefCell<Option<Decoder>>,
    /// Bytes of a length-delimited body still to come.
    left: Cell<u64>,
    pub expect_continue: Cell<bool>,
    /// Length of what was read.
    received: Cell<u64>,
}

/// What the head announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    #[default]
    None,
    Length(u64),
    Chunked,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Unread,
    Reading,
    Read,
    Discarded,
}

/// How reading ended when it did not end well: the status to finish with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyError(pub u16);

impl Body {
    pub fn expect(&self, expected: Expected) {
        self.expected.set(expected);
        if let Expected::Length(length) = expected {
            self.left.set(length);
        }
    }

    pub fn expected(&self) -> Expected {
        self.expected.get()
    }

    pub fn expected_length(&self) -> Option<u64> {
        match self.expected.get() {
            Expected::Length(length) => Some(length),
            _ => None,
        }
    }

    /// A body that is there already, as `ngx.req.set_body_data` and subrequests make.
    pub fn ready(data: Bytes) -> Self {
        let body = Self::default();
        body.replace(data);
        body
    }

    /// Shares the body of another request, as subrequests do with their parent's.
    pub fn shared(other: &Self) -> Self {
        let body = Self::default();
        body.expected.set(other.expected.get());
        body.state.set(if other.is_read() { State::Read } else { State::Discarded });
        *body.data.borrow_mut() = other.data.borrow().clone();
        *body.file.borrow_mut() = other.file.borrow().clone();
        body.received.set(other.received.get());
        body
    }

    pub fn replace(&self, data: Bytes) {
        self.state.set(State::Read);
        self.expected.set(Expected::Length(data.len() as u64));
        self.received.set(data.len() as u64);
        self.left.set(0);
        *self.file.borrow_mut() = None;
        *self.data.borrow_mut() = data;
    }

    pub fn replace_by_file(&self, file: TempFile, length: u64) {
        self.replace(Bytes::new());
        self.expected.set(Expected::Length(length));
        self.received.set(length);
        *self.file.borrow_mut() = Some(Rc::new(file));
    }

    pub fn is_reading(&self) -> bool {
        self.state.get() == State::Reading
    }

    pub fn is_read(&self) -> bool {
        self.state.get() == State::Read
    }

    pub fn is_discarded(&self) -> bool {
        self.state.get() == State::Discarded
    }

    /// Whether bytes of it may still be on the connection.
    pub fn is_pending(&self) -> bool {
        self.state.get() != State::Read
            && match self.expected.get() {
                Expected::None => false,
                Expected::Length(_) => self.left.get() > 0,
                Expected::Chunked => true,
            }
    }

    /// The body in memory; empty when there is none or it is in a file.
    pub fn data(&self) -> Bytes {
        self.data.borrow().clone()
    }

    pub fn file(&self) -> Option<Rc<TempFile>> {
        self.file.borrow().clone()
    }

    /// Length of the body as read.
    pub fn length(&self) -> u64 {
        self.received.get()
    }

    /// The whole body, from memory or its file.
    pub fn bytes(&self) -> std::io::Result<Bytes> {
        match self.file() {
            Some(file) => file.read_all(),
            None => Ok(self.data()),
        }
    }

    /// The body will not be read: it was refused.
    pub fn refuse(&self) {
        self.state.set(State::Discarded);
    }

    /// Hands the reading of the body to somebody else (`ngx.req.socket`): what is left of it.
    pub fn take_over(&self) -> u64 {
        self.state.set(State::Discarded);
        self.left.replace(0)
    }
}

impl Request {
    /// Reads the whole body, once; later calls return at once.
    pub async fn read_body(self: &Rc<Self>) -> Result<(), BodyError> {
        if self.is_subrequest() || matches!(self.body.state.get(), State::Read | State::Discarded) {
            return Ok(());
        }
        if self.body.expected() == Expected::None {
            self.body.state.set(State::Read);
            return Ok(());
        }
        self.body.state.set(State::Reading);
        match self.conn.http2() {
            // It goes to memory and a file as it comes: nothing to slow down the client for.
            Some(stream) => stream.open_window(MAX_WINDOW),
            None => self.send_continue(),
        }
        let limit = self.location().core().client_max_body_size();
        let mut sink = Sink::new(self);
        let done = self.pull(&mut |data| sink.take(data, limit)).await;
        if let Err(error) = done {
            self.body.state.set(State::Discarded);
            self.keepalive.set(false);
            return Err(error);
        }
        sink.finish()?;
        self.body.state.set(State::Read);
        Ok(())
    }

    /// Throws the body away: what has arrived now, the rest after the response. What has arrived
    /// may be no body at all.
    pub fn discard_body(self: &Rc<Self>) -> Result<(), BodyError> {
        if self.is_subrequest() || self.body.state.get() != State::Unread {
            return Ok(());
        }
        self.body.state.set(State::Discarded);
        if self.conn.http2().is_some() {
            return Ok(());
        }
        self.take_buffered(&mut |_| Ok(())).map(|_| ())
    }

    /// Reads what is left of an unread body so that the connection can be used again.
    pub async fn drain_body(self: &Rc<Self>) -> bool {
        if !self.body.is_pending() {
            return true;
        }
        if self.body.expect_continue.get() {
            return false;
        }
        self.pull(&mut |_| Ok(())).await.is_ok()
    }

    /// Tells a client that waits for it to send its body.
    pub fn send_continue(self: &Rc<Self>) {
        if self.body.expect_continue.replace(false) && self.line.version >= 1001 {
            self.conn.write_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            self.conn.try_send();
        }
    }

    /// Takes body bytes off the connection until the body ends.
    async fn pull(
        self: &Rc<Self>,
        take: &mut dyn FnMut(Bytes) -> Result<(), BodyError>,
    ) -> Result<(), BodyError> {
        while !self.take_buffered(take)? {
            self.more_body().await?;
        }
        Ok(())
    }

    /// Waits for more bytes of the body.
    async fn more_body(self: &Rc<Self>) -> Result<(), BodyError> {
        let timeout_ms = self.location().core().client_body_timeout_ms();
        let more = self.conn.fill(BODY_READ_BYTES);
        match tokio::time::timeout(Duration::from_millis(timeout_ms), more).await {
            Err(_) => {
                self.log(Level::Info, format_args!("client timed out"));
                Err(BodyError(408))
            }
            Ok(Err(error)) => {
                self.log(Level::Info, format_args!("recv() failed ({error})"));
                Err(BodyError(400))
            }
            // The end of a stream; what has come is judged by `take_framed`.
            Ok(Ok(0)) if self.conn.http2().is_some() => Ok(()),
            Ok(Ok(0)) => {
                self.log(Level::Info, format_args!("client prematurely closed connection"));
                Err(BodyError(400))
            }
            Ok(Ok(_)) => Ok(()),
        }
    }

    /// Reads the body piece by piece as it comes, nothing is kept; `None` at its end. For handlers
    /// that answer while the client still sends.
    pub async fn next_piece(self: &Rc<Self>) -> Result<Option<Bytes>, BodyError> {
        match self.body.state.get() {
            State::Discarded => return Ok(None),
            State::Read => return self.whole_as_piece(),
            State::Unread => self.begin_pieces(),
            State::Reading => {}
        }
        let limit = self.location().core().client_max_body_size();
        loop {
            let mut piece = BytesMut::new();
            let done = self.take_buffered(&mut |data| {
                let total = self.body.received.get() + data.len() as u64;
                self.body.received.set(total);
                piece.extend_from_slice(&data);
                self.check_size(total, limit)
            });
            if done.inspect_err(|_| self.body.refuse())? {
                self.body.state.set(State::Discarded);
            }
            if !piece.is_empty() {
                return Ok(Some(piece.freeze()));
            }
            if self.body.is_discarded() {
                return Ok(None);
            }
            self.more_body().await?;
        }
    }

    /// Reads on as far as that needs no waiting and the buffer allows; whether all of the body has
    /// come. Such a body is no different from one that was waited for.
    pub fn has_whole_body(self: &Rc<Self>) -> bool {
        let most = self.with_location(|location| location.core().client_body_buffer_size());
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            let (have, whole) = self.conn.with_read(|read| (read.len(), self.is_whole(read)));
            if whole || have >= most {
                return whole;
            }
            match self.conn.poll_fill(&mut cx, most - have) {
                Poll::Ready(Ok(1..)) => {}
                _ => return self.conn.with_read(|read| self.is_whole(read)),
            }
        }
    }

    fn is_whole(&self, read: &[u8]) -> bool {
        match (self.body.expected(), self.conn.http2()) {
            (Expected::None, _) => true,
            // A stream has an end of its own, whatever length was announced.
            (_, Some(stream)) => stream.at_end(),
            (Expected::Length(_), None) => read.len() as u64 >= self.body.left.get(),
            (Expected::Chunked, None) => chunked::ends_in(read),
        }
    }

    fn begin_pieces(self: &Rc<Self>) {
        let expected = self.body.expected() != Expected::None;
        self.body.state.set(if expected { State::Reading } else { State::Discarded });
        match self.conn.http2() {
            Some(stream) => {
                let ahead = self.with_location(|l| l.core().client_body_buffer_size());
                stream.open_window(ahead as i64);
            }
            None => self.send_continue(),
        }
    }

    /// A body that was read before, as one piece.
    fn whole_as_piece(self: &Rc<Self>) -> Result<Option<Bytes>, BodyError> {
        let whole = self.body.bytes().map_err(|error| {
            self.log(Level::Crit, format_args!("request body file: {error}"));
            BodyError(500)
        })?;
        self.body.state.set(State::Discarded);
        Ok(Some(whole).filter(|whole| !whole.is_empty()))
    }

    /// The length of a body of announced length was judged with its head.
    fn check_size(&self, total: u64, limit: u64) -> Result<(), BodyError> {
        if limit > 0 && total > limit && self.body.expected() == Expected::Chunked {
            self.log(
                Level::Error,
                format_args!("client intended to send too large chunked body: {total} bytes"),
            );
            return Err(BodyError(413));
        }
        Ok(())
    }

    /// Takes what the connection has buffered; true at the end of the body.
    fn take_buffered(
        self: &Rc<Self>,
        take: &mut dyn FnMut(Bytes) -> Result<(), BodyError>,
    ) -> Result<bool, BodyError> {
        if let Some(stream) = self.conn.http2() {
            return self.take_framed(stream, take);
        }
        if self.body.expected() == Expected::Chunked {
            return self.take_chunks(take);
        }
        let left = self.body.left.get();
        let data = self.conn.with_read(|read| {
            let most = read.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            read.split_to(most).freeze()
        });
        self.body.left.set(left - data.len() as u64);
        if !data.is_empty() {
            take(data)?;
        }
        Ok(self.body.left.get() == 0)
    }

    /// Takes bytes of an HTTP/2 stream, whose own end is that of the body.
    fn take_framed(
        self: &Rc<Self>,
        stream: &Stream,
        take: &mut dyn FnMut(Bytes) -> Result<(), BodyError>,
    ) -> Result<bool, BodyError> {
        let data = self.conn.with_read(|read| read.split().freeze());
        let known = self.body.expected_length();
        if known.is_some() {
            let Some(left) = self.body.left.get().checked_sub(data.len() as u64) else {
                let text = "client intended to send body data larger than declared";
                self.log(Level::Info, format_args!("{text}"));
                return Err(BodyError(400));
            };
            self.body.left.set(left);
        }
        if !data.is_empty() {
            take(data)?;
        }
        if !stream.at_end() {
            return Ok(false);
        }
        if known.is_some() && self.body.left.get() > 0 {
            self.log(Level::Info, format_args!("client prematurely closed stream"));
            return Err(BodyError(400));
        }
        Ok(true)
    }

    fn take_chunks(
        self: &Rc<Self>,
        take: &mut dyn FnMut(Bytes) -> Result<(), BodyError>,
    ) -> Result<bool, BodyError> {
        let mut decoder = self.body.decoder.borrow_mut();
        let decoder = decoder.get_or_insert_with(Decoder::new);
        loop {
            let advance = self.conn.with_read(|read| decoder.step(read)).map_err(|_| {
                self.log(Level::Info, format_args!("client sent invalid chunked body"));
                BodyError(400)
            })?;
            let data = self.conn.with_read(|read| {
                read.advance(advance.skip);
                read.split_to(advance.data).freeze()
            });
            if !data.is_empty() {
                take(data)?;
            }
            if advance.done || (advance.skip == 0 && advance.data == 0) {
                return Ok(advance.done);
            }
        }
    }
}

/// Where a body being read goes: memory first, a file when it grows.
struct Sink<'a> {
    r: &'a Rc<Request>,
    memory: BytesMut,
    file: Option<TempFile>,
    total: u64,
    memory_max: usize,
}

impl<'a> Sink<'a> {
    fn new(r: &'a Rc<Request>) -> Self {
        let location = r.location();
        let core = location.core();
        let memory_max = match core.client_body_in_file_only() {
            InFile::Off => core.client_body_buffer_size(),
            InFile::On | InFile::Clean => 0,
        };
        Self { r, memory: BytesMut::new(), file: None, total: 0, memory_max }
    }

    fn take(&mut self, data: Bytes, limit: u64) -> Result<(), BodyError> {
        self.total += data.len() as u64;
        self.r.check_size(self.total, limit)?;
        self.memory.extend_from_slice(&data);
        if self.memory.len() > self.memory_max {
            self.spill()?;
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<(), BodyError> {
        let memory = self.memory.split().freeze();
        let failed = |error: std::io::Error| {
            self.r.log(Level::Crit, format_args!("request body file: {error}"));
            BodyError(500)
        };
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let file = TempFile::for_body(self.r).map_err(failed)?;
                self.r.log(
                    Level::Warn,
                    format_args!(
                        "a client request body is buffered to a temporary file {}",
                        file.path().display()
                    ),
                );
                self.file.insert(file)
            }
        };
        file.write(&memory).map_err(failed)
    }

    fn finish(mut self) -> Result<(), BodyError> {
        let only_in_file = self.memory_max == 0;
        if (only_in_file || self.file.is_some()) && !(self.memory.is_empty() && self.file.is_some())
        {
            self.spill()?;
        }
        let body = &self.r.body;
        body.received.set(self.total);
        *body.data.borrow_mut() = self.memory.freeze();
        *body.file.borrow_mut() = self.file.map(Rc::new);
        Ok(())
    }
}

const BODY_READ_BYTES: usize = 16 * 1024;

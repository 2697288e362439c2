//! The way out: header filters, body filters, the order of subrequests, the write buffer.
//!
//! ```text
//!  handler ─ send_header() ─▶ header filters ─▶ status line and headers into the write buffer
//!  handler ─ output(chunk) ─▶ body filters ─▶ postponed? ─▶ chunked encoding ─▶ write buffer
//! ```
//! All of it is synchronous; only `flushed` waits.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
};

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use crate::conf::Scope;

use super::{body::BodyError, head, phase::Flow, request::Request, subrequest};

/// A piece of response body on its way through the filters.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    pub data: Bytes,
    /// Send at once what is buffered.
    pub flush: bool,
    /// The end of this request's body.
    pub last: bool,
    /// A subrequest that speaks behind the data; it begins when the chunk has passed the filters.
    pub sub: Option<Sub>,
}

/// A subrequest on its way through the filters.
#[derive(Clone)]
pub struct Sub(pub Rc<Request>);

impl std::fmt::Debug for Sub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sub")
    }
}

impl Chunk {
    pub fn data(data: impl Into<Bytes>) -> Self {
        Self { data: data.into(), ..Self::default() }
    }

    pub fn last() -> Self {
        Self { last: true, ..Self::default() }
    }

    pub fn flush() -> Self {
        Self { flush: true, ..Self::default() }
    }

    /// The place of a subrequest in its parent's output.
    pub fn sub(sub: Rc<Request>) -> Self {
        Self { sub: Some(Sub(sub)), ..Self::default() }
    }
}

/// What happens when a subrequest that spoke in its parent's output has ended, before what waits
/// behind it is sent.
#[derive(Default)]
pub struct After(RefCell<Option<Box<dyn FnOnce()>>>);

impl After {
    pub fn set(&self, act: Box<dyn FnOnce()>) {
        *self.0.borrow_mut() = Some(act);
    }

    fn run(sub: &Rc<Request>) {
        let Some(after) = sub.kept_if_any::<Self>() else { return };
        let act = after.0.borrow_mut().take();
        if let Some(act) = act {
            act();
        }
    }
}

pub type Chunks = SmallVec<[Chunk; 2]>;

/// Why output could not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputError {
    /// The header was sent before; nginx logs `header already sent`.
    HeaderSent,
    /// A filter wants this status instead (a failing `header_filter_by_lua`, a bad range).
    Status(u16),
    /// A body filter failed, or the client is gone.
    Broken,
}

impl OutputError {
    /// How a handler that met the error ends.
    pub fn flow(self) -> Flow {
        match self {
            Self::Status(code) => Flow::Status(code),
            Self::HeaderSent | Self::Broken => Flow::Done,
        }
    }
}

/// A header and body filter. Filters run in the order `app` lists them.
pub trait Filter: Send + Sync {
    /// Whether locations with this configuration need the filter.
    fn applies(&self, scope: &Scope) -> bool;

    fn header(&self, _r: &Rc<Request>) -> Result<(), OutputError> {
        Ok(())
    }

    /// Looks at, changes, drops or adds chunks.
    fn body(&self, _r: &Rc<Request>, _chunks: &mut Chunks) -> Result<(), OutputError> {
        Ok(())
    }
}

/// Output that waits for its turn behind subrequests.
#[derive(Default)]
pub struct Postponed {
    queue: VecDeque<Item>,
    /// Who waits for the queue to be empty.
    waiter: Option<Waker>,
}

impl Postponed {
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

enum Item {
    Data(Chunk),
    Sub(Rc<Request>),
}

impl Request {
    /// Runs the header filters and sends the response head.
    pub fn send_header(self: &Rc<Self>) -> Result<(), OutputError> {
        if self.header_sent.replace(true) {
            self.log(crate::base::log::Level::Alert, format_args!("header already sent"));
            return Err(OutputError::HeaderSent);
        }
        if self.err_status.get() != 0 {
            self.set_status(self.err_status.get());
        }
        let filters = self.with_location(|location| location.filters);
        for filter in self.conn.http.filters.selected(filters) {
            if let Err(error) = filter.header(self) {
                if let OutputError::Status(_) = error {
                    self.header_sent.set(false);
                }
                return Err(error);
            }
        }
        head::emit(self);
        Ok(())
    }

    /// Passes a piece of body through the filters.
    pub fn output(self: &Rc<Self>, chunk: Chunk) -> Result<(), OutputError> {
        if self.last_sent.get() {
            return Ok(());
        }
        if chunk.last {
            self.last_sent.set(true);
        }
        let mut chunks: Chunks = smallvec![chunk];
        let filters = self.with_location(|location| location.filters);
        for filter in self.conn.http.filters.selected(filters) {
            if let Err(error) = filter.body(self, &mut chunks) {
                self.connection_error.set(true);
                return Err(error);
            }
        }
        for chunk in chunks {
            deliver(self, chunk);
        }
        if self.conn.failed() { Err(OutputError::Broken) } else { Ok(()) }
    }

    /// Passes chunks through the filters behind one that kept them back.
    pub fn output_after(
        self: &Rc<Self>,
        keeper: &'static dyn Filter,
        mut chunks: Chunks,
    ) -> Result<(), OutputError> {
        let filters = self.with_location(|location| location.filters);
        let is_keeper = |filter: &&dyn Filter| std::ptr::addr_eq(*filter, keeper);
        let behind = self.conn.http.filters.selected(filters).skip_while(|f| !is_keeper(f)).skip(1);
        for filter in behind {
            filter.body(self, &mut chunks).inspect_err(|_| self.connection_error.set(true))?;
        }
        for chunk in chunks {
            deliver(self, chunk);
        }
        if self.conn.failed() { Err(OutputError::Broken) } else { Ok(()) }
    }

    /// Answers with a status and a text, as `return` does; redirects take the text as their target.
    pub fn answer(self: &Rc<Self>, status: u16, kind: Option<Bytes>, text: Bytes) -> Flow {
        if let Err(BodyError(refused)) = self.discard_body() {
            return Flow::Status(refused);
        }
        self.set_status(status);
        if matches!(status, 301 | 302 | 303 | 307 | 308) {
            self.headers_out.borrow_mut().list.set("Location", text);
            return Flow::Status(status);
        }
        match kind {
            Some(kind) => self.headers_out.borrow_mut().content_type = Some(kind),
            None => self.choose_content_type(),
        }
        match self.respond(text) {
            Ok(()) => Flow::Done,
            Err(error) => error.flow(),
        }
    }

    /// Takes the media type from the extension of the URI, unless somebody chose one.
    pub fn choose_content_type(&self) {
        let mut out = self.headers_out.borrow_mut();
        if out.content_type.is_none() {
            let uri = self.uri.borrow();
            out.content_type =
                Some(self.with_location(|location| location.core().media_type(&uri)));
        }
    }

    /// Sends a whole small response: head, body, end.
    pub fn respond(self: &Rc<Self>, body: Bytes) -> Result<(), OutputError> {
        self.headers_out.borrow_mut().content_length = Some(body.len() as u64);
        self.send_header()?;
        if self.header_only.get() {
            return self.output(Chunk::last());
        }
        self.output(Chunk { data: body, last: true, ..Chunk::default() })
    }

    /// Waits until all output is with the kernel.
    pub async fn flushed(&self) -> Result<(), OutputError> {
        self.conn.try_send();
        self.conn.drained().await.map_err(|_| OutputError::Broken)
    }

    /// Lets a subrequest speak at this place of the parent's output.
    pub fn postpone_subrequest(self: &Rc<Self>, sub: &Rc<Self>) {
        let mut postponed = self.postponed.borrow_mut();
        let speaking = is_active(self) && postponed.queue.is_empty();
        postponed.queue.push_back(Item::Sub(sub.clone()));
        if speaking {
            *self.conn.active.borrow_mut() = Rc::downgrade(sub);
        }
    }

    /// Waits until the subrequests that speak in this one's output have ended.
    pub async fn subrequests_done(&self) {
        poll_fn(|cx| {
            let mut postponed = self.postponed.borrow_mut();
            if postponed.queue.is_empty() || self.conn.failed() {
                return Poll::Ready(());
            }
            postponed.waiter = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn wake_postponed(&self) {
        let mut postponed = self.postponed.borrow_mut();
        if postponed.queue.is_empty() || self.conn.failed() {
            let waiter = postponed.waiter.take();
            drop(postponed);
            if let Some(waiter) = waiter {
                waiter.wake();
            }
        }
    }

    /// A subrequest's own output is complete: what waited behind it may go.
    pub fn finish_postponed(self: &Rc<Self>) {
        if !is_active(self) {
            return;
        }
        let mut speaker = self.clone();
        while let Some(parent) = speaker.parent().cloned() {
            if !speaker.last_sent.get() || !speaker.postponed.borrow().queue.is_empty() {
                return;
            }
            parent.postponed.borrow_mut().queue.pop_front();
            *parent.conn.active.borrow_mut() = Rc::downgrade(&parent);
            After::run(&speaker);
            release(&parent);
            parent.wake_postponed();
            match parent.conn.active.borrow().upgrade() {
                Some(active) if Rc::ptr_eq(&active, &parent) => speaker = parent.clone(),
                _ => return,
            }
        }
    }
}

/// Output of the active request passes; of the others it waits.
fn deliver(r: &Rc<Request>, mut chunk: Chunk) {
    if let Some(Sub(sub)) = chunk.sub.take() {
        let last = std::mem::take(&mut chunk.last);
        deliver(r, chunk);
        r.postpone_subrequest(&sub);
        subrequest::start(sub);
        if last {
            deliver(r, Chunk::last());
        }
        return;
    }
    if let Some(capture) = &r.capture {
        capture.body.borrow_mut().extend_from_slice(&chunk.data);
        if chunk.last {
            capture.ended.set(true);
        }
        return;
    }
    let waits = !is_active(r) || !r.postponed.borrow().queue.is_empty();
    if waits {
        r.postponed.borrow_mut().queue.push_back(Item::Data(chunk));
    } else {
        head::write_body(r, chunk);
    }
}

/// Sends what waited in `r`, up to the next subrequest, which becomes the active one.
fn release(r: &Rc<Request>) {
    loop {
        let item = r.postponed.borrow_mut().queue.pop_front();
        match item {
            None => return,
            Some(Item::Data(chunk)) => head::write_body(r, chunk),
            Some(Item::Sub(sub)) => {
                *r.conn.active.borrow_mut() = Rc::downgrade(&sub);
                let done = sub.clone();
                r.postponed.borrow_mut().queue.push_front(Item::Sub(sub));
                release(&done);
                done.wake_postponed();
                let ended = done.last_sent.get() && done.postponed.borrow().queue.is_empty();
                if !ended || !is_active(&done) {
                    return;
                }
                r.postponed.borrow_mut().queue.pop_front();
                *r.conn.active.borrow_mut() = Rc::downgrade(r);
                After::run(&done);
            }
        }
    }
}

fn is_active(r: &Rc<Request>) -> bool {
    match r.conn.active.borrow().upgrade() {
        Some(active) => Rc::ptr_eq(&active, r),
        None => !r.is_subrequest(),
    }
}

/// All filters in order; a location selects among them by bit.
#[derive(Clone, Default)]
pub struct Filters(Vec<&'static dyn Filter>);

/// The filters of one location.
#[derive(Clone, Copy, Debug, Default)]
pub struct FilterSet(u64);

impl Filters {
    pub fn new(all: &[&'static dyn Filter]) -> Self {
        Self(all.to_vec())
    }

    pub fn select(&self, scope: &Scope) -> FilterSet {
        let bits = self.0.iter().enumerate().filter(|(_, filter)| filter.applies(scope));
        FilterSet(bits.fold(0, |set, (at, _)| set | 1 << at))
    }

    pub fn selected(&self, set: FilterSet) -> impl Iterator<Item = &'static dyn Filter> + '_ {
        let mut left = set.0;
        std::iter::from_fn(move || {
            let filter = self.0.get(left.trailing_zeros() as usize)?;
            left &= left - 1;
            Some(*filter)
        })
    }
}

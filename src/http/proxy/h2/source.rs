//! The request body on its way to an upstream: read before, or as the client sends it.

use std::{
    cell::RefCell,
    io,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;

use crate::http::{
    body::{BodyError, Expected},
    proxy::{
        fault::{End, Fault},
        outgoing::Unsent,
    },
    request::Request,
};

/// Where the bytes of a body come from.
pub enum Source {
    Nothing,
    Whole(Unsent),
    Client(FromClient),
    /// A piece that did not fit the window, and what follows it.
    Rest(Bytes, Box<Source>),
}

/// A body that is passed on while it arrives. What was read is kept for another try, as long as it
/// is little.
pub struct FromClient {
    r: Rc<Request>,
    kept: Rc<RefCell<Kept>>,
    /// Pieces of `kept` this try has sent.
    at: usize,
    waiting: Option<LocalBoxFuture<'static, Result<Option<Bytes>, BodyError>>>,
}

/// What was read from the client so far.
#[derive(Default)]
pub struct Kept {
    pieces: Vec<Bytes>,
    bytes: usize,
    /// Pieces were let go: the request cannot be repeated.
    pub lost: bool,
}

impl Source {
    pub fn client(r: &Rc<Request>, kept: &Rc<RefCell<Kept>>) -> Self {
        let nothing = r.is_subrequest() || r.body.expected() == Expected::None;
        if nothing && kept.borrow().pieces.is_empty() {
            return Self::Nothing;
        }
        let (r, kept) = (r.clone(), kept.clone());
        Self::Client(FromClient { r, kept, at: 0, waiting: None })
    }

    pub fn whole(mut unsent: Unsent) -> io::Result<Self> {
        let empty = unsent.front()?.is_none();
        Ok(if empty { Self::Nothing } else { Self::Whole(unsent) })
    }

    pub fn is_ended(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// The next piece, of `most` bytes at most; afterwards `is_ended` may tell that it was the
    /// last.
    pub fn poll_next(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<Result<Bytes, End>> {
        if let Self::Rest(piece, next) = self {
            let piece = std::mem::take(piece);
            let next = std::mem::replace(&mut **next, Self::Nothing);
            *self = next;
            return Poll::Ready(Ok(piece));
        }
        let (piece, ended) = match self {
            Self::Nothing | Self::Rest(..) => (Bytes::new(), true),
            Self::Whole(unsent) => {
                let lost = |error: io::Error| End::Try(Fault::Send(error));
                let piece = match unsent.front().map_err(lost)? {
                    None => Bytes::new(),
                    Some(front) => Bytes::copy_from_slice(&front[..front.len().min(most)]),
                };
                unsent.advance(piece.len());
                (piece, unsent.front().map_err(lost)?.is_none())
            }
            Self::Client(client) => ready!(client.poll_next(cx))?,
        };
        if ended {
            *self = Self::Nothing;
        }
        Poll::Ready(Ok(piece))
    }
}

impl FromClient {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<(Bytes, bool), End>> {
        let known = self.kept.borrow().pieces.get(self.at).cloned();
        if let Some(piece) = known {
            self.at += 1;
            let last = self.kept.borrow().pieces.len() == self.at;
            return Poll::Ready(Ok((piece, last && self.r.body.is_discarded())));
        }
        let r = &self.r;
        let waiting = self.waiting.get_or_insert_with(|| {
            let r = r.clone();
            Box::pin(async move { r.next_piece().await })
        });
        let read = ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        match read {
            Err(error) => Poll::Ready(Err(End::Status(error.0))),
            Ok(None) => Poll::Ready(Ok((Bytes::new(), true))),
            Ok(Some(piece)) => {
                self.at += self.kept.borrow_mut().keep(&piece);
                Poll::Ready(Ok((piece, self.r.body.is_discarded())))
            }
        }
    }
}

impl Kept {
    /// Keeps a piece if all of them are little; how many are kept more.
    fn keep(&mut self, piece: &Bytes) -> usize {
        self.bytes += piece.len();
        self.lost |= self.bytes > KEPT_BYTES_MAX;
        if self.lost {
            return 0;
        }
        self.pieces.push(piece.clone());
        1
    }
}

const KEPT_BYTES_MAX: usize = 64 * 1024;

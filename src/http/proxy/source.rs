//! The request body on its way to an upstream: read before, or as the client sends it.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, Read},
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;

use crate::http::{
    body::{BodyError, Expected},
    body_file::TempFile,
    request::Request,
};

use super::fault::{End, Fault};

/// What there is to send of a body, however often.
#[derive(Clone)]
pub enum Body {
    Memory(Bytes),
    File(Rc<TempFile>),
    /// As the client sends it.
    Client(Rc<RefCell<Kept>>),
}

/// Where the bytes of a body come from, at one try.
pub enum Source {
    Nothing,
    Memory(Bytes),
    File {
        file: File,
        left: u64,
    },
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

impl Body {
    /// The body from its start.
    pub fn source(&self, r: &Rc<Request>) -> io::Result<Source> {
        Ok(match self {
            Self::Memory(data) if data.is_empty() => Source::Nothing,
            Self::Memory(data) => Source::Memory(data.clone()),
            Self::File(file) => {
                let file = File::open(file.path())?;
                match file.metadata()?.len() {
                    0 => Source::Nothing,
                    left => Source::File { file, left },
                }
            }
            Self::Client(kept) => Source::client(r, kept),
        })
    }

    /// Whether all of it is still there for another try.
    pub fn is_whole(&self) -> bool {
        !matches!(self, Self::Client(kept) if kept.borrow().lost)
    }

    pub fn is_streamed(&self) -> bool {
        matches!(self, Self::Client(_))
    }
}

impl Source {
    fn client(r: &Rc<Request>, kept: &Rc<RefCell<Kept>>) -> Self {
        let nothing = r.is_subrequest() || r.body.expected() == Expected::None;
        if nothing && kept.borrow().pieces.is_empty() {
            return Self::Nothing;
        }
        let (r, kept) = (r.clone(), kept.clone());
        Self::Client(FromClient { r, kept, at: 0, waiting: None })
    }

    pub fn is_ended(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// The next piece, of `most` bytes at most where it comes from a file; afterwards `is_ended`
    /// may tell that it was the last.
    pub fn poll_next(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<Result<Bytes, End>> {
        if let Self::Rest(piece, next) = self {
            let piece = std::mem::take(piece);
            let next = std::mem::replace(&mut **next, Self::Nothing);
            *self = next;
            return Poll::Ready(Ok(piece));
        }
        let (piece, ended) = match self {
            Self::Nothing | Self::Rest(..) => (Bytes::new(), true),
            Self::Memory(data) => {
                let piece = data.split_to(data.len().min(most));
                (piece, data.is_empty())
            }
            Self::File { file, left } => {
                let lost = |error: io::Error| End::Try(Fault::Send(error));
                let piece = read_piece(file, most.min(FILE_PIECE_BYTES)).map_err(lost)?;
                *left = left.saturating_sub(piece.len() as u64);
                let ended = piece.is_empty() || *left == 0;
                (piece, ended)
            }
            Self::Client(client) => ready!(client.poll_next(cx))?,
        };
        if ended {
            *self = Self::Nothing;
        }
        Poll::Ready(Ok(piece))
    }
}

fn read_piece(file: &mut File, most: usize) -> io::Result<Bytes> {
    let mut piece = vec![0; most];
    let count = file.read(&mut piece)?;
    piece.truncate(count);
    Ok(piece.into())
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
const FILE_PIECE_BYTES: usize = 64 * 1024;

//! What of a request is still to be sent, at one try.
//!
//! ```text
//!  head ─▶ front ◀─ wrap ◀─ Source (memory, file, the client)        front ─▶ socket
//! ```

use std::{
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};

use crate::http::request::Request;

use super::{cgi::records, fault::End, outgoing::Outgoing, source::Source};

/// The bytes to send next, and where more come from.
pub struct Unsent {
    front: Bytes,
    source: Source,
    wrapping: Wrapping,
    /// The end of the body was put in front.
    ended: bool,
    /// What has come of the client's body already goes into one packet with the head.
    joins: bool,
}

/// How the body stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    Plain,
    Chunked,
    /// FastCGI's records.
    Records,
}

impl Unsent {
    /// The request from its start.
    pub fn new(r: &Rc<Request>, outgoing: &Outgoing) -> std::io::Result<Self> {
        let source = outgoing.body.source(r)?;
        let joins = matches!(source, Source::Client(_));
        let (front, wrapping) = (outgoing.head.clone(), outgoing.wrapping);
        Ok(Self { front, source, wrapping, ended: false, joins })
    }

    /// It is the client's turn, and that has a time limit of its own.
    pub fn waits_for_client(&self) -> bool {
        self.front.is_empty() && matches!(self.source, Source::Client(_))
    }

    /// Makes the front hold something; false when all is sent.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, End>> {
        if std::mem::take(&mut self.joins)
            && let Poll::Ready(piece) = self.source.poll_next(cx, PIECE_BYTES_MAX)
        {
            self.front = [&self.front[..], &self.wrapping.piece(piece?)].concat().into();
        }
        while self.front.is_empty() && !self.ended {
            if self.source.is_ended() {
                self.front = self.wrapping.end();
                self.ended = true;
            } else {
                let piece = ready!(self.source.poll_next(cx, PIECE_BYTES_MAX))?;
                self.front = self.wrapping.piece(piece);
            }
        }
        Poll::Ready(Ok(!self.front.is_empty()))
    }

    pub fn front(&self) -> &[u8] {
        &self.front
    }

    pub fn advance(&mut self, count: usize) {
        self.front.advance(count);
    }
}

impl Wrapping {
    pub fn piece(self, data: Bytes) -> Bytes {
        match self {
            _ if data.is_empty() => data,
            Self::Plain => data,
            Self::Chunked => {
                let mut text = format!("{:x}\r\n", data.len()).into_bytes();
                text.extend_from_slice(&data);
                text.extend_from_slice(b"\r\n");
                text.into()
            }
            Self::Records => {
                let mut out = Vec::with_capacity(data.len() + 64);
                records::put(&mut out, records::STDIN, &data);
                out.into()
            }
        }
    }

    pub fn end(self) -> Bytes {
        match self {
            Self::Plain => Bytes::new(),
            Self::Chunked => Bytes::from_static(b"0\r\n\r\n"),
            Self::Records => {
                let mut out = Vec::new();
                records::put_end(&mut out, records::STDIN);
                out.into()
            }
        }
    }
}

const PIECE_BYTES_MAX: usize = 1024 * 1024;

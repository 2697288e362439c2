//! A connection to an upstream that speaks HTTP/2: what outlives one request.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWrite;

use crate::{
    http::proxy::{exchange, link::Link},
    net::{
        http2::{
            self, PREFACE,
            frame::{self, setting},
            hpack::Decoder,
        },
        stream::Stream,
    },
};

/// The state of a connection.
pub struct Peer {
    pub decoder: Decoder,
    next_id: u32,
    /// What may be sent on the connection, and on a new stream.
    pub window: i64,
    pub initial_window: i64,
    pub frame_bytes: usize,
    pub recv_window: i64,
    /// Received and not yet parsed.
    pub buf: BytesMut,
    /// Frames on their way out.
    pub out: BytesMut,
    pub goaway: bool,
    /// Frames that ask for an answer, to notice a flood.
    pub asked: u32,
}

impl Peer {
    /// A fresh connection: the preface and our settings go out with the first request.
    pub fn new() -> Self {
        let mut out = BytesMut::with_capacity(512);
        out.extend_from_slice(PREFACE);
        let settings = [
            // No table to keep in step, no pushes, and no waiting for our window.
            (setting::TABLE_SIZE, 0),
            (setting::ENABLE_PUSH, 0),
            (setting::INITIAL_WINDOW, http2::MAX_WINDOW as u32),
        ];
        frame::put_settings(&mut out, &settings);
        frame::put_window_update(&mut out, 0, (http2::MAX_WINDOW - http2::DEFAULT_WINDOW) as u32);
        Self {
            decoder: Decoder::without_table(),
            next_id: 1,
            window: http2::DEFAULT_WINDOW,
            initial_window: http2::DEFAULT_WINDOW,
            frame_bytes: http2::DEFAULT_FRAME_BYTES,
            recv_window: http2::MAX_WINDOW,
            buf: BytesMut::new(),
            out,
            goaway: false,
            asked: 0,
        }
    }

    pub fn take_id(&mut self) -> u32 {
        self.asked = 0;
        let id = self.next_id;
        self.next_id += 2;
        id
    }

    /// Whether another request may follow.
    pub fn is_clean(&self) -> bool {
        !self.goaway && self.buf.is_empty() && self.out.is_empty() && self.next_id < LAST_ID
    }

    /// Sends what waits; ready when all of it is with the kernel.
    pub fn poll_send(
        &mut self,
        stream: &mut Stream,
        sent: &mut u64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            match ready!(Pin::new(&mut *stream).poll_write(cx, &self.out))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => {
                    self.out.advance(count);
                    *sent += count as u64;
                }
            }
        }
        Pin::new(stream).poll_flush(cx)
    }

    pub fn poll_recv(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        exchange::poll_read(stream, &mut self.buf, READ_BYTES, cx)
    }
}

impl Link {
    /// The HTTP/2 side of the connection, begun when first asked for.
    pub fn http2(&mut self) -> (&mut Stream, &mut Peer, &mut u64) {
        let peer = self.peer.get_or_insert_with(|| Box::new(Peer::new()));
        (&mut self.stream, peer, &mut self.sent)
    }
}

const READ_BYTES: usize = 32 * 1024;
/// Ids run out in the end; a connection this old is not kept.
const LAST_ID: u32 = 0x7fff_0000;

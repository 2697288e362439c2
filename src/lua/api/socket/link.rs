//! What a cosocket reads from and writes to.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::Request;
use crate::lua::conf::LuaLoc;
use crate::net::stream::Stream;

/// The far end of a cosocket.
pub enum Link {
    Own(RefCell<Stream>),
    /// The client's connection, for its body only (`ngx.req.socket()`).
    Body {
        request: Rc<Request>,
        left: Cell<u64>,
    },
    /// The client's connection itself (`ngx.req.socket(true)`).
    Raw(Rc<Request>),
}

impl Link {
    /// Reads once into `into`; 0 is the end.
    pub async fn read(&self, into: &mut BytesMut, most: usize) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, into, most)).await
    }

    fn poll_read(
        &self,
        cx: &mut Context<'_>,
        into: &mut BytesMut,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Own(stream) => poll_stream(stream, cx, into, most),
            Self::Raw(request) => poll_client(request, cx, into, most),
            Self::Body { request, left } => {
                let most = most.min(usize::try_from(left.get()).unwrap_or(usize::MAX));
                if most == 0 {
                    return Poll::Ready(Ok(0));
                }
                let count = std::task::ready!(poll_client(request, cx, into, most))?;
                left.set(left.get() - count as u64);
                Poll::Ready(Ok(count))
            }
        }
    }

    /// Writes all of `data`.
    pub async fn write(&self, data: &mut Bytes) -> io::Result<()> {
        match self {
            Self::Own(stream) => {
                while !data.is_empty() {
                    let count = poll_fn(|cx| {
                        let mut stream = stream.borrow_mut();
                        Pin::new(&mut *stream).poll_write(cx, data)
                    })
                    .await?;
                    if count == 0 {
                        return Err(io::ErrorKind::WriteZero.into());
                    }
                    bytes::Buf::advance(data, count);
                }
                poll_fn(|cx| Pin::new(&mut *stream.borrow_mut()).poll_flush(cx)).await
            }
            Self::Body { request, .. } | Self::Raw(request) => {
                request.conn.write(std::mem::take(data));
                request.conn.try_send();
                request.conn.drained().await
            }
        }
    }

    /// Runs `f` on the stream below, if there is one.
    pub fn with_stream<T>(&self, f: impl FnOnce(&mut Stream) -> T) -> Option<T> {
        match self {
            Self::Own(stream) => Some(f(&mut stream.borrow_mut())),
            Self::Body { request, .. } | Self::Raw(request) => request.conn.with_stream(f),
        }
    }

    /// Whether an end of the input means that the client went away: in the middle of its body, or
    /// whenever scripts want to know.
    pub fn is_aborted(&self) -> bool {
        let (request, left) = match self {
            Self::Own(_) => return false,
            Self::Body { left, .. } if left.get() == 0 => return false,
            Self::Body { request, left } => (request, left.get()),
            Self::Raw(request) => (request, 0),
        };
        left > 0 || request.with_location(|l| l.scope.part::<LuaLoc>().check_client_abort())
    }

    pub fn is_request(&self) -> bool {
        !matches!(self, Self::Own(_))
    }
}

fn poll_stream(
    stream: &RefCell<Stream>,
    cx: &mut Context<'_>,
    into: &mut BytesMut,
    most: usize,
) -> Poll<io::Result<usize>> {
    let mut space = [std::mem::MaybeUninit::<u8>::uninit(); READ_BYTES];
    let room = most.clamp(1, READ_BYTES);
    let mut buf = ReadBuf::uninit(&mut space[..room]);
    let mut stream = stream.borrow_mut();
    std::task::ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf))?;
    into.extend_from_slice(buf.filled());
    Poll::Ready(Ok(buf.filled().len()))
}

/// Takes what the connection has buffered before asking the socket.
fn poll_client(
    request: &Rc<Request>,
    cx: &mut Context<'_>,
    into: &mut BytesMut,
    most: usize,
) -> Poll<io::Result<usize>> {
    if request.conn.with_read(|read| read.is_empty()) {
        let count = std::task::ready!(request.conn.poll_fill(cx, most))?;
        if count == 0 {
            return Poll::Ready(Ok(0));
        }
    }
    let taken = request.conn.with_read(|read| {
        let count = most.min(read.len());
        read.split_to(count)
    });
    into.extend_from_slice(&taken);
    Poll::Ready(Ok(taken.len()))
}

const READ_BYTES: usize = 16 * 1024;

//! One request and the head of its response over one connection.
//!
//! ```text
//!  Unsent ─▶ socket        both directions at once: an upstream may answer before all is sent
//!  socket ─▶ buffer ─▶ response::Parser ─▶ ResponseHead, and what came behind it
//! ```

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use bstr::BString;
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};

use crate::{
    base::clock,
    net::{
        http1::{
            ResponseHead, UpstreamError,
            response::{self, Parser},
        },
        stream::Stream,
    },
};

use super::{
    fault::{During, Fault},
    h2::call::Call,
    link::Link,
    memc::reply::Tail,
    outgoing::Unsent,
};

/// What came back.
pub struct Reply {
    pub link: Link,
    pub head: ResponseHead,
    /// The response had no head at all: its bytes are passed on as they are.
    pub headless: bool,
    /// Bytes of the body that came along with the head.
    pub rest: BytesMut,
    /// Bytes received up to here.
    pub received: u64,
    /// The request was not wholly sent when the answer came.
    pub unsent: bool,
    /// Messages about header lines that were not taken.
    pub ignored: Vec<BString>,
    /// The rest of an exchange over HTTP/2.
    pub call: Option<Box<Call>>,
    /// What only memcached's answers have.
    pub tail: Option<Tail>,
}

/// Time limits of one try.
#[derive(Clone, Copy)]
pub struct Limits {
    pub connect: Duration,
    pub send: Duration,
    pub read: Duration,
    pub head_bytes: usize,
}

/// Sends the request and reads the response's head. The link is lost with an error.
pub async fn run(mut link: Link, mut unsent: Unsent, limits: &Limits) -> Result<Reply, Fault> {
    let mut buf = BytesMut::with_capacity(limits.head_bytes);
    let mut parser = Parser::new(limits.head_bytes);
    let mut received = 0;
    let mut ignored = Vec::new();
    let mut sending = true;
    loop {
        let limit = if sending { limits.send } else { limits.read };
        let room = limits.head_bytes.saturating_sub(buf.len()).max(1);
        let step = step(&mut link, sending.then_some(&mut unsent), &mut buf, room);
        let Ok(step) = tokio::time::timeout(limit, step).await else {
            clock::update();
            let during = if sending { During::Sending } else { During::ReadingHead };
            return Err(Fault::Timeout(during));
        };
        clock::update();
        match step? {
            Progress::Sent => sending = false,
            Progress::Wrote => continue,
            Progress::Read(0) => return Err(Fault::Closed),
            Progress::Read(count) => received += count as u64,
        }
        if buf.is_empty() {
            continue;
        }
        let (head, headless) = match parse(&mut parser, &mut buf, &mut ignored) {
            Parsed::More => continue,
            Parsed::Head(head) => (head, false),
            // HTTP/0.9: everything is body, as nginx has it.
            Parsed::Bad(UpstreamError::NoStatusLine) => (Parser::new(0).finish(Bytes::new()), true),
            Parsed::Bad(error) => return Err(Fault::Header(error)),
        };
        return Ok(Reply {
            link,
            head,
            headless,
            rest: buf,
            received,
            unsent: sending,
            ignored,
            call: None,
            tail: None,
        });
    }
}

enum Progress {
    /// All of the request is with the kernel.
    Sent,
    Wrote,
    Read(usize),
}

/// Sends what can be sent and reads what is there, whichever comes first.
async fn step(
    link: &mut Link,
    mut unsent: Option<&mut Unsent>,
    buf: &mut BytesMut,
    room: usize,
) -> Result<Progress, Fault> {
    poll_fn(|cx| {
        if let Some(unsent) = unsent.as_deref_mut() {
            let before = link.sent;
            match poll_send(link, unsent, cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(Progress::Sent)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Fault::Send(error))),
                Poll::Pending if link.sent > before => return Poll::Ready(Ok(Progress::Wrote)),
                Poll::Pending => {}
            }
        }
        poll_read(&mut link.stream, buf, room, cx).map(|read| match read {
            Ok(count) => Ok(Progress::Read(count)),
            Err(error) => Err(Fault::Recv(error)),
        })
    })
    .await
}

fn poll_send(
    link: &mut Link,
    unsent: &mut Unsent,
    cx: &mut std::task::Context<'_>,
) -> Poll<io::Result<()>> {
    while let Some(front) = unsent.front()? {
        match Pin::new(&mut link.stream).poll_write(cx, front) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(count)) => {
                unsent.advance(count);
                link.sent += count as u64;
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
    }
    Pin::new(&mut link.stream).poll_flush(cx)
}

/// Reads up to `room` bytes into the buffer's spare space.
pub fn poll_read(
    stream: &mut Stream,
    buf: &mut BytesMut,
    room: usize,
    cx: &mut std::task::Context<'_>,
) -> Poll<io::Result<usize>> {
    buf.reserve(room);
    let mut limited = bytes::BufMut::limit(buf, room);
    let read = stream.read_buf(&mut limited);
    pin!(read).poll(cx)
}

enum Parsed {
    More,
    Head(ResponseHead),
    Bad(UpstreamError),
}

/// Parses on; interim answers (1xx but 101) are passed over.
fn parse(parser: &mut Parser, buf: &mut BytesMut, ignored: &mut Vec<BString>) -> Parsed {
    loop {
        match parser.step(buf) {
            Ok(false) => return Parsed::More,
            Err(error) => return Parsed::Bad(error),
            Ok(true) => {}
        }
        ignored.append(&mut parser.take_ignored());
        let whole = std::mem::replace(parser, Parser::new(parser.max_bytes()));
        let raw = buf.split_to(whole.head_len()).freeze();
        let head = whole.finish(raw);
        if !(100..200).contains(&head.status) || head.status == 101 {
            return Parsed::Head(head);
        }
        if buf.is_empty() {
            return Parsed::More;
        }
    }
}

/// Where the body of a reply ends.
pub fn body_end(reply: &Reply, is_head: bool) -> response::Body {
    if reply.headless {
        return response::Body::UntilClose;
    }
    reply.head.body(is_head)
}

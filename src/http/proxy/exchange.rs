//! One request and the head of its response over one connection.
//!
//! ```text
//!  Unsent ─▶ socket        both directions at once: an upstream may answer before all is sent
//!  socket ─▶ buffer ─▶ Reading ─▶ ResponseHead, and what came behind it
//! ```

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Poll, ready},
    time::Duration,
};

use bstr::BString;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWrite};

use crate::{
    base::clock,
    net::{
        http1::{ResponseHead, response},
        stream::Stream,
    },
};

use super::{
    cgi::records::Records,
    fault::{During, End, Fault},
    h2::call::Call,
    link::Link,
    memc::reply::Tail,
    reading::{Parsed, Reading},
    sending::Unsent,
};

/// What came back.
pub struct Reply {
    pub link: Link,
    pub head: Rc<ResponseHead>,
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
    /// The rest of an answer in FastCGI's records.
    pub records: Option<Box<Records>>,
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
pub async fn run(
    mut link: Link,
    mut unsent: Unsent,
    mut reading: Reading,
    limits: &Limits,
) -> Result<Box<Reply>, End> {
    let mut buf = BytesMut::with_capacity(limits.head_bytes);
    let mut received = 0;
    let mut ignored = Vec::new();
    let mut sending = true;
    loop {
        let limit = match sending {
            true if unsent.waits_for_client() => NEVER,
            true => limits.send,
            false => limits.read,
        };
        let room = limits.head_bytes.saturating_sub(buf.len()).max(1);
        let front = sending.then_some(&mut unsent);
        let Some(step) = step(&mut link, front, &mut buf, room, limit).await else {
            let during = if sending { During::Sending } else { During::ReadingHead };
            return Err(End::Try(Fault::Timeout(during)));
        };
        match step? {
            Progress::Sent => sending = false,
            Progress::Wrote => continue,
            Progress::Read(0) => return Err(End::Try(Fault::Closed)),
            Progress::Read(count) => received += count as u64,
        }
        if buf.is_empty() {
            continue;
        }
        let (head, headless) = match reading.step(&mut buf, &mut ignored) {
            Parsed::More => continue,
            Parsed::Head(head) => (head, false),
            Parsed::Headless(head) => (head, true),
            Parsed::Bad(fault) => return Err(End::Try(fault)),
        };
        return Ok(Box::new(Reply {
            link,
            head: head.into(),
            headless,
            rest: buf,
            received,
            unsent: sending,
            ignored,
            call: None,
            records: reading.into_records(),
            tail: None,
        }));
    }
}

enum Progress {
    /// All of the request is with the kernel.
    Sent,
    Wrote,
    Read(usize),
}

/// Sends what can be sent and reads what is there, whichever comes first; nothing when the time is
/// up.
async fn step(
    link: &mut Link,
    mut unsent: Option<&mut Unsent>,
    buf: &mut BytesMut,
    room: usize,
    limit: Duration,
) -> Option<Result<Progress, End>> {
    link.deadline.set(limit.as_millis() as u64);
    let step = poll_fn(|cx| {
        if let Some(unsent) = unsent.as_deref_mut() {
            let before = link.sent;
            match poll_send(link, unsent, cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(Some(Ok(Progress::Sent))),
                Poll::Ready(Err(end)) => return Poll::Ready(Some(Err(end))),
                Poll::Pending if link.sent > before => {
                    return Poll::Ready(Some(Ok(Progress::Wrote)));
                }
                Poll::Pending => {}
            }
        }
        poll_read_within(link, buf, room, cx).map(|read| {
            let read = read?.map(Progress::Read);
            Some(read.map_err(|error| End::Try(Fault::Recv(error))))
        })
    });
    let step = step.await;
    clock::update();
    step
}

/// Reads up to `room` bytes; nothing when that takes longer than it may.
pub async fn read_within(
    link: &mut Link,
    buf: &mut BytesMut,
    room: usize,
    limit: Duration,
) -> Option<io::Result<usize>> {
    link.deadline.set(limit.as_millis() as u64);
    let read = poll_fn(|cx| poll_read_within(link, buf, room, cx)).await;
    clock::update();
    read
}

fn poll_read_within(
    link: &mut Link,
    buf: &mut BytesMut,
    room: usize,
    cx: &mut std::task::Context<'_>,
) -> Poll<Option<io::Result<usize>>> {
    match poll_read(&mut link.stream, buf, room, cx) {
        Poll::Ready(read) => Poll::Ready(Some(read)),
        Poll::Pending => link.deadline.poll(cx).map(|()| None),
    }
}

fn poll_send(
    link: &mut Link,
    unsent: &mut Unsent,
    cx: &mut std::task::Context<'_>,
) -> Poll<Result<(), End>> {
    let failed = |error: io::Error| End::Try(Fault::Send(error));
    loop {
        match unsent.poll_fill(cx)? {
            Poll::Ready(false) => break,
            Poll::Ready(true) => {}
            Poll::Pending => {
                // What has come goes out before more is waited for.
                ready!(Pin::new(&mut link.stream).poll_flush(cx)).map_err(failed)?;
                return Poll::Pending;
            }
        }
        match ready!(Pin::new(&mut link.stream).poll_write(cx, unsent.front())) {
            Ok(0) => return Poll::Ready(Err(failed(io::ErrorKind::WriteZero.into()))),
            Ok(count) => {
                unsent.advance(count);
                link.sent += count as u64;
            }
            Err(error) => return Poll::Ready(Err(failed(error))),
        }
    }
    Pin::new(&mut link.stream).poll_flush(cx).map_err(failed)
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

/// Where the body of a reply ends.
pub fn body_end(reply: &Reply, is_head: bool) -> response::Body {
    if reply.headless {
        return response::Body::UntilClose;
    }
    reply.head.body(is_head)
}

/// About three years: while the client sends there is a limit of its own.
const NEVER: Duration = Duration::from_secs(100_000_000);

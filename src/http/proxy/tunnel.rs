//! An upgraded connection: bytes in both directions until either side ends.
//!
//! ```text
//!  client ─▶ conn.read ─▶ upstream       upstream ─▶ conn.write ─▶ client
//! ```

use std::{future::poll_fn, pin::Pin, task::Poll};

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWrite;

use crate::{
    base::{clock, log::Level},
    http::phase::Flow,
};

use super::{
    exchange::{self, Reply},
    fault::{self, During},
    passage::Passage,
};

/// Runs until one side has ended; the head of the response has been sent.
pub async fn run(p: &mut Passage<'_>, reply: Box<Reply>) -> Flow {
    let r = p.r;
    p.enters(During::Upgraded);
    r.keepalive.set(false);
    let limit = p.limits().read;
    let mut tunnel = Tunnel { up: BytesMut::new(), down: BytesMut::new(), reply };
    if !tunnel.reply.rest.is_empty() {
        r.conn.write(tunnel.reply.rest.split().freeze());
    }
    r.conn.try_send();
    loop {
        if r.conn.unsent() > UNSENT_BYTES_MAX && r.flushed().await.is_err() {
            break;
        }
        match tokio::time::timeout(limit, tunnel.step(p)).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(_) => {
                r.log(Level::Error, format_args!("{}", fault::TIMED_OUT));
                break;
            }
        }
        clock::update();
    }
    // What is left for the client goes out; if it is gone, so be it.
    let _ = r.flushed().await;
    p.release(false);
    Flow::Done
}

struct Tunnel {
    /// On the way to the upstream.
    up: BytesMut,
    /// Just come from it.
    down: BytesMut,
    reply: Box<Reply>,
}

impl Tunnel {
    /// Moves bytes one way or the other; false at the end.
    async fn step(&mut self, p: &Passage<'_>) -> bool {
        let conn = &p.r.conn;
        poll_fn(|cx| {
            let stream = &mut self.reply.link.stream;
            loop {
                if self.up.is_empty() {
                    self.up = conn.with_read(BytesMut::split);
                }
                if self.up.is_empty() {
                    match conn.poll_fill(cx, READ_BYTES) {
                        Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(false),
                        Poll::Ready(Ok(_)) => continue,
                        Poll::Pending => break,
                    }
                }
                match Pin::new(&mut *stream).poll_write(cx, &self.up) {
                    Poll::Ready(Ok(count)) => self.up.advance(count),
                    Poll::Ready(Err(_)) => return Poll::Ready(false),
                    Poll::Pending => break,
                }
            }
            if let Poll::Ready(Err(_)) = Pin::new(&mut *stream).poll_flush(cx) {
                return Poll::Ready(false);
            }
            match exchange::poll_read(stream, &mut self.down, READ_BYTES, cx) {
                Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(false),
                Poll::Ready(Ok(_)) => {
                    conn.write(self.down.split().freeze());
                    conn.try_send();
                    Poll::Ready(true)
                }
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

const READ_BYTES: usize = 16 * 1024;
const UNSENT_BYTES_MAX: usize = 256 * 1024;

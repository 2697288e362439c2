//! Answering from a file of the cache.

use std::{io::Read, rc::Rc};

use bytes::BytesMut;

use crate::{
    base::{errno::Errno, log::Level},
    http::{output::Chunk, phase::Flow, request::Request},
};

use super::{
    super::{family::Family, respond, settings::Proxy},
    file::Stored,
};

/// Sends head and body.
pub async fn send(r: &Rc<Request>, family: Family, conf: &Proxy, stored: Stored) -> Flow {
    let Stored { head, mut file, length, .. } = stored;
    let head = Rc::new(head);
    r.upstream.borrow_mut().head = Some(head.clone());
    if let Err(error) = r.discard_body() {
        return Flow::Status(error.0);
    }
    if let Some(flow) = respond::acted_upon(r, conf, &head) {
        return flow;
    }
    respond::shape(r, family, conf, &head);
    {
        let mut out = r.headers_out.borrow_mut();
        // The answer to a HEAD was kept without the body it speaks of.
        let told = head.content_length().filter(|_| length == 0);
        out.content_length = told.or(Some(length));
        // Who said that ranges could be had is not asked for them any more.
        out.accept_ranges = out.list.remove(b"Accept-Ranges") || conf.force_ranges();
    }
    if let Err(error) = r.send_header() {
        return error.flow();
    }
    if r.header_only.get() {
        return Flow::Done;
    }
    let mut left = length;
    while left > 0 {
        let mut data = BytesMut::zeroed(left.min(PIECE_BYTES) as usize);
        if let Err(error) = file.read_exact(&mut data) {
            r.log(Level::Alert, format_args!("read() failed {}", Errno(&error)));
            return Flow::Close;
        }
        left -= data.len() as u64;
        let chunk = Chunk { data: data.freeze(), last: left == 0, ..Chunk::default() };
        if let Err(error) = r.output(chunk) {
            return error.flow();
        }
        if r.capture.is_none()
            && r.conn.unsent() as u64 > PIECE_BYTES
            && let Err(error) = r.flushed().await
        {
            return error.flow();
        }
    }
    Flow::Done
}

const PIECE_BYTES: u64 = 128 * 1024;

//! The head of a response as a header block, and the end of its body.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};

use crate::{
    base::{clock, date},
    http::{headers::HeadersOut, redirect, request::Request},
    net::http2::hpack::encode,
};

use super::{conf::Http2, stream::Stream};

/// Writes the head of a main request's response.
pub fn emit(r: &Rc<Request>, stream: &Stream) {
    let out = r.headers_out.borrow();
    let mut block = BytesMut::with_capacity(256);
    encode::status(&mut block, out.status);
    general_lines(r, &out, &mut block);
    for header in &out.list {
        if !is_of_connection(&header.name) {
            encode::field(&mut block, &header.name, &header.value);
        }
    }
    stream.set_chunk_bytes(r.with_location(|l| l.scope.part::<Http2>().chunk_bytes()));
    let empty = out.content_length == Some(0) && !out.expects_trailers;
    let ends = r.header_only.get() || empty;
    stream.send_headers(&block, ends);
    if ends {
        stream.link.conn.try_send();
    }
}

/// An interim response: `103 Early Hints`.
pub fn early(stream: &Stream, status: u16, lines: &[(Bytes, Bytes)]) {
    let mut block = BytesMut::with_capacity(128);
    encode::status(&mut block, status);
    for (name, value) in lines {
        encode::field(&mut block, name, value);
    }
    stream.send_headers(&block, false);
}

fn general_lines(r: &Rc<Request>, out: &HeadersOut, block: &mut BytesMut) {
    if !out.hides_server && !out.list.contains(b"Server") {
        let line = r.with_location(|location| location.core().server_line());
        let value = line.trim_ascii().strip_prefix("Server: ").unwrap_or_default();
        encode::field(block, b"server", value.as_bytes());
    }
    if !out.hides_date && !out.list.contains(b"Date") {
        encode::field(block, b"date", date::http_time(clock::wall().secs).as_bytes());
    }
    if let Some(kind) = out.content_type_line() {
        encode::field(block, b"content-type", &kind);
    }
    if let Some(length) = out.content_length {
        encode::field(block, b"content-length", length.to_string().as_bytes());
    }
    if let Some(seconds) = out.last_modified
        && !out.list.contains(b"Last-Modified")
    {
        encode::field(block, b"last-modified", date::http_time(seconds).as_bytes());
    }
    if let Some(location) = out.list.first("Location") {
        let location = match out.location_as_is {
            true => location.clone(),
            false => redirect::absolute(r, location),
        };
        encode::field(block, b"location", &location);
    }
}

/// Lines that HTTP/2 does not know, and those written above.
fn is_of_connection(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 7] = [
        b"location",
        b"content-length",
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"transfer-encoding",
        b"upgrade",
    ];
    NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

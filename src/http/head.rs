//! The last step of output: status line, header lines and body framing, into the write buffer.

use std::{cell::RefCell, rc::Rc};

use bytes::Bytes;

use crate::base::{clock, date};

use super::{
    conn::Conn, h2, headers::HeadersOut, method::Method, modules::gzip, output::Chunk,
    request::Request, status,
};

/// Writes the response head of a main request; subrequests have none.
pub fn emit(r: &Rc<Request>) {
    decide_header_only(r);
    if let Some(capture) = &r.capture {
        *capture.head.borrow_mut() = Some(r.headers_out.borrow().clone());
        return;
    }
    if r.is_subrequest() || r.line.version < 1000 {
        return;
    }
    if let Some(stream) = r.conn.http2() {
        return h2::respond::emit(r, stream);
    }
    decide_framing(r);
    let out = r.headers_out.borrow();
    SCRATCH.with_borrow_mut(|text| {
        text.clear();
        text.reserve(HEAD_BYTES);
        status_line(&out, text);
        general_lines(r, &out, text);
        connection_lines(r, &out, text);
        for header in &out.list {
            if !is_framing(&header.name) {
                line(text, &header.name, &header.value);
            }
        }
        text.extend_from_slice(b"\r\n");
        r.conn.write_slice(text);
        text.shrink_to(SCRATCH_BYTES_MAX);
    });
}

/// Writes body bytes of the main response, framed; decides when to send.
pub fn write_body(r: &Rc<Request>, chunk: Chunk) {
    let main = r.main();
    let conn = &main.conn;
    if conn.hijacked.get() {
        return;
    }
    let ends = chunk.last && !r.is_subrequest();
    let silent = main.header_only.get();
    let chunk = match main.ext_if_any::<gzip::Stream>() {
        Some(stream) if !silent => stream.pack(chunk, ends),
        _ => chunk,
    };
    if !chunk.data.is_empty() && !silent {
        main.body_bytes_sent.set(main.body_bytes_sent.get() + chunk.data.len() as u64);
        if main.chunked.get() {
            chunk_size(conn, chunk.data.len());
            conn.write(chunk.data);
            conn.write_slice(b"\r\n");
        } else {
            conn.write(chunk.data);
        }
    }
    if ends && !silent {
        match conn.http2() {
            Some(stream) => stream.finish(main.headers_out.borrow().trailers.clone()),
            None if main.chunked.get() => end_of_chunks(main),
            None => {}
        }
    }
    let enough = conn.unsent() >= main.with_location(|l| l.core().postpone_output());
    if ends || chunk.flush || enough {
        conn.try_send();
    }
}

/// `1f␍␊`
fn chunk_size(conn: &Conn, size: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 18];
    let mut at = 16;
    let mut left = size;
    text[16..].copy_from_slice(b"\r\n");
    loop {
        at -= 1;
        text[at] = DIGITS[left & 15];
        left >>= 4;
        if left == 0 {
            return conn.write_slice(&text[at..]);
        }
    }
}

fn end_of_chunks(main: &Rc<Request>) {
    let out = main.headers_out.borrow();
    if out.trailers.is_empty() {
        return main.conn.write_slice(b"0\r\n\r\n");
    }
    let mut text = b"0\r\n".to_vec();
    for header in &out.trailers {
        line(&mut text, &header.name, &header.value);
    }
    text.extend_from_slice(b"\r\n");
    main.conn.write_slice(&text);
}

fn decide_header_only(r: &Rc<Request>) {
    let mut out = r.headers_out.borrow_mut();
    if r.method.borrow().is(Method::HEAD) {
        r.header_only.set(true);
    }
    match out.status {
        0 => out.status = 200,
        204 => {
            r.header_only.set(true);
            out.content_type = None;
            out.last_modified = None;
            out.content_length = None;
        }
        304 => r.header_only.set(true),
        _ => {}
    }
}

/// Chunked when the length is unknown and the client understands it; else the connection must end.
fn decide_framing(r: &Rc<Request>) {
    let allowed = r.with_location(|location| location.core().chunked_transfer_encoding());
    let chunks = r.line.version >= 1001 && allowed;
    if chunks && r.headers_out.borrow().expects_trailers {
        r.headers_out.borrow_mut().content_length = None;
    }
    let out = r.headers_out.borrow();
    let bodiless = matches!(out.status, 204 | 304) || (100..200).contains(&out.status);
    if out.status == 101 {
        r.keepalive.set(false);
    }
    if bodiless || r.method.borrow().is(Method::HEAD) || out.content_length.is_some() {
        return;
    }
    if chunks {
        r.chunked.set(true);
    } else {
        r.keepalive.set(false);
    }
}

fn status_line(out: &HeadersOut, text: &mut Vec<u8>) {
    text.extend_from_slice(b"HTTP/1.1 ");
    match (&out.status_line, status::line(out.status)) {
        (Some(custom), _) => text.extend_from_slice(custom),
        (None, Some(known)) => text.extend_from_slice(known.as_bytes()),
        (None, None) => {
            // nginx prints the bare number and a space for codes it has no text for.
            text.extend_from_slice(format!("{:03} ", out.status).as_bytes());
        }
    }
    text.extend_from_slice(b"\r\n");
}

fn general_lines(r: &Rc<Request>, out: &HeadersOut, text: &mut Vec<u8>) {
    if !out.hides_server && !out.list.contains(b"Server") {
        let server = r.with_location(|location| location.core().server_line());
        text.extend_from_slice(server.as_bytes());
    }
    if !out.hides_date && !out.list.contains(b"Date") {
        date_line(text);
    }
    if let Some(kind) = out.content_type_line() {
        line(text, b"Content-Type", &kind);
    }
    if let Some(length) = out.content_length {
        text.extend_from_slice(b"Content-Length: ");
        text.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    if let Some(seconds) = out.last_modified
        && !out.list.contains(b"Last-Modified")
    {
        line(text, b"Last-Modified", date::http_time(seconds).as_bytes());
    }
    if let Some(location) = out.list.first("Location") {
        let location = match out.location_as_is {
            true => location.clone(),
            false => super::redirect::absolute(r, location),
        };
        line(text, b"Location", &location);
    }
}

fn connection_lines(r: &Rc<Request>, out: &HeadersOut, text: &mut Vec<u8>) {
    if r.chunked.get() {
        text.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    if out.status == 101 {
        text.extend_from_slice(b"Connection: upgrade\r\n");
    } else if r.keepalive.get() {
        text.extend_from_slice(b"Connection: keep-alive\r\n");
        let header_s = r.with_location(|location| location.core().keepalive_header_s());
        if header_s > 0 {
            text.extend_from_slice(format!("Keep-Alive: timeout={header_s}\r\n").as_bytes());
        }
    } else {
        text.extend_from_slice(b"Connection: close\r\n");
    }
}

/// `Date:` of this second, rendered once a second.
fn date_line(text: &mut Vec<u8>) {
    thread_local! {
        static LINE: RefCell<(i64, Bytes)> = const { RefCell::new((0, Bytes::new())) };
    }
    let now = clock::wall().secs;
    LINE.with_borrow_mut(|(at, line)| {
        if *at != now {
            *line = format!("Date: {}\r\n", date::http_time(now)).into();
            *at = now;
        }
        text.extend_from_slice(line);
    });
}

fn line(text: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    text.extend_from_slice(name);
    text.extend_from_slice(b": ");
    text.extend_from_slice(value);
    text.extend_from_slice(b"\r\n");
}

/// Lines this file writes itself.
fn is_framing(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"location")
        || name.eq_ignore_ascii_case(b"connection")
        || name.eq_ignore_ascii_case(b"content-length")
}

thread_local! {
    /// Where a head is put together, before it goes to its connection as a whole.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Room for a usual head.
const HEAD_BYTES: usize = 512;
/// What a large head has needed is given back.
const SCRATCH_BYTES_MAX: usize = 16 * 1024;

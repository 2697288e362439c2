//! The head of a request to an upstream, as a header block.
//!
//! ```text
//!  :method :scheme :path :authority    lines of grpc_set_header or proxy_set_header
//!  te, content-length                  the client's lines, but those named above
//! ```

use std::rc::Rc;

use bytes::{Bytes, BytesMut};

use crate::{
    http::{
        proxy::{
            family::Family,
            forward::Choices,
            outgoing::{body_length, is_conditional, is_own},
            settings::Proxy,
            target::Target,
        },
        request::Request,
    },
    net::http2::hpack::encode,
};

/// Builds the block.
pub fn block(
    r: &Rc<Request>,
    conf: &Proxy,
    target: &Target,
    choices: &Choices,
    method: &[u8],
    length: Option<u64>,
) -> Bytes {
    let mut block = BytesMut::with_capacity(512);
    match method {
        b"GET" => encode::indexed(&mut block, 2),
        b"POST" => encode::indexed(&mut block, 3),
        other => encode::field(&mut block, b":method", other),
    }
    encode::indexed(&mut block, if target.origin.tls { 7 } else { 6 });
    encode::field(&mut block, b":path", &target.uri);
    let chosen = |wanted: &[u8]| choices.lines.iter().any(|(n, _)| n.eq_ignore_ascii_case(wanted));
    let set = conf.set_headers.as_ref().map_or(&[][..], |set| set);
    let is_set = |wanted: &[u8]| {
        set.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted)) || chosen(wanted)
    };
    let grpc = choices.family == Family::Grpc;
    if !is_set(b"Host") {
        // A balancer may name the host with the peer.
        let chosen = choices.host.as_ref().map(|host| host.borrow().clone());
        encode::field(&mut block, b":authority", chosen.as_ref().unwrap_or(&target.origin.host));
    }
    let mut put = |name: &[u8], value: &[u8]| {
        if !value.is_empty() && !is_of_connection(name) {
            encode::field(&mut block, name, value);
        }
    };
    choices.lines.iter().for_each(|(name, value)| put(name, value));
    for (name, value) in set.iter().filter(|(name, _)| !chosen(name)) {
        put(name, &value.eval(r));
    }
    if let Some(length) = length.filter(|_| !grpc && !is_set(b"Content-Length")) {
        put(b"content-length", length.to_string().as_bytes());
    }
    let headers = r.headers_in.borrow();
    if grpc && !is_set(b"Content-Length") {
        // As the client said it: the body is passed on as it comes.
        put(b"content-length", headers.first("Content-Length").map_or(b"", |value| value));
    }
    if grpc && !is_set(b"TE") && headers.all(b"TE").any(|value| says_trailers(value)) {
        put(b"te", b"trailers");
    }
    if let Some(own) = &choices.conditional {
        let lines = [
            (&b"if-modified-since"[..], &own.modified_since),
            (&b"if-none-match"[..], &own.none_match),
        ];
        for (name, value) in lines {
            if let Some(value) = value.as_ref().filter(|_| !is_set(name)) {
                put(name, value);
            }
        }
    }
    let dropped = |name: &[u8]| choices.conditional.is_some() && is_conditional(name);
    if conf.pass_request_headers() {
        let others = headers
            .iter()
            .filter(|line| !is_own(&line.name) && !is_set(&line.name) && !dropped(&line.name));
        others.for_each(|line| put(&line.name, &line.value));
    }
    block.freeze()
}

/// The length of the body that is sent, where it is announced.
pub fn announced(r: &Rc<Request>, conf: &Proxy, set_body: Option<&Bytes>) -> Option<u64> {
    match set_body {
        Some(body) => Some(body.len() as u64),
        None if !conf.pass_request_body() => body_length(r).map(|_| 0),
        None => body_length(r),
    }
}

fn says_trailers(value: &[u8]) -> bool {
    let mut words = value.split(|byte| *byte == b',');
    words.any(|word| {
        let word = word.split(|byte| *byte == b';').next().unwrap_or_default();
        word.trim_ascii().eq_ignore_ascii_case(b"trailers")
    })
}

/// Lines HTTP/2 does not know.
fn is_of_connection(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 5] =
        [b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"];
    NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

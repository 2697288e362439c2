//! A response's header fields as the head the rest of the proxy knows.

use std::fmt::Write as _;

use bstr::BStr;
use bytes::Bytes;

use crate::{
    http::{proxy::fault::Fault, status},
    net::{
        http1::{ResponseHead, response::Parser},
        http2::hpack::Field,
    },
};

/// Reads `:status` and the fields behind it.
pub fn build(fields: &[Field]) -> Result<ResponseHead, Fault> {
    let status = status_of(fields)?;
    let mut text = Vec::with_capacity(512);
    text.extend_from_slice(b"HTTP/1.1 ");
    match status::line(status) {
        Some(line) => text.extend_from_slice(line.as_bytes()),
        None => {
            let mut number = String::new();
            let _ = write!(number, "{status:03} ");
            text.extend_from_slice(number.as_bytes());
        }
    }
    text.extend_from_slice(b"\r\n");
    for field in fields.iter().filter(|field| !field.name.starts_with(b":")) {
        check(field)?;
        let hops = [&b"connection"[..], b"transfer-encoding", b"keep-alive"];
        if !hops.contains(&&field.name[..]) {
            for part in [&field.name[..], b": ", &field.value, b"\r\n"] {
                text.extend_from_slice(part);
            }
        }
    }
    text.extend_from_slice(b"\r\n");
    let mut parser = Parser::new(text.len() + 1);
    match parser.step(&text) {
        Ok(true) => Ok(parser.finish(Bytes::from(text))),
        Ok(false) => Err(Fault::Invalid("upstream sent invalid http2 header".into())),
        Err(error) => Err(Fault::Header(error)),
    }
}

fn status_of(fields: &[Field]) -> Result<u16, Fault> {
    let wrong = |text: String| Err(Fault::Invalid(text));
    let mut status = None;
    for field in fields.iter().filter(|field| field.name.starts_with(b":")) {
        if field.name != b":status"[..] {
            let (name, value) = (BStr::new(&field.name), BStr::new(&field.value));
            return wrong(format!("upstream sent invalid header \"{name}: {value}\""));
        }
        if status.is_some() {
            return wrong("upstream sent duplicate :status header".into());
        }
        let digits = std::str::from_utf8(&field.value).ok().filter(|value| value.len() == 3);
        match digits.and_then(|digits| digits.parse().ok()) {
            Some(code @ 100..) => status = Some(code),
            _ => {
                let value = BStr::new(&field.value);
                return wrong(format!("upstream sent invalid :status \"{value}\""));
            }
        }
    }
    let is_first = fields.first().is_some_and(|first| first.name == b":status"[..]);
    match status {
        Some(status) if is_first => Ok(status),
        _ => wrong("upstream sent no :status header".into()),
    }
}

/// Fields behind the body.
pub fn trailers(fields: &[Field]) -> Result<Vec<(Bytes, Bytes)>, Fault> {
    fields
        .iter()
        .map(|field| {
            if field.name.starts_with(b":") {
                let (name, value) = (BStr::new(&field.name), BStr::new(&field.value));
                return Err(Fault::Invalid(format!(
                    "upstream sent invalid trailer: \"{name}: {value}\""
                )));
            }
            check(field)?;
            Ok((field.name.clone(), field.value.clone()))
        })
        .collect()
}

fn check(field: &Field) -> Result<(), Fault> {
    let bad_name = |byte: &u8| matches!(byte, 0..=b' ' | 0x7f | b':' | b'A'..=b'Z');
    let bad_value = |byte: &u8| matches!(byte, 0 | b'\r' | b'\n');
    if field.name.is_empty() || field.name.iter().any(bad_name) || field.value.iter().any(bad_value)
    {
        let (name, value) = (BStr::new(&field.name), BStr::new(&field.value));
        return Err(Fault::Invalid(format!("upstream sent invalid header: \"{name}: {value}\"")));
    }
    Ok(())
}

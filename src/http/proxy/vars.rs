//! `$proxy_*` and `$upstream_*`.

use std::{fmt::Write, rc::Rc, sync::Arc};

use bytes::Bytes;

use crate::http::{
    request::Request,
    upstream_trace::Try,
    vars::{VarRow, var_live},
};

use super::settings::Origin;

pub const VARS: &[VarRow] = &[
    var_live("proxy_host", |r, _| known(origin(r)?.host.clone())),
    var_live("proxy_port", |r, _| known(origin(r)?.port.clone())),
    var_live("proxy_add_x_forwarded_for", |r, _| {
        let client = r.conn.remote_text.borrow().clone();
        match r.headers_in.borrow().joined(b"X-Forwarded-For", b", ") {
            Some(known) => Some([&known[..], b", ", &client].concat().into()),
            None => Some(client),
        }
    }),
    var_live("upstream_addr", |r, _| {
        tries(r, |text, attempt| {
            _ = write!(text, "{}", bstr::BStr::new(&attempt.peer));
        })
    }),
    var_live("upstream_status", |r, _| {
        tries(r, |text, attempt| match attempt.status {
            0 => text.push('-'),
            status => _ = write!(text, "{status}"),
        })
    }),
    var_live("upstream_connect_time", |r, _| tries(r, |text, t| time(text, t.connect_ms))),
    var_live("upstream_header_time", |r, _| tries(r, |text, t| time(text, t.header_ms))),
    var_live("upstream_response_time", |r, _| tries(r, |text, t| time(text, t.response_ms))),
    var_live("upstream_response_length", |r, _| {
        tries(r, |text, attempt| {
            _ = write!(text, "{}", attempt.response_length);
        })
    }),
    var_live("upstream_bytes_received", |r, _| {
        tries(r, |text, attempt| {
            _ = write!(text, "{}", attempt.bytes_received);
        })
    }),
    var_live("upstream_bytes_sent", |r, _| {
        tries(r, |text, attempt| {
            _ = write!(text, "{}", attempt.bytes_sent);
        })
    }),
    var_live("upstream_http_*", |r, name| header(r, &name["upstream_http_".len()..])),
    var_live("upstream_trailer_*", |r, name| {
        let wanted = &name["upstream_trailer_".len()..];
        let facts = r.upstream.borrow();
        let found = facts.trailers.iter().find(|(name, _)| same(name, wanted))?;
        Some(found.1.clone())
    }),
    var_live("upstream_cookie_*", |r, name| cookie(r, &name["upstream_cookie_".len()..])),
    var_live("upstream_cache_status", |r, _| {
        known(Bytes::from_static(r.upstream.borrow().cache_status.as_bytes()))
    }),
    var_live("upstream_last_addr", |r, _| known(r.upstream_trace.borrow().last()?.peer.clone())),
];

fn origin(r: &Request) -> Option<Arc<Origin>> {
    r.upstream.borrow().origin.clone()
}

fn known(text: Bytes) -> Option<Bytes> {
    Some(text).filter(|text| !text.is_empty())
}

/// One word for each try, with `, ` between those of one pass and ` : ` between passes.
fn tries(r: &Rc<Request>, word: impl Fn(&mut String, &Try)) -> Option<Bytes> {
    let trace = r.upstream_trace.borrow();
    if trace.is_empty() {
        return None;
    }
    let mut text = String::new();
    let mut between = "";
    for attempt in trace.iter() {
        if attempt.peer.is_empty() {
            between = " : ";
            continue;
        }
        text.push_str(between);
        word(&mut text, attempt);
        between = ", ";
    }
    Some(text.into())
}

fn time(text: &mut String, ms: Option<u64>) {
    match ms {
        Some(ms) => _ = write!(text, "{}.{:03}", ms / 1000, ms % 1000),
        None => text.push('-'),
    }
}

/// Lines of the last response, joined as nginx joins repeated ones.
fn header(r: &Rc<Request>, wanted: &[u8]) -> Option<Bytes> {
    let head = r.upstream.borrow().head.clone()?;
    let mut lines = head.headers.iter().filter(|line| same(line.name.of(&head.raw), wanted));
    let first = head.raw.slice(lines.next()?.value.range());
    let mut text = None;
    for line in lines {
        let text = text.get_or_insert_with(|| first.to_vec());
        text.extend_from_slice(b", ");
        text.extend_from_slice(line.value.of(&head.raw));
    }
    Some(text.map_or(first, Bytes::from))
}

/// The value of a cookie the upstream set.
fn cookie(r: &Rc<Request>, wanted: &[u8]) -> Option<Bytes> {
    let head = r.upstream.borrow().head.clone()?;
    let lines = head
        .headers
        .iter()
        .filter(|line| line.name.of(&head.raw).eq_ignore_ascii_case(b"Set-Cookie"));
    for line in lines {
        let value = head.raw.slice(line.value.range());
        let Some((name, rest)) = value.split_at_checked(wanted.len()) else { continue };
        let rest = rest.trim_ascii_start();
        if !name.eq_ignore_ascii_case(wanted) || rest.first() != Some(&b'=') {
            continue;
        }
        let rest = rest[1..].trim_ascii_start();
        let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
        return Some(value.slice_ref(&rest[..end]));
    }
    None
}

/// A header's name against the end of a variable's.
fn same(header: &[u8], variable: &[u8]) -> bool {
    header.len() == variable.len()
        && header.iter().zip(variable).all(|(h, v)| match h {
            b'-' => *v == b'_',
            _ => h.eq_ignore_ascii_case(v),
        })
}

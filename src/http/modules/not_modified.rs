//! Conditional requests: 304 and 412 instead of a response the client has, or does not want.

use std::{cell::Cell, rc::Rc};

use bytes::Bytes;

use crate::{base::date, conf::Scope, net::http1::Known};

use crate::http::{
    core::IfModifiedSince,
    headers::HeadersOut,
    output::{Filter, OutputError},
    request::Request,
};

pub static FILTER: NotModified = NotModified;

/// Compares the request's conditions with `ETag` and `Last-Modified` of the response.
pub struct NotModified;

/// A script wants the response to go out whatever the request's conditions say.
#[derive(Default)]
pub struct Bypass(pub Cell<bool>);

/// The answer is somebody else's, who judged the conditions already.
pub fn leave_alone(r: &Rc<Request>) {
    if CONDITIONS.iter().any(|known| r.headers_in.may_have(*known)) {
        r.ext::<Bypass>().0.set(true);
    }
}

impl Filter for NotModified {
    fn applies(&self, _scope: &Scope) -> bool {
        true
    }

    fn header(&self, r: &Rc<Request>) -> Result<(), OutputError> {
        if r.is_subrequest() || r.headers_out.borrow().status != 200 {
            return Ok(());
        }
        if !CONDITIONS.iter().any(|known| r.headers_in.may_have(*known)) {
            return Ok(());
        }
        if r.ext::<Bypass>().0.get() {
            return Ok(());
        }
        let headers = r.headers_in.borrow();
        let out = r.headers_out.borrow();
        if let Some(date) = headers.first("If-Unmodified-Since")
            && !is_unmodified(&out, date)
        {
            return Err(OutputError::Status(412));
        }
        if let Some(tags) = headers.first("If-Match")
            && !has_tag(&out, tags, false)
        {
            return Err(OutputError::Status(412));
        }
        let since = headers.first("If-Modified-Since");
        let tags = headers.first("If-None-Match");
        if since.is_none() && tags.is_none()
            || since.is_some_and(|date| is_modified(r, &out, date))
            || tags.is_some_and(|tags| !has_tag(&out, tags, true))
        {
            return Ok(());
        }
        drop(out);
        let mut out = r.headers_out.borrow_mut();
        out.status = 304;
        out.status_line = None;
        out.content_type = None;
        out.content_length = None;
        out.accept_ranges = false;
        out.list.remove(b"Accept-Ranges");
        out.list.remove(b"Content-Encoding");
        Ok(())
    }
}

fn is_unmodified(out: &HeadersOut, date: &[u8]) -> bool {
    match (out.last_modified, date::parse_http_time(date)) {
        (Some(changed), Some(date)) => date >= changed,
        _ => false,
    }
}

fn is_modified(r: &Rc<Request>, out: &HeadersOut, date: &[u8]) -> bool {
    let rule = r.with_location(|location| location.core().if_modified_since());
    let (Some(changed), Some(date)) = (out.last_modified, date::parse_http_time(date)) else {
        return true;
    };
    match rule {
        IfModifiedSince::Off => true,
        IfModifiedSince::Exact => date != changed,
        IfModifiedSince::Before => date < changed,
    }
}

/// Whether the response's tag is in a list of tags; weak comparison passes over `W/`.
fn has_tag(out: &HeadersOut, list: &Bytes, weak: bool) -> bool {
    if list.as_ref() == b"*" {
        return true;
    }
    let Some(tag) = out.list.first("ETag") else { return false };
    let bare = |tag: &'_ [u8]| -> Bytes {
        let strong = tag.strip_prefix(b"W/").filter(|_| weak).unwrap_or(tag);
        Bytes::copy_from_slice(strong)
    };
    let tag = bare(tag);
    list.split(|byte| *byte == b',').any(|one| bare(one.trim_ascii()) == tag)
}

const CONDITIONS: [Known; 4] =
    [Known::IfUnmodifiedSince, Known::IfMatch, Known::IfModifiedSince, Known::IfNoneMatch];

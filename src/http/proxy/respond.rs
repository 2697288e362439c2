//! From the upstream's head to the client's: what is kept back, changed, acted upon.
//!
//! ```text
//!  Reply ─┬─ intercepted ─▶ error_page        ┌─ 101 ─▶ tunnel
//!         ├─ X-Accel-Redirect ─▶ other URI    │
//!         └─ lines ─ hide, rewrite ─▶ headers_out ─▶ send_header ─▶ relay
//! ```

use std::rc::Rc;

use bytes::Bytes;

use crate::{
    base::{date, log::Level, units},
    http::{
        limit_rate,
        method::Method,
        modules::{charset, not_modified, sticky},
        phase::Flow,
        redirect,
        request::Request,
    },
    net::http1::{HeaderLine, Known, ResponseHead, response::Body},
    upstream::{ReportKind, Step},
};

use super::{
    cookie,
    exchange::{self, Reply},
    family::Family,
    fault::{During, End},
    h2,
    passage::Passage,
    relay, rewrite,
    settings::{Proxy, ignore},
    tunnel,
};

/// Answers the client with what the upstream said.
pub async fn run(p: &mut Passage<'_>, mut reply: Box<Reply>) -> Flow {
    let r = p.r;
    if reply.headless {
        return Box::pin(headless(p, reply)).await;
    }
    let head = reply.head.clone();
    r.upstream.borrow_mut().head = Some(head.clone());
    p.learn(sticky::Moment::Head);
    if let Some(flow) = acted_upon(r, p.conf(), &head) {
        if let (Flow::Status(_), Some(caching)) = (flow, &p.caching) {
            caching.refuse(r, p.conf(), &head);
        }
        dismiss(p, reply);
        return flow;
    }
    shape(r, p.family(), p.conf(), &head);
    r.headers_out.borrow_mut().content_length = head.content_length();
    if reply.call.as_ref().is_some_and(|call| call.is_bodiless()) {
        let mut out = r.headers_out.borrow_mut();
        out.expects_trailers = false;
        out.content_length.get_or_insert(0);
    }
    p.keep_answer(&head);
    p.store_answer(&head);
    if !p.keeps_answer() {
        not_modified::leave_alone(r);
    }
    if p.keeps_answer() || p.conf().force_ranges() {
        let mut out = r.headers_out.borrow_mut();
        out.accept_ranges = out.list.remove(b"Accept-Ranges") || p.conf().force_ranges();
    }
    let upgrade = head.status == 101 && r.headers_in.borrow().contains(b"Upgrade");
    p.enters(During::ReadingBody);
    if let Err(error) = r.send_header() {
        p.release(false);
        return error.flow();
    }
    if upgrade {
        return Box::pin(tunnel::run(p, reply)).await;
    }
    if r.header_only.get() && !p.keeps_answer() {
        dismiss(p, reply);
        return Flow::Done;
    }
    let unbuffered = matches!(p.family(), Family::Grpc | Family::Memcached | Family::Memc);
    let at_once = unbuffered || !buffers(p.conf(), &head);
    let outcome = match reply.call {
        Some(_) => Box::pin(h2::relay::run(p, &mut reply, at_once)).await,
        None => {
            let body = exchange::body_end(&reply, p.outgoing.is_head);
            relay::run(p, &mut reply, body, at_once).await
        }
    };
    ended(p, reply, outcome)
}

/// What a head asks of us besides being passed on; `Some` when it is not passed on at all.
pub fn acted_upon(r: &Rc<Request>, conf: &Proxy, head: &ResponseHead) -> Option<Flow> {
    limit_rate(r, conf, head);
    intercepted(r, conf, head).or_else(|| redirected(r, conf, head))
}

/// HTTP/0.9: the bytes go through as they are, without a head of ours.
async fn headless(p: &mut Passage<'_>, mut reply: Box<Reply>) -> Flow {
    p.r.set_status(200);
    p.r.keepalive.set(false);
    if p.r.capture.is_some() {
        if let Err(error) = p.r.send_header() {
            return error.flow();
        }
    } else {
        p.r.header_sent.set(true);
    }
    p.enters(During::ReadingBody);
    let outcome = relay::run(p, &mut reply, Body::UntilClose, !p.conf().buffering()).await;
    ended(p, reply, outcome)
}

/// Gives the peer back after the body, and the connection when it can be used again.
fn ended(p: &mut Passage<'_>, reply: Box<Reply>, outcome: Result<bool, End>) -> Flow {
    match outcome {
        Ok(reusable) => {
            if reusable && !reply.head.close && !reply.unsent {
                p.keep(reply.link);
            }
            p.answer_complete();
            p.release(false);
            Flow::Done
        }
        Err(End::Client) => Flow::Status(p.client_gone()),
        Err(End::Status(status)) => {
            p.release(false);
            Flow::Status(status)
        }
        Err(End::Try(fault)) => {
            p.report(ReportKind::Broken, Step::Body);
            p.release(false);
            Flow::Status(fault.status())
        }
    }
}

/// Ends the exchange without the answer, which is taken from somewhere else.
pub fn put_aside(p: &mut Passage<'_>, reply: Box<Reply>) {
    dismiss(p, reply);
}

/// Ends the exchange without the body; a connection without one can be kept.
fn dismiss(p: &mut Passage<'_>, mut reply: Box<Reply>) {
    if let Some(call) = &reply.call {
        if call.is_over(&mut reply.link) {
            p.keep(reply.link);
        }
        return p.release(false);
    }
    let end = exchange::body_end(&reply, p.outgoing.is_head);
    let bodiless = match p.family() {
        Family::Fastcgi => reply.records.as_ref().is_some_and(|records| records.ended),
        _ => matches!(end, Body::None | Body::Length(0)) && reply.head.status != 101,
    };
    if bodiless && !reply.head.close && !reply.unsent && reply.rest.is_empty() {
        p.keep(reply.link);
    }
    p.release(false);
}

/// `proxy_intercept_errors`: an error page of ours for a status of theirs.
fn intercepted(r: &Rc<Request>, conf: &Proxy, head: &ResponseHead) -> Option<Flow> {
    let status = head.status;
    if status < 300 || !conf.intercept_errors() {
        return None;
    }
    let paged = r.with_location(|location| {
        location.core().error_pages().iter().any(|page| page.code == status)
    });
    if !paged {
        return None;
    }
    if status == 401 {
        let mut out = r.headers_out.borrow_mut();
        for (name, value) in lines(head, "WWW-Authenticate") {
            out.list.add(name, value);
        }
    }
    Some(Flow::Status(status))
}

/// `X-Accel-Redirect`: another URI answers, with a few lines of this response.
fn redirected(r: &Rc<Request>, conf: &Proxy, head: &ResponseHead) -> Option<Flow> {
    if conf.ignore_headers() & ignore::REDIRECT != 0 {
        return None;
    }
    let target = accel(head, "X-Accel-Redirect")?;
    for line in &head.headers {
        let name = line.name.of(&head.raw);
        if REDIRECT_KEEPS.iter().any(|kept| kept.as_bytes().eq_ignore_ascii_case(name)) {
            copy(r, conf, head, line);
        }
    }
    if target.first() == Some(&b'@') {
        return Some(redirect::named(r, &target));
    }
    let (path, args) = redirect::split_args(&target);
    let path = crate::base::escape::unescape_uri(&path, crate::base::escape::Unescape::All);
    if unsafe_path(&path) {
        r.log(
            Level::Error,
            format_args!("unsafe URI \"{}\" was detected", bstr::BStr::new(&target)),
        );
        return Some(Flow::Status(404));
    }
    if !r.method.borrow().is(Method::HEAD) {
        *r.method.borrow_mut() = Method::get();
    }
    Some(redirect::internal(r, path.into(), args.unwrap_or_default()))
}

/// A path that is empty, holds a NUL, or climbs.
fn unsafe_path(path: &[u8]) -> bool {
    path.is_empty()
        || path == b".."
        || path.starts_with(b"../")
        || path.contains(&0)
        || path.windows(4).any(|w| w == b"/../")
        || path.ends_with(b"/..")
}

/// Fills `headers_out` from the upstream's head.
pub fn shape(r: &Rc<Request>, family: Family, conf: &Proxy, head: &ResponseHead) {
    {
        let mut out = r.headers_out.borrow_mut();
        out.status = head.status;
        let line = head.raw.slice(head.status_line.range());
        out.status_line = Some(line).filter(|line| !line.is_empty());
    }
    for line in &head.headers {
        if !conf.hides(family, line, &head.raw) {
            copy(r, conf, head, line);
        }
    }
    if conf.ignore_headers() & ignore::CHARSET == 0
        && let Some(charset) = accel(head, "X-Accel-Charset")
    {
        charset::override_with(r, charset);
    }
}

/// Takes one line over, unless it is about the connection.
fn copy(r: &Rc<Request>, conf: &Proxy, head: &ResponseHead, line: &HeaderLine) {
    if matches!(
        line.known,
        Known::ContentLength | Known::TransferEncoding | Known::Connection | Known::KeepAlive
    ) {
        return;
    }
    let name = line.name.of(&head.raw);
    let value = head.raw.slice(line.value.range());
    let value = match line.known {
        Known::ContentType => return r.headers_out.borrow_mut().set_content_type(value),
        Known::LastModified => {
            let seconds = date::parse_http_time(&value);
            r.headers_out.borrow_mut().last_modified = seconds;
            value
        }
        Known::Location => location(r, conf, value),
        _ if name.eq_ignore_ascii_case(b"Refresh") => {
            let rules = conf.redirects().unwrap_or_default();
            rewrite::refresh(r, rules, &value).unwrap_or(value)
        }
        _ if name.eq_ignore_ascii_case(b"Set-Cookie") => {
            cookie::rewrite(r, conf, &value).unwrap_or(value)
        }
        _ => value,
    };
    let name = head.raw.slice(line.name.range());
    r.headers_out.borrow_mut().list.add(name, value);
}

/// A `Location` a rule has changed may become absolute, as those of nginx itself; others stay.
fn location(r: &Rc<Request>, conf: &Proxy, value: Bytes) -> Bytes {
    let changed = conf.redirects().and_then(|rules| rewrite::value(r, rules, &value));
    r.headers_out.borrow_mut().location_as_is = changed.is_none();
    changed.unwrap_or(value)
}

/// `X-Accel-Limit-Rate`: how fast the client may have it.
fn limit_rate(r: &Rc<Request>, conf: &Proxy, head: &ResponseHead) {
    if conf.ignore_headers() & ignore::LIMIT_RATE == 0
        && let Some(word) = accel(head, "X-Accel-Limit-Rate")
        && let Some(rate) = units::parse_number(&word)
    {
        limit_rate::set(r, rate);
    }
}

/// Whether the body is gathered before it is passed on.
fn buffers(conf: &Proxy, head: &ResponseHead) -> bool {
    let word = accel(head, "X-Accel-Buffering");
    if conf.ignore_headers() & ignore::BUFFERING == 0 {
        match word {
            Some(word) if word.eq_ignore_ascii_case(b"no") => return false,
            Some(word) if word.eq_ignore_ascii_case(b"yes") => return true,
            _ => {}
        }
    }
    conf.buffering()
}

/// A line of those that ask something of the proxy; most answers have none.
fn accel(head: &ResponseHead, wanted: &str) -> Option<Bytes> {
    let mut lines = head.headers.iter().filter(|line| line.known == Known::Accel);
    let line =
        lines.find(|line| line.name.of(&head.raw).eq_ignore_ascii_case(wanted.as_bytes()))?;
    Some(head.raw.slice(line.value.range()))
}

fn lines<'a>(head: &'a ResponseHead, wanted: &'a str) -> impl Iterator<Item = (Bytes, Bytes)> + 'a {
    head.headers.iter().filter_map(move |line| {
        let name = line.name.of(&head.raw);
        name.eq_ignore_ascii_case(wanted.as_bytes())
            .then(|| (head.raw.slice(line.name.range()), head.raw.slice(line.value.range())))
    })
}

/// Lines that stay with the request when it is redirected by `X-Accel-Redirect`.
const REDIRECT_KEEPS: &[&str] = &[
    "Content-Type",
    "Set-Cookie",
    "Content-Disposition",
    "Cache-Control",
    "Expires",
    "Accept-Ranges",
];

//! How a request ends: error pages, nginx's own pages, the log phase.

use std::rc::Rc;

use bstr::ByteSlice;
use bytes::Bytes;

use crate::base::{escape, log::Level};

use super::{
    location::ErrorPage,
    method::Method,
    output::{Chunk, OutputError},
    phase::{Flow, Phase},
    redirect,
    request::Request,
    status,
};

/// Acts on the answer of a walk through the phases; `Some` says where to go on.
pub fn conclude(r: &Rc<Request>, flow: Flow) -> Option<Phase> {
    match flow {
        Flow::Restart(phase) => Some(phase),
        Flow::Done | Flow::Next | Flow::Decline => {
            complete(r);
            None
        }
        Flow::Close => {
            if r.header_sent.get() && !r.is_subrequest() {
                // The connection breaks now: what was held back for a fuller packet goes too.
                r.conn.forget_unsent();
            }
            abandon(r, 444);
            None
        }
        Flow::Status(code) => status_flow(r, code),
    }
}

/// Makes sure that head and end of the response have been sent.
pub fn complete(r: &Rc<Request>) {
    if !r.header_sent.get() {
        match r.send_header() {
            Ok(()) => {}
            Err(OutputError::Status(code)) if !r.header_sent.get() => {
                if let Some(Phase::ServerRewrite | Phase::Rewrite) = status_flow(r, code) {
                    // A filter's failure does not get another round of phases.
                    own_page(r, code);
                }
                return;
            }
            Err(_) => return spoil(r),
        }
    }
    if !r.last_sent.get() && r.output(Chunk::last()).is_err() {
        spoil(r);
    }
}

/// Ends the request without a (further) byte, as `return 444` and a lost client do.
pub fn abandon(r: &Rc<Request>, logged_status: u16) {
    if !r.header_sent.get() {
        r.set_status(logged_status);
    }
    spoil(r);
}

fn spoil(r: &Rc<Request>) {
    r.connection_error.set(true);
    if r.capture.is_none() {
        r.main().keepalive.set(false);
    }
    if let Some(capture) = &r.capture {
        capture.truncated.set(true);
    }
}

fn status_flow(r: &Rc<Request>, code: u16) -> Option<Phase> {
    if r.header_sent.get() {
        // Too late for a page: the client sees the response end early.
        spoil(r);
        if r.is_subrequest() {
            let _ = r.output(Chunk::last());
        }
        return None;
    }
    match code {
        444 | 499 => {
            abandon(r, code);
            return None;
        }
        408 if !r.is_subrequest() => {
            abandon(r, code);
            return None;
        }
        _ => {}
    }
    if code < 300 && code != 201 && code != 204 {
        r.set_status(code);
        complete(r);
        return None;
    }
    if r.capture.is_some() {
        // Whoever captures a response wants the status, not a page about it.
        captured_status(r, code);
        return None;
    }
    if !may_keep_alive(code) && !r.is_subrequest() {
        r.keepalive.set(false);
    }
    match error_page(r, code) {
        Some(Flow::Restart(phase)) => Some(phase),
        Some(Flow::Status(code)) => {
            own_page(r, code);
            None
        }
        _ => {
            own_page(r, r.err_status.get());
            None
        }
    }
}

fn captured_status(r: &Rc<Request>, code: u16) {
    r.err_status.set(code);
    {
        let mut out = r.headers_out.borrow_mut();
        out.status_line = None;
        out.content_type = None;
        out.clear_body_facts();
    }
    if r.send_header().is_err() || r.output(Chunk::last()).is_err() {
        spoil(r);
    }
}

/// After these, nginx does not trust the rest of the connection.
fn may_keep_alive(code: u16) -> bool {
    !matches!(code, 400 | 413 | 414 | 494..=497 | 500 | 501)
}

/// Looks for an `error_page` of that code. Leaves the status to answer with in `err_status`.
fn error_page(r: &Rc<Request>, code: u16) -> Option<Flow> {
    r.err_status.set(code);
    let location = r.location();
    let core = location.core();
    if r.error_page_used.get() && !core.recursive_error_pages() {
        return None;
    }
    let page = core.error_pages().iter().find(|page| page.code == code)?;
    r.error_page_used.set(true);
    Some(apply_error_page(r, page, code))
}

fn apply_error_page(r: &Rc<Request>, page: &ErrorPage, code: u16) -> Flow {
    match page.overwrite {
        Some(status) => r.err_status.set(status),
        None => r.err_status.set(code),
    }
    let target = page.uri.eval(r);
    if target.first() == Some(&b'/') {
        if !r.method.borrow().is(Method::HEAD) {
            *r.method.borrow_mut() = Method::get();
        }
        let (uri, args) = redirect::split_args(&target);
        let args = args.unwrap_or_default();
        return redirect::internal(r, uri, args);
    }
    if target.first() == Some(&b'@') {
        return redirect::named(r, &target);
    }
    let status = page.overwrite.unwrap_or(302);
    r.err_status.set(status);
    r.headers_out.borrow_mut().list.set("Location", target);
    Flow::Status(status)
}

/// Sends nginx's built-in page for `code`.
pub fn own_page(r: &Rc<Request>, code: u16) {
    let code = if code == 0 { r.err_status.get() } else { code };
    r.err_status.set(code);
    let location = r.location();
    let core = location.core();
    if matches!(code, 301 | 302) && core.msie_refresh() && is_msie(r) {
        return refresh(r);
    }
    let page = status::page(code, core.server_name_text()).map(|page| padded(r, code, page));
    {
        let mut out = r.headers_out.borrow_mut();
        out.status = sent_status(code);
        out.status_line = None;
        out.charset = None;
        out.clear_body_facts();
        out.content_type = page.as_ref().map(|_| Bytes::from_static(b"text/html"));
    }
    r.err_status.set(sent_status(code));
    if r.respond(page.unwrap_or_default()).is_err() {
        spoil(r);
    }
}

/// What old browsers follow more surely than a redirect.
fn refresh(r: &Rc<Request>) {
    let mut page = b"<html><head><meta http-equiv=\"Refresh\" content=\"0; URL=".to_vec();
    {
        let mut out = r.headers_out.borrow_mut();
        let to = out.list.first("Location").cloned().unwrap_or_default();
        escape::append_uri(&mut page, &to, &escape::REFRESH);
        out.list.remove(b"Location");
        out.status = 200;
        out.status_line = None;
        out.charset = None;
        out.clear_body_facts();
        out.content_type = Some(Bytes::from_static(b"text/html"));
    }
    page.extend_from_slice(b"\"></head><body></body></html>\r\n");
    r.err_status.set(200);
    if r.respond(page.into()).is_err() {
        spoil(r);
    }
}

fn is_msie(r: &Rc<Request>) -> bool {
    agent_has(r, "MSIE ")
}

fn agent_has(r: &Rc<Request>, word: &str) -> bool {
    let headers = r.headers_in.borrow();
    headers.first("User-Agent").is_some_and(|agent| agent.find(word).is_some())
}

/// 494 to 497 are internal names of 400.
fn sent_status(code: u16) -> u16 {
    if (494..=497).contains(&code) { 400 } else { code }
}

fn padded(r: &Rc<Request>, code: u16, page: Bytes) -> Bytes {
    let friendly = is_msie(r) || agent_has(r, "Chrome/");
    if code < 400 || !friendly || !r.with_location(|l| l.core().msie_padding()) {
        return page;
    }
    let mut text = page.to_vec();
    for _ in 0..6 {
        text.extend_from_slice(status::MSIE_PADDING.as_bytes());
    }
    text.into()
}

/// Runs the log phase once, for the request and its access log.
pub async fn log_phase(r: &Rc<Request>) {
    if r.logged.replace(true) {
        return;
    }
    r.conn.action.set("logging request");
    let mut at = 0;
    while let Some((position, handler)) = r.next_handler(Phase::Log, at) {
        at = position + 1;
        if handler.run(r).answer().await == Flow::Close {
            r.log(Level::Alert, format_args!("log handler refused"));
        }
    }
}

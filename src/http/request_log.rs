//! Error log lines of a request, with nginx's tail. Debug lines have none, as in nginx.

use std::fmt;

use bstr::BStr;

use crate::base::log::Level;

use super::request::Request;

/// Writes `text while …, client: …, server: …, request: "…", subrequest: "…", upstream: "…", host:
/// "…"`.
pub fn write(r: &Request, level: Level, text: fmt::Arguments<'_>) {
    let log = r.location().log();
    if level == Level::Debug {
        log.write(level, Some(r.conn.number), text);
    } else if log.enabled(level) {
        log.write(level, Some(r.conn.number), format_args!("{text}{}", Tail(r)));
    }
}

/// The facts nginx puts behind each message about a request.
pub struct Tail<'a>(pub &'a Request);

impl fmt::Display for Tail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let r = self.0;
        match r.conn.action.get() {
            "" => {}
            action => write!(f, " while {action}")?,
        }
        write!(f, ", client: {}", BStr::new(&*r.conn.remote_text.borrow()))?;
        write!(f, ", server: {}", BStr::new(&r.server().name_text()))?;
        if !r.line.text.is_empty() {
            write!(f, ", request: \"{}\"", BStr::new(&r.line.text()))?;
        }
        if r.is_subrequest() {
            write!(f, ", subrequest: \"{}\"", BStr::new(&*r.uri.borrow()))?;
        }
        if let Some(attempt) = r.upstream_trace.borrow().last()
            && !attempt.peer.is_empty()
        {
            let facts = r.upstream.borrow();
            let colon = if attempt.peer.starts_with(b"unix:") { ":" } else { "" };
            let (peer, uri) = (BStr::new(&attempt.peer), BStr::new(&facts.uri));
            write!(f, ", upstream: \"{}{peer}{colon}{uri}\"", facts.scheme)?;
        }
        let headers = r.headers_in.borrow();
        if let Some(host) = headers.first("Host") {
            write!(f, ", host: \"{}\"", BStr::new(host))?;
        }
        if let Some(referer) = headers.first("Referer") {
            write!(f, ", referrer: \"{}\"", BStr::new(referer))?;
        }
        f.write_str("")
    }
}

//! The headers-more module: header lines set and cleared by rules, on the way in and on the way
//! out.
//!
//! ```text
//!  more_set_input_headers ─▶ end of the rewrite phase      more_set_headers ─▶ header filter
//! ```
//! Rules of outer blocks run before those of inner ones.

pub mod conf;

use std::rc::Rc;

use bytes::Bytes;

use crate::conf::Scope;

use self::conf::{Rule, Rules};
use crate::http::{
    body::Expected,
    headers::{Header, Headers},
    output::{Filter, OutputError},
    phase::{Flow, Handler, Phase, Registered, Step},
    request::Request,
};

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::Rewrite, handler: &Input }];

pub static FILTER: Output = Output;

/// The header filter.
pub struct Output;

struct Input;

impl Filter for Output {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<Rules>().is_some_and(|rules| rules.0.iter().any(|rule| !rule.input))
    }

    fn header(&self, r: &Rc<Request>) -> Result<(), OutputError> {
        let location = r.location();
        for rule in location.scope.part::<Rules>().0.iter().filter(|rule| !rule.input) {
            if rule.wants_response(r) {
                rule.change_output(r);
            }
        }
        Ok(())
    }
}

impl Handler for Input {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<Rules>().is_some_and(|rules| rules.0.iter().any(|rule| rule.input))
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        if r.line.version >= 1000 {
            let location = r.location();
            for rule in location.scope.part::<Rules>().0.iter().filter(|rule| rule.input) {
                if rule.wants_request(r) {
                    rule.change_input(r);
                }
            }
        }
        Step::Ready(Flow::Decline)
    }
}

impl Rule {
    fn wants_response(&self, r: &Rc<Request>) -> bool {
        let out = r.headers_out.borrow();
        let kind = out.content_type.as_deref().unwrap_or_default();
        // A type that came with parameters is compared without them.
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
        (self.types.is_empty() || self.types.iter().any(|wanted| wanted == kind))
            && (self.statuses.is_empty() || self.statuses.contains(&out.status))
    }

    fn wants_request(&self, r: &Rc<Request>) -> bool {
        let headers = r.headers_in.borrow();
        let kind = headers.first("Content-Type").map_or(&b""[..], |kind| kind);
        self.types.is_empty() || self.types.iter().any(|wanted| wanted == kind)
    }

    fn change_output(&self, r: &Rc<Request>) {
        for change in &self.changes {
            let value = change.value.as_ref().map(|value| value.eval(r)).unwrap_or_default();
            let mut out = r.headers_out.borrow_mut();
            let name = &change.name;
            if name.ends_with(b"*") {
                let names = matching(&out.list, name);
                for (at, name) in names.into_iter().enumerate() {
                    match value.is_empty() || at > 0 {
                        true => out.drop_line(&name),
                        false => out.list.set(name, value.clone()),
                    }
                }
            } else if self.append && !value.is_empty() {
                out.list.add(name.clone(), value);
            } else if value.is_empty() {
                out.drop_line(name);
            } else {
                out.set_line(name.clone(), value);
            }
        }
    }

    fn change_input(&self, r: &Rc<Request>) {
        for change in &self.changes {
            let value = change.value.as_ref().map(|value| value.eval(r)).unwrap_or_default();
            let name = &change.name;
            if name.ends_with(b"*") {
                if value.is_empty() {
                    let start = &name[..name.len() - 1];
                    r.headers_in.borrow_mut().retain(|line| !begins(line, start));
                }
                continue;
            }
            let known = r.headers_in.borrow().contains(name);
            match value.is_empty() {
                true => _ = r.headers_in.borrow_mut().remove(name),
                false if self.replace && !known => continue,
                false => r.headers_in.borrow_mut().set(name.clone(), value.clone()),
            }
            take_effect(r, name, &value);
        }
    }
}

/// Lines that are more than text to the server.
fn take_effect(r: &Rc<Request>, name: &[u8], value: &Bytes) {
    match &name.to_ascii_lowercase()[..] {
        b"host" => {
            let host = value.to_ascii_lowercase();
            let port = host.iter().rposition(|byte| *byte == b':');
            let bare = match port {
                Some(at) if !host[at..].contains(&b']') => &host[..at],
                _ => &host[..],
            };
            *r.host.borrow_mut() = Some(Bytes::copy_from_slice(bare));
        }
        b"content-length" if !r.body.is_read() && r.body.expected() != Expected::None => {
            let length = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            r.body.expect(length.map_or(Expected::None, Expected::Length));
            // What the client really sends is no longer known to end where the next request begins.
            r.keepalive.set(false);
        }
        b"connection" if value.eq_ignore_ascii_case(b"close") => r.keepalive.set(false),
        b"connection" if value.eq_ignore_ascii_case(b"keep-alive") => r.keepalive.set(true),
        _ => {}
    }
}

/// Names in the list that a pattern with a star at its end means.
fn matching(list: &Headers, pattern: &[u8]) -> Vec<Bytes> {
    let start = &pattern[..pattern.len() - 1];
    let lines = list.iter().filter(|line| begins(line, start));
    lines.map(|line| line.name.clone()).collect()
}

fn begins(line: &Header, start: &[u8]) -> bool {
    line.name.get(..start.len()).is_some_and(|name| name.eq_ignore_ascii_case(start))
}

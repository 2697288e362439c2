//! Reads the head of an answer, as its family of protocols writes it.
//!
//! ```text
//!  HTTP ─ status line, lines ─┐
//!  SCGI, uwsgi ─ lines ───────┼─▶ ResponseHead
//!  FastCGI ─ records ─ lines ─┘
//! ```

use std::rc::Rc;

use bstr::BString;
use bytes::{Bytes, BytesMut};

use crate::{
    base::log::Level,
    http::request::Request,
    net::http1::{ResponseHead, UpstreamError, response::Parser},
};

use super::{
    cgi::{fastcgi, records::Records},
    family::Family,
    fault::{During, Fault},
};

/// The reader of one answer's head.
pub struct Reading {
    r: Rc<Request>,
    kind: Kind,
    parser: Parser,
}

enum Kind {
    Http,
    Cgi,
    Fastcgi(Box<Records>),
}

/// What a step gave.
pub enum Parsed {
    More,
    Head(ResponseHead),
    /// HTTP/0.9: everything is body, as nginx has it.
    Headless(ResponseHead),
    Bad(Fault),
}

impl Reading {
    pub fn new(r: &Rc<Request>, family: Family, max_bytes: usize) -> Self {
        let (kind, parser) = match family {
            Family::Http | Family::Grpc | Family::Memcached | Family::Memc => {
                (Kind::Http, Parser::new(max_bytes))
            }
            Family::Scgi | Family::Uwsgi => (Kind::Cgi, Parser::cgi(max_bytes)),
            Family::Fastcgi => (Kind::Fastcgi(Box::default()), Parser::fastcgi(max_bytes)),
        };
        Self { r: r.clone(), kind, parser }
    }

    /// What is left of the records after the head.
    pub fn into_records(self) -> Option<Box<Records>> {
        match self.kind {
            Kind::Fastcgi(records) => Some(records),
            _ => None,
        }
    }

    /// Reads on in what has come; messages about lines that were not taken go to `ignored`.
    pub fn step(&mut self, raw: &mut BytesMut, ignored: &mut Vec<BString>) -> Parsed {
        match &mut self.kind {
            Kind::Http => http(&mut self.parser, raw, ignored),
            Kind::Cgi => lines(&mut self.parser, raw, ignored),
            Kind::Fastcgi(records) => {
                if let Err(error) = records.take(raw) {
                    return Parsed::Bad(Fault::Invalid(error.to_string()));
                }
                self.r.conn.action.set(During::ReadingHead.words());
                if complained(&self.r, records) {
                    return Parsed::Bad(Fault::Invalid(String::new()));
                }
                match lines(&mut self.parser, &mut records.text, ignored) {
                    Parsed::More if records.ended => unfinished("request"),
                    Parsed::More if records.closed => unfinished("stdout"),
                    parsed => parsed,
                }
            }
        }
    }
}

fn unfinished(what: &str) -> Parsed {
    Parsed::Bad(Fault::Invalid(format!("upstream prematurely closed FastCGI {what}")))
}

/// Logs what an application wrote to its standard error; whether that makes its answer a bad one.
pub fn complained(r: &Rc<Request>, records: &mut Records) -> bool {
    if records.complaints.is_empty() {
        return false;
    }
    let text = records.complaints.split();
    let end = text.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r' | b'.' | b' '));
    let line = bstr::BStr::new(&text[..end.map_or(0, |at| at + 1)]);
    r.log(Level::Error, format_args!("FastCGI sent in stderr: \"{line}\""));
    fastcgi::catches(r, &text)
}

/// Interim answers (1xx but 101) are passed over.
fn http(parser: &mut Parser, buf: &mut BytesMut, ignored: &mut Vec<BString>) -> Parsed {
    loop {
        let head = match lines(parser, buf, ignored) {
            Parsed::Head(head) => head,
            other => return other,
        };
        if !(100..200).contains(&head.status) || head.status == 101 {
            return Parsed::Head(head);
        }
        if buf.is_empty() {
            return Parsed::More;
        }
    }
}

fn lines(parser: &mut Parser, buf: &mut BytesMut, ignored: &mut Vec<BString>) -> Parsed {
    if buf.is_empty() {
        return Parsed::More;
    }
    match parser.step(buf) {
        Ok(false) => return Parsed::More,
        Err(UpstreamError::NoStatusLine) => {
            return Parsed::Headless(Parser::new(0).finish(Bytes::new()));
        }
        Err(error) => return Parsed::Bad(Fault::Header(error)),
        Ok(true) => {}
    }
    ignored.append(&mut parser.take_ignored());
    let fresh = parser.fresh();
    let whole = std::mem::replace(parser, fresh);
    let raw = buf.split_to(whole.head_len()).freeze();
    Parsed::Head(whole.finish(raw))
}

//! `gzip_static`: `file.gz` answers for `file` to clients that unpack it.

use std::rc::Rc;

use bytes::Bytes;

use crate::conf::{
    Part, Scope,
    row::{HTTP_LEVELS, Row, row, take},
};

use crate::http::{
    files,
    method::Method,
    modules::gzip,
    modules::static_files,
    phase::{Flow, Handler, Phase, Registered, Step},
    request::Request,
};

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::Content, handler: &GzipStatic }];

pub const ROWS: &[Row] = &[row("gzip_static", HTTP_LEVELS, take(1), |b, d| {
    let choices = [("off", When::Off), ("on", When::On), ("always", When::Always)];
    d.choice_slot(&mut b.part::<Settings>().when, &choices)
})];

#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Off,
    On,
    Always,
}

#[derive(Default)]
struct Settings {
    when: Option<When>,
}

impl Part for Settings {
    fn inherit(&mut self, parent: &Self) {
        self.when = self.when.or(parent.when);
    }
}

struct GzipStatic;

impl Handler for GzipStatic {
    fn applies(&self, scope: &Scope) -> bool {
        scope
            .find::<Settings>()
            .is_some_and(|settings| settings.when.is_some_and(|when| when != When::Off))
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        if !r.method.borrow().is(Method::GET | Method::HEAD) || r.uri.borrow().ends_with(b"/") {
            return Step::Ready(Flow::Decline);
        }
        let location = r.location();
        let always = location.scope.part::<Settings>().when == Some(When::Always);
        let vary = gzip::varies(&location.scope);
        let accepted = always || gzip::client_accepts(r);
        if !always && !accepted && !vary {
            return Step::Ready(Flow::Decline);
        }
        let Some(path) = files::map_path(r) else { return Step::Ready(Flow::Status(500)) };
        let Ok((file, facts)) = files::open(&[&path[..], b".gz"].concat()) else {
            return Step::Ready(Flow::Decline);
        };
        if !facts.is_file() {
            return Step::Ready(Flow::Decline);
        }
        if vary && !always {
            let mut out = r.headers_out.borrow_mut();
            out.list.set(&b"Vary"[..], &b"Accept-Encoding"[..]);
        }
        if !accepted {
            return Step::Ready(Flow::Decline);
        }
        r.headers_out.borrow_mut().list.add(&b"Content-Encoding"[..], Bytes::from_static(b"gzip"));
        static_files::send(r, file, &facts)
    }
}

//! `mirror`: copies of requests to other locations, whose answers nobody waits for.

use std::rc::Rc;

use bytes::Bytes;

use crate::conf::{
    Part, Scope,
    row::{HTTP_LEVELS, Row, flag, row, take},
};

use crate::http::{
    body::Body,
    capture::Capture,
    phase::{Flow, Handler, Phase, Registered, Step},
    redirect,
    request::{Request, SubrequestSpec},
    subrequest,
    vars::VarSlots,
};

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::Precontent, handler: &Mirror }];

pub const ROWS: &[Row] = &[
    row("mirror", HTTP_LEVELS, take(1), |b, d| {
        let mirrors = b.part::<Mirrors>();
        match d.arg(1) {
            off if off == "off" => mirrors.off = true,
            uri => mirrors.uris.push(Bytes::copy_from_slice(uri)),
        }
        if mirrors.off && !mirrors.uris.is_empty() {
            return Err(d.wrong("is duplicate"));
        }
        Ok(())
    }),
    flag("mirror_request_body", HTTP_LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<Mirrors>().with_body)
    }),
];

/// Where the requests of one block are copied to.
#[derive(Default)]
struct Mirrors {
    uris: Vec<Bytes>,
    off: bool,
    with_body: Option<bool>,
}

impl Part for Mirrors {
    fn inherit(&mut self, parent: &Self) {
        if self.uris.is_empty() && !self.off {
            self.uris.clone_from(&parent.uris);
        }
        self.with_body = self.with_body.or(parent.with_body);
    }
}

struct Mirror;

impl Handler for Mirror {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<Mirrors>().is_some_and(|mirrors| !mirrors.uris.is_empty())
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        if r.is_subrequest() {
            return Step::Ready(Flow::Decline);
        }
        Step::wait(async move {
            let location = r.location();
            let mirrors = location.scope.part::<Mirrors>();
            let with_body = mirrors.with_body.unwrap_or(true);
            if with_body && let Err(error) = r.read_body().await {
                return Flow::Status(error.0);
            }
            for uri in &mirrors.uris {
                copy(r, uri, with_body);
            }
            Flow::Decline
        })
    }
}

fn copy(r: &Rc<Request>, uri: &Bytes, with_body: bool) {
    let (uri, args) = redirect::split_args(uri);
    let spec = SubrequestSpec {
        method: r.method.borrow().clone(),
        uri,
        args: args.unwrap_or_else(|| r.args.borrow().clone()),
        headers: r.headers_in.borrow().clone(),
        body: match with_body {
            true => Body::shared(&r.body),
            false => Body::ready(Bytes::new()),
        },
        vars: Rc::new(VarSlots::new(r.http().vars.slots())),
        capture: Some(Rc::new(Capture::default())),
    };
    if let Some(sub) = subrequest::begin(r, spec) {
        tokio::task::spawn_local(subrequest::drive(sub));
    }
}

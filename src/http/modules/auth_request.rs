//! `auth_request`: a subrequest decides whether the request may pass.

use std::rc::Rc;

use bytes::Bytes;

use crate::{
    base::log::Level,
    conf::{
        Builder, Diag, Directive, Part, Scope,
        row::{HTTP_LEVELS, Row, row, take},
    },
};

use crate::http::{
    body::Body,
    capture::Capture,
    method::Method,
    modules::rewrite::conf::define,
    phase::{Flow, Handler, Phase, Registered, Step},
    redirect,
    request::{Request, SubrequestSpec},
    subrequest,
    template::Template,
    vars::VarRef,
};

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::Access, handler: &AuthRequest }];

pub const ROWS: &[Row] = &[
    row("auth_request", HTTP_LEVELS, take(1), |b, d| {
        let uri = if d.arg(1) == "off" { None } else { Some(Bytes::copy_from_slice(d.arg(1))) };
        d.once(&mut b.part::<Auth>().uri, |_| Ok(uri))
    }),
    row("auth_request_set", HTTP_LEVELS, take(2), set_variable),
];

/// Settings of one block.
#[derive(Default)]
struct Auth {
    /// Nothing inside is `off`.
    uri: Option<Option<Bytes>>,
    variables: Vec<(VarRef, Template)>,
}

impl Part for Auth {
    fn inherit(&mut self, parent: &Self) {
        if self.uri.is_none() {
            self.uri.clone_from(&parent.uri);
        }
        if self.variables.is_empty() {
            self.variables.clone_from(&parent.variables);
        }
    }
}

fn set_variable(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let target = define(b, d.arg(1))?;
    let value = Template::compile(b, d.arg(2))?;
    b.part::<Auth>().variables.push((target, value));
    Ok(())
}

struct AuthRequest;

impl Handler for AuthRequest {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<Auth>().is_some_and(|auth| matches!(auth.uri, Some(Some(_))))
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        Step::wait(ask(r))
    }
}

async fn ask(r: &Rc<Request>) -> Flow {
    let location = r.location();
    let auth = location.scope.part::<Auth>();
    let Some(Some(uri)) = &auth.uri else { return Flow::Decline };
    let (uri, args) = redirect::split_args(uri);
    let capture = Rc::new(Capture::default());
    let spec = SubrequestSpec {
        method: Method::get(),
        uri,
        args: args.unwrap_or_default(),
        headers: r.headers_in.borrow().clone(),
        body: Body::ready(Bytes::new()),
        vars: r.vars.borrow().clone(),
        capture: Some(capture.clone()),
    };
    let Some(sub) = subrequest::begin(r, spec) else { return Flow::Status(500) };
    sub.header_only.set(true);
    subrequest::drive(sub.clone()).await;
    for (target, value) in &auth.variables {
        r.set_var(*target, Some(value.eval(&sub)));
    }
    match capture.status.get() {
        200..300 => Flow::Next,
        403 => Flow::Status(403),
        401 => {
            let challenge = {
                let out = sub.headers_out.borrow();
                out.list.all(b"WWW-Authenticate").cloned().collect::<Vec<_>>()
            };
            let mut out = r.headers_out.borrow_mut();
            for line in challenge {
                out.list.add(&b"WWW-Authenticate"[..], line);
            }
            Flow::Status(401)
        }
        status => {
            r.log(Level::Error, format_args!("auth request unexpected status: {status}"));
            Flow::Status(500)
        }
    }
}

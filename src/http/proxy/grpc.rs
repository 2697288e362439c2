//! `grpc_pass` and `grpc_*`: requests passed on over HTTP/2, in both directions at once.
//!
//! ```text
//!  grpc_* ─▶ Grpc, the same settings as Proxy with gRPC's defaults ─▶ Passage ─▶ proxy::h2
//! ```

use std::rc::Rc;

use bytes::Bytes;

use crate::{
    conf::{
        Builder, Diag, Directive, Part, Scope,
        row::{HTTP_LEVELS, IF_LOCATION, LOCATION, Row, at_least, row, take},
    },
    http::{
        build::Content,
        phase::{Flow, Handler, Step},
        request::Request,
    },
    net::addr::{Url, Want},
    upstream,
};

use super::{
    conf::{add_name, set_bind, set_header},
    passage::Passage,
    respond,
    secure::secure_rows,
    settings::{Family, Fixed, Pass, Proxy, Settings, ignore, next},
    target::{self, Target},
};

/// The settings of `grpc_*`.
#[derive(Default)]
pub struct Grpc(pub Proxy);

impl Part for Grpc {
    fn inherit(&mut self, parent: &Self) {
        self.0.inherit(&parent.0);
    }
}

impl Settings for Grpc {
    fn settings(&mut self) -> &mut Proxy {
        &mut self.0
    }
}

/// The content handler of locations with `grpc_pass`.
pub static HANDLER: GrpcPass = GrpcPass;

pub struct GrpcPass;

impl Handler for GrpcPass {
    fn applies(&self, _scope: &Scope) -> bool {
        false
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        Step::wait(pass(r))
    }

    fn adds_slash(&self) -> bool {
        true
    }
}

async fn pass(r: &Rc<Request>) -> Flow {
    let location = r.location();
    let Some(pass) = &location.scope.part::<Grpc>().0.pass else { return Flow::Status(500) };
    let target = match Target::find(r, pass, Family::Grpc).await {
        Ok(target) => target,
        Err(status) => return Flow::Status(status),
    };
    // The client may ask for trailers in HTTP/1 too: its response is chunked then.
    r.headers_out.borrow_mut().expects_trailers = true;
    let mut passage = Passage::new(r, location.clone(), target, Family::Grpc, None);
    match passage.answer().await {
        Ok(reply) => respond::run(&mut passage, reply).await,
        Err(status) => Flow::Status(status),
    }
}

/// A row whose argument goes into a slot of the settings.
macro_rules! slot {
    ($name:literal, $arity:expr, $reader:ident, $field:ident) => {
        row($name, HTTP_LEVELS, $arity, |b, d| d.$reader(&mut b.part::<Grpc>().0.$field))
    };
}

pub const ROWS: &[Row] = &[
    row("grpc_pass", LOCATION | IF_LOCATION, take(1), set_pass),
    row("grpc_set_header", HTTP_LEVELS, take(2), set_header::<Grpc>),
    row("grpc_bind", HTTP_LEVELS, crate::conf::row::args(1, 2), set_bind::<Grpc>),
    row("grpc_hide_header", HTTP_LEVELS, take(1), |b, d| {
        add_name(&mut b.part::<Grpc>().0.hide_headers, d)
    }),
    row("grpc_pass_header", HTTP_LEVELS, take(1), |b, d| {
        add_name(&mut b.part::<Grpc>().0.pass_headers, d)
    }),
    row("grpc_ignore_headers", HTTP_LEVELS, at_least(1), |b, d| {
        let mask = b.mask(d, ignore::WORDS)?;
        *b.part::<Grpc>().0.ignore_headers.get_or_insert(0) |= mask;
        Ok(())
    }),
    slot!("grpc_intercept_errors", take(1), flag_slot, intercept_errors),
    slot!("grpc_socket_keepalive", take(1), flag_slot, socket_keepalive),
    slot!("grpc_connect_timeout", take(1), msec_slot, connect_timeout_ms),
    slot!("grpc_send_timeout", take(1), msec_slot, send_timeout_ms),
    slot!("grpc_read_timeout", take(1), msec_slot, read_timeout_ms),
    slot!("grpc_buffer_size", take(1), size_slot, buffer_size),
    row("grpc_next_upstream", HTTP_LEVELS, at_least(1), |b, d| {
        let mask = b.mask(d, next::WORDS)?;
        *b.part::<Grpc>().0.next_upstream.get_or_insert(0) |= mask;
        Ok(())
    }),
    slot!("grpc_next_upstream_tries", take(1), number_slot, next_upstream_tries),
    slot!("grpc_next_upstream_timeout", take(1), msec_slot, next_upstream_timeout_ms),
];

pub const SSL_ROWS: &[Row] = secure_rows!("grpc", Grpc);

fn set_pass(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if b.part::<Grpc>().0.pass.is_some() {
        return Err(d.wrong("is duplicate"));
    }
    b.part::<Content>().0 = Some(&HANDLER);
    let text = d.arg(1);
    if text.contains(&b'$') {
        let url = crate::http::template::Template::compile(b, text)?;
        b.part::<Grpc>().0.pass = Some(Pass::Variable(url));
        return Ok(());
    }
    let (tls, _, rest) = target::grpc_scheme(text);
    let want = Want { no_resolve: true, ..Want::default() };
    let url = Url::parse(rest, &want)
        .map_err(|e| d.wrong_arg(1, format!("{e} in upstream \"{}\"", bstr::BStr::new(rest))))?;
    let fixed = Fixed {
        group: upstream::conf::mention(b, d, &url)?,
        origin: target::grpc_origin(&url, tls),
        uri: Bytes::new(),
        replaced: 0,
        url: Bytes::copy_from_slice(text),
        location: Bytes::new(),
    };
    b.part::<Grpc>().0.pass = Some(Pass::Fixed(std::sync::Arc::new(fixed)));
    Ok(())
}

//! `set_real_ip_from`: the client's address as a trusted proxy tells it.
//!
//! ```text
//!  connection from a trusted address ─▶ X-Real-IP | X-Forwarded-For | PROXY protocol ─▶ conn.peer
//! ```

use std::rc::Rc;

use bytes::Bytes;

use crate::{
    conf::{
        Builder, Diag, Directive, Part, Scope, inherit,
        row::{HTTP_LEVELS, Row, flag, row, take},
    },
    server::forwarded::{self, Trusted},
};

use crate::http::{
    phase::{Flow, Handler, Phase, Registered, Step},
    request::Request,
    vars::{VarRow, var_live},
};

/// Asked before anything looks at the address, and again where a location has its own settings.
pub const HANDLERS: &[Registered] = &[
    Registered { phase: Phase::ServerRewrite, handler: &RealIp },
    Registered { phase: Phase::Preaccess, handler: &RealIp },
];

pub const ROWS: &[Row] = &[
    row("set_real_ip_from", HTTP_LEVELS, take(1), add_trusted),
    row("real_ip_header", HTTP_LEVELS, take(1), |b, d| {
        d.once(&mut b.part::<RealIpConf>().source, |d| {
            Ok(match &d.arg(1).to_ascii_lowercase()[..] {
                b"proxy_protocol" => Source::ProxyProtocol,
                b"x-forwarded-for" => Source::Forwarded,
                _ => Source::Header(Bytes::copy_from_slice(d.arg(1))),
            })
        })
    }),
    flag("real_ip_recursive", HTTP_LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<RealIpConf>().recursive)
    }),
];

pub const VARS: &[VarRow] = &[
    var_live("realip_remote_addr", |r, _| {
        Some(match r.conn.replaced_peer() {
            Some(original) => original.ip_text().into(),
            None => r.conn.remote_text.borrow().clone(),
        })
    }),
    var_live("realip_remote_port", |r, _| {
        let port = match r.conn.replaced_peer() {
            Some(original) => original.port(),
            None => r.conn.peer().port(),
        };
        Some(if port == 0 { Bytes::new() } else { port.to_string().into() })
    }),
];

#[derive(Clone)]
enum Source {
    Header(Bytes),
    Forwarded,
    ProxyProtocol,
}

/// Settings of one block.
#[derive(Default)]
struct RealIpConf {
    trusted: Option<Vec<Trusted>>,
    source: Option<Source>,
    recursive: Option<bool>,
}

impl Part for RealIpConf {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: trusted, source, recursive);
    }
}

fn add_trusted(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let found = forwarded::trusted(b, d)?;
    b.part::<RealIpConf>().trusted.get_or_insert_default().extend(found);
    Ok(())
}

struct RealIp;

impl Handler for RealIp {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<RealIpConf>().is_some_and(|conf| conf.trusted.is_some())
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        if !r.is_subrequest() && r.conn.replaced_peer().is_none() {
            replace(r);
        }
        Step::Ready(Flow::Decline)
    }
}

fn replace(r: &Rc<Request>) {
    let location = r.location();
    let conf = location.scope.part::<RealIpConf>();
    let trusted = conf.trusted.as_deref().unwrap_or_default();
    let told: Vec<Bytes> = match &conf.source {
        None => r.headers_in.borrow().first("X-Real-IP").cloned().into_iter().collect(),
        Some(Source::Forwarded) => r.headers_in.borrow().all(b"X-Forwarded-For").cloned().collect(),
        Some(Source::Header(name)) => r.headers_in.borrow().all(name).cloned().collect(),
        Some(Source::ProxyProtocol) => {
            let Some(source) = r.conn.proxy_protocol.get().and_then(|told| told.source.clone())
            else {
                return;
            };
            if trusted.iter().any(|trusted| trusted.covers(r.conn.peer().ip())) {
                r.conn.replace_peer(source);
            }
            return;
        }
    };
    let peer = r.conn.peer().clone();
    let recursive = conf.recursive == Some(true);
    if let Some(found) = forwarded::find(peer.ip(), &told, trusted, recursive) {
        r.conn.replace_peer(found);
    }
}

//! The data plane: a location with `kong_gateway` passes requests on by Kong's routes.
//!
//! ```text
//!  request ─▶ Facts ─ Router ─▶ route, service ─▶ upstream ─▶ Forward ─▶ http::proxy
//!                └ none: 404            └ too little weight left: 503     └ Failed: Kong's JSON
//! ```

mod request;
mod seed;

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::entity::{Route, Service};
use super::live::trust::Wanted;
use super::live::{Live, Upstream};
use super::router::Found;
use crate::conf::Scope;
use crate::face::json;
use crate::http::balancer::Timeouts;
use crate::http::proxy::forward::{
    Choices, Failed, Forward, Origin, Secure, Target, forward, next,
};
use crate::http::{Flow, Handler, Request, Step};
use crate::upstream::KeepaliveConf;

/// The content handler.
pub static HANDLER: Gateway = Gateway;

pub struct Gateway;

impl Handler for Gateway {
    fn applies(&self, _scope: &Scope) -> bool {
        false
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        Step::wait(pass(r))
    }
}

async fn pass(r: &Rc<Request>) -> Flow {
    let Some(live) = Live::current() else { return Flow::Status(503) };
    let tables = live.tables();
    let asked = request::Asked::read(r);
    let Some(found) = asked.route(r, &tables.router) else {
        return refuse(r, 404, "no Route matched with those values");
    };
    if let Some(status) = found.wants_tls {
        return ask_for_tls(r, status, &asked);
    }
    let Some(service) = found.service.cloned() else {
        return refuse(r, 503, "no Service found with those values");
    };
    let upstream = tables.upstreams.get(&service.host);
    let host = || tables.hosts.get(&(service.host.clone(), service.port));
    let Some(upstream) = upstream.or_else(host).cloned() else {
        return refuse(r, 503, RING);
    };
    if upstream.group.snapshot().primary.peers().is_empty() {
        let unresolved = upstream.targets.iter().any(|target| target.fault.is_some());
        return refuse(r, 503, if unresolved { "name resolution failed" } else { RING });
    }
    if !upstream.has_enough() {
        return refuse(r, 503, RING);
    }
    let to = plan(r, &asked, &found, &live, (&service, &upstream));
    drop(tables);
    match forward(r, to).await {
        Ok(flow) => flow,
        Err(Failed { no_live: true, .. }) => refuse(r, 503, RING),
        Err(Failed { status, .. }) => match text_of(status) {
            Some(text) => refuse(r, status, text),
            None => Flow::Status(status),
        },
    }
}

/// Everything the proxy has to know.
fn plan(
    r: &Rc<Request>,
    asked: &request::Asked,
    found: &Found<'_>,
    live: &Live,
    (service, upstream): (&Arc<Service>, &Upstream),
) -> Forward {
    let host = origin_host(asked, found.route, service, upstream);
    let uri = asked.upstream_uri(r, found, service);
    let choices = Choices {
        host: None,
        lines: asked.lines(r, found, &host),
        http_11: Some(true),
        timeouts: Timeouts {
            connect_ms: Some(service.connect_timeout),
            send_ms: Some(service.write_timeout),
            read_ms: Some(service.read_timeout),
        },
        tries: Some(service.retries + 1),
        next_upstream: Some(next::ERROR | next::TIMEOUT),
        keepalive: Some(KeepaliveConf {
            max_requests: KEEPALIVE_REQUESTS,
            ..KeepaliveConf::with_max_idle(KEEPALIVE_IDLE)
        }),
        secure: secure(live, service, &host),
        ..Choices::default()
    };
    let port = Bytes::from(service.port.to_string());
    let origin = Origin { tls: service.is_tls(), host, port }.into();
    let seed = seed::seed(r, &upstream.conf, &found.captures, asked);
    Forward { target: Target { group: upstream.group.clone(), origin, uri }, seed, choices }
}

fn secure(live: &Live, service: &Service, host: &Bytes) -> Option<Secure> {
    if !service.is_tls() {
        return None;
    }
    let wanted = Wanted { depth: service.tls_verify_depth, ..Wanted::default() };
    let tls = live.trust.client(wanted)?;
    let verify = service.tls_verify.unwrap_or(false);
    Some(Secure { tls, verify, name: without_port(host) })
}

/// The Host header: the client's, the upstream's own, or the service's.
fn origin_host(
    asked: &request::Asked,
    route: &Route,
    service: &Service,
    upstream: &Upstream,
) -> Bytes {
    if route.preserve_host && !asked.host_line.is_empty() {
        return asked.host_line.clone();
    }
    if let Some(host) = &upstream.conf.host_header {
        return host.clone().into();
    }
    let usual = if service.is_tls() { 443 } else { 80 };
    match service.port == usual || !upstream.conf.id.is_empty() {
        true => service.host.clone().into(),
        false => format!("{}:{}", service.host, service.port).into(),
    }
}

fn ask_for_tls(r: &Rc<Request>, status: u16, asked: &request::Asked) -> Flow {
    if status == 426 {
        let mut out = r.headers_out.borrow_mut();
        out.list.add("Connection", "Upgrade");
        out.list.add("Upgrade", "TLS/1.2, HTTP/1.1");
        drop(out);
        return refuse(r, 426, "Please use HTTPS protocol");
    }
    let target = String::from_utf8_lossy(&r.line.target()).into_owned();
    r.answer(status, None, format!("https://{}{target}", asked.host).into())
}

/// Kong's own answers are JSON.
fn refuse(r: &Rc<Request>, status: u16, text: &str) -> Flow {
    json::answer(r, status, &json!({ "message": text }))
}

fn text_of(status: u16) -> Option<&'static str> {
    Some(match status {
        400 => "Bad request",
        408 => "Request timeout",
        413 => "Payload too large",
        500 => "An unexpected error occurred",
        502 => "An invalid response was received from the upstream server",
        503 => "The upstream server is currently unavailable",
        504 => "The upstream server is timing out",
        _ => return None,
    })
}

fn without_port(host: &Bytes) -> Bytes {
    let from = host.iter().rposition(|byte| *byte == b']').unwrap_or(0);
    match memchr::memchr(b':', &host[from..]) {
        Some(colon) => host.slice(..from + colon),
        None => host.clone(),
    }
}

const RING: &str = "failure to get a peer from the ring-balancer";
/// Kong's `upstream_keepalive_*`.
const KEEPALIVE_IDLE: usize = 512;
const KEEPALIVE_REQUESTS: u64 = 10_000;

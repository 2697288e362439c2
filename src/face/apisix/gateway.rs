//! The gateway: finds the route of a request, runs its plugins, passes it to its upstream.
//!
//! ```text
//!  Router ─▶ Route ─▶ limit-count ─▶ Upstream: names, checks ─▶ forward ─▶ Passing::end(status)
//!    └─ none: 404                      └─ none: 503
//! ```

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::balance::{Passing, Way, host_of};
use super::checks::Checker;
use super::conf::{Gateway, GatewayConf};
use super::limit_count;
use super::model::{HostRule, Method, PassHost, Route, Set, Table, Timeouts, Upstream, span_ms};
use super::resolve;
use crate::base::log::Level;
use crate::conf::Scope;
use crate::http::proxy::forward::{Choices, Family, Forward, Origin, Secure, Target, forward};
use crate::http::upstream_trace::Facts;
use crate::http::{Filter, Flow, Handler, OutputError, Request, Step, balancer};
use crate::upstream::Seed;

/// The content handler of locations with `apisix_gateway`.
pub static HANDLER: GatewayHandler = GatewayHandler;

pub struct GatewayHandler;

impl Handler for GatewayHandler {
    fn applies(&self, _scope: &Scope) -> bool {
        false
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        Step::wait(serve(r))
    }
}

async fn serve(r: &Rc<Request>) -> Flow {
    let location = r.location();
    let Some(conf) = &location.scope.part::<Gateway>().0 else { return Flow::Status(500) };
    let Some(live) = conf.live() else { return Flow::Status(503) };
    let table = live.table().clone();
    let uri = r.uri.borrow().clone();
    let host = r.host.borrow().clone().unwrap_or_default();
    let found = table.router.find(&uri, &host, |route| takes(r, &table, route));
    let Some(route) = found.cloned() else {
        let text = Bytes::from_static(b"{\"error_msg\":\"404 Route Not Found\"}\n");
        return r.answer(404, Some(Bytes::from_static(b"text/plain; charset=utf-8")), text);
    };
    let service = table.service_of(&route);
    let limit = route.limit.as_ref().or_else(|| service?.limit.as_ref());
    if let Some(flow) = limit.and_then(|limit| limit_count::check(r, limit)) {
        return flow;
    }
    let Some(upstream) = table.upstream_of(&route).cloned() else {
        let text = "missing upstream configuration in Route or Service";
        r.log(Level::Error, format_args!("{text}"));
        return Flow::Status(503);
    };
    let websocket = route.websocket.or_else(|| service?.websocket).unwrap_or(false);
    drop(table);
    if let Method::Unknown(word) = &upstream.conf.method {
        r.log(Level::Error, format_args!("failed to pick server: invalid balancer type: {word}"));
        return Flow::Status(502);
    }
    resolve::renew(r, &upstream).await;
    let set = upstream.set.load_full();
    if set.nodes.list.is_empty() {
        r.log(Level::Error, format_args!("no valid upstream node"));
        return Flow::Status(503);
    }
    start_checks(conf, &upstream, &set);
    pass(r, &route, upstream, set, websocket).await
}

/// Whether the route is for this request.
fn takes(r: &Rc<Request>, table: &Table, route: &Route) -> bool {
    let hosts = match table.service_of(route) {
        Some(service) if route.hosts.is_empty() => &service.hosts,
        _ => &route.hosts,
    };
    let host_fits = || {
        let host = r.host.borrow();
        let host = host.as_deref().unwrap_or_default();
        hosts.is_empty() || hosts.iter().any(|rule: &HostRule| rule.takes(host))
    };
    let method_fits = || {
        let method = r.method.borrow();
        route.methods.is_empty() || route.methods.iter().any(|m| m.as_bytes() == &*method.name)
    };
    let address_fits = || {
        let ip = r.conn.peer().ip();
        route.addrs.is_empty()
            || ip.is_some_and(|ip| route.addrs.iter().any(|range| range.contains(ip)))
    };
    let vars_fit = || match &route.vars {
        None => true,
        Some(vars) => vars.holds(&|name| r.var_by_name(name.as_bytes())),
    };
    method_fits() && host_fits() && address_fits() && vars_fit()
}

/// The first request through an upstream starts its checks.
fn start_checks(conf: &GatewayConf, upstream: &Arc<Upstream>, set: &Set) {
    let alone = set.nodes.list.len() == 1 && !conf.single_node_check;
    if upstream.checks.is_none() || !conf.checks || alone || upstream.checker().is_some() {
        return;
    }
    upstream.start_checks(|| Checker::start(upstream));
}

async fn pass(
    r: &Rc<Request>,
    route: &Route,
    upstream: Arc<Upstream>,
    set: Arc<Set>,
    websocket: bool,
) -> Flow {
    let tls = upstream.conf.is_secure();
    let family = if upstream.conf.is_grpc() { Family::Grpc } else { Family::Http };
    let host = Rc::new(RefCell::new(host(r, &upstream, &set)));
    let uri = uri(r);
    let origin = Arc::new(Origin { tls, host: host.borrow().clone(), port: Bytes::new() });
    r.upstream_begins(Facts {
        scheme: family.scheme(tls),
        origin: Some(origin.clone()),
        uri: uri.clone(),
        ..Facts::default()
    });
    let secure = match tls.then(|| secure(&upstream, &host.borrow())).transpose() {
        Ok(secure) => secure,
        Err(text) => {
            r.log(Level::Error, format_args!("{text}"));
            return Flow::Status(503);
        }
    };
    let choices = Choices {
        lines: if family == Family::Grpc { grpc_lines() } else { lines(r, websocket) },
        family,
        host: Some(host.clone()),
        http_11: Some(true),
        timeouts: timeouts(route.timeout.or(upstream.conf.timeout)),
        tries: Some(upstream.tries(set.nodes.list.len())),
        keepalive: Some(upstream.keepalive()),
        secure,
        ..Choices::default()
    };
    // gRPC's status is a trailer.
    r.headers_out.borrow_mut().expects_trailers |= family == Family::Grpc;
    let passing = r.ext::<Passing>();
    passing.begin(Way::new(r, upstream, set.clone(), host));
    let target = Target { group: set.group.clone(), origin, uri };
    let to = Forward { target, seed: Seed::default(), choices };
    match forward(r, to).await {
        Ok(flow) => {
            let status = match flow {
                Flow::Status(status) => status,
                _ => r.headers_out.borrow().status,
            };
            passing.end(status);
            flow
        }
        Err(failed) => {
            passing.end(failed.status);
            Flow::Status(failed.status)
        }
    }
}

/// The `Host` line; that of a chosen node replaces it with each try.
fn host(r: &Rc<Request>, upstream: &Upstream, set: &Set) -> Bytes {
    match upstream.conf.pass_host {
        PassHost::Rewrite => upstream.conf.upstream_host.clone().into(),
        PassHost::Node => {
            set.nodes.list.first().map(|n| host_of(n, &upstream.conf)).unwrap_or_default()
        }
        PassHost::Pass => {
            let sent = r.headers_in.borrow().first("Host").cloned();
            sent.unwrap_or_else(|| r.host.borrow().clone().unwrap_or_default())
        }
    }
}

/// The URI as the client wrote it, unless it was rewritten since.
fn uri(r: &Rc<Request>) -> Bytes {
    if r.valid_unparsed_uri.get() {
        return r.line.target();
    }
    let (uri, args) = (r.uri.borrow(), r.args.borrow());
    let mut text = Vec::with_capacity(uri.len() + args.len() + 1);
    crate::base::escape::append_uri(&mut text, &uri, &crate::base::escape::URI);
    if !args.is_empty() {
        text.push(b'?');
        text.extend_from_slice(&args);
    }
    text.into()
}

/// The lines APISIX's own nginx.conf sets.
fn lines(r: &Rc<Request>, websocket: bool) -> Vec<(Bytes, Bytes)> {
    let name = Bytes::from_static;
    let var = |name: &[u8]| r.var_by_name(name).unwrap_or_default();
    let client = r.conn.remote_text.borrow().clone();
    let forwarded = match r.headers_in.borrow().joined(b"X-Forwarded-For", b", ") {
        Some(list) => [&list[..], b", ", &client].concat().into(),
        None => client.clone(),
    };
    let upgrade = websocket.then(|| r.headers_in.borrow().first("Upgrade").cloned()).flatten();
    let connection = match upgrade {
        Some(_) => Bytes::from_static(b"upgrade"),
        None => Bytes::new(),
    };
    vec![
        (name(b"Upgrade"), upgrade.unwrap_or_default()),
        (name(b"Connection"), connection),
        (name(b"X-Real-IP"), client),
        (name(b"X-Forwarded-Proto"), var(b"scheme")),
        (name(b"X-Forwarded-Host"), r.host.borrow().clone().unwrap_or_default()),
        (name(b"X-Forwarded-Port"), var(b"server_port")),
        (name(b"X-Forwarded-For"), forwarded),
    ]
}

/// Those of its location for gRPC.
fn grpc_lines() -> Vec<(Bytes, Bytes)> {
    let line = |name, value| (Bytes::from_static(name), Bytes::from_static(value));
    vec![line(b"Content-Type", b"application/grpc"), line(b"TE", b"trailers")]
}

fn timeouts(timeouts: Option<Timeouts>) -> balancer::Timeouts {
    let span = |read: fn(Timeouts) -> f64| timeouts.map(|t| span_ms(read(t)).max(1));
    balancer::Timeouts {
        connect_ms: span(|t| t.connect),
        send_ms: span(|t| t.send),
        read_ms: span(|t| t.read),
    }
}

/// TLS to the nodes; the name asked for is that of the `Host` line.
fn secure(upstream: &Upstream, host: &Bytes) -> Result<Secure, String> {
    let name = match host.iter().rposition(|b| *b == b':') {
        Some(at) if !host[at..].contains(&b']') => host.slice(..at),
        _ => host.clone(),
    };
    let tls = upstream.tls()?;
    let verify = upstream.conf.tls.as_ref().is_some_and(|tls| tls.verify);
    Ok(Secure { tls, verify, name })
}

/// Shows what became of the tries: `X-APISIX-Upstream-Status`.
pub static FILTER: UpstreamStatus = UpstreamStatus;

pub struct UpstreamStatus;

impl Filter for UpstreamStatus {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<Gateway>().is_some_and(|gateway| gateway.0.is_some())
    }

    fn header(&self, r: &Rc<Request>) -> Result<(), OutputError> {
        let always = r.with_location(|location| {
            location.scope.part::<Gateway>().0.as_ref().is_some_and(|g| g.show_upstream_status)
        });
        let text = {
            let trace = r.upstream_trace.borrow();
            let tries = || trace.iter().filter(|t| !t.peer.is_empty());
            let Some(last) = tries().last() else { return Ok(()) };
            if !always && last.status < 500 {
                return Ok(());
            }
            tries().map(|t| t.status.to_string()).collect::<Vec<_>>().join(", ")
        };
        r.headers_out.borrow_mut().list.set("X-APISIX-Upstream-Status", text);
        Ok(())
    }
}

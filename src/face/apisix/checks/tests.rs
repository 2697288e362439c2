//! What the engine is told of a document.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::face::apisix::schema::{self, Kind};

fn upstream(checks: &Value) -> Upstream {
    let mut document = json!({ "nodes": { "127.0.0.1:1980": 1 }, "checks": checks });
    schema::check(Kind::Upstream, &mut document).unwrap();
    Upstream::build("/apisix/routes/1", &document, None).unwrap()
}

fn told(checks: &Value) -> CheckSpec {
    let upstream = upstream(checks);
    spec("upstream#/apisix/routes/1", upstream.checks.as_ref().unwrap())
}

#[test]
fn the_seed_document() {
    let spec = told(&json!({
        "active": {
            "timeout": 5, "http_path": "/status", "host": "foo.com",
            "healthy": { "interval": 2, "successes": 1 },
            "unhealthy": { "interval": 1, "http_failures": 2 },
            "req_headers": ["User-Agent: curl/7.29.0"],
        },
        "passive": {
            "healthy": { "http_statuses": [200, 201], "successes": 3 },
            "unhealthy": { "http_statuses": [500], "http_failures": 3, "tcp_failures": 3 },
        },
    }));
    assert_eq!((spec.pace.healthy_ms, spec.pace.unhealthy_ms, spec.timeout_ms), (2000, 1000, 5000));
    let limits = Limits { successes: 1, http_failures: 2, tcp_failures: 2, timeouts: 3 };
    assert_eq!(spec.machine, MachineSpec::Counters(limits));
    let limits = Limits { successes: 3, http_failures: 3, tcp_failures: 3, timeouts: 7 };
    assert_eq!(spec.passive.limits, Some(limits));
    let ProbeSpec::Http(probe) = &spec.probe else { panic!("{:?}", spec.probe) };
    assert_eq!((&probe.path[..], &probe.method[..]), (&b"/status"[..], &b"GET"[..]));
}

#[test]
fn an_absent_block_is_never_probed() {
    let spec = told(&json!({ "active": {} }));
    assert!(spec.pace.is_off());
    assert!(spec.passive.pass.is_none() && spec.passive.limits.is_some());
}

#[test]
fn the_host_line() {
    let build = |document: Value| {
        let mut document = document;
        schema::check(Kind::Upstream, &mut document).unwrap();
        let upstream = Arc::new(Upstream::build("/k", &document, None).unwrap());
        let set = upstream.set.load_full();
        let node = &set.nodes.list[0];
        (host_header(&upstream, node), hostname(node, None), hostname(node, Some("foo.com")))
    };
    let plain = build(json!({ "nodes": { "127.0.0.1:1": 1 } }));
    assert_eq!(plain, (None, "127.0.0.1".into(), "foo.com".into()));
    let rewritten = build(json!({
        "nodes": { "127.0.0.1:1": 1 }, "pass_host": "rewrite", "upstream_host": "bar.com",
    }));
    assert_eq!(rewritten.0.as_deref(), Some("bar.com"));
}

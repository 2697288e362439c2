//! `upstream {}` blocks and what nginx says of wrong ones.

use bstr::ByteSlice;

use super::*;
use crate::conf::row::{LOCATION, take};
use crate::conf::{Dirs, Table, build, parse_bytes};

const AROUND: &[Row] = &[
    row("hash", UPSTREAM, args(1, 2), set_hash),
    block("http", crate::conf::row::MAIN, take(0), HTTP, |b, d| {
        b.block(d, Scope::new());
        Ok(())
    }),
    block("location", HTTP, take(1), LOCATION, |b, d| {
        b.block(d, Scope::new());
        Ok(())
    }),
    row("pass", LOCATION, take(1), |b, d| {
        let want = Want { default_port: 80, no_resolve: true, uri_part: true, ..Want::default() };
        let url = Url::parse(d.arg(1), &want).map_err(|e| Diag::emerg(e.to_string()))?;
        mention(b, d, &url).map(drop)
    }),
];

fn load(text: &str) -> (Scope, Vec<String>) {
    let parsed = parse_bytes(format!("http {{\n{text}\n}}").as_bytes());
    let dirs = Dirs { prefix: "/".into(), conf: "/".into() };
    let table = Table::new(&[ROWS, AROUND]);
    let (scope, diags) = build(&parsed, &table, &dirs, Scope::new(), &[finish]);
    let lines = diags.iter().map(|d| d.line(&parsed.sources)).collect();
    (scope, lines)
}

#[track_caller]
fn says(text: &str, expected: &[&str]) {
    assert_eq!(load(text).1, expected, "{text}");
}

/// Groups with their peers: `name[primary,…|backup,…]`.
fn shown(text: &str) -> String {
    let (scope, lines) = load(text);
    assert_eq!(lines, [""; 0], "{text}");
    let groups = &scope.part::<UpstreamConf>().groups;
    let one = |g: &std::sync::Arc<Group>| {
        let snapshot = g.snapshot();
        let names = snapshot.lists().map(|(_, set)| {
            let peers = set.peers().iter();
            let show = |p: &std::sync::Arc<crate::upstream::Peer>| {
                let c = &p.conf;
                format!("{} {} {} {}", c.name, c.weight, c.max_fails, c.fail_timeout_s)
            };
            peers.map(show).collect::<Vec<_>>().join(",")
        });
        format!("{}[{}]", g.name().as_bstr(), names.collect::<Vec<_>>().join("|"))
    };
    groups.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn groups_in_order_of_first_mention() {
    assert_eq!(
        shown(
            "location /a { pass b; } location /b { pass 127.0.0.1:81/x; }
             upstream a { server 127.0.0.1; server [::1]:8 weight=3 max_fails=0 fail_timeout=1m
               backup; }
             upstream b { server unix:/s down max_conns=2; }"
        ),
        "b[unix:/s 1 1 10] 127.0.0.1:81[127.0.0.1:81 0 0 0] \
         a[127.0.0.1:80 1 1 10|[::1]:8 3 0 60]"
    );
    assert_eq!(
        shown("upstream foo.com:1234 { server 127.0.0.1; }"),
        "foo.com:1234[127.0.0.1:80 1 1 10]"
    );
}

#[test]
fn an_implicit_group_of_a_name_is_resolved_at_the_end() {
    let (scope, lines) = load("location /a { pass localhost:81; }");
    assert_eq!(lines, [""; 0]);
    let groups = &scope.part::<UpstreamConf>().groups;
    let group = groups.iter().next().expect("one group");
    assert!(group.servers().is_empty() && !group.is_explicit());
    assert!(group.snapshot().primary.peers().iter().all(|p| p.conf.max_fails == 1));
    says(
        "location /a { pass no-such-host.invalid; }",
        &["host not found in upstream \"no-such-host.invalid\" in nginx.conf:2"],
    );
}

#[test]
fn methods_and_keepalive() {
    let (scope, lines) = load(
        "upstream a { hash $uri consistent; server 127.0.0.1; keepalive 4; keepalive_time 2s; }",
    );
    assert_eq!(lines, [""; 0]);
    let groups = &scope.part::<UpstreamConf>().groups;
    let a = groups.explicit("A".into()).expect("names compare without case");
    assert_eq!(*a.algo(), Algo::Hash { key: "$uri".into(), consistent: true });
    let keepalive = a.keepalive().expect("keepalive 4");
    assert_eq!((keepalive.max_idle, keepalive.max_age_ms), (4, 2000));
    says(
        "upstream a { least_conn; random; server 127.0.0.1; }",
        &["load balancing method redefined in nginx.conf:2"],
    );
}

#[test]
fn nginx_words() {
    for (body, expected) in [
        ("upstream a { }", "no servers are inside upstream"),
        ("upstream a { server 127.0.0.1 backup; }", "no servers in upstream \"a\""),
        ("upstream a { server 127.0.0.1 weight=0; }", "invalid parameter \"weight=0\""),
        ("upstream a { server 127.0.0.1 x; }", "invalid parameter \"x\""),
        ("upstream a { server 127.0.0.1 max_fails=a; }", "invalid parameter \"max_fails=a\""),
        ("upstream a { server 127.0.0.1:x; }", "invalid port in upstream \"127.0.0.1:x\""),
        ("upstream a { server :80; }", "no host in upstream \":80\""),
        (
            "upstream a { server no-such-host.invalid; }",
            "host not found in upstream \"no-such-host.invalid\"",
        ),
        (
            "upstream a { ip_hash; server 127.0.0.1; server 127.0.0.2 backup; }",
            "balancing method does not support parameter \"backup\"",
        ),
        (
            "upstream a { random; server 127.0.0.1:1 slow_start=30s; }",
            "balancing method does not support parameter \"slow_start=30s\"",
        ),
        ("upstream a { hash $x y; server 127.0.0.1; }", "invalid parameter \"y\""),
        (
            "upstream a { server 127.0.0.1; keepalive 0; }",
            "invalid value \"0\" in \"keepalive\" directive",
        ),
        (
            "upstream a { server 127.0.0.1; keepalive 1; keepalive 2; }",
            "\"keepalive\" directive is duplicate",
        ),
        ("upstream a { server 127.0.0.1; zone z 1k; }", "zone \"z\" is too small"),
        (
            "upstream a { server 127.0.0.1; } upstream A { server 127.0.0.2; }",
            "duplicate upstream \"A\"",
        ),
        (
            "upstream a { server 127.0.0.1; } location / { pass a:81; }",
            "upstream \"a\" may not have port 81",
        ),
        (
            "location / { pass a:81; } upstream a { server 127.0.0.1; }",
            "upstream \"a\" may not have port 81",
        ),
    ] {
        says(body, &[&format!("{expected} in nginx.conf:2")]);
    }
}

#[test]
fn slow_start() {
    let (scope, lines) = load("upstream u { server 127.0.0.1:1 slow_start=30s; }");
    assert_eq!(lines, [""; 0]);
    let snapshot = scope.part::<UpstreamConf>().groups.iter().next().map(|g| g.snapshot());
    let peers = snapshot.map(|s| s.primary.peers().to_vec()).unwrap_or_default();
    assert_eq!(peers.iter().map(|p| p.conf.slow_start_ms).collect::<Vec<_>>(), [30_000]);
}

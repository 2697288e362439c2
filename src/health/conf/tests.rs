//! What the directives make, and what is said of wrong ones.

use super::*;
use crate::conf::row::{MAIN, block};
use crate::conf::{Dirs, Table, build, parse_bytes};
use crate::health::machine::Seen;
use crate::health::spec::{Initial, MachineSpec, Pass, ProbeSpec};

const AROUND: &[Row] = &[block("http", MAIN, take(0), HTTP, |b, d| {
    b.block(d, Scope::new());
    Ok(())
})];

fn load(text: &str) -> (Scope, Vec<String>) {
    let parsed = parse_bytes(format!("http {{\n{text}\n}}").as_bytes());
    let dirs = Dirs { prefix: "/".into(), conf: "/".into() };
    let table = Table::new(&[ROWS, AROUND, crate::upstream::conf::ROWS]);
    let (scope, diags) = build(&parsed, &table, &dirs, Scope::new(), &[finish]);
    let lines = diags.iter().map(|d| d.line(&parsed.sources)).collect();
    (scope, lines)
}

fn plans_of(body: &str) -> Vec<Plan> {
    let (scope, lines) = load(
        &format!("match ok {{ status 200-299 ! ; }} upstream foo {{ server 127.0.0.1:1; {body} }}")
            .replace(" ! ;", ";"),
    );
    assert_eq!(lines, [""; 0], "{body}");
    plans(&scope)
}

#[track_caller]
fn says(body: &str, expected: &str) {
    let text = format!("upstream foo {{ server 127.0.0.1:1; {body} }}");
    assert_eq!(load(&text).1, [format!("{expected} in nginx.conf:2")], "{body}");
}

#[test]
fn the_defaults_are_those_of_nginx_plus() {
    let plans = plans_of("health_check;");
    let spec = &plans[0].spec;
    assert_eq!((spec.upstream.as_slice(), spec.pace.healthy_ms), (&b"foo"[..], 5000));
    assert_eq!(spec.machine, MachineSpec::RiseFall { rise: 1, fall: 1 });
    assert_eq!((spec.policy.initial, spec.probe.name()), (Initial::Up, "http"));
    let ProbeSpec::Http(http) = &spec.probe else { panic!("not http") };
    assert_eq!((http.path.as_slice(), http.method.as_slice()), (&b"/"[..], &b"GET"[..]));
    assert_eq!(http.headers.len(), 1, "who asks");
}

#[test]
fn every_word_finds_its_place() {
    let plans = plans_of(
        "health_check name=deep uri=/up match=ok interval=1s jitter=100ms fails=3 passes=2 \
         port=81 timeout=300ms mandatory persistent fastinter=200ms downinter=10s backoff=1m \
         host=a.b \"header=X-A: b\" method=HEAD http=1.0 panic=50% max_ejection=30% \
         on_all_down=try_all hold_down=10s concurrency=7 fatal_status=404,410-419;
         health_check type=tcp \"send=PING\\x0d\\n\" expect=+PONG proxy_protocol;
         health_check name=tls type=tls verify=off sni=x;
         health_check name=grpc type=grpc grpc_service=s grpc_status=12;",
    );
    let kinds: Vec<_> = plans.iter().map(|p| p.spec.probe.name()).collect();
    assert_eq!(kinds, ["http", "tcp", "tls", "grpc"]);
    let (spec, tcp) = (&plans[0].spec, &plans[1].spec);
    let pace = &spec.pace;
    let times = (pace.healthy_ms, pace.unhealthy_ms, pace.jitter_ms, pace.fast_ms);
    assert_eq!((times, pace.backoff_max_ms), ((1000, 10_000, 100, Some(200)), 60_000));
    assert_eq!(spec.machine, MachineSpec::RiseFall { rise: 2, fall: 3 });
    assert!(spec.policy.persistent && spec.policy.initial == Initial::Checking);
    assert_eq!((spec.policy.panic_percent, spec.policy.max_ejection_percent), (50, 30));
    assert!(spec.fatal.statuses.contains(411) && !spec.fatal.statuses.contains(411 + 9));
    let ProbeSpec::Http(http) = &spec.probe else { panic!("not http") };
    assert!(matches!(&http.pass, Pass::Match(m) if m.name == "ok"));
    let ProbeSpec::Tcp(probe) = &tcp.probe else { panic!("not tcp") };
    assert!(tcp.proxy_protocol && probe.send == "PING\r\n" && probe.expect.is_some());
    assert!(plans[2].tls.is_some() && plans[0].tls.is_none());
}

#[test]
fn the_older_module() {
    let plans = plans_of(
        "check_http_expect_alive http_2xx http_4xx; check_keepalive_requests 1;
         check interval=3000 rise=2 fall=5 timeout=1000 type=http port=81;
         check_http_send \"HEAD / HTTP/1.0\\r\\n\\r\\n\";",
    );
    let spec = &plans[0].spec;
    assert_eq!((spec.pace.healthy_ms, spec.port), (3000, Some(81)));
    assert_eq!(spec.policy.initial, Initial::Down);
    let ProbeSpec::Raw(raw) = &spec.probe else { panic!("not raw") };
    assert_eq!(raw.request, "HEAD / HTTP/1.0\r\n\r\n");
    let alive = raw.valid_statuses.as_deref().expect("a list");
    assert!(alive.contains(&204) && alive.contains(&404) && !alive.contains(&302));
}

#[test]
fn requests_alone() {
    let plans = plans_of("health_passive failures=3 window=10s ejection=5s statuses=500-503;");
    let spec = &plans[0].spec;
    assert!(spec.passive.is_on() && spec.probe == ProbeSpec::None);
    let outcome = crate::health::passive::judge_status(spec, 503, crate::health::Source::Passive);
    assert_eq!(outcome.seen(), Some(Seen::HttpFailure));
    let plans = plans_of("health_check; health_passive mode=probe latency=2s;");
    assert!(plans[0].spec.passive.probe_now && plans[0].spec.passive.eject.is_none());
}

#[test]
fn mistakes() {
    for (body, text) in [
        ("health_check interval=0;", "invalid parameter \"interval=0\""),
        ("health_check fails=0;", "invalid parameter \"fails=0\""),
        ("health_check port=65536;", "invalid parameter \"port=65536\""),
        ("health_check foo;", "invalid parameter \"foo\""),
        ("health_check type=udp;", "invalid parameter \"type=udp\""),
        (
            "ip_hash; health_check slow_start=30s;",
            "balancing method does not support parameter \"slow_start\"",
        ),
        (
            "health_check type=tcp keepalive_time=9s;",
            "parameter \"keepalive_time\" cannot be used by this type of check",
        ),
        ("health_check match=nope;", "match \"nope\" not found"),
        ("health_check persistent;", "\"persistent\" parameter requires \"mandatory\""),
        ("health_check type=tcp uri=/x;", "parameter \"uri\" cannot be used by this type of check"),
        ("health_check; health_check uri=/x;", "duplicate health check in upstream \"foo\""),
        (
            "health_check type=tls verify=off cert=/a;",
            "parameters \"cert\" and \"key\" belong together",
        ),
        ("check type=mysql;", "check type \"mysql\" is not supported"),
        ("check interval=3s;", "invalid parameter \"interval=3s\""),
        ("check type=tcp; check type=tcp;", "\"check\" directive is duplicate"),
        ("check_http_expect_alive 2xx;", "invalid value \"2xx\""),
        ("health_passive statuses=5xx;", "invalid parameter \"statuses=5xx\""),
    ] {
        says(body, text);
    }
}

#[test]
fn match_blocks() {
    let wrong = |body: &str| load(&format!("match a {{ {body} }}")).1;
    assert_eq!(wrong("status 200 301-399; header A; header ! B; header C != d;"), [""; 0]);
    assert_eq!(wrong("status ! 500; header A !~* \"^b\"; body ~ ok; body !~ bad;"), [""; 0]);
    assert_eq!(wrong("send \"PING\\r\\n\"; expect ~* \"^.pong\";"), [""; 0]);
    for (body, text) in [
        ("status 2xx;", "invalid status \"2xx\""),
        ("status;", "invalid number of arguments in \"status\" directive"),
        ("status 200; status 201;", "\"status\" directive is duplicate"),
        ("body = x;", "invalid parameter \"=\""),
        ("require $a;", "\"require\" is not supported in \"match\""),
        ("cookie x;", "unknown directive \"cookie\" in \"match\""),
    ] {
        assert_eq!(wrong(body), [format!("{text} in nginx.conf:2")], "{body}");
    }
    assert_eq!(load("match a { } match a { }").1, ["duplicate match \"a\" in nginx.conf:2"]);
}

#[test]
fn who_is_probed() {
    let pace = |body: &str| plans_of(body).remove(0).spec.pace;
    assert_eq!(pace("health_check no_traffic_interval=60s;").no_traffic_ms, 60_000);
    assert!(pace("health_check mode=idle;").skips_busy);
    let plan = plans_of("health_check mode=onfail interval=3s downinter=1s;").remove(0);
    let pace = &plan.spec.pace;
    assert_eq!((pace.healthy_ms, pace.fast_ms, pace.unhealthy_ms), (0, Some(3000), 1000));
    assert!(plan.spec.passive.probe_now && plan.spec.passive.pass.is_some());
    says("health_check mode=never;", "invalid parameter \"mode=never\"");
}

#[test]
fn bad_times_are_a_matter_of_the_upstream() {
    let plans = plans_of(
        "health_check on_all_down=try_all panic=30%; health_check name=b max_ejection=20%;",
    );
    for plan in plans {
        let policy = plan.spec.policy;
        assert_eq!((policy.panic_percent, policy.max_ejection_percent), (30, 20));
        assert_eq!(policy.all_down, crate::health::AllDown::TryAll);
    }
}

//! Health: what probes, requests and hands make of it, and what traffic makes of that.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::backend::Backend;
use super::scene::{NORMAL, RING, Scene, dead, quick, same, two};
use crate::harness::case::Check;
use crate::harness::wait::{self, HANG};

pub const ROWS: &[(&str, Check)] = &[
    ("D1: a new service is not checked", created),
    ("D2: active checks with the seed's limits", enabled),
    ("D3: ten bad answers turn a target unhealthy", fails),
    ("D4: one good answer turns it healthy", recovers),
    ("D5: 404 is a normal code", missing_path),
    ("D6: ten timeouts turn a target unhealthy", slow),
    ("D7: nothing is probed by default", silent),
    ("D8, D9, D10: by hand, with both verbs", by_hand),
    ("D11: passive checks alone never heal", passive),
    ("D12: nobody left", all_down),
    ("D13: too little weight left", threshold),
    ("D14: weight 0", weightless),
    ("D15, D16: metrics of targets, and what an alarm asks for", metrics),
    ("probes say what Kong's say", probe_bytes),
    ("a 505 is asked again with HTTP/1.0", adaptive),
    ("statuses in no list do not count", ignored),
    ("one address of a target by hand", one_address),
    ("a target that is a name", named),
    ("a name without addresses", unresolved),
    ("states outlive changes of the upstream and reloads of its targets", kept),
    ("counters are told in Kong's words", counters),
];

const HEALTHY: &str = "HEALTHY";
const UNHEALTHY: &str = "UNHEALTHY";
const OFF: &str = "HEALTHCHECKS_OFF";

fn created() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    let down = dead();
    scene.serve(&[&up.text(), &down])?;
    scene.health_is(&up.text(), OFF)?;
    scene.health_is(&down, OFF)?;
    let whole = scene.bare("GET", "/upstreams/svc/health?balancer_health=1")?.has(200)?;
    same(&whole["data"]["health"], &json!(OFF))?;
    same(&whole["data"]["balancer_health"], &json!(HEALTHY))?;
    same(&whole["next"], &Value::Null)
}

/// The seed's form, filled in by hand: its path, intervals, codes and thresholds.
fn enabled() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::tse()?);
    let down = dead();
    scene.serve(&[&up.text(), &down])?;
    let exceptions = json!([500, 502, 503, 504]);
    let form = json!({
        "active": {
            "http_path": "/",
            "healthy": { "interval": 2, "successes": 1, "http_statuses": NORMAL },
            "unhealthy": {
                "interval": 2, "http_failures": 10, "timeouts": 10, "tcp_failures": 0,
                "http_statuses": exceptions,
            },
        },
    });
    // From before the check: what is seen late must not make the time look short.
    let begun = Instant::now();
    let answer = scene.check(form.clone())?.has(200)?;
    for part in ["http_path", "healthy", "unhealthy"] {
        same(&answer["healthchecks"]["active"][part], &form["active"][part])?;
    }
    let kept = scene.bare("GET", "/upstreams/svc")?.has(200)?;
    same(&kept["healthchecks"], &answer["healthchecks"])?;
    // A refused connection counts for nothing while tcp_failures is 0.
    up.wait_for("/", 3)?;
    if begun.elapsed() < Duration::from_millis(5500) {
        return Err(format!("three probes 2 s apart after {:?}", begun.elapsed()));
    }
    scene.health_is(&up.text(), HEALTHY)?;
    scene.health_is(&down, HEALTHY)?;
    let counted = json!({ "active": { "unhealthy": { "tcp_failures": 2 } } });
    let begun = Instant::now();
    scene.check(counted)?.has(200)?;
    scene.wait(&down, UNHEALTHY)?;
    if begun.elapsed() < Duration::from_millis(1900) {
        return Err(format!("two probes 2 s apart are over after {:?}", begun.elapsed()));
    }
    scene.health_is(&up.text(), HEALTHY)?;
    for _ in 0..6 {
        same(&json!(scene.get("/x")?.body_text()), &json!(up.port.to_string()))?;
    }
    scene.stop().map(drop)
}

/// With the numbers of the document, in full length.
fn fails() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::tse()?);
    scene.serve(&[&up.text()])?;
    up.says(500);
    let intervals = json!({
        "active": { "healthy": { "interval": 2 }, "unhealthy": { "interval": 2 } },
    });
    let begun = Instant::now();
    scene.check(intervals)?.has(200)?;
    scene.wait(&up.text(), UNHEALTHY)?;
    let (probes, took) = (up.count("/"), begun.elapsed());
    if probes < 10 || took < Duration::from_secs(17) {
        return Err(format!("{probes} probes in {took:?}, wanted 10 in about 20 s"));
    }
    scene.wait_for_log("HTTP increment (10/10)")
}

fn recovers() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    scene.serve(&[&up.text()])?;
    up.says(500);
    scene.check(quick(&[]))?.has(200)?;
    scene.wait(&up.text(), UNHEALTHY)?;
    let failed = up.count("/probe");
    up.says(200);
    scene.wait(&up.text(), HEALTHY)?;
    if failed < 10 {
        return Err(format!("unhealthy after {failed} probes, wanted 10"));
    }
    scene.stop().map(drop)
}

fn missing_path() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    scene.serve(&[&up.text()])?;
    up.says(404);
    scene.check(quick(&[("/active/unhealthy/http_failures", json!(1))]))?.has(200)?;
    // When the third comes, the first was judged.
    up.wait_for("/probe", 3)?;
    scene.health_is(&up.text(), HEALTHY)
}

fn slow() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    scene.serve(&[&up.text()])?;
    up.hold();
    scene.check(quick(&[("/active/timeout", json!(0.05))]))?.has(200)?;
    scene.wait(&up.text(), UNHEALTHY)?;
    scene.wait_for_log("TIMEOUT increment (10/10)")
}

fn silent() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    scene.serve(&[&up.text()])?;
    std::thread::sleep(Duration::from_millis(1500));
    match up.heads().len() {
        0 => Ok(()),
        probes => Err(format!("{probes} requests nobody asked for")),
    }
}

/// Checks whose probes come after the case is over: one under way would contradict what is told.
fn by_hand_only() -> Value {
    quick(&[("/active/unhealthy/interval", json!(0)), ("/active/healthy/interval", json!(3600))])
}

fn by_hand() -> Result<(), String> {
    let ((a, b), scene) = (two()?, Scene::start()?);
    scene.serve(&[&a.text(), &b.text()])?;
    scene.check(by_hand_only())?.has(200)?;
    for verb in ["PUT", "POST"] {
        let path = format!("/upstreams/svc/targets/{}", a.text());
        scene.bare(verb, &format!("{path}/unhealthy"))?.has(204)?;
        scene.health_is(&a.text(), UNHEALTHY)?;
        for _ in 0..6 {
            let answer = scene.get("/")?.body_text();
            if answer != b.port.to_string() {
                return Err(format!("{answer} answered after {verb}"));
            }
        }
        scene.bare(verb, &format!("{path}/healthy"))?.has(204)?;
        scene.health_is(&a.text(), HEALTHY)?;
        let answers: Vec<String> =
            (0..4).filter_map(|_| Some(scene.get("/").ok()?.body_text())).collect();
        if !answers.contains(&a.port.to_string()) {
            return Err(format!("only {answers:?} after {verb} healthy"));
        }
    }
    scene.stop().map(drop)
}

fn passive() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    scene.serve(&[&up.text()])?;
    let answer = scene.check(json!({ "passive": { "unhealthy": { "http_failures": 3 } } }))?;
    answer.has(200)?;
    if !answer.header("Warning").is_some_and(|text| text.contains("passive checks alone")) {
        return Err(format!("no warning in {:?}", answer.headers));
    }
    scene.health_is(&up.text(), HEALTHY)?;
    up.says(500);
    for _ in 0..3 {
        scene.get("/")?;
    }
    scene.wait(&up.text(), UNHEALTHY)?;
    up.says(200);
    for _ in 0..3 {
        let answer = scene.get("/")?;
        if answer.status != 503 {
            return Err(format!("{} while unhealthy", answer.status));
        }
    }
    std::thread::sleep(Duration::from_millis(500));
    scene.health_is(&up.text(), UNHEALTHY)?;
    let path = format!("/upstreams/svc/targets/{}/healthy", up.text());
    scene.bare("PUT", &path)?.has(204)?;
    scene.health_is(&up.text(), HEALTHY)?;
    match scene.get("/")?.status {
        200 => Ok(()),
        status => Err(format!("{status} after healthy by hand")),
    }
}

fn all_down() -> Result<(), String> {
    let ((a, b), scene) = (two()?, Scene::start()?);
    scene.serve(&[&a.text(), &b.text()])?;
    scene.check(by_hand_only())?.has(200)?;
    for backend in [&a, &b] {
        let path = format!("/upstreams/svc/targets/{}/unhealthy", backend.text());
        scene.bare("PUT", &path)?.has(204)?;
    }
    let answer = scene.get("/")?;
    let body: Value = serde_json::from_str(&answer.body_text()).map_err(|e| e.to_string())?;
    same(&json!([answer.status, body["message"]]), &json!([503, RING]))
}

fn threshold() -> Result<(), String> {
    let ((a, b), scene) = (two()?, Scene::start()?);
    scene.serve(&[&a.text(), &b.text()])?;
    let mut checks = by_hand_only();
    checks["threshold"] = json!(55);
    scene.check(checks)?.has(200)?;
    let path = format!("/upstreams/svc/targets/{}", a.text());
    scene.bare("PUT", &format!("{path}/unhealthy"))?.has(204)?;
    let whole = scene.bare("GET", "/upstreams/svc/health?balancer_health=1")?.has(200)?;
    let data = &whole["data"];
    same(&data["health"], &json!(UNHEALTHY))?;
    same(&data["details"]["healthy"], &json!(false))?;
    let weight = json!({ "total": 200, "available": 100, "unavailable": 100 });
    same(&data["details"]["weight"], &weight)?;
    same(&json!(scene.get("/")?.status), &json!(503))?;
    scene.bare("PUT", &format!("{path}/healthy"))?.has(204)?;
    same(&json!(scene.get("/")?.status), &json!(200))
}

fn weightless() -> Result<(), String> {
    let ((a, b), scene) = (two()?, Scene::start()?);
    scene.serve(&[&a.text(), &b.text()])?;
    let path = format!("/upstreams/svc/targets/{}", a.text());
    scene.call("PATCH", &path, &json!({ "weight": 0 }))?.has(200)?;
    scene.check(quick(&[]))?.has(200)?;
    b.wait_for("/probe", 3)?;
    scene.health_is(&a.text(), OFF)?;
    scene.health_is(&b.text(), HEALTHY)?;
    for _ in 0..4 {
        scene.get("/")?;
    }
    match a.heads().len() {
        0 => Ok(()),
        own => Err(format!("weight 0 had {own} requests")),
    }
}

/// Each target is in exactly one state; the sum over a service's is its number of targets, and the
/// sum over all services that of the instance.
fn metrics() -> Result<(), String> {
    let ((a, b), scene) = (two()?, Scene::start()?);
    scene.serve(&[&a.text(), &b.text()])?;
    scene.check(by_hand_only())?.has(200)?;
    scene.call("POST", "/upstreams", &json!({ "name": "other" }))?.has(201)?;
    let target = json!({ "target": "127.0.0.1:7" });
    scene.call("POST", "/upstreams/other/targets", &target)?.has(201)?;
    let sums = |states: &[(&str, &str, usize)]| -> Result<(), String> {
        let page = scene.metrics()?;
        let series = Series::read(&page)?;
        if series.len() != 3 * 4 {
            return Err(format!("{} series of 3 targets in 4 states", series.len()));
        }
        let mut targets: Vec<&str> = series.iter().map(|s| s.target.as_str()).collect();
        targets.sort_unstable();
        targets.dedup();
        for target in &targets {
            let own = series.iter().filter(|s| s.target == *target);
            same(&json!([target, own.map(|s| s.value).sum::<u32>()]), &json!([target, 1]))?;
        }
        let sum = |wanted: &dyn Fn(&Series) -> bool| -> u32 {
            series.iter().filter(|s| wanted(s)).map(|s| s.value).sum()
        };
        let all = [sum(&|s| s.upstream == "svc"), sum(&|s| s.upstream == "other"), sum(&|_| true)];
        same(&json!(all), &json!([2, 1, 3]))?;
        for (upstream, state, count) in states {
            let got = sum(&|s| s.upstream == *upstream && s.state == *state);
            same(&json!([upstream, state, got]), &json!([upstream, state, count]))?;
        }
        Ok(())
    };
    sums(&[("svc", "healthy", 2), ("svc", "unhealthy", 0), ("other", "healthchecks_off", 1)])?;
    // What the shipped alarm asks for is there after a target went down, and gone afterwards.
    let rules = crate::tidy::source::read("conf/examples/kong-alerts.yml");
    if !rules.contains("kong_upstream_target_health{state=\"unhealthy\"") {
        return Err("the alarm asks for something else".into());
    }
    let path = format!("/upstreams/svc/targets/{}", a.text());
    scene.bare("PUT", &format!("{path}/unhealthy"))?.has(204)?;
    sums(&[("svc", "healthy", 1), ("svc", "unhealthy", 1)])?;
    scene.bare("PUT", &format!("{path}/healthy"))?.has(204)?;
    sums(&[("svc", "healthy", 2), ("svc", "unhealthy", 0)])
}

/// One line of the metric of targets.
struct Series {
    upstream: String,
    target: String,
    state: String,
    value: u32,
}

impl Series {
    fn read(page: &str) -> Result<Vec<Series>, String> {
        let lines = page.lines().filter(|line| line.starts_with("kong_upstream_target_health{"));
        lines.map(Series::of_line).collect()
    }

    fn of_line(line: &str) -> Result<Series, String> {
        let label = |name: &str| {
            let (_, rest) = line.split_once(&format!("{name}=\""))?;
            Some(rest.split_once('"')?.0.to_owned())
        };
        let value = line.rsplit(' ').next().and_then(|text| text.parse().ok());
        let parts = (label("{upstream"), label("address"), label("state"), value);
        match (parts, label("subsystem").as_deref()) {
            ((Some(upstream), Some(target), Some(state), Some(value)), Some("http")) => {
                Ok(Series { upstream, target, state, value })
            }
            _ => Err(format!("{line} is no series of a target")),
        }
    }
}

fn probe_bytes() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    scene.serve(&[&up.text()])?;
    let mut checks = quick(&[]);
    checks["active"]["headers"] = json!({ "User-Agent": ["curl/7.29.0"], "X-A": ["1", "2"] });
    scene.check(checks)?.has(200)?;
    let last = |wanted: &str| wait::until(HANG, || same(&json!(up.heads().last()), &json!(wanted)));
    let wanted = "GET /probe HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\
                  User-Agent: curl/7.29.0\r\nX-A: 1\r\nX-A: 2\r\n\r\n";
    last(wanted)?;
    scene.call("PATCH", "/upstreams/svc", &json!({ "host_header": "foo.com" }))?.has(200)?;
    last(&wanted.replace("127.0.0.1", "foo.com"))
}

fn adaptive() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    scene.serve(&[&up.text()])?;
    up.says(505);
    scene.check(quick(&[]))?.has(200)?;
    let old = "GET /probe HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n";
    wait::until(HANG, || match up.heads() {
        heads if heads.iter().any(|head| head == old) => Ok(()),
        heads => Err(format!("{heads:?}")),
    })
}

fn ignored() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    scene.serve(&[&up.text()])?;
    up.says(418);
    scene.check(quick(&[("/active/unhealthy/http_failures", json!(1))]))?.has(200)?;
    up.wait_for("/probe", 3)?;
    scene.health_is(&up.text(), HEALTHY)
}

fn one_address() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    scene.serve(&[&up.text()])?;
    scene.check(by_hand_only())?.has(200)?;
    let path = format!("/upstreams/svc/targets/{}", up.text());
    scene.bare("PUT", &format!("{path}/{}/unhealthy", up.text()))?.has(204)?;
    scene.health_is(&up.text(), UNHEALTHY)?;
    scene.bare("POST", &format!("{path}/127.0.0.1/healthy"))?.has(204)?;
    scene.health_is(&up.text(), HEALTHY)?;
    scene.bare("PUT", &format!("{path}/127.0.0.9:1/healthy"))?.says(404, "Not found")
}

fn named() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    let target = format!("localhost:{}", up.port);
    scene.serve(&[&target])?;
    scene.check(quick(&[]))?.has(200)?;
    scene.wait(&target, HEALTHY)?;
    same(&json!(scene.get("/")?.body_text()), &json!(up.port.to_string()))?;
    let probe = "/probe HTTP/1.1\r\nHost: localhost\r";
    wait::until(HANG, || match up.heads() {
        heads if heads.iter().any(|head| head.contains(probe)) => Ok(()),
        heads => Err(format!("{heads:?}")),
    })
}

fn unresolved() -> Result<(), String> {
    let scene = Scene::start()?;
    scene.serve(&["no-such-host.invalid:80"])?;
    scene.check(quick(&[]))?.has(200)?;
    scene.wait("no-such-host.invalid:80", "DNS_ERROR")?;
    let answer = scene.get("/")?;
    same(&json!(answer.status), &json!(503))?;
    match answer.body_text().contains("name resolution failed") {
        true => Ok(()),
        false => Err(answer.body_text()),
    }
}

fn kept() -> Result<(), String> {
    let ((a, b), scene) = (two()?, Scene::start()?);
    scene.serve(&[&a.text(), &b.text()])?;
    scene.check(by_hand_only())?.has(200)?;
    let path = format!("/upstreams/svc/targets/{}/unhealthy", a.text());
    scene.bare("PUT", &path)?.has(204)?;
    scene.call("PATCH", "/upstreams/svc", &json!({ "slots": 100 }))?.has(200)?;
    scene.health_is(&a.text(), UNHEALTHY)?;
    let third = Backend::start()?;
    let target = json!({ "target": third.text() });
    scene.call("POST", "/upstreams/svc/targets", &target)?.has(201)?;
    scene
        .call("PATCH", "/upstreams/svc", &json!({ "algorithm": "least-connections" }))?
        .has(200)?;
    scene.health_is(&a.text(), UNHEALTHY)?;
    for _ in 0..6 {
        let answer = scene.get("/")?.body_text();
        if answer == a.port.to_string() {
            return Err("an unhealthy target was used".into());
        }
    }
    scene.stop().map(drop)
}

fn counters() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    scene.serve(&[&up.text()])?;
    let limits = json!({ "passive": {
        "healthy": { "successes": 2 },
        "unhealthy": { "http_failures": 3 },
    } });
    scene.check(limits)?.has(200)?;
    // The first success says nothing: the target is healthy already.
    for status in [200, 500, 500, 200, 500, 500, 500] {
        up.says(status);
        scene.get("/")?;
    }
    scene.wait(&up.text(), UNHEALTHY)?;
    let wanted = [
        "HTTP increment (1/3)",
        "HTTP increment (2/3)",
        "SUCCESS increment (1/2)",
        "HTTP increment (1/3)",
        "HTTP increment (2/3)",
        "HTTP increment (3/3)",
    ];
    wait::until(HANG, || {
        let log = scene.error_log();
        let lines: Vec<&str> = log
            .lines()
            .filter(|line| line.contains(" increment ("))
            .filter_map(|line| line.split("healthy ").nth(1)?.split(" for ").next())
            .collect();
        if lines == wanted { Ok(()) } else { Err(format!("{lines:?}\nin {log}")) }
    })
}

//! Traffic: routes, what services are asked for, how targets are chosen.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::backend::Backend;
use super::scene::{RING, Scene, dead, same, two};
use crate::harness::case::Check;
use crate::harness::client::Response;
use crate::harness::wait::{self, HANG};

pub const ROWS: &[(&str, Check)] = &[
    ("no route, no service, no target", nobody),
    ("paths are stripped and joined, headers tell where from", asked),
    ("routes by host, method, header; Kong's precedence", routes),
    ("a refused connection is tried elsewhere", retried),
    ("a service that names a host", plain_host),
    ("a changed route or target counts for the next request", at_once),
    ("consistent hashing by header, cookie, path", hashed),
    ("least connections", least),
    ("latency", latency),
    ("weights", weights),
    ("paths are joined as path_handling says", joined),
    ("consistent hashing by address, argument and capture, and what is in their place", keys),
    ("https only", https_only),
    ("answers of broken services are Kong's", broken),
];

fn message(answer: &Response) -> Result<Value, String> {
    let body: Value = serde_json::from_slice(&answer.body).map_err(|e| e.to_string())?;
    Ok(json!([answer.status, body["message"]]))
}

fn nobody() -> Result<(), String> {
    let scene = Scene::start()?;
    let none = json!([404, "no Route matched with those values"]);
    same(&message(&scene.get("/")?)?, &none)?;
    scene.serve(&[])?;
    same(&message(&scene.get("/")?)?, &json!([503, RING]))?;
    scene.call("POST", "/routes", &json!({ "paths": ["/lone"] }))?.has(201)?;
    same(&message(&scene.get("/lone")?)?, &json!([503, "no Service found with those values"]))
}

fn asked() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    scene.serve(&[&up.text()])?;
    let last = || up.heads().last().cloned().unwrap_or_default();
    scene.call("PATCH", "/services/web", &json!({ "path": "/v1" }))?.has(200)?;
    let strip = json!({ "name": "strip", "paths": ["/api"] });
    scene.call("POST", "/services/web/routes", &strip)?.has(201)?;
    let keep = json!({ "name": "keep", "paths": ["/keep"], "strip_path": false,
                       "preserve_host": true });
    scene.call("POST", "/services/web/routes", &keep)?.has(201)?;
    scene.ask("/api/x%20y?q=%2F", "Host: a.org:8000\nX-Forwarded-For: 10.0.0.1")?;
    let head = last();
    if !head.starts_with("GET /v1/x%20y?q=%2F HTTP/1.1\r\nHost: svc\r\n") {
        return Err(head);
    }
    for line in [
        "X-Forwarded-For: 10.0.0.1, 127.0.0.1",
        "X-Real-IP: 127.0.0.1",
        "X-Forwarded-Host: a.org",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Prefix: /api",
        "X-Forwarded-Path: /api/x%20y?q=%2F",
    ] {
        if !head.contains(&format!("\r\n{line}\r\n")) {
            return Err(format!("no {line} in {head}"));
        }
    }
    scene.ask("/keep/x", "Host: a.org:8000")?;
    if !last().starts_with("GET /v1/keep/x HTTP/1.1\r\nHost: a.org:8000\r\n") {
        return Err(last());
    }
    scene.get("/api")?;
    if !last().starts_with("GET /v1 HTTP/1.1\r\n") {
        return Err(last());
    }
    scene.call("PATCH", "/upstreams/svc", &json!({ "host_header": "b.org" }))?.has(200)?;
    scene.get("/api/z")?;
    match last().starts_with("GET /v1/z HTTP/1.1\r\nHost: b.org\r\n") {
        true => Ok(()),
        false => Err(last()),
    }
}

fn routes() -> Result<(), String> {
    let ((a, b), scene) = (two()?, Scene::start()?);
    scene.serve(&[&a.text()])?;
    let other = json!({ "name": "other", "host": "127.0.0.1", "port": b.port });
    scene.call("POST", "/services", &other)?.has(201)?;
    for route in [
        json!({ "hosts": ["b.org", "*.b.org"] }),
        json!({ "paths": ["/m"], "methods": ["DELETE"] }),
        json!({ "paths": ["/h"], "headers": { "x-to": ["b"] } }),
        json!({ "paths": ["~/num/\\d+$"] }),
    ] {
        scene.call("POST", "/services/other/routes", &route)?.has(201)?;
    }
    let rows = [
        ("/", "Host: a.org", &a),
        ("/", "Host: b.org", &b),
        ("/x", "Host: www.b.org:8000", &b),
        ("/m", "", &a),
        ("/h", "X-To: b", &b),
        ("/h", "X-To: c", &a),
        ("/num/12", "", &b),
        ("/num/12x", "", &a),
    ];
    for (path, headers, wanted) in rows {
        let got = scene.ask(path, headers)?.body_text();
        same(&json!([path, headers, got]), &json!([path, headers, wanted.port.to_string()]))?;
    }
    Ok(())
}

fn retried() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    scene.serve(&[&dead(), &dead(), &up.text()])?;
    for _ in 0..6 {
        let answer = scene.get("/")?;
        same(&json!(answer.body_text()), &json!(up.port.to_string()))?;
    }
    scene.call("PATCH", "/services/web", &json!({ "retries": 0 }))?.has(200)?;
    let statuses: HashSet<u16> = (0..6).filter_map(|_| Some(scene.get("/").ok()?.status)).collect();
    if statuses == HashSet::from([200, 502]) { Ok(()) } else { Err(format!("{statuses:?}")) }
}

fn plain_host() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    let service = json!({ "name": "web", "url": format!("http://localhost:{}", up.port) });
    scene.call("POST", "/services", &service)?.has(201)?;
    scene.call("POST", "/services/web/routes", &json!({ "paths": ["/"] }))?.has(201)?;
    // The name is looked up apart from traffic.
    wait::until(HANG, || match scene.get("/")?.status {
        200 => Ok(()),
        status => Err(format!("{status}")),
    })?;
    scene.get("/p")?;
    let head = up.heads().last().cloned().unwrap_or_default();
    let wanted = format!("GET / HTTP/1.1\r\nHost: localhost:{}\r\n", up.port);
    let wanted = wanted.replace("GET / ", "GET /p ");
    if head.starts_with(&wanted) { Ok(()) } else { Err(format!("{head}\nwanted {wanted}")) }
}

fn at_once() -> Result<(), String> {
    let ((a, b), scene) = (two()?, Scene::start()?);
    scene.serve(&[&a.text()])?;
    for round in 0..10 {
        let (from, to) = if round % 2 == 0 { (&a, &b) } else { (&b, &a) };
        let target = json!({ "target": to.text() });
        scene.call("POST", "/upstreams/svc/targets", &target)?.has(201)?;
        scene.bare("DELETE", &format!("/upstreams/svc/targets/{}", from.text()))?.has(204)?;
        same(&json!(scene.get("/")?.body_text()), &json!(to.port.to_string()))?;
        let path = json!({ "paths": [format!("/r{round}")] });
        scene.call("POST", "/services/web/routes", &path)?.has(201)?;
        scene.get(&format!("/r{round}/x"))?;
        if to.count("/x") <= round / 2 {
            return Err(format!("route {round} is not followed: {:?}", to.heads().last()));
        }
    }
    Ok(())
}

fn hashed() -> Result<(), String> {
    let backends: Vec<Backend> = (0..4).map(|_| Backend::start()).collect::<Result<_, _>>()?;
    let scene = Scene::start()?;
    let texts: Vec<String> = backends.iter().map(Backend::text).collect();
    scene.serve(&texts.iter().map(String::as_str).collect::<Vec<_>>())?;
    let by = |hash: Value| scene.call("PATCH", "/upstreams/svc", &hash)?.has(200);
    by(
        json!({ "algorithm": "consistent-hashing", "hash_on": "header", "hash_on_header": "x-id" }),
    )?;
    let mut used = HashSet::new();
    for id in 0..24 {
        let ask = || Ok::<_, String>(scene.ask("/", &format!("X-Id: {id}"))?.body_text());
        let first = ask()?;
        for _ in 0..3 {
            same(&json!(ask()?), &json!(first))?;
        }
        used.insert(first);
    }
    if used.len() < 3 {
        return Err(format!("24 keys went to {used:?} only"));
    }
    by(json!({ "hash_on": "cookie", "hash_on_cookie": "sid", "hash_on_header": null }))?;
    let first = scene.get("/")?;
    let cookie = first.header("Set-Cookie").ok_or("no cookie")?;
    let pair = cookie.split(';').next().unwrap_or_default();
    for _ in 0..4 {
        let answer = scene.ask("/", &format!("Cookie: {pair}"))?;
        same(&json!(answer.body_text()), &json!(first.body_text()))?;
        if answer.header("Set-Cookie").is_some() {
            return Err("a cookie for somebody who has one".into());
        }
    }
    by(json!({ "hash_on": "path", "hash_on_cookie": null }))?;
    let first = scene.get("/some/path")?.body_text();
    for _ in 0..4 {
        same(&json!(scene.get("/some/path?x=1")?.body_text()), &json!(first))?;
    }
    Ok(())
}

fn least() -> Result<(), String> {
    let ((a, b), scene) = (two()?, Scene::start()?);
    scene.serve(&[&a.text(), &b.text()])?;
    let algorithm = json!({ "algorithm": "least-connections" });
    scene.call("PATCH", "/upstreams/svc", &algorithm)?.has(200)?;
    a.hold();
    std::thread::scope(|scope| {
        // Requests one after the other, until one is kept waiting.
        let mut first = Vec::new();
        while a.count("/") == 0 {
            let asked = b.count("/");
            first.push(scope.spawn(|| scene.get("/")));
            wait::until(HANG, || match (a.count("/"), b.count("/")) {
                (0, still) if still == asked => Err("nobody is asked"),
                _ => Ok(()),
            })?;
        }
        let others = (0..6).try_for_each(|_| {
            same(&json!(scene.get("/")?.body_text()), &json!(b.port.to_string()))
        });
        a.release();
        others?;
        first.into_iter().try_for_each(|thread| match thread.join() {
            Ok(answer) => answer.map(drop),
            Err(_) => Err("a client panicked".into()),
        })
    })
}

fn weights() -> Result<(), String> {
    let ((a, b), scene) = (two()?, Scene::start()?);
    scene.serve(&[&a.text(), &b.text()])?;
    let path = format!("/upstreams/svc/targets/{}", a.text());
    scene.call("PATCH", &path, &json!({ "weight": 300 }))?.has(200)?;
    let mut own = 0;
    for _ in 0..40 {
        own += usize::from(scene.get("/")?.body_text() == a.port.to_string());
    }
    if (28..=32).contains(&own) { Ok(()) } else { Err(format!("{own} of 40, wanted 30")) }
}

fn https_only() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    scene.serve(&[&up.text()])?;
    let route = json!({ "paths": ["/s"], "protocols": ["https"] });
    scene.call("POST", "/services/web/routes", &route)?.has(201)?;
    let answer = scene.get("/s")?;
    same(&message(&answer)?, &json!([426, "Please use HTTPS protocol"]))?;
    same(&json!(answer.header("Upgrade")), &json!("TLS/1.2, HTTP/1.1"))?;
    let route = json!({ "paths": ["/r"], "protocols": ["https"],
                        "https_redirect_status_code": 301 });
    scene.call("POST", "/services/web/routes", &route)?.has(201)?;
    let answer = scene.ask("/r?x=1", "Host: a.org")?;
    same(&json!([answer.status, answer.header("Location")]), &json!([301, "https://a.org/r?x=1"]))
}

fn broken() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    scene.serve(&[&dead()])?;
    let text = "An invalid response was received from the upstream server";
    same(&message(&scene.get("/")?)?, &json!([502, text]))?;
    let slow = json!({ "name": "slow", "url": format!("http://{}", up.text()),
                       "read_timeout": 100, "retries": 0 });
    scene.call("POST", "/services", &slow)?.has(201)?;
    scene.call("POST", "/services/slow/routes", &json!({ "paths": ["/slow"] }))?.has(201)?;
    up.hold();
    same(&message(&scene.get("/slow")?)?, &json!([504, "The upstream server is timing out"]))
}

/// The one that answers late is asked seldom, and asked again when it has become quick.
fn latency() -> Result<(), String> {
    let ((a, b), scene) = (two()?, Scene::start()?);
    scene.serve(&[&a.text(), &b.text()])?;
    let algorithm = json!({ "algorithm": "latency" });
    scene.call("PATCH", "/upstreams/svc", &algorithm)?.has(200)?;
    a.takes(std::time::Duration::from_millis(250));
    let of_a = || -> Result<usize, String> {
        let mut count = 0;
        for _ in 0..20 {
            count += usize::from(scene.get("/")?.body_text() == a.port.to_string());
        }
        Ok(count)
    };
    of_a()?;
    let slow = of_a()?;
    if slow > 5 {
        return Err(format!("{slow} of 20 requests went to the slow one"));
    }
    a.takes(std::time::Duration::ZERO);
    b.takes(std::time::Duration::from_millis(250));
    of_a()?;
    let quick = (of_a()?, of_a()?);
    if quick.0 + quick.1 < 20 {
        return Err(format!("{quick:?} of 20 requests went to the one that is quick now"));
    }
    scene.stop().map(drop)
}

fn joined() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    scene.serve(&[&up.text()])?;
    scene.call("PATCH", "/services/web", &json!({ "path": "/s" }))?.has(200)?;
    for (name, handling, strip) in
        [("a", "v0", true), ("b", "v0", false), ("c", "v1", true), ("d", "v1", false)]
    {
        let route = json!({ "paths": [format!("/{name}")], "strip_path": strip,
                            "path_handling": handling });
        scene.call("POST", "/services/web/routes", &route)?.has(201)?;
    }
    let rows = [
        ("/ax/y", "/s/x/y"),
        ("/a/", "/s/"),
        ("/bx", "/s/bx"),
        ("/cx/y", "/sx/y"),
        ("/c/x", "/s/x"),
        ("/dx", "/sdx"),
    ];
    for (path, wanted) in rows {
        scene.get(path)?;
        let head = up.heads().last().cloned().unwrap_or_default();
        if !head.starts_with(&format!("GET {wanted} HTTP/1.1\r\n")) {
            return Err(format!("{path}: {head}"));
        }
    }
    scene.stop().map(drop)
}

fn keys() -> Result<(), String> {
    let backends: Vec<Backend> = (0..4).map(|_| Backend::start()).collect::<Result<_, _>>()?;
    let scene = Scene::start()?;
    let texts: Vec<String> = backends.iter().map(Backend::text).collect();
    scene.serve(&texts.iter().map(String::as_str).collect::<Vec<_>>())?;
    let by = |hash: Value| scene.call("PATCH", "/upstreams/svc", &hash)?.has(200);
    let spread = |paths: &[String], headers: &str| -> Result<usize, String> {
        let mut used = HashSet::new();
        for path in paths {
            let first = scene.ask(path, headers)?.body_text();
            same(&json!(scene.ask(path, headers)?.body_text()), &json!(first))?;
            used.insert(first);
        }
        Ok(used.len())
    };
    let each = |text: &str| -> Vec<String> {
        (0..24).map(|n| text.replace('#', &n.to_string())).collect()
    };
    by(json!({ "algorithm": "consistent-hashing", "hash_on": "ip" }))?;
    same(&json!(spread(&each("/p#?id=#"), "")?), &json!(1))?;
    by(json!({ "hash_on": "query_arg", "hash_on_query_arg": "id", "hash_fallback": "path" }))?;
    if spread(&each("/p?id=#"), "")? < 3 {
        return Err("24 arguments have less than three places".into());
    }
    // Without the argument the path counts; the argument of one is the same on every path.
    if spread(&each("/p#"), "")? < 3 {
        return Err("24 paths have less than three places".into());
    }
    same(&json!(spread(&each("/p#?id=7"), "")?), &json!(1))?;
    let route = json!({ "paths": ["~/u/(?<user>\\w+)"] });
    scene.call("POST", "/services/web/routes", &route)?.has(201)?;
    by(
        json!({ "hash_on": "uri_capture", "hash_on_uri_capture": "user", "hash_on_query_arg": null,
               "hash_fallback": "none" }),
    )?;
    if spread(&each("/u/u#"), "")? < 3 {
        return Err("24 captures have less than three places".into());
    }
    same(&json!(spread(&each("/u/same/#"), "")?), &json!(1))?;
    // The fallback of a header is another header.
    by(json!({ "hash_on": "header", "hash_on_header": "x-a", "hash_on_uri_capture": null,
               "hash_fallback": "header", "hash_fallback_header": "x-b" }))?;
    same(&json!(spread(&each("/p#"), "X-B: 1")?), &json!(1))?;
    // Consumers there are none: their place is taken by what is said to.
    by(json!({ "hash_on": "consumer", "hash_on_header": null, "hash_fallback": "ip",
               "hash_fallback_header": null }))?;
    same(&json!(spread(&each("/p#"), "")?), &json!(1))?;
    scene.stop().map(drop)
}

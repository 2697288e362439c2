//! The seed's document from its command to the last view of it: A1 to A5, A16 to A18, A23.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::backend::Backend;
use super::scene::{
    KEY, Node, Scene, VIEWER, active, eventually, route, same, seed, seed_document,
};
use crate::harness::case::Check;
use crate::harness::server::free_port;

pub const ROWS: &[(&str, Check)] = &[
    ("A1, A2: the seed's command, and what it stored", command),
    ("A1: the same document through the present API", present),
    ("A3: nothing is probed before there is traffic", lazy),
    ("A4, A17, A18: traffic, probes, the views of them", traffic),
    ("A5: the quota", quota),
    ("A16: the route is deleted", deleted),
    ("A23: keys", keys),
];

fn command() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    let down = free_port();
    let made = scene.shell(&seed(&up, down))?.has(201)?;
    same(&made["action"], &json!("set"))?;
    let node = &made["node"];
    same(&node["key"], &json!("/apisix/routes/1"))?;
    let value = &node["value"];
    let mut wanted = seed_document(&up, down)?;
    filled(&mut wanted);
    for time in ["create_time", "update_time"] {
        if value[time].as_i64().is_none_or(|secs| secs < 1_700_000_000) {
            return Err(format!("{time} of {value}"));
        }
        wanted[time] = value[time].clone();
    }
    same(value, &wanted)?;
    let read = format!("curl http://127.0.0.1:9080/apisix/admin/routes/1 -H '{KEY}'");
    let got = scene.shell(&read)?.has(200)?;
    same(&got, &json!({ "action": "get", "count": 1, "node": node }))?;
    let again = scene.shell(&seed(&up, down))?.has(200)?;
    same(&again["node"]["value"]["create_time"], &value["create_time"])?;
    scene.stop().map(drop)
}

/// What the 2.x era filled into the seed's document.
fn filled(document: &mut Value) {
    let mut set = |pointer: &str, members: Value| {
        let object = document.pointer_mut(pointer).and_then(Value::as_object_mut);
        let members = members.as_object().cloned().unwrap_or_default();
        object.into_iter().for_each(|object| object.extend(members.clone()));
    };
    set("", json!({ "id": "1", "priority": 0, "status": 1 }));
    let local = json!({
        "key_type": "var", "policy": "local", "allow_degradation": false,
        "show_limit_quota_header": true,
    });
    set("/plugins/limit-count", local);
    set("/upstream", json!({ "scheme": "http", "hash_on": "vars", "pass_host": "pass" }));
    let active = json!({ "type": "http", "concurrency": 10, "https_verify_certificate": true });
    set("/upstream/checks/active", active);
    set("/upstream/checks/active/healthy", json!({ "http_statuses": [200, 302] }));
    let bad = json!({
        "http_statuses": [429, 404, 500, 501, 502, 503, 504, 505], "tcp_failures": 2,
        "timeouts": 3,
    });
    set("/upstream/checks/active/unhealthy", bad);
    set("/upstream/checks/passive", json!({ "type": "http" }));
    set("/upstream/checks/passive/unhealthy", json!({ "timeouts": 7 }));
}

fn present() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    let down = free_port();
    let document = seed_document(&up, down)?;
    let text = seed(&up, down).replace("127.0.0.1:9080", "127.0.0.1:9180");
    let made = scene.shell(&text)?.has(201)?;
    let value = &made["value"];
    let mut wanted = document;
    wanted["id"] = json!("1");
    wanted["create_time"] = value["create_time"].clone();
    wanted["update_time"] = value["update_time"].clone();
    same(&made, &json!({ "key": "/apisix/routes/1", "value": wanted }))?;
    let read = format!("curl http://127.0.0.1:9180/apisix/admin/routes/1 -H '{KEY}'");
    let got = scene.shell(&read)?.has(200)?;
    same(&json!([got["key"], got["value"]]), &json!([made["key"], made["value"]]))?;
    match (got["createdIndex"].as_u64(), got["modifiedIndex"].as_u64()) {
        (Some(created), Some(modified)) if created <= modified => {}
        _ => return Err(format!("indexes of {got}")),
    }
    let reply = scene.bare("GET", "/routes/1")?;
    let headers = ["Content-Type", "X-API-VERSION"].map(|name| reply.header(name));
    let server = reply.header("Server").is_some_and(|name| name.starts_with("APISIX/3."));
    match (headers, server) {
        ([Some("application/json"), Some("v3")], true) => Ok(()),
        _ => Err(format!("{:?}", reply.headers)),
    }
}

fn lazy() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    scene.shell(&seed(&up, free_port()))?.has(201)?;
    let list = json!([{ "name": "/apisix/routes/1", "type": "http", "nodes": {} }]);
    // Longer than the interval of the checks.
    std::thread::sleep(Duration::from_millis(2500));
    scene.shell("curl http://127.0.0.1:9090/v1/healthcheck")?.is(200, &list)?;
    let one = scene.shell("curl http://127.0.0.1:9090/v1/healthcheck/routes/1")?;
    one.is(200, &list[0])?;
    same(&json!(up.connections()), &json!(0))
}

fn traffic() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    let down = free_port();
    let begun = Instant::now();
    scene.shell(&seed(&up, down))?.has(201)?;
    let answer = scene.shell("curl http://127.0.0.1:9080/index.html")?;
    if (answer.status, &answer.text) != (200, &up.port.to_string()) {
        return Err(format!("{answer:?}"));
    }
    up.wait_for("/status", 3)?;
    let took = begun.elapsed();
    if took < Duration::from_millis(3900) {
        return Err(format!("three probes in {took:?}, two seconds apart"));
    }
    scene.wait("routes/1", down, &Node::new("unhealthy", [0, 0, 2, 0]))?;
    scene.wait("routes/1", up.port, &Node::new("healthy", [0, 0, 0, 0]))?;
    let probes: Vec<_> = up.asked().into_iter().filter(|a| a.path == "/status").collect();
    let bytes = "GET /status HTTP/1.1\r\nConnection: close\r\nUser-Agent: curl/7.29.0\r\n\
                 Host: foo.com\r\n\r\n";
    if let Some(probe) = probes.iter().find(|probe| probe.bytes != bytes) {
        return Err(format!("{:?}\nwanted {bytes:?}", probe.bytes));
    }
    let node = |port: u16, status: &str, tcp: u64| {
        let counter =
            json!({ "success": 0, "http_failure": 0, "tcp_failure": tcp, "timeout_failure": 0 });
        json!({ "ip": "127.0.0.1", "port": port, "hostname": "foo.com", "status": status,
                "counter": counter })
    };
    let mut nodes = [node(up.port, "healthy", 0), node(down, "unhealthy", 2)];
    // Nodes of a map come in no order that its writer chose.
    nodes.sort_by_key(|node| node["port"].to_string());
    let list = scene.shell("curl http://127.0.0.1:9090/v1/healthcheck")?.has(200)?;
    let mut got = list[0]["nodes"].as_array().cloned().unwrap_or_default();
    got.sort_by_key(|node| node["port"].to_string());
    same(&json!(got), &json!(nodes))?;
    page(&scene, &up, down)?;
    let metrics = scene.metrics()?;
    let line = |port: u16, value: u8| {
        format!(
            "apisix_upstream_status{{name=\"/apisix/routes/1\",ip=\"127.0.0.1\",\
                 port=\"{port}\"}} {value}"
        )
    };
    let help = "# HELP apisix_upstream_status Upstream status from health check";
    for line in [help.to_owned(), line(up.port, 1), line(down, 0)] {
        metrics.lines().find(|l| **l == line).ok_or_else(|| format!("no {line} in {metrics}"))?;
    }
    scene.stop().map(drop)
}

/// A17
fn page(scene: &Scene, up: &Backend, down: u16) -> Result<(), String> {
    let accept = "Accept: text/html,application/xhtml+xml";
    for path in ["/v1/healthcheck", "/v1/healthcheck/routes/1"] {
        let page = scene.control_with(path, accept)?;
        let kind = page.header("Content-Type").unwrap_or_default().to_owned();
        let rows = page.text.matches("<tr").count();
        let red: Vec<&str> = page.text.split("<tr").filter(|row| row.contains("#FF0000")).collect();
        let title = page.text.matches("APISIX upstream check status").count();
        let down_is_red = red.iter().any(|row| row.contains(&format!("127.0.0.1:{down}<")));
        let up_is_there = page.text.contains(&format!("<td>{}</td>", up.text()));
        let fits = (page.status, rows, red.len(), title) == (200, 3, 1, 2);
        if !fits || !kind.starts_with("text/html") || !down_is_red || !up_is_there {
            return Err(format!("{kind}\n{}", page.text));
        }
    }
    Ok(())
}

fn quota() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    scene.shell(&seed(&up, free_port()))?.has(201)?;
    for (status, left) in [(200, "1"), (200, "0"), (503, "0"), (503, "0")] {
        let answer = scene.get("/index.html")?;
        let header = |name: &str| answer.header(name).unwrap_or_default();
        let got = (answer.status, header("X-RateLimit-Remaining"), header("X-RateLimit-Limit"));
        if got != (status, left.to_owned(), "2".to_owned()) {
            return Err(format!("{got:?}, wanted {status} {left}"));
        }
        let reset: f64 = header("X-RateLimit-Reset").parse().map_err(|e| format!("{e}"))?;
        if !(0.0..=60.0).contains(&reset) {
            return Err(format!("reset {reset}"));
        }
    }
    same(&json!(up.count("/index.html")), &json!(2))
}

fn deleted() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    scene.put("/routes/1", &route("/x", &[&up], active(&[])))?.has(201)?;
    scene.get("/x")?;
    up.wait_for("/status", 1)?;
    let delete = format!("curl -X DELETE http://127.0.0.1:9180/apisix/admin/routes/1 -H '{KEY}'");
    scene.shell(&delete)?.is(200, &json!({ "deleted": "1", "key": "/apisix/routes/1" }))?;
    let answer = scene.get("/x")?;
    if (answer.status, answer.body_text().trim()) != (404, NO_ROUTE) {
        return Err(format!("{answer:?}"));
    }
    scene.shell(&delete)?.is(404, &json!({ "message": "Key not found" }))?;
    up.is_left_alone("/status")
}

fn keys() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    let refused = |why: &str| {
        let text = "failed to check token";
        json!({ "error_msg": text, "description": why })
    };
    let url = "curl http://127.0.0.1:9180/apisix/admin/routes";
    scene.shell(url)?.is(401, &refused("missing apikey"))?;
    let wrong = format!("{url} -H 'X-API-KEY: edd1c9f034335f136f87ad84b625c8f2'");
    scene.shell(&wrong)?.is(401, &refused("wrong apikey"))?;
    let document = route("/x", &[&up], active(&[])).to_string();
    let write = scene.send("PUT", "/routes/1", &document, VIEWER)?;
    write.is(401, &refused("invalid method for role viewer"))?;
    scene.send("GET", "/routes", "", VIEWER)?.is(200, &json!({ "list": [], "total": 0 }))?;
    let old = "curl http://127.0.0.1:9080/apisix/admin/routes";
    scene.shell(old)?.is(401, &json!({ "error_msg": "failed to check token" }))?;
    let key = KEY.trim_start_matches("X-API-KEY: ");
    scene.shell(&format!("{url}?api_key={key}"))?.has(200)?;
    scene.shell(&format!("{url} -b x_api_key={key}"))?.has(200)?;
    eventually(|| match scene.error_log().contains(key) {
        true => Err("the key is in the log".into()),
        false => Ok(()),
    })?;
    scene.stop().map(drop)
}

const NO_ROUTE: &str = r#"{"error_msg":"404 Route Not Found"}"#;

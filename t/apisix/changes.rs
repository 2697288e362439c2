//! Documents that change while they serve: A13 to A15, A19.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::backend::{Backend, Say};
use super::scene::{Node, Scene, active, eventually, route, same, two};
use crate::harness::case::Check;
use crate::harness::server::Prefix;

pub const ROWS: &[(&str, Check)] = &[
    ("A13: a shared upstream is checked once", shared),
    ("A14: nodes come, the others keep their counts", nodes),
    ("A15: checks are taken away", removed),
    ("A19: standalone", standalone),
    ("nodes of one address under one probe port are one target", one_place),
];

fn shared() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    let begun = Instant::now();
    let upstream = json!({ "nodes": { (up.text()): 1 }, "checks": active(&[]) });
    scene.put("/upstreams/1", &upstream)?.has(201)?;
    for (id, uri) in [("1", "/a"), ("2", "/b")] {
        let document = json!({ "uri": uri, "upstream_id": 1 });
        scene.put(&format!("/routes/{id}"), &document)?.has(201)?;
        same(&json!(scene.get(uri)?.status), &json!(200))?;
    }
    up.wait_for("/status", 4)?;
    let took = begun.elapsed();
    let list = scene.control("/v1/healthcheck")?.has(200)?;
    let names: Vec<_> = list.as_array().into_iter().flatten().map(|e| e["name"].clone()).collect();
    same(&json!(names), &json!(["/apisix/upstreams/1"]))?;
    // Two checks would have sent as many in half the time.
    match took < Duration::from_millis(2500) {
        true => Err(format!("four probes in {took:?}, a second apart")),
        false => Ok(()),
    }
}

fn nodes() -> Result<(), String> {
    let ((a, b), scene) = (two()?, Scene::start()?);
    a.says("/status", Say::Status(418));
    let checks = active(&[("/active/unhealthy/http_failures", json!(3))]);
    let upstream = json!({ "nodes": { (a.text()): 1 }, "checks": checks });
    scene.put("/upstreams/1", &upstream)?.has(201)?;
    scene.put("/routes/1", &json!({ "uri": "/x", "upstream_id": "1" }))?.has(201)?;
    scene.get("/x")?;
    a.once("/status", &[Say::Status(500), Say::Status(500)]);
    let counted = Node::new("mostly_healthy", [0, 2, 0, 0]);
    scene.wait("upstreams/1", a.port, &counted)?;
    let patch = json!({ "nodes": { (b.text()): 1 } });
    let value = scene.call("PATCH", "/upstreams/1", &patch)?.has(200)?;
    same(&value["value"]["nodes"], &json!({ (a.text()): 1, (b.text()): 1 }))?;
    scene.wait("upstreams/1", b.port, &Node::new("healthy", [0; 4]))?;
    scene.wait("upstreams/1", a.port, &counted)?;
    b.wait_for("/status", 1)?;
    // One node goes again: it is probed and listed no more.
    let patch = json!({ "nodes": { (b.text()): null } });
    scene.call("PATCH", "/upstreams/1", &patch)?.has(200)?;
    scene.wait("upstreams/1", a.port, &counted)?;
    match scene.node("upstreams/1", b.port) {
        Err(_) => Ok(()),
        Ok(node) => Err(format!("{node:?} is still there")),
    }
}

fn removed() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    scene.put("/routes/1", &route("/x", &[&up], active(&[])))?.has(201)?;
    scene.get("/x")?;
    up.wait_for("/status", 1)?;
    let patch = json!({ "upstream": { "checks": null } });
    let value = scene.call("PATCH", "/routes/1", &patch)?.has(200)?;
    same(&value["value"]["upstream"]["checks"], &json!(null))?;
    let one = scene.control("/v1/healthcheck/routes/1")?;
    one.refuses(404, "no checker for routes[1]")?;
    scene.control("/v1/healthcheck")?.is(200, &json!({}))?;
    up.is_left_alone("/status")
}

fn standalone() -> Result<(), String> {
    let (a, b) = two()?;
    let text = |backend: &Backend, uri: &str, end: &str| {
        let address = backend.text();
        format!(
            "upstreams:\n  - id: 1\n    nodes: {{\"{address}\": 1}}\n    checks: {{active: \
             {{http_path: /status, healthy: {{interval: 1}}, unhealthy: {{interval: 1}}}}}}\n\
             routes:\n  - {{uri: {uri}, upstream_id: 1}}\n  - {{uri: /own, id: 1, upstream: \
             {{nodes: {{\"{address}\": 1}}, checks: {{active: {{}}}}}}}}\n{end}"
        )
    };
    let prefix = Prefix::new()?;
    prefix.write("conf/apisix.yaml", text(&a, "/index.html", "#END\n"))?;
    let file = [("# apisix_config conf/apisix.yaml;", "apisix_config conf/apisix.yaml;")];
    let scene = Scene::start_in(prefix, &file)?;
    same(&json!(scene.get("/index.html")?.body_text()), &json!(a.port.to_string()))?;
    a.wait_for("/status", 1)?;
    let list = scene.control("/v1/healthcheck")?.has(200)?;
    let names: Vec<_> = list.as_array().into_iter().flatten().map(|e| e["name"].clone()).collect();
    same(&json!(names), &json!(["/routes/1", "/upstreams/1"]))?;
    // A file that is still being written changes nothing; a whole one does.
    scene.prefix().write("conf/apisix.yaml", text(&b, "/new.html", ""))?;
    scene.wait_for_log("missing valid end flag in file")?;
    same(&json!(scene.get("/index.html")?.body_text()), &json!(a.port.to_string()))?;
    same(&json!(scene.get("/new.html")?.status), &json!(404))?;
    scene.prefix().write("conf/apisix.yaml", text(&b, "/new.html", "#END"))?;
    eventually(|| same(&json!(scene.get("/new.html")?.body_text()), &json!(b.port.to_string())))?;
    same(&json!(scene.get("/index.html")?.status), &json!(404))?;
    scene.stop().map(drop)
}

fn one_place() -> Result<(), String> {
    let ((a, b), (c, doctor)) = (two()?, two()?);
    let scene = Scene::start()?;
    let checks = active(&[("/active/port", json!(doctor.port))]);
    let mut document = route("/x", &[&a, &b, &c], checks);
    // The third stands elsewhere, and has probes of its own.
    document["upstream"]["nodes"][2]["host"] = json!("127.0.0.2");
    document["upstream"]["nodes"][2]["port"] = json!(c.port);
    scene.put("/routes/1", &document)?.has(201)?;
    scene.get("/x")?;
    let nodes = || -> Result<Vec<Value>, String> {
        let view = scene.control("/v1/healthcheck/routes/1")?.has(200)?;
        Ok(view["nodes"].as_array().cloned().unwrap_or_default())
    };
    let places: Vec<Value> =
        nodes()?.iter().map(|node| json!([node["ip"], node["port"]])).collect();
    let wanted = json!([["127.0.0.1", doctor.port], ["127.0.0.2", doctor.port]]);
    same(&json!(places), &wanted)?;
    doctor.says("/status", Say::Status(500));
    scene.wait_status("routes/1", doctor.port, "unhealthy")?;
    // Nobody answers at the other place, so that all are down for a while: then all are used.
    eventually(|| match nodes()?.iter().all(|node| node["status"] == "unhealthy") {
        true => Ok(()),
        false => Err(format!("{:?}", nodes()?)),
    })?;
    doctor.says("/status", Say::Status(200));
    scene.wait_status("routes/1", doctor.port, "healthy")?;
    let mut seen: Vec<String> =
        (0..6).map(|_| Ok(scene.get("/x")?.body_text())).collect::<Result<_, String>>()?;
    seen.sort_unstable();
    seen.dedup();
    let mut both = [a.port.to_string(), b.port.to_string()];
    both.sort_unstable();
    same(&json!(seen), &json!(both))?;
    // One probe a second, not one for each of the two.
    let begun = Instant::now();
    doctor.wait_for("/status", doctor.count("/status") + 13)?;
    match begun.elapsed() {
        short if short < Duration::from_secs(7) => Err(format!("13 probes in {short:?}")),
        _ => Ok(()),
    }
}

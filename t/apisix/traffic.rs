//! How nodes are picked, retried and named.

use serde_json::{Value, json};

use super::backend::{Backend, Say};
use super::scene::{Scene, active, eventually, route, same, two};
use crate::harness::case::Check;
use crate::harness::server::free_port;

pub const ROWS: &[(&str, Check)] = &[
    ("the Host that nodes see", pass_host),
    ("nobody to go to", nobody),
    ("retries, and what became of them", retries),
    ("retry_timeout", retry_timeout),
    ("timeouts of upstreams and routes", timeouts),
    ("priorities and weights", ranks),
    ("chash", chash),
    ("least_conn", least_conn),
    ("ewma", ewma),
];

/// Puts route 1, `/x`, with these members of its upstream.
fn put(scene: &Scene, upstream: Value) -> Result<(), String> {
    let reply = scene.put("/routes/1", &json!({ "uri": "/x", "upstream": upstream }))?;
    if reply.status >= 300 { Err(reply.text) } else { Ok(()) }
}

/// The ports that answered so many requests.
fn answered(scene: &Scene, count: usize, headers: &str) -> Result<Vec<String>, String> {
    (0..count).map(|_| Ok(scene.ask("/x", headers)?.body_text())).collect()
}

fn only(seen: &[String], backend: &Backend) -> Result<(), String> {
    match seen.iter().all(|port| *port == backend.port.to_string()) {
        true => Ok(()),
        false => Err(format!("{seen:?}, wanted only {}", backend.port)),
    }
}

fn pass_host() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    let named = format!("localhost:{}", up.port);
    for (members, wanted) in [
        (json!({}), "client.com"),
        (json!({ "pass_host": "node" }), &*named),
        (json!({ "pass_host": "rewrite", "upstream_host": "other.com" }), "other.com"),
    ] {
        let mut upstream = members;
        upstream["nodes"] = json!({ (&*named): 1 });
        put(&scene, upstream)?;
        same(&json!(scene.ask("/x", "Host: client.com")?.status), &json!(200))?;
        let bytes = up.asked().last().map(|asked| asked.bytes.clone()).unwrap_or_default();
        if !bytes.contains(&format!("\r\nHost: {wanted}\r\n")) {
            return Err(format!("{bytes}\nwanted {wanted}"));
        }
    }
    Ok(())
}

fn nobody() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    for nodes in [json!([]), json!({})] {
        put(&scene, json!({ "nodes": nodes }))?;
        same(&json!(scene.get("/x")?.status), &json!(503))?;
    }
    put(&scene, json!({ "nodes": { (up.text()): 1 }, "type": "odd" }))?;
    same(&json!(scene.get("/x")?.status), &json!(502))?;
    scene.wait_for_log("invalid balancer type: odd")
}

fn retries() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    let dead = || format!("127.0.0.1:{}", free_port());
    let shown = |wanted: Value| -> Result<(), String> {
        let answer = scene.get("/x")?;
        let header = answer.header("X-APISIX-Upstream-Status");
        same(&json!([answer.status, header]), &wanted)
    };
    put(&scene, json!({ "nodes": { (dead()): 1, (dead()): 1 } }))?;
    shown(json!([502, "502, 502"]))?;
    put(&scene, json!({ "nodes": { (dead()): 1, (dead()): 1 }, "retries": 0 }))?;
    shown(json!([502, "502"]))?;
    put(&scene, json!({ "nodes": { (dead()): 1, (up.text()): 1 } }))?;
    for _ in 0..4 {
        shown(json!([200, null]))?;
    }
    // A node that answered 500 is not asked again.
    up.says("/x", Say::Status(500));
    let before = up.count("/x");
    put(&scene, json!({ "nodes": { (up.text()): 1, (dead()): 1 }, "retries": 5 }))?;
    let answer = scene.get("/x")?;
    match (answer.status, up.count("/x") - before) {
        (500, 1) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

fn retry_timeout() -> Result<(), String> {
    let ((a, b), scene) = (two()?, Scene::start()?);
    for backend in [&a, &b] {
        backend.says("/x", Say::Silence);
    }
    let timeout = json!({ "connect": 60, "send": 60, "read": 1 });
    let nodes = json!({ (a.text()): 1, (b.text()): 1 });
    put(&scene, json!({ "nodes": nodes, "timeout": timeout, "retry_timeout": 0.5 }))?;
    same(&json!(scene.get("/x")?.status), &json!(502))?;
    same(&json!(a.count("/x") + b.count("/x")), &json!(1))?;
    put(&scene, json!({ "nodes": nodes, "timeout": timeout, "retry_timeout": 60 }))?;
    same(&json!(scene.get("/x")?.status), &json!(504))?;
    same(&json!(a.count("/x") + b.count("/x")), &json!(3))
}

fn timeouts() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    up.says("/x", Say::Silence);
    // Longer than anybody here waits.
    let slow = json!({ "connect": 60, "send": 60, "read": 3600 });
    let quick = json!({ "connect": 60, "send": 60, "read": 0.3 });
    let upstream = json!({ "nodes": { (up.text()): 1 }, "timeout": slow });
    let document = json!({ "uri": "/x", "timeout": quick, "upstream": upstream });
    scene.put("/routes/1", &document)?.has(201)?;
    same(&json!(scene.get("/x")?.status), &json!(504))
}

fn ranks() -> Result<(), String> {
    let ((a, b), scene) = (two()?, Scene::start()?);
    let node = |backend: &Backend, weight: u32, priority: i32| {
        json!({ "host": "127.0.0.1", "port": backend.port, "weight": weight,
                "priority": priority })
    };
    put(&scene, json!({ "nodes": [node(&a, 1, -1), node(&b, 1, 0)] }))?;
    only(&answered(&scene, 4, "")?, &b)?;
    b.says("/x", Say::Closed);
    only(&answered(&scene, 2, "")?, &a)?;
    b.says("/x", Say::Status(200));
    put(&scene, json!({ "nodes": [node(&a, 0, 0), node(&b, 1, 0)] }))?;
    only(&answered(&scene, 4, "")?, &b)?;
    put(&scene, json!({ "nodes": [node(&a, 3, 0), node(&b, 1, 0)] }))?;
    let seen = answered(&scene, 8, "")?;
    let of_a = seen.iter().filter(|port| **port == a.port.to_string()).count();
    same(&json!(of_a), &json!(6))
}

fn chash() -> Result<(), String> {
    let ((a, b), scene) = (two()?, Scene::start()?);
    let mut document = route("/x", &[&a, &b], active(&[]));
    document["upstream"]["type"] = json!("chash");
    document["upstream"]["hash_on"] = json!("header");
    document["upstream"]["key"] = json!("X-User");
    scene.put("/routes/1", &document)?.has(201)?;
    let place = |user: usize| -> Result<String, String> {
        let mut seen = answered(&scene, 2, &format!("X-User: {user}"))?;
        seen.dedup();
        match &seen[..] {
            [one] => Ok(one.clone()),
            _ => Err(format!("{user} went to {seen:?}")),
        }
    };
    let before: Vec<String> = (0..40).map(place).collect::<Result<_, _>>()?;
    let of_a = before.iter().filter(|port| **port == a.port.to_string()).count();
    if !(3..=37).contains(&of_a) {
        return Err(format!("{of_a} of 40 at one of two nodes"));
    }
    a.says("/status", Say::Status(500));
    scene.wait_status("routes/1", a.port, "unhealthy")?;
    for user in 0..40 {
        same(&json!(place(user)?), &json!(b.port.to_string()))?;
    }
    // Who comes back finds its keys again.
    a.says("/status", Say::Status(200));
    scene.wait_status("routes/1", a.port, "healthy")?;
    let after: Vec<String> = (0..40).map(place).collect::<Result<_, _>>()?;
    same(&json!(after), &json!(before))
}

fn least_conn() -> Result<(), String> {
    let ((a, b), scene) = (two()?, Scene::start()?);
    let nodes: Vec<Value> = [&a, &b]
        .iter()
        .map(|node| json!({ "host": "127.0.0.1", "port": node.port, "weight": 1 }))
        .collect();
    put(&scene, json!({ "type": "least_conn", "nodes": nodes, "retries": 0 }))?;
    a.once("/x", &[Say::Held]);
    std::thread::scope(|scope| {
        scope.spawn(|| scene.get("/x"));
        a.wait_for("/x", 1)?;
        let others = answered(&scene, 4, "").and_then(|seen| only(&seen, &b));
        a.release();
        others
    })?;
    eventually(|| match answered(&scene, 1, "")?.contains(&a.port.to_string()) {
        true => Ok(()),
        false => Err("the first node is not used any more".into()),
    })
}

fn ewma() -> Result<(), String> {
    let ((a, b), scene) = (two()?, Scene::start()?);
    put(&scene, json!({ "type": "ewma", "nodes": { (a.text()): 1, (b.text()): 1 } }))?;
    let known = [a.port.to_string(), b.port.to_string()];
    let seen = answered(&scene, 20, "")?;
    match seen.iter().all(|port| known.contains(port)) {
        true => Ok(()),
        false => Err(format!("{seen:?}")),
    }
}

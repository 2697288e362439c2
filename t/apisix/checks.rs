//! What probes and requests make of a node, and what traffic makes of that: A6 to A12, A20 to A22.

use std::time::Duration;

use serde_json::{Value, json};

use super::backend::{Backend, Say};
use super::scene::{Node, Scene, active, certificate, eventually, route, same, two};
use crate::harness::case::Check;
use crate::harness::server::{Prefix, free_port};

pub const ROWS: &[(&str, Check)] = &[
    ("A6, A7: a node falls and returns", falls),
    ("A8: all nodes down", all_down),
    ("A9: one node", alone),
    ("A9: one node in the seed's time", alone_unchecked),
    ("A10: passive checks", passive),
    ("A11: a status in no list", in_no_list),
    ("A12: a retry", retry),
    ("A20: probes over TLS", tls),
    ("A21: probes of TCP", tcp),
    ("A22: a slow node", slow),
];

const R1: &str = "routes/1";

fn falls() -> Result<(), String> {
    let ((a, b), scene) = (two()?, Scene::start()?);
    scene.put("/routes/1", &route("/x", &[&a, &b], active(&[])))?.has(201)?;
    scene.get("/x")?;
    a.wait_for("/status", 1)?;
    a.says("/status", Say::Status(500));
    scene.wait(R1, a.port, &Node::new("unhealthy", [0, 2, 0, 0]))?;
    for _ in 0..6 {
        same(&json!(scene.get("/x")?.body_text()), &json!(b.port.to_string()))?;
    }
    a.says("/status", Say::Status(200));
    scene.wait(R1, a.port, &Node::new("healthy", [1, 0, 0, 0]))?;
    both_serve(&scene, &a, &b)?;
    scene.stop().map(drop)
}

fn both_serve(scene: &Scene, a: &Backend, b: &Backend) -> Result<(), String> {
    let mut seen: Vec<String> = Vec::new();
    for _ in 0..6 {
        let answer = scene.get("/x")?;
        same(&json!(answer.status), &json!(200))?;
        seen.push(answer.body_text());
    }
    seen.sort_unstable();
    seen.dedup();
    let mut wanted = [a.port.to_string(), b.port.to_string()];
    wanted.sort_unstable();
    same(&json!(seen), &json!(wanted))
}

fn all_down() -> Result<(), String> {
    let ((a, b), scene) = (two()?, Scene::start()?);
    for backend in [&a, &b] {
        backend.says("/status", Say::Status(500));
    }
    scene.put("/routes/1", &route("/x", &[&a, &b], active(&[])))?.has(201)?;
    scene.get("/x")?;
    for backend in [&a, &b] {
        scene.wait_status(R1, backend.port, "unhealthy")?;
    }
    both_serve(&scene, &a, &b)?;
    scene.wait_for_log("all upstream nodes is unhealthy, use default")
}

fn alone() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    up.says("/status", Say::Status(500));
    scene.put("/routes/1", &route("/x", &[&up], active(&[])))?.has(201)?;
    scene.get("/x")?;
    scene.wait(R1, up.port, &Node::new("unhealthy", [0, 2, 0, 0]))?;
    for _ in 0..3 {
        same(&json!(scene.get("/x")?.status), &json!(200))?;
    }
    Ok(())
}

fn alone_unchecked() -> Result<(), String> {
    let up = Backend::start()?;
    let scene = Scene::with(&[
        ("apisix_gateway;", "apisix_gateway single_node_check=off;"),
        ("apisix_control;", "apisix_control version=v2;"),
    ])?;
    scene.put("/routes/1", &route("/x", &[&up], active(&[])))?.has(201)?;
    scene.get("/x")?;
    std::thread::sleep(Duration::from_millis(1500));
    same(&json!(up.count("/status")), &json!(0))?;
    scene.control("/v1/healthcheck")?.is(200, &json!({}))?;
    let one = scene.control("/v1/healthcheck/routes/1")?;
    one.refuses(404, "no checker for routes[1]")?;
    // With a second node there is one, in the shape of that time.
    let other = Backend::start()?;
    scene.put("/routes/1", &route("/x", &[&up, &other], active(&[])))?.has(200)?;
    scene.get("/x")?;
    let node =
        |b: &Backend| json!({ "host": "127.0.0.1", "port": b.port, "weight": 1, "priority": 0 });
    let nodes = json!([node(&up), node(&other)]);
    let view = json!({ "name": "upstream#/apisix/routes/1", "src_type": "routes", "src_id": "1",
                       "nodes": nodes, "healthy_nodes": nodes });
    scene.control("/v1/healthcheck")?.is(200, &json!([view]))
}

fn passive() -> Result<(), String> {
    let ((a, b), scene) = (two()?, Scene::start()?);
    let mut checks = active(&[("/active/healthy/interval", json!(60))]);
    // While it is unhealthy, probes leave the counts alone.
    a.says("/status", Say::Status(418));
    a.says("/x", Say::Status(500));
    checks["passive"] = json!({
        "healthy": { "http_statuses": [200, 201], "successes": 3 },
        "unhealthy": { "http_statuses": [500], "http_failures": 3, "tcp_failures": 3 },
    });
    scene.put("/routes/1", &route("/x", &[&a, &b], checks))?.has(201)?;
    for _ in 0..12 {
        scene.get("/x")?;
    }
    same(&json!(a.count("/x")), &json!(3))?;
    let node = scene.node(R1, a.port)?;
    match node == Node::new("unhealthy", [0, 3, 0, 0]) {
        true => Ok(()),
        false => Err(format!("{node:?}")),
    }
}

fn in_no_list() -> Result<(), String> {
    let ((a, b), scene) = (two()?, Scene::start()?);
    a.says("/status", Say::Status(418));
    let checks = active(&[("/active/unhealthy/http_failures", json!(1))]);
    scene.put("/routes/1", &route("/x", &[&a, &b], checks))?.has(201)?;
    scene.get("/x")?;
    a.wait_for("/status", 3)?;
    let node = scene.node(R1, a.port)?;
    match node == Node::new("healthy", [0; 4]) {
        true => Ok(()),
        false => Err(format!("{node:?}")),
    }
}

fn retry() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    let down = free_port();
    let mut document = route("/x", &[&up], active(&[("/active/healthy/interval", json!(60))]));
    document["upstream"]["nodes"] = json!({ (up.text()): 1, (format!("127.0.0.1:{down}")): 1 });
    document["upstream"]["retries"] = json!(2);
    document["upstream"]["checks"]["passive"] =
        json!({ "unhealthy": { "tcp_failures": 200 }, "healthy": {} });
    scene.put("/routes/1", &document)?.has(201)?;
    for _ in 0..6 {
        let answer = scene.get("/x")?;
        same(&json!([answer.status, answer.body_text()]), &json!([200, up.port.to_string()]))?;
    }
    let node = scene.node(R1, down)?;
    match node.counts {
        [0, 0, tcp, 0] if (2..=6).contains(&tcp) => Ok(()),
        _ => Err(format!("{node:?}")),
    }
}

fn slow() -> Result<(), String> {
    let ((a, b), scene) = (two()?, Scene::start()?);
    a.says("/status", Say::Silence);
    let checks = active(&[("/active/timeout", json!(1)), ("/active/unhealthy/timeouts", json!(3))]);
    scene.put("/routes/1", &route("/x", &[&a, &b], checks))?.has(201)?;
    scene.get("/x")?;
    scene.wait(R1, a.port, &Node::new("unhealthy", [0, 0, 0, 3]))?;
    // A busy machine may make the other one late once, but not three times in a row.
    match scene.node(R1, b.port)?.status.ends_with("unhealthy") {
        true => Err("the other node is unhealthy too".into()),
        false => Ok(()),
    }
}

fn tcp() -> Result<(), String> {
    let ((a, _b), scene) = (two()?, Scene::start()?);
    // Whoever only connects is never answered, and does not mind.
    a.says("/", Say::Nonsense);
    let down = free_port();
    let mut document = route("/x", &[&a], active(&[("/active/type", json!("tcp"))]));
    document["upstream"]["nodes"] = json!({ (a.text()): 1, (format!("127.0.0.1:{down}")): 1 });
    scene.put("/routes/1", &document)?.has(201)?;
    scene.get("/x")?;
    scene.wait(R1, down, &Node::new("unhealthy", [0, 0, 2, 0]))?;
    let before = a.connections();
    eventually(|| match a.connections() {
        few if few < before + 2 => Err(format!("{few} connections")),
        _ => Ok(()),
    })?;
    same(&json!(scene.node(R1, a.port)?.status), &json!("healthy"))?;
    same(&json!(a.count("/status")), &json!(0))
}

/// The self-signed server is one of our own.
fn tls() -> Result<(), String> {
    let port = free_port();
    let server = format!(
        "    server {{\n        listen 127.0.0.1:{port} ssl;\n        ssl_certificate self.pem;\n\
         ssl_certificate_key self.key;\n        location / {{ return 200 fine; }}\n    }}\n"
    );
    let prefix = Prefix::new()?;
    certificate(&prefix, "foo.com")?;
    let with_server = format!("http {{\n{server}");
    let scene = Scene::start_in(prefix, &[("http {\n", &with_server)])?;
    let mut checks = active(&[
        ("/active/type", json!("https")),
        ("/active/host", json!("foo.com")),
        ("/active/unhealthy/tcp_failures", json!(2)),
    ]);
    let document = |checks: &Value| {
        let nodes = json!({ (format!("127.0.0.1:{port}")): 1 });
        json!({ "uri": "/x", "upstream": { "nodes": nodes, "scheme": "https", "checks": checks } })
    };
    scene.put("/routes/1", &document(&checks))?.has(201)?;
    same(&json!(scene.get("/x")?.body_text()), &json!("fine"))?;
    scene.wait(R1, port, &Node::new("unhealthy", [0, 0, 2, 0]))?;
    checks["active"]["https_verify_certificate"] = json!(false);
    scene.put("/routes/1", &document(&checks))?.has(200)?;
    scene.wait(R1, port, &Node::new("healthy", [1, 0, 0, 0]))
}

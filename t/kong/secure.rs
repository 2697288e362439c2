//! Checks and services over TLS, and gRPC checks, with servers of others.

use serde_json::{Value, json};

use super::scene::{Scene, quick, same};
use crate::harness::case::{Case, Check, Outcome};
use crate::harness::certs::Pair;
use crate::harness::python::{self, Talk};
use crate::harness::server::{Prefix, free_port};

/// Python alone serves these.
pub const ROWS: &[(&str, Check)] = &[
    ("https checks, with and without trust", https),
    ("a service over https, verified or not", service),
];

pub fn cases() -> Vec<Case> {
    let real = |(name, run): &(&str, Check)| {
        let run = *run;
        Case::new(format!("kong/{name}"), move || match python::missing("grpc_health") {
            Some(reason) => Outcome::Skipped(reason),
            None => Outcome::from(run()),
        })
    };
    GRPC.iter().map(real).collect()
}

/// grpcio serves these.
const GRPC: &[(&str, Check)] =
    &[("grpc checks of a grpcio server", grpc), ("grpcs checks of a grpcio server", grpcs)];

const HEALTHY: &str = "HEALTHY";
const UNHEALTHY: &str = "UNHEALTHY";

fn trusting(pair: &Pair) -> Result<Scene, String> {
    let line = format!("kong_trusted_certificate {}; store_path data;", pair.cert());
    Scene::start_in(Prefix::new()?, &[("store_path data;", &line)])
}

fn checks(more: &[(&str, Value)]) -> Value {
    let mut checks = quick(&[]);
    for (name, value) in more {
        checks["active"][*name] = value.clone();
    }
    checks
}

fn https() -> Result<(), String> {
    let (keys, port) = (Prefix::new()?, free_port());
    let pair = Pair::make(&keys, "backend")?;
    let args = [port.to_string(), pair.cert(), pair.key()];
    let mut server =
        Talk::start("t/kong/https.py", &args.iter().map(String::as_str).collect::<Vec<_>>())?;
    let (scene, target) = (trusting(&pair)?, format!("127.0.0.1:{port}"));
    scene.serve(&[&target])?;
    let secure = checks(&[("type", json!("https")), ("https_sni", json!("localhost"))]);
    scene.check(secure.clone())?.has(200)?;
    server.say("500")?;
    scene.wait(&target, UNHEALTHY)?;
    server.say("200")?;
    scene.wait(&target, HEALTHY)?;
    // A name the certificate does not have, and then nobody who looks at it.
    scene.check(checks(&[("type", json!("https")), ("https_sni", json!("other.org"))]))?;
    scene.wait(&target, UNHEALTHY)?;
    scene.check(json!({ "active": { "https_verify_certificate": false } }))?.has(200)?;
    scene.wait(&target, HEALTHY)?;
    scene.stop()?;
    // A gateway that trusts somebody else.
    let scene = trusting(&Pair::make(&keys, "other")?)?;
    scene.serve(&[&target])?;
    scene.check(secure)?.has(200)?;
    scene.wait(&target, UNHEALTHY)?;
    scene.stop().map(drop)
}

fn service() -> Result<(), String> {
    let (keys, port) = (Prefix::new()?, free_port());
    let pair = Pair::make(&keys, "backend")?;
    let args = [port.to_string(), pair.cert(), pair.key()];
    let _server =
        Talk::start("t/kong/https.py", &args.iter().map(String::as_str).collect::<Vec<_>>())?;
    let get = |scene: &Scene, tls: Value| -> Result<u16, String> {
        scene.call("PATCH", "/services/web", &tls)?.has(200)?;
        Ok(scene.get("/")?.status)
    };
    let rows = [(pair.cert(), 200), (Pair::make(&keys, "other")?.cert(), 502)];
    for (trusted, wanted) in rows {
        let line = format!("kong_trusted_certificate {trusted}; store_path data;");
        let scene = Scene::start_in(Prefix::new()?, &[("store_path data;", &line)])?;
        scene.serve(&[&format!("127.0.0.1:{port}")])?;
        let https = json!({ "protocol": "https", "port": 443, "retries": 0 });
        same(&json!(get(&scene, https)?), &json!(200))?;
        let named = json!({ "host_header": "localhost" });
        scene.call("PATCH", "/upstreams/svc", &named)?.has(200)?;
        same(&json!(get(&scene, json!({ "tls_verify": true }))?), &json!(wanted))?;
        let deep = json!({ "tls_verify_depth": 3 });
        same(&json!(get(&scene, deep)?), &json!(wanted))?;
        // The name of the upstream is not in the certificate.
        scene.call("PATCH", "/upstreams/svc", &json!({ "host_header": null }))?.has(200)?;
        same(&json!(scene.get("/")?.status), &json!(502))?;
        same(&json!(get(&scene, json!({ "tls_verify": false }))?), &json!(200))?;
        scene.stop()?;
    }
    Ok(())
}

fn grpc() -> Result<(), String> {
    let port = free_port();
    let server = Talk::start("t/grpc/server.py", &[&port.to_string()])?;
    follow(Scene::start()?, server, port, "grpc")
}

fn grpcs() -> Result<(), String> {
    let (keys, port) = (Prefix::new()?, free_port());
    let pair = Pair::make(&keys, "backend")?;
    let server = Talk::start("t/grpc/server.py", &[&port.to_string(), &pair.cert(), &pair.key()])?;
    follow(trusting(&pair)?, server, port, "grpcs")
}

/// The service of a check is its path without the slash; `/` asks for the server as a whole.
fn follow(scene: Scene, mut server: Talk, port: u16, kind: &str) -> Result<(), String> {
    let target = format!("127.0.0.1:{port}");
    scene.serve(&[&target])?;
    let mut checks = checks(&[
        ("type", json!(kind)),
        ("http_path", json!("/orders.v1")),
        ("https_sni", json!("localhost")),
    ]);
    checks["active"]["unhealthy"]["http_failures"] = json!(2);
    scene.check(checks)?.has(200)?;
    scene.wait(&target, UNHEALTHY)?;
    for (word, wanted) in [("SERVING", HEALTHY), ("NOT_SERVING", UNHEALTHY), ("SERVING", HEALTHY)] {
        server.say(&format!("{word} orders.v1"))?;
        scene.wait(&target, wanted)?;
    }
    server.say("NOT_SERVING orders.v1")?;
    scene.wait(&target, UNHEALTHY)?;
    scene.check(json!({ "active": { "http_path": "/" } }))?.has(200)?;
    server.say("SERVING .")?;
    scene.wait(&target, HEALTHY)?;
    drop(server);
    scene.wait(&target, UNHEALTHY)?;
    scene.stop().map(drop)
}

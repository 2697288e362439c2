//! Calls that are refused.

use serde_json::{Value, json};

use super::backend::Backend;
use super::scene::{Scene, quick, same};
use crate::harness::case::Check;
use crate::harness::server::Prefix;

pub const ROWS: &[(&str, Check)] = &[
    ("D19: intervals outside 2 to 300", intervals),
    ("D20: thresholds outside 1 to 10", thresholds),
    ("D21: a status of two digits", statuses),
    ("D22: a path without a slash", path),
    ("D23: unknown upstreams, targets, addresses", unknown),
    ("D24: by hand while nobody checks", unchecked),
    ("D25: half a body", half),
    ("names, ids and mentions", keys),
    ("verbs and paths", verbs),
    ("keys open, and are not told", secret),
    ("bodies beyond the limit", big),
    ("fields without effect are refused", without_effect),
];

fn refused_by(scene: &Scene, checks: Value, pointer: &str, text: &str) -> Result<(), String> {
    let before = scene.bare("GET", "/upstreams/svc")?.has(200)?;
    let fault = scene.check(checks)?.has(400)?;
    same(&fault["code"], &json!(2))?;
    same(&fault["name"], &json!("schema violation"))?;
    let found = fault["fields"].pointer(pointer).cloned().unwrap_or_default();
    same(&found, &json!(text))?;
    same(&scene.bare("GET", "/upstreams/svc")?.has(200)?, &before)
}

fn intervals() -> Result<(), String> {
    let scene = Scene::tse()?;
    scene.serve(&[])?;
    for class in ["healthy", "unhealthy"] {
        for bad in [1, 301] {
            let pointer = format!("/healthchecks/active/{class}/interval");
            let checks = json!({ "active": { class: { "interval": bad } } });
            refused_by(&scene, checks, &pointer, "value should be between 2 and 300")?;
        }
        let off = json!({ "active": { class: { "interval": 0 } } });
        scene.check(off)?.has(200)?;
    }
    scene.stop().map(drop)
}

fn thresholds() -> Result<(), String> {
    let scene = Scene::tse()?;
    scene.serve(&[])?;
    let fields =
        [("healthy", "successes"), ("unhealthy", "http_failures"), ("unhealthy", "timeouts")];
    for (class, name) in fields {
        for bad in [0, 11] {
            let pointer = format!("/healthchecks/active/{class}/{name}");
            let checks = json!({ "active": { class: { name: bad } } });
            refused_by(&scene, checks, &pointer, "value should be between 1 and 10")?;
        }
    }
    // Kong itself takes up to 255, and 0 for off.
    let scene = Scene::start()?;
    scene.serve(&[])?;
    let checks = json!({ "active": { "healthy": { "successes": 256 } } });
    let pointer = "/healthchecks/active/healthy/successes";
    refused_by(&scene, checks, pointer, "value should be between 0 and 255")?;
    scene.check(json!({ "active": { "healthy": { "successes": 255 } } }))?.has(200).map(drop)
}

fn statuses() -> Result<(), String> {
    let scene = Scene::start()?;
    scene.serve(&[])?;
    let checks = json!({ "active": { "healthy": { "http_statuses": [200, 99] } } });
    let pointer = "/healthchecks/active/healthy/http_statuses/1";
    refused_by(&scene, checks, pointer, "value should be between 100 and 999")
}

fn path() -> Result<(), String> {
    let scene = Scene::start()?;
    scene.serve(&[])?;
    let checks = json!({ "active": { "http_path": "status" } });
    refused_by(&scene, checks, "/healthchecks/active/http_path", "should start with: /")?;
    let message = scene.form("PATCH", "/upstreams/svc", "healthchecks.active.http_path=status")?;
    message.says(400, "schema violation (healthchecks.active.http_path: should start with: /)")
}

fn unknown() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    scene.serve(&[&up.text()])?;
    scene.check(quick(&[]))?.has(200)?;
    let text = up.text();
    for path in [
        format!("/upstreams/nope/targets/{text}/unhealthy"),
        "/upstreams/svc/targets/nope/unhealthy".into(),
        "/upstreams/svc/targets/127.0.0.1:1/unhealthy".into(),
        format!("/upstreams/svc/targets/{text}/127.0.0.1:1/unhealthy"),
        format!("/upstreams/svc/targets/{text}/nonsense/unhealthy"),
    ] {
        scene.bare("PUT", &path)?.says(404, "Not found").map_err(|e| format!("{path}: {e}"))?;
    }
    for path in ["/upstreams/nope", "/upstreams/nope/health", "/services/nope", "/nope", "/a/b/c"] {
        scene.bare("GET", path)?.says(404, "Not found").map_err(|e| format!("{path}: {e}"))?;
    }
    scene.bare("DELETE", "/upstreams/nope")?.has(204).map(drop)
}

fn unchecked() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    scene.serve(&[&up.text()])?;
    let path = format!("/upstreams/svc/targets/{}/unhealthy", up.text());
    scene.bare("PUT", &path)?.says(400, "no healthchecker found for svc")
}

fn half() -> Result<(), String> {
    let scene = Scene::start()?;
    let json = "Content-Type: application/json";
    for body in ["{", "[]", "1", "\"a\"", "{\"name\":", "\u{0}"] {
        let reply = scene.send("POST", "/upstreams", body, json)?;
        reply.says(400, "Cannot parse JSON body").map_err(|e| format!("{body}: {e}"))?;
    }
    scene.form("POST", "/upstreams", "{")?.says(400, "schema violation")?;
    scene.bare("POST", "/upstreams")?.says(400, "name: required field missing")
}

fn keys() -> Result<(), String> {
    let scene = Scene::start()?;
    let made = scene.call("POST", "/upstreams", &json!({ "name": "svc" }))?.has(201)?;
    let fault = scene.call("POST", "/upstreams", &json!({ "name": "svc" }))?.has(409)?;
    same(&fault["code"], &json!(5))?;
    same(&fault["fields"], &json!({ "name": "svc" }))?;
    let again = json!({ "name": "other", "id": made["id"] });
    same(&scene.call("POST", "/upstreams", &again)?.has(409)?["code"], &json!(3))?;
    let x_y = "Invalid name ('x y'); must be a valid hostname";
    scene.call("POST", "/upstreams", &json!({ "name": "x y" }))?.says(400, x_y)?;
    let udp = json!({ "name": "u", "healthchecks": { "active": { "type": "udp" } } });
    let text = "expected one of: tcp, http, https, grpc, grpcs";
    scene.call("POST", "/upstreams", &udp)?.says(400, text)?;
    let route = json!({ "paths": ["/"], "service": { "id": made["id"] } });
    let fault = scene.call("POST", "/routes", &route)?.has(400)?;
    same(&fault["code"], &json!(4))?;
    let text = "must set one of 'methods', 'hosts', 'headers', 'paths', 'snis'";
    scene.call("POST", "/routes", &json!({ "name": "r" }))?.says(400, text)?;
    scene.call("POST", "/services", &json!({ "name": "web", "host": "svc" }))?.has(201)?;
    scene.call("POST", "/services/web/routes", &json!({ "paths": ["/"] }))?.has(201)?;
    let fault = scene.bare("DELETE", "/services/web")?.has(400)?;
    same(&fault["fields"], &json!({ "@referenced_by": "routes" }))?;
    let hash = json!({ "hash_on": "header", "algorithm": "consistent-hashing" });
    let fault = scene.call("PATCH", "/upstreams/svc", &hash)?.has(400)?;
    same(&fault["fields"]["hash_on_header"], &json!("required field missing"))?;
    let sticky = json!({ "algorithm": "sticky-sessions" });
    scene.call("PATCH", "/upstreams/svc", &sticky)?.says(400, "expected one of")
}

/// Fields that could have no effect, in Kong's words.
fn without_effect() -> Result<(), String> {
    let scene = Scene::start()?;
    scene.serve(&[])?;
    let id = "6a3b8c36-1c63-4f0a-9a5d-0b6d2d0c7a11";
    let cert = json!({ "client_certificate": { "id": id } });
    for path in ["/upstreams/svc", "/services/web"] {
        if path.starts_with("/services") {
            let https = json!({ "protocol": "https" });
            scene.call("PATCH", path, &https)?.has(200)?;
        }
        let fault = scene.call("PATCH", path, &cert)?.has(400)?;
        same(&json!([fault["code"], fault["name"]]), &json!([4, "foreign key violation"]))?;
        same(&fault["fields"], &cert)?;
    }
    let authorities = json!({ "ca_certificates": [id] });
    scene.call("PATCH", "/services/web", &authorities)?.says(400, "does not exist")?;
    scene.call("PATCH", "/services/web", &json!({ "ca_certificates": [] }))?.has(200)?;
    scene
        .call("PATCH", "/services/web", &json!({ "protocol": "http", "ca_certificates": null }))?
        .has(200)?;
    for field in [json!({ "tls_verify": true }), json!({ "tls_verify_depth": 2 })] {
        let fault = scene.call("PATCH", "/services/web", &field)?.has(400)?;
        let name = field.as_object().and_then(|map| map.keys().next().cloned()).unwrap_or_default();
        same(&fault["fields"][&name], &json!("value must be null"))?;
    }
    let plain = ["sources", "destinations"];
    for name in plain {
        let route = json!({ "paths": ["/"], name: [{ "ip": "10.0.0.1" }] });
        let text = format!(
            "schema violation ({name}: cannot set '{name}' when 'protocols' is 'http' or 'https')"
        );
        scene.call("POST", "/services/web/routes", &route)?.says(400, &text)?;
    }
    let route = json!({ "paths": ["/"], "protocols": ["http"], "snis": ["a.org"] });
    scene.call("POST", "/services/web/routes", &route)?.says(400, "'snis' can only be set when")?;
    for (hash, text) in [
        (
            json!({ "hash_on": "ip", "hash_fallback": "ip" }),
            "hash_fallback: expected one of: none, consumer, header, cookie, path, query_arg, \
             uri_capture",
        ),
        (json!({ "hash_on": "none", "hash_fallback": "ip" }), "expected one of: none"),
        (
            json!({ "hash_on": "header", "hash_on_header": "a", "hash_fallback": "header",
                    "hash_fallback_header": "a" }),
            "values of these fields must be distinct: 'hash_on_header', 'hash_fallback_header'",
        ),
    ] {
        scene.call("PATCH", "/upstreams/svc", &hash)?.says(400, text)?;
    }
    scene.stop().map(drop)
}

fn verbs() -> Result<(), String> {
    let scene = Scene::start()?;
    scene.serve(&[])?;
    for (method, path) in [
        ("PATCH", "/upstreams"),
        ("POST", "/upstreams/svc"),
        ("DELETE", "/upstreams/svc/health"),
        ("PUT", "/status"),
        ("POST", "/"),
        ("DELETE", "/upstreams/svc/targets"),
    ] {
        let reply = scene.bare(method, path)?;
        reply.says(405, "Method not allowed").map_err(|e| format!("{method} {path}: {e}"))?;
        reply.header("Allow").ok_or("no Allow")?;
    }
    let allowed = scene.bare("OPTIONS", "/upstreams/svc")?;
    allowed.has(204)?;
    same(&json!(allowed.header("Allow")), &json!("DELETE, GET, HEAD, OPTIONS, PATCH, PUT"))
}

fn secret() -> Result<(), String> {
    let key = "s3cr3t-of-the-house";
    let line = format!("kong_admin_key {key};");
    let scene = Scene::start_in(Prefix::new()?, &[("# kong_admin_key change-me;", &line)])?;
    scene.bare("GET", "/upstreams")?.says(401, "No API key found in request")?;
    for name in ["Kong-Admin-Token", "apikey"] {
        let wrong = scene.send("POST", "/upstreams", "", &format!("{name}: wrong-guess"))?;
        wrong.says(401, "Unauthorized")?;
        let form = "Content-Type: application/x-www-form-urlencoded";
        let headers = format!("{name}: {key}\n{form}");
        let body = format!("name=by-{}", name.to_lowercase());
        scene.send("POST", "/upstreams", &body, &headers)?.has(201)?;
    }
    for line in ["POST \"/upstreams\" answered 401", "POST \"/upstreams\" answered 201"] {
        scene.wait_for_log(line)?;
    }
    let log = scene.error_log();
    match log.contains(key) || log.contains("wrong-guess") {
        true => Err(format!("a key is in the log:\n{log}")),
        false => Ok(()),
    }
}

fn big() -> Result<(), String> {
    let scene = Scene::start_in(
        Prefix::new()?,
        &[("client_max_body_size 10m", "client_max_body_size 20m")],
    )?;
    let body = format!("{{\"name\":\"{}\"}}", "a".repeat(11 * 1024 * 1024));
    let reply = scene.send("POST", "/upstreams", &body, "Content-Type: application/json")?;
    same(&json!(reply.status), &json!(413))
}

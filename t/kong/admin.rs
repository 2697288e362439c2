//! Entities: made, read, changed, listed, deleted, kept.

use serde_json::{Value, json};

use super::backend::Backend;
use super::scene::{Scene, same};
use crate::harness::case::Check;

pub const ROWS: &[(&str, Check)] = &[
    ("an upstream with its defaults", defaults),
    ("forms as curl -d sends them", forms),
    ("by name and by id, PUT makes and replaces", by_name),
    ("PATCH merges, null takes the default again", merges),
    ("lists in pages, and by tags", pages),
    ("targets: default port, the newest of two, deleted with the upstream", targets),
    ("services from a URL, routes below them", services),
    ("what was told survives the process", durable),
    ("status, node, description", described),
];

fn defaults() -> Result<(), String> {
    let scene = Scene::start()?;
    let made = scene.call("POST", "/upstreams", &json!({ "name": "svc" }))?.has(201)?;
    let wanted = json!({
        "active": {
            "type": "http", "timeout": 1, "concurrency": 10, "http_path": "/",
            "https_sni": null, "https_verify_certificate": true, "headers": null,
            "healthy": { "interval": 0, "http_statuses": [200, 302], "successes": 0 },
            "unhealthy": {
                "interval": 0, "http_statuses": [429, 404, 500, 501, 502, 503, 504, 505],
                "http_failures": 0, "tcp_failures": 0, "timeouts": 0,
            },
        },
        "passive": {
            "type": "http",
            "healthy": {
                "http_statuses": [200, 201, 202, 203, 204, 205, 206, 207, 208, 226,
                                  300, 301, 302, 303, 304, 305, 306, 307, 308],
                "successes": 0,
            },
            "unhealthy": {
                "http_statuses": [429, 500, 503],
                "http_failures": 0, "tcp_failures": 0, "timeouts": 0,
            },
        },
        "threshold": 0,
    });
    same(&made["healthchecks"], &wanted)?;
    same(&made["algorithm"], &json!("round-robin"))?;
    same(&json!([made["slots"], made["hash_on"]]), &json!([10_000, "none"]))?;
    same(&scene.bare("GET", "/upstreams/svc")?.has(200)?, &made)
}

fn forms() -> Result<(), String> {
    let scene = Scene::start()?;
    let form = "name=svc&tags[]=a&tags[]=b&healthchecks.active.healthy.interval=2\
                &healthchecks.active.healthy.http_statuses[1]=200&healthchecks.threshold=12.5\
                &healthchecks.active.https_verify_certificate=false";
    let made = scene.form("POST", "/upstreams", form)?.has(201)?;
    same(&made["tags"], &json!(["a", "b"]))?;
    let active = &made["healthchecks"]["active"];
    same(&active["healthy"]["interval"], &json!(2))?;
    same(&active["healthy"]["http_statuses"], &json!([200]))?;
    same(&active["https_verify_certificate"], &json!(false))?;
    same(&made["healthchecks"]["threshold"], &json!(12.5))?;
    let target = scene.form("POST", "/upstreams/svc/targets", "target=127.0.0.1:81&weight=7")?;
    same(&target.has(201)?["weight"], &json!(7))
}

fn by_name() -> Result<(), String> {
    let scene = Scene::start()?;
    let made = scene.call("PUT", "/upstreams/svc", &json!({ "slots": 10 }))?.has(200)?;
    same(&json!([made["name"], made["slots"]]), &json!(["svc", 10]))?;
    let id = made["id"].as_str().unwrap_or_default().to_owned();
    let path = format!("/upstreams/{id}");
    let other = scene.call("PUT", &path, &json!({ "name": "other" }))?.has(200)?;
    same(
        &json!([other["id"], other["slots"], other["created_at"]]),
        &json!([made["id"], 10_000, made["created_at"]]),
    )?;
    scene.bare("GET", "/upstreams/svc")?.says(404, "Not found")?;
    same(&scene.bare("GET", "/upstreams/other")?.has(200)?, &other)?;
    // The old name is free again.
    scene.call("POST", "/upstreams", &json!({ "name": "svc" }))?.has(201)?;
    scene.call("PATCH", "/upstreams/svc", &json!({ "name": "other" }))?.has(409)?;
    scene.bare("DELETE", "/upstreams/svc")?.has(204)?;
    let own = "f4f6c2a0-3f0f-4ea5-8f0e-5d8b4b6e0d11";
    let path = format!("/services/{own}");
    let service = scene.call("PUT", &path, &json!({ "name": "web", "host": "h" }))?.has(200)?;
    same(&service["id"], &json!(own))
}

fn merges() -> Result<(), String> {
    let scene = Scene::start()?;
    scene.serve(&[])?;
    let patch = |value: Value| scene.call("PATCH", "/upstreams/svc", &value)?.has(200);
    patch(json!({ "healthchecks": { "active": { "http_path": "/a" } } }))?;
    patch(json!({ "healthchecks": { "active": { "healthy": { "interval": 5 } } } }))?;
    let made = patch(json!({ "slots": 99, "tags": ["x"] }))?;
    let active = &made["healthchecks"]["active"];
    same(
        &json!([active["http_path"], active["healthy"]["interval"], made["slots"]]),
        &json!(["/a", 5, 99]),
    )?;
    let made = patch(json!({ "slots": null, "tags": null, "healthchecks": { "active": null } }))?;
    let active = &made["healthchecks"]["active"];
    same(
        &json!([active["http_path"], active["healthy"]["interval"], made["slots"], made["tags"]]),
        &json!(["/", 0, 10_000, null]),
    )
}

fn pages() -> Result<(), String> {
    let scene = Scene::start()?;
    for number in 0..5 {
        let tags = if number % 2 == 0 { json!(["even", "all"]) } else { json!(["odd", "all"]) };
        let body = json!({ "name": format!("u{number}"), "tags": tags });
        scene.call("POST", "/upstreams", &body)?.has(201)?;
    }
    let mut names = Vec::new();
    let mut path = "/upstreams?size=2".to_owned();
    for _ in 0..3 {
        let page = scene.bare("GET", &path)?.has(200)?;
        let data = page["data"].as_array().cloned().unwrap_or_default();
        names.extend(data.iter().map(|row| row["name"].to_string()));
        match page["next"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    names.sort();
    same(&json!(names), &json!(["\"u0\"", "\"u1\"", "\"u2\"", "\"u3\"", "\"u4\""]))?;
    for (tags, count) in [("even", 3), ("odd,all", 2), ("even/odd", 5), ("even,odd", 0)] {
        let list = scene.bare("GET", &format!("/upstreams?tags={tags}"))?.has(200)?;
        let found = list["data"].as_array().map_or(0, Vec::len);
        if found != count {
            return Err(format!("{found} with {tags}, wanted {count}"));
        }
    }
    scene.bare("GET", "/upstreams?size=0")?.says(400, "size must be an integer between 1 and")?;
    scene.bare("GET", "/upstreams?offset=%21")?.says(400, "not a valid offset")
}

fn targets() -> Result<(), String> {
    let scene = Scene::start()?;
    scene.serve(&[])?;
    let add = |body: Value| scene.call("POST", "/upstreams/svc/targets", &body)?.has(201);
    same(&add(json!({ "target": "127.0.0.1" }))?["target"], &json!("127.0.0.1:8000"))?;
    same(&add(json!({ "target": "::1" }))?["target"], &json!("[::1]:8000"))?;
    add(json!({ "target": "127.0.0.1:81", "weight": 1 }))?;
    let newest = add(json!({ "target": "127.0.0.1:81", "weight": 2 }))?;
    let list = scene.bare("GET", "/upstreams/svc/targets")?.has(200)?;
    same(&json!(list["data"].as_array().map(Vec::len)), &json!(3))?;
    same(&list["data"][0], &newest)?;
    same(&list["next"], &Value::Null)?;
    let path = "/upstreams/svc/targets/127.0.0.1:81";
    same(&scene.call("PATCH", path, &json!({ "weight": 9 }))?.has(200)?["weight"], &json!(9))?;
    let by_id = format!("/upstreams/svc/targets/{}", newest["id"].as_str().unwrap_or_default());
    scene.bare("DELETE", &by_id)?.has(204)?;
    scene.bare("GET", path)?.says(404, "Not found")?;
    let text = "Invalid target ('a b'); not a valid hostname or ip address";
    let bad = json!({ "target": "a b" });
    scene.call("POST", "/upstreams/svc/targets", &bad)?.says(400, text)?;
    let heavy = json!({ "target": "127.0.0.1:82", "weight": 65_536 });
    let text = "value should be between 0 and 65535";
    scene.call("POST", "/upstreams/svc/targets", &heavy)?.says(400, text)?;
    scene.bare("DELETE", "/upstreams/svc")?.has(204)?;
    same(&scene.bare("GET", "/targets")?.has(200)?["data"], &json!([]))
}

fn services() -> Result<(), String> {
    let scene = Scene::start()?;
    let made = scene.form("POST", "/services", "name=web&url=https://h.org:8443/v1")?.has(201)?;
    same(
        &json!([made["protocol"], made["host"], made["port"], made["path"], made["retries"]]),
        &json!(["https", "h.org", 8443, "/v1", 5]),
    )?;
    let route = scene.form("POST", "/services/web/routes", "paths[]=/a&name=r")?.has(201)?;
    same(&route["service"]["id"], &made["id"])?;
    same(&route["protocols"], &json!(["http", "https"]))?;
    same(&scene.bare("GET", "/routes/r/service")?.has(200)?, &made)?;
    same(&scene.bare("GET", "/services/web/routes")?.has(200)?["data"], &json!([route]))?;
    let by_name = json!({ "paths": ["/b"], "service": { "name": "web" } });
    same(&scene.call("POST", "/routes", &by_name)?.has(201)?["service"]["id"], &made["id"])?;
    scene.bare("DELETE", "/services/web/routes/r")?.has(204)?;
    scene.bare("GET", "/routes/r")?.says(404, "Not found")
}

fn durable() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    scene.serve(&[&up.text()])?;
    let before = scene.bare("GET", "/upstreams/svc")?.has(200)?;
    let scene = Scene::start_in(scene.stop()?, &[])?;
    same(&scene.bare("GET", "/upstreams/svc")?.has(200)?, &before)?;
    same(&json!(scene.get("/")?.body_text()), &json!(up.port.to_string()))?;
    scene.stop().map(drop)
}

fn described() -> Result<(), String> {
    let scene = Scene::start()?;
    let status = scene.bare("GET", "/status")?.has(200)?;
    same(&status["database"]["reachable"], &json!(true))?;
    let requests = status["server"]["total_requests"].as_u64();
    if requests.is_none_or(|requests| requests == 0) {
        return Err(format!("no requests in {status}"));
    }
    scene.bare("GET", "/")?.has(200)?["version"].as_str().ok_or("no version")?;
    let openapi = scene.bare("GET", "/openapi.json")?.has(200)?;
    let post = &openapi["paths"]["/upstreams"]["post"];
    let schema = "/responses/201/content/application~1json/schema/$ref";
    same(&json!(post.pointer(schema)), &json!("#/components/schemas/upstream"))?;
    let limit = "/components/schemas/upstream/properties/healthchecks/properties/active\
                 /properties/healthy/properties/successes/maximum";
    same(&json!(openapi.pointer(limit)), &json!(255))?;
    scene.bare("GET", "/schemas/routes")?.has(200).map(drop)
}

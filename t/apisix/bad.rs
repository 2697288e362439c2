//! What is refused, and in which words: A24 to A32.

use serde_json::{Value, json};

use super::backend::Backend;
use super::scene::{KEY, Scene, active, route, same, seed, seed_document};
use crate::harness::case::Check;
use crate::harness::server::free_port;

pub const ROWS: &[(&str, Check)] = &[
    ("A24: successes 255", successes),
    ("A25: passive checks only", passive_only),
    ("A26: statuses, items, numbers, words", leaves),
    ("A27: an unknown member of an upstream", unknown_member),
    ("A28: no JSON", no_json),
    ("A29: interval 0", interval),
    ("A30: the Control API's types", control_types),
    ("A31: an upstream in use", in_use),
    ("A32: a route to nowhere", nowhere),
    ("the other refusals", others),
];

const WAY: &str = "invalid configuration: property \"upstream\" validation failed: \
                   property \"checks\" validation failed: ";

/// Puts the seed's document with this change, is refused, and finds nothing stored.
fn refused(pointer: &str, value: Value, text: &str) -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    refused_in(&scene, &up, pointer, value, text)
}

fn refused_in(
    scene: &Scene,
    up: &Backend,
    pointer: &str,
    value: Value,
    text: &str,
) -> Result<(), String> {
    let mut document = seed_document(up, free_port())?;
    let (object, name) = pointer.rsplit_once('/').ok_or("no place")?;
    document.pointer_mut(object).ok_or_else(|| format!("no {object}"))?[name] = value;
    for port in ["9180", "9080"] {
        let url = format!("http://127.0.0.1:{port}/apisix/admin/routes/1");
        let put = format!("curl {url} -H '{KEY}' -X PUT -d '{document}'");
        scene.shell(&put)?.refuses(400, text)?;
    }
    scene.bare("GET", "/routes/1")?.is(404, &json!({ "message": "Key not found" }))
}

fn successes() -> Result<(), String> {
    let text = format!(
        "{WAY}property \"active\" validation failed: property \"healthy\" validation failed: \
         property \"successes\" validation failed: expected 255 to be at most 254"
    );
    refused("/upstream/checks/active/healthy/successes", json!(255), &text)
}

fn passive_only() -> Result<(), String> {
    let text = format!(
        "{WAY}object matches none of the required: [\"active\"] or [\"active\",\"passive\"]"
    );
    refused("/upstream/checks", json!({ "passive": {} }), &text)
}

fn leaves() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    let active = "property \"active\" validation failed: ";
    let cases = [
        (
            "unhealthy/http_statuses",
            json!([500, 600]),
            "failed to validate item 2: expected 600 to be at most 599",
        ),
        (
            "healthy/http_statuses",
            json!([200, 200]),
            "expected unique items but items 1 and 2 are equal",
        ),
        ("healthy/interval", json!(3.1), "wrong type: expected integer, got number"),
        ("unhealthy/timeouts", json!("abc"), "wrong type: expected integer, got string"),
        ("healthy/http_statuses", json!([]), "expect array to have at least 1 items"),
        ("type", json!("udp"), "matches none of the enum values"),
        ("port", json!(65536), "expected 65536 to be at most 65535"),
        (
            "req_headers",
            json!(["a", 2233]),
            "failed to validate item 2: wrong type: expected string, got number",
        ),
    ];
    for (path, value, leaf) in cases {
        let names: String = path
            .split('/')
            .map(|name| format!("property \"{name}\" validation failed: "))
            .collect();
        let pointer = format!("/upstream/checks/active/{path}");
        refused_in(&scene, &up, &pointer, value, &format!("{WAY}{active}{names}{leaf}"))?;
    }
    scene.stop().map(drop)
}

fn unknown_member() -> Result<(), String> {
    let text = "invalid configuration: property \"upstream\" validation failed: \
                additional properties forbidden, found chekcs";
    refused("/upstream/chekcs", json!({}), text)
}

fn no_json() -> Result<(), String> {
    let scene = Scene::start()?;
    let url = "http://127.0.0.1:9180/apisix/admin/routes/1";
    let reply = scene.shell(&format!("curl {url} -H '{KEY}' -X PUT -d '{{'"))?;
    let body = reply.has(400)?;
    same(&body["req_body"], &json!("{"))?;
    let text = body["error_msg"].as_str().unwrap_or_default();
    match text.starts_with("invalid request body: ") {
        true => Ok(()),
        false => Err(text.to_owned()),
    }
}

fn interval() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    for class in ["healthy", "unhealthy"] {
        let text = format!(
            "{WAY}property \"active\" validation failed: property \"{class}\" validation failed: \
             property \"interval\" validation failed: expected 0 to be at least 1"
        );
        let pointer = format!("/upstream/checks/active/{class}/interval");
        refused_in(&scene, &up, &pointer, json!(0), &text)?;
    }
    Ok(())
}

fn control_types() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    let url = "curl http://127.0.0.1:9090/v1/healthcheck";
    scene.shell(&format!("{url}/route/1"))?.refuses(400, "invalid src type route")?;
    scene.shell(&format!("{url}/routes"))?.refuses(404, "missing src id for src type routes")?;
    scene.shell(&format!("{url}/routes/1"))?.refuses(404, "routes[1] not found")?;
    let one = scene.control("/v1/healthcheck/stream_routes/1")?;
    one.refuses(404, "stream_routes[1] not found")?;
    scene.shell(&seed(&up, free_port()))?.has(201)?;
    let patch = json!({ "upstream": { "checks": null } });
    scene.call("PATCH", "/routes/1", &patch)?.has(200)?;
    scene.shell(&format!("{url}/routes/1"))?.refuses(404, "no checker for routes[1]")?;
    same(&json!(scene.control("/v1/nothing")?.status), &json!(404))?;
    scene.control("/v1/route/9")?.refuses(404, "route[9] not found")
}

fn in_use() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    scene.put("/upstreams/1", &json!({ "nodes": { (up.text()): 1 } }))?.has(201)?;
    scene.put("/routes/1", &json!({ "uri": "/x", "upstream_id": "1" }))?.has(201)?;
    let url = "http://127.0.0.1:9180/apisix/admin/upstreams/1";
    let delete = |query: &str| format!("curl '{url}{query}' -H '{KEY}' -X DELETE");
    let text = "can not delete this upstream, route [1] is still using it now";
    for query in ["", "?force=yes", "?force=TRUE"] {
        scene.shell(&delete(query))?.refuses(400, text)?;
    }
    let gone = json!({ "deleted": "1", "key": "/apisix/upstreams/1" });
    scene.shell(&delete("?force=true"))?.is(200, &gone)?;
    // A route whose upstream is gone has nowhere to go.
    same(&json!(scene.get("/x")?.status), &json!(503))
}

fn nowhere() -> Result<(), String> {
    let scene = Scene::start()?;
    let body = scene.put("/routes/1", &json!({ "uri": "/x" }))?.has(400)?;
    let text = body["error_msg"].as_str().unwrap_or_default();
    match text
        .starts_with("invalid configuration: object matches none of the required: [\"plugins\"")
    {
        true => Ok(()),
        false => Err(text.to_owned()),
    }
}

fn others() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    let good = route("/x", &[&up], active(&[]));
    let with = |name: &str, value: Value| {
        let mut document = good.clone();
        document[name] = value;
        document
    };
    let put = |document: Value, text: &str| scene.put("/routes/1", &document)?.refuses(400, text);
    scene.bare("GET", "/nothing")?.refuses(404, "Unsupported resource type: nothing")?;
    scene.bare("PUT", "/routes/1")?.refuses(400, "missing configurations")?;
    scene.put("/routes", &good)?.refuses(400, "missing route id")?;
    scene.call("POST", "/routes/1", &good)?.refuses(400, "wrong route id, do not need it")?;
    put(with("id", json!("2")), "wrong route id")?;
    put(with("create_time", json!(1)), "the property is forbidden:  create_time")?;
    let mut hosts = with("host", json!("a.com"));
    hosts["hosts"] = json!(["b.com"]);
    put(hosts, "only one of host or hosts is allowed")?;
    put(
        with("upstream_id", json!(99)),
        "failed to fetch upstream info by upstream id [99], response code: 404",
    )?;
    put(with("plugins", json!({ "proxy-rewrite": {} })), "unknown plugin [proxy-rewrite]")?;
    let limit = json!({ "limit-count": { "count": 1, "time_window": 1, "rejected_code": 1 } });
    put(
        with("plugins", limit),
        "failed to check the configuration of plugin limit-count err: property \"rejected_code\" \
         validation failed: expected 1 to be at least 200",
    )?;
    let mut rewrite = good.clone();
    rewrite["upstream"]["pass_host"] = json!("rewrite");
    put(rewrite, "`upstream_host` can't be empty when `pass_host` is `rewrite`")?;
    let big = format!("{{\"desc\":\"{}\"}}", "x".repeat(1_572_864));
    let text = format!(
        "invalid request body: request size {} is greater than the maximum size \
                        1572864 allowed",
        big.len()
    );
    scene.send("PUT", "/routes/1", &big, KEY)?.refuses(400, &text)?;
    scene
        .put("/routes/1?ttl=x", &good)?
        .refuses(400, "invalid argument ttl: should be a number")?;
    scene
        .bare("GET", "/routes?page=1&page_size=9")?
        .refuses(400, "page_size must be between 10 and 500")?;
    scene.bare("GET", "/routes/1")?.has(404)?;
    scene.put("/routes/1", &good)?.has(201)?;
    scene.bare("PATCH", "/routes/1")?.refuses(400, "missing new configuration")?;
    scene.call("PATCH", "/routes/1/uri/x", &json!(1))?.refuses(400, "invalid sub-path: /uri")?;
    scene.stop().map(drop)
}

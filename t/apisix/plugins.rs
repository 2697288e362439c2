//! `limit-count` by its documentation, and plugins that are not there.

use serde_json::{Value, json};

use super::backend::Backend;
use super::scene::{Scene, eventually, same};
use crate::harness::case::Check;
use crate::harness::client::Response;

pub const ROWS: &[(&str, Check)] = &[
    ("limit-count: a window opens and ends", window),
    ("limit-count: keys", keys),
    ("limit-count: how it refuses", refusals),
    ("limit-count: groups share a counter and their settings", groups),
    ("limit-count: rules, and numbers from variables", rules),
    ("limit-count: counters outlive changes elsewhere", outlive),
    ("limit-count: settings that are refused", refused),
    ("limit-count: of a service", service),
];

const DENIED: &str = "failed to check the configuration of plugin limit-count err: ";

fn route(up: &Backend, uri: &str, limit: &Value) -> Value {
    let upstream = json!({ "nodes": { (up.text()): 1 } });
    json!({ "uri": uri, "plugins": { "limit-count": limit }, "upstream": upstream })
}

fn header(answer: &Response, name: &str) -> String {
    answer.header(name).unwrap_or_default()
}

fn statuses(scene: &Scene, path: &str, headers: &[&str], wanted: &[u16]) -> Result<(), String> {
    let ask = |at: usize| scene.ask(path, headers.get(at).copied().unwrap_or_default());
    let got: Vec<u16> =
        (0..wanted.len()).map(|at| Ok(ask(at)?.status)).collect::<Result<_, String>>()?;
    same(&json!(got), &json!(wanted)).map_err(|why| format!("{path}: {why}"))
}

fn window() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    let limit = json!({ "count": 2, "time_window": 6 });
    scene.put("/routes/1", &route(&up, "/x", &limit))?.has(201)?;
    let first = scene.get("/x")?;
    let told =
        ["Limit", "Remaining", "Reset"].map(|name| header(&first, &format!("X-RateLimit-{name}")));
    same(&json!([first.status, told]), &json!([200, ["2", "1", "6"]]))?;
    statuses(&scene, "/x", &[], &[200, 503])?;
    // What is refused does not count in the next window.
    eventually(|| statuses(&scene, "/x", &[], &[200]))?;
    statuses(&scene, "/x", &[], &[200, 503])
}

fn keys() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    let put = |id: &str, limit: Value| {
        let mut limit = limit;
        limit["count"] = json!(1);
        limit["time_window"] = json!(60);
        scene.put(&format!("/routes/{id}"), &route(&up, &format!("/{id}"), &limit))?.has(201)
    };
    put("var", json!({ "key": "http_x_user" }))?;
    let users = ["X-User: a", "X-User: b", "X-User: a", "", ""];
    // Without a value, the client's address is the key.
    statuses(&scene, "/var", &users, &[200, 200, 503, 200, 503])?;
    put("mix", json!({ "key": "$http_x_user $arg_q", "key_type": "var_combination" }))?;
    let asked = ["/mix?q=1", "/mix?q=2", "/mix?q=1"];
    for (path, status) in asked.into_iter().zip([200, 200, 503]) {
        statuses(&scene, path, &["X-User: a"], &[status])?;
    }
    put("one", json!({ "key": "all", "key_type": "constant" }))?;
    statuses(&scene, "/one", &["X-User: a", "X-User: b"], &[200, 503])
}

fn refusals() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    let limit = json!({ "count": 1, "time_window": 60, "rejected_code": 429,
                        "rejected_msg": "too \"much\"", "show_limit_quota_header": false });
    scene.put("/routes/1", &route(&up, "/x", &limit))?.has(201)?;
    scene.get("/x")?;
    let answer = scene.get("/x")?;
    same(
        &json!([answer.status, answer.body_text(), header(&answer, "X-RateLimit-Limit")]),
        &json!([429, "{\"error_msg\":\"too \\\"much\\\"\"}\n", ""]),
    )?;
    let limit = json!({ "count": 1, "time_window": 60, "_meta": { "disable": true } });
    scene.put("/routes/1", &route(&up, "/x", &limit))?.has(200)?;
    statuses(&scene, "/x", &[], &[200, 200, 200])
}

fn groups() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    let limit = json!({ "count": 2, "time_window": 60, "group": "g" });
    for id in ["1", "2"] {
        let document = route(&up, &format!("/{id}"), &limit);
        scene.put(&format!("/routes/{id}"), &document)?.has(201)?;
    }
    statuses(&scene, "/1", &[], &[200])?;
    statuses(&scene, "/2", &[], &[200, 503])?;
    statuses(&scene, "/1", &[], &[503])?;
    let other = json!({ "count": 3, "time_window": 60, "group": "g" });
    let reply = scene.put("/routes/3", &route(&up, "/3", &other))?;
    reply.refuses(400, &format!("{DENIED}group conf mismatched"))
}

fn rules() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    let limit = json!({ "rules": [
        { "count": 1, "time_window": 60, "key": "$http_x_user" },
        { "count": "${http_x_count}", "time_window": 60, "key": "$http_x_team",
          "header_prefix": "Team" },
    ] });
    scene.put("/routes/1", &route(&up, "/x", &limit))?.has(201)?;
    let first = scene.ask("/x", "X-User: a\nX-Team: t\nX-Count: 3")?;
    let told = ["X-1-RateLimit-Remaining", "X-Team-RateLimit-Remaining", "X-RateLimit-Limit"]
        .map(|name| header(&first, name));
    same(&json!([first.status, told]), &json!([200, ["0", "2", ""]]))?;
    let asked = ["X-User: a", "X-User: b\nX-Team: t\nX-Count: 3", "X-Team: t\nX-Count: 2"];
    statuses(&scene, "/x", &asked, &[503, 200, 503])?;
    // No rule applies, and a number that is none.
    statuses(&scene, "/x", &["", "X-Team: t\nX-Count: many"], &[500, 500])?;
    for text in ["rate limit rules: nil", "rate limit rules: resolved value is not a number"] {
        scene.wait_for_log(text)?;
    }
    let limit = json!({ "count": "$arg_n", "time_window": "60", "allow_degradation": true });
    scene.put("/routes/1", &route(&up, "/x", &limit))?.has(200)?;
    statuses(&scene, "/x?n=2", &[], &[200, 200, 503])?;
    statuses(&scene, "/x", &[], &[200])
}

fn outlive() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    let limit = json!({ "count": 1, "time_window": 60 });
    scene.put("/routes/1", &route(&up, "/x", &limit))?.has(201)?;
    statuses(&scene, "/x", &[], &[200, 503])?;
    let patch = json!({ "upstream": { "retries": 1 }, "desc": "changed" });
    scene.call("PATCH", "/routes/1", &patch)?.has(200)?;
    statuses(&scene, "/x", &[], &[503])?;
    let patch = json!({ "plugins": { "limit-count": { "count": 2 } } });
    scene.call("PATCH", "/routes/1", &patch)?.has(200)?;
    statuses(&scene, "/x", &[], &[200, 200, 503])
}

fn refused() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    let one = "value should match only one schema, but matches none";
    let both = "count/time_window and rules cannot be specified at the same time";
    let rule = json!({ "count": 1, "time_window": 1, "key": "$a" });
    let with = |more: Value| {
        let mut limit = json!({ "count": 1, "time_window": 60 });
        let members = more.as_object().cloned().unwrap_or_default();
        limit.as_object_mut().into_iter().for_each(|limit| limit.extend(members.clone()));
        limit
    };
    let cases = [
        (json!({ "time_window": 60 }), one.to_owned()),
        (with(json!({ "count": -100 })), format!("property \"count\" validation failed: {one}")),
        (with(json!({ "rules": [rule] })), both.to_owned()),
        (
            json!({ "rules": [rule], "group": "g" }),
            "group and rules cannot be specified at the same time".into(),
        ),
        (json!({ "rules": [rule, rule] }), "duplicate key '$a' in rules".into()),
        (with(json!({ "policy": "redis" })), "policy redis is not supported".into()),
        (
            with(json!({ "policy": "x" })),
            "property \"policy\" validation failed: matches none of the enum values".into(),
        ),
        (
            with(json!({ "rejected_msg": "" })),
            "property \"rejected_msg\" validation failed: string too short, expected at least 1, \
             got 0"
                .into(),
        ),
        (with(json!({ "_meta": { "filter": [] } })), "_meta.filter is not supported".into()),
    ];
    for (limit, why) in cases {
        let reply = scene.put("/routes/1", &route(&up, "/x", &limit))?;
        reply.refuses(400, &format!("{DENIED}{why}")).map_err(|why| format!("{limit}: {why}"))?;
    }
    // The 2.x era's words, where its API is asked.
    let old = |limit: &str, why: &str| {
        let document = format!(
            "{{\"uri\":\"/x\",\"plugins\":{{\"limit-count\":{limit}}},\"upstream\":{{\"nodes\":{{}}}}}}"
        );
        let put = format!(
            "curl http://127.0.0.1:9080/apisix/admin/routes/1 -X PUT -d '{document}' -H '{}'",
            super::scene::KEY
        );
        scene.shell(&put)?.refuses(400, &format!("{DENIED}{why}"))
    };
    old("{\"time_window\":1}", "property \"count\" is required")?;
    old(
        "{\"time_window\":1,\"count\":-100}",
        "property \"count\" validation failed: expected -100 to be greater than 0",
    )?;
    scene.bare("GET", "/routes/1")?.has(404).map(drop)
}

fn service() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    let mut service = route(&up, "/", &json!({ "count": 1, "time_window": 60 }));
    service.as_object_mut().and_then(|members| members.remove("uri"));
    scene.put("/services/1", &service)?.has(201)?;
    scene.put("/routes/1", &json!({ "uri": "/a", "service_id": "1" }))?.has(201)?;
    let own = json!({ "count": 3, "time_window": 60 });
    let own = json!({ "uri": "/b", "service_id": "1", "plugins": { "limit-count": own } });
    scene.put("/routes/2", &own)?.has(201)?;
    statuses(&scene, "/a", &[], &[200, 503])?;
    statuses(&scene, "/b", &[], &[200, 200, 200, 503])
}

//! The rest of the faces: the Control API's neighbours, the metrics, OpenAPI, JSON files, gRPC.

use serde_json::{Value, json};

use super::backend::Backend;
use super::scene::{KEY, Scene, active, certificate, eventually, route, same};
use crate::harness::case::{Case, Check, Outcome};
use crate::harness::python;
use crate::harness::server::{Prefix, free_port};

pub const ROWS: &[(&str, Check)] = &[
    ("the Control API's neighbours", neighbours),
    ("metrics have APISIX's names", metrics),
    ("an OpenAPI description", openapi),
    ("standalone JSON, with the environment filled in", json_file),
    ("hosts, methods, addresses, variables, priorities", matching),
];

/// gRPC through the gateway, where its Python package is installed.
pub fn grpc() -> Case {
    Case::new("apisix/upstreams of scheme grpc and grpcs", || match python::missing("grpc") {
        Some(reason) => Outcome::Skipped(reason),
        None => Outcome::from(through_grpc()),
    })
}

fn neighbours() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    for path in ["/v1/routes", "/v1/services", "/v1/upstreams", "/v1/plugin_metadatas"] {
        scene.control(path)?.is(200, &json!({}))?;
    }
    scene.put("/upstreams/u", &json!({ "nodes": { "localhost:80": 1 } }))?.has(201)?;
    scene.put("/routes/r", &route("/x", &[&up], active(&[])))?.has(201)?;
    let shown = scene.control("/v1/route/r")?.has(200)?;
    let wanted = json!(["/apisix/routes/r", "/x", false, 0]);
    let of = |shown: &Value| {
        json!([shown["key"], shown["value"]["uri"], shown["has_domain"], shown["update_count"]])
    };
    same(&of(&shown), &wanted)?;
    same(&of(&scene.control("/v1/routes")?.has(200)?[0]), &wanted)?;
    let shown = scene.control("/v1/upstream/u")?.has(200)?;
    same(&json!([shown["key"], shown["has_domain"]]), &json!(["/apisix/upstreams/u", true]))?;
    scene.control("/v1/service/s")?.refuses(404, "service[s] not found")?;
    scene.control("/v1/plugin_metadata/x")?.refuses(404, "plugin metadata[x] not found")?;
    let schema = scene.control("/v1/schema")?.has(200)?;
    let interval = "/main/upstream/properties/checks/properties/active/properties/healthy\
                    /properties/interval";
    same(
        &schema.pointer(interval).cloned().unwrap_or_default(),
        &json!({ "type": "integer", "minimum": 1, "default": 1 }),
    )?;
    same(&schema["plugins"]["limit-count"]["priority"], &json!(1002))?;
    let done = scene.shell("curl -X PUT http://127.0.0.1:9090/v1/plugins/reload")?;
    same(&json!([done.status, done.text]), &json!([200, "done"]))?;
    let done = scene.shell("curl -X POST http://127.0.0.1:9090/v1/gc")?;
    same(&json!([done.status, done.text]), &json!([200, ""]))
}

fn metrics() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::start()?);
    scene.put("/routes/r", &route("/x", &[&up], active(&[])))?.has(201)?;
    let page = scene.metrics()?;
    for name in [
        "http_requests_total",
        "nginx_http_current_connections",
        "etcd_modify_indexes",
        "etcd_reachable",
        "node_info",
        "upstream_status",
    ] {
        if !page.contains(&format!("# TYPE apisix_{name} gauge\n")) {
            return Err(format!("no {name} in {page}"));
        }
    }
    let modified = scene.bare("GET", "/routes/r")?.has(200)?["modifiedIndex"].clone();
    let lines = [
        format!("apisix_etcd_modify_indexes{{key=\"routes\"}} {modified}"),
        "apisix_nginx_http_current_connections{state=\"active\"} 1".to_owned(),
        "apisix_etcd_reachable 1".to_owned(),
    ];
    for line in lines {
        page.lines().find(|l| **l == line).ok_or_else(|| format!("no {line} in {page}"))?;
    }
    Ok(())
}

fn openapi() -> Result<(), String> {
    let scene = Scene::start()?;
    let url = "curl http://127.0.0.1:9180/openapi.json";
    let described = scene.shell(&format!("{url} -H '{KEY}'"))?.has(200)?;
    same(&described["openapi"], &json!("3.1.0"))?;
    let paths = described["paths"].as_object().ok_or("no paths")?;
    for path in ["/apisix/admin/routes", "/apisix/admin/upstreams/{id}"] {
        let verbs = paths.get(path).ok_or_else(|| format!("no {path}"))?;
        for verb in if path.ends_with('}') { ["put", "patch"] } else { ["get", "post"] } {
            let answers = verbs[verb]["responses"].as_object();
            answers.ok_or_else(|| format!("no {verb} of {path}"))?;
        }
    }
    let bodies = described.pointer("/components/schemas/route/properties/uri/maxLength");
    same(bodies.unwrap_or(&Value::Null), &json!(4096))?;
    same(&json!(scene.shell(url)?.status), &json!(401))
}

fn json_file() -> Result<(), String> {
    let up = Backend::start()?;
    let prefix = Prefix::new()?;
    let file = |uri: &str, more: &str| {
        let node = up.text();
        format!(
            "{{\"routes\":[{{\"uri\":\"{uri}\",\"upstream\":{{\"nodes\":{{\"{node}\":1}}}}}}{more}]}}"
        )
    };
    prefix.write("conf/apisix.json", file("${{NO_SUCH_NAME:=/a}}", ""))?;
    let source = [("# apisix_config conf/apisix.yaml;", "apisix_config conf/apisix.json;")];
    let scene = Scene::start_in(prefix, &source)?;
    same(&json!(scene.get("/a")?.status), &json!(200))?;
    // One that is wrong is told of and left out; the others stay.
    scene.prefix().write("conf/apisix.json", file("/b", ",{\"uri\":\"/c\",\"id\":\"odd\"}"))?;
    eventually(|| same(&json!(scene.get("/b")?.status), &json!(200)))?;
    same(&json!([scene.get("/a")?.status, scene.get("/c")?.status]), &json!([404, 404]))?;
    let refused = scene.bare("GET", "/routes")?;
    same(&json!(refused.status), &json!(501))?;
    scene.wait_for_log("failed to check item data of [/routes/odd] err: ")
}

fn matching() -> Result<(), String> {
    let scene = Scene::start()?;
    let mut kept = Vec::new();
    let documents = [
        json!({ "uri": "/a" }),
        json!({ "uri": "/a", "priority": 1, "methods": ["POST"] }),
        json!({ "uri": "/a", "priority": 2, "hosts": ["one.com", "*.two.com"] }),
        json!({ "uri": "/a", "priority": 3, "vars": [["arg_v", "==", "1"]] }),
        json!({ "uri": "/a", "priority": 4, "remote_addrs": ["10.0.0.0/8", "::1"] }),
        json!({ "uri": "/a", "priority": 5, "status": 0 }),
        json!({ "uris": ["/a/*", "/b*"] }),
    ];
    for (id, document) in documents.into_iter().enumerate() {
        let backend = Backend::start()?;
        let mut document = document;
        document["upstream"] = json!({ "nodes": { (backend.text()): 1 } });
        scene.put(&format!("/routes/{id}"), &document)?.has(201)?;
        kept.push(backend);
    }
    let cases = [
        ("GET", "/a", "", Some(0)),
        ("POST", "/a", "", Some(1)),
        ("GET", "/a", "Host: ONE.com:80", Some(2)),
        ("GET", "/a", "Host: x.two.com", Some(2)),
        ("GET", "/a", "Host: two.com", Some(0)),
        ("GET", "/a?v=1", "Host: one.com", Some(3)),
        ("GET", "/a/x", "", Some(6)),
        ("GET", "/b", "", Some(6)),
        ("GET", "/c", "", None),
    ];
    for (method, path, headers, wanted) in cases {
        let got = scene.request(method, path, headers)?;
        let wanted = wanted.map(|id: usize| kept[id].port.to_string());
        let text = got.body_text();
        if wanted.as_deref().unwrap_or(NO_ROUTE) != text.trim() {
            return Err(format!("{method} {path} {headers}: {text}, wanted {wanted:?}"));
        }
    }
    Ok(())
}

fn through_grpc() -> Result<(), String> {
    let prefix = Prefix::new()?;
    certificate(&prefix, "localhost")?;
    let scene = Scene::start_in(prefix, &[("# http2 on;", "http2 on;")])?;
    let (plain, secure) = (free_port(), free_port());
    for (scheme, port) in [("grpc", plain), ("grpcs", secure)] {
        let upstream = json!({ "scheme": scheme, "nodes": { (format!("127.0.0.1:{port}")): 1 } });
        let document = json!({ "uri": format!("/t.{scheme}/*"), "upstream": upstream });
        scene.put(&format!("/routes/{scheme}"), &document)?.has(201)?;
    }
    let folder = scene.prefix().path().join("conf").display().to_string();
    let ports = [scene.proxy, plain, secure].map(|port| port.to_string());
    let [proxy, plain, secure] = &ports;
    python::run("t/apisix/grpc_calls.py", &[proxy, plain, secure, &folder])?;
    scene.stop().map(drop)
}

const NO_ROUTE: &str = r#"{"error_msg":"404 Route Not Found"}"#;

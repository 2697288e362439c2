//! Kong's and Nacos' faces on one etcd, two gateways each.
//!
//! ```text
//!   Admin API of one ─▶ etcd ─▶ traffic of the other        register at one, list at the other
//! ```

use serde_json::{Value, json};

use super::member::Member;
use super::scene::{Line, Reply, Scene, wait};
use crate::harness::case::Check;
use crate::harness::server::{Prefix, free_port};

pub const ROWS: &[(&str, Check)] = &[
    ("etcd: Kong's entities are one for two gateways", kong),
    ("etcd: Nacos' persistent instances and clusters are one for two gateways", nacos),
];

/// A gateway with these faces on this etcd; its port.
struct Face {
    port: u16,
    scene: Scene,
}

impl Face {
    fn start(etcd: u16, body: &str) -> Result<Face, String> {
        let port = free_port();
        let http = format!(
            "store_etcd http://127.0.0.1:{etcd} timeout=60s;\n    \
             server {{ listen 127.0.0.1:{port}; {body} }}"
        );
        Ok(Face { port, scene: Scene::start(Prefix::new()?, &http)? })
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Result<Reply, String> {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let more = if body.is_null() { "" } else { "Content-Type: application/json\r\n" };
        Line::open(self.port)?.send(method, path, more, &text)
    }

    /// A call to Nacos' face with everything in the query.
    fn nacos(&self, method: &str, rest: &str) -> Result<Reply, String> {
        self.call(method, &format!("/nacos/v1/ns/{rest}"), &Value::Null)
    }

    /// Ports, weights and health of the instances of `s`.
    fn listed(&self) -> Result<Value, String> {
        let list = self.nacos("GET", "instance/list?serviceName=s")?.has(200)?;
        let rows = list["hosts"].as_array().cloned().unwrap_or_default();
        Ok(rows.iter().map(|row| json!([row["port"], row["weight"], row["healthy"]])).collect())
    }

    fn lists(&self, wanted: &Value) -> Result<(), String> {
        wait(|| match self.listed()? {
            got if &got == wanted => Ok(()),
            got => Err(format!("{got}, wanted {wanted}")),
        })
        .map(drop)
    }

    fn stop(self) -> Result<(), String> {
        self.scene.stop().map(drop)
    }
}

fn kong() -> Result<(), String> {
    let mut member = Member::start()?;
    let backend = free_port();
    let body = "location /admin/ { rewrite ^/admin(/.*) $1 break; kong_admin; }
                location / { kong_gateway; }";
    let one = Face::start(
        member.port,
        &format!("{body} }} server {{ listen 127.0.0.1:{backend}; location / {{ return 200; }}"),
    )?;
    let two = Face::start(member.port, body)?;
    let post = |face: &Face, path: &str, body: Value| face.call("POST", path, &body);
    post(&one, "/admin/upstreams", json!({ "name": "svc" }))?.has(201)?;
    let target = json!({ "target": format!("127.0.0.1:{backend}") });
    post(&one, "/admin/upstreams/svc/targets", target)?.has(201)?;
    post(&one, "/admin/services", json!({ "name": "web", "host": "svc" }))?.has(201)?;
    post(&one, "/admin/services/web/routes", json!({ "paths": ["/x"] }))?.has(201)?;
    for face in [&one, &two] {
        wait(|| match face.call("GET", "/x", &Value::Null)?.status {
            200 => Ok(()),
            status => Err(status.to_string()),
        })?;
    }
    // A name is taken for both, and more steps than etcd takes at once are one step.
    let again = post(&two, "/admin/upstreams", json!({ "name": "svc" }))?;
    if again.status != 409 {
        return Err(format!("{again:?}"));
    }
    post(&two, "/admin/upstreams", json!({ "name": "many" }))?.has(201)?;
    for number in 1..=140 {
        let target = json!({ "target": format!("127.0.0.1:{number}") });
        post(&two, "/admin/upstreams/many/targets", target)?.has(201)?;
    }
    let gone = two.call("DELETE", "/admin/upstreams/many", &Value::Null)?;
    if gone.status != 204 {
        return Err(format!("{gone:?}"));
    }
    let left = member.ctl(&["get", "--prefix", "--keys-only", "/kong/targets/"])?;
    if left.split_whitespace().count() != 1 {
        return Err(format!("left behind: {left}"));
    }
    wait(|| {
        let status = one.call("GET", "/admin/upstreams/many", &Value::Null)?.status;
        if status == 404 { Ok(()) } else { Err(status.to_string()) }
    })?;
    member.kill();
    let refused = post(&one, "/admin/upstreams", json!({ "name": "no" }))?;
    if refused.status != 503 || !refused.text.contains("etcd: connect() failed") {
        return Err(format!("{refused:?}"));
    }
    if one.call("GET", "/x", &Value::Null)?.status != 200 {
        return Err("traffic needs etcd".into());
    }
    member.run()?;
    wait(|| post(&one, "/admin/upstreams", json!({ "name": "yes" }))?.has(201).map(drop))?;
    one.stop()?;
    two.stop()
}

fn nacos() -> Result<(), String> {
    let mut member = Member::start()?;
    let body = "location /nacos/ { nacos_naming; }";
    let (one, two) = (Face::start(member.port, body)?, Face::start(member.port, body)?);
    let ok = |reply: Reply| match reply.status {
        200 => Ok(()),
        _ => Err(format!("{reply:?}")),
    };
    let instance = |port: u16, more: &str| {
        format!("instance?serviceName=s&ip=10.0.0.1&port={port}&ephemeral=false{more}")
    };
    let none = "cluster?serviceName=s&clusterName=DEFAULT&checkPort=80&useInstancePort4Check=true\
                &healthChecker=%7B%22type%22%3A%22NONE%22%7D";
    ok(one.nacos("POST", "service?serviceName=s&ephemeral=false")?)?;
    ok(one.nacos("PUT", none)?)?;
    ok(one.nacos("POST", &instance(1, ""))?)?;
    two.lists(&json!([[1, 1.0, true]]))?;
    // Weights, health and removals go both ways.
    ok(two.nacos("PUT", &instance(1, "&weight=3"))?)?;
    one.lists(&json!([[1, 3.0, true]]))?;
    ok(two.nacos("PUT", "health/instance?serviceName=s&ip=10.0.0.1&port=1&healthy=false")?)?;
    one.lists(&json!([[1, 3.0, false]]))?;
    ok(one.nacos("POST", &instance(2, ""))?)?;
    two.lists(&json!([[1, 3.0, false], [2, 1.0, true]]))?;
    ok(one.nacos("DELETE", &instance(1, ""))?)?;
    two.lists(&json!([[2, 1.0, true]]))?;
    member.kill();
    for (method, call) in [
        ("POST", instance(3, "")),
        ("DELETE", instance(2, "")),
        ("PUT", instance(2, "&weight=9")),
        ("PUT", "health/instance?serviceName=s&ip=10.0.0.1&port=2&healthy=false".into()),
    ] {
        let refused = one.nacos(method, &call)?;
        if refused.status != 503 || !refused.text.contains("etcd: connect() failed") {
            return Err(format!("{method} {call}: {refused:?}"));
        }
    }
    // What was refused has not happened, and what beats needs no etcd.
    one.lists(&json!([[2, 1.0, true]]))?;
    ok(one.nacos("POST", "instance?serviceName=beats&ip=10.0.0.2&port=1")?)?;
    member.run()?;
    wait(|| ok(one.nacos("POST", &instance(3, ""))?))?;
    two.lists(&json!([[2, 1.0, true], [3, 1.0, true]]))?;
    // A new process has it all, the checker of the cluster too.
    one.stop()?;
    let one = Face::start(member.port, body)?;
    one.lists(&json!([[2, 1.0, true], [3, 1.0, true]]))?;
    one.stop()?;
    two.stop()
}

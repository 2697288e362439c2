//! The shipped example on ports of its own, and calls to its faces.

use std::process::Command;

use serde_json::{Value, json};

use super::backend::Backend;
use crate::harness::client::{self, Response};
use crate::harness::server::{Prefix, Program, Server, free_port};
use crate::harness::wait::{self, HANG};
use crate::tidy::source;

/// A running gateway.
pub struct Scene {
    /// 9080: traffic, and the Admin API of the 2.x era.
    pub proxy: u16,
    /// 9180: the Admin API.
    pub admin: u16,
    /// 9090
    pub control: u16,
    /// 9091
    pub metrics: u16,
    server: Server,
}

/// What a call was answered.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub text: String,
    pub headers: Vec<(String, String)>,
}

/// What the Control API tells of one node.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub status: String,
    /// Successes, then failures by HTTP, TCP and time.
    pub counts: [u64; 4],
}

impl Scene {
    pub fn start() -> Result<Scene, String> {
        Scene::with(&[])
    }

    /// With these changes to the example.
    pub fn with(changes: &[(&str, &str)]) -> Result<Scene, String> {
        Scene::start_in(Prefix::new()?, changes)
    }

    /// In a folder that others have prepared.
    pub fn start_in(prefix: Prefix, changes: &[(&str, &str)]) -> Result<Scene, String> {
        let ports = [free_port(), free_port(), free_port(), free_port()];
        let mut example = source::read("conf/examples/apisix.conf");
        for (usual, port) in ["9080", "9180", "9090", "9091"].into_iter().zip(ports) {
            let (from, to) = (format!("127.0.0.1:{usual}"), format!("127.0.0.1:{port}"));
            example = replaced(&example, &from, &to)?;
        }
        for (from, to) in changes {
            example = replaced(&example, from, to)?;
        }
        prefix.write("conf/example.conf", example)?;
        let conf = "daemon off;\nmaster_process off;\nerror_log logs/error.log info;\n\
                    include example.conf;\n";
        let [proxy, admin, control, metrics] = ports;
        let server = Server::start(Program::Ours, prefix, conf, metrics)?;
        Ok(Scene { proxy, admin, control, metrics, server })
    }

    /// Calls the Admin API with a JSON body and the shipped key.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Result<Reply, String> {
        self.send(method, path, &body.to_string(), KEY)
    }

    pub fn put(&self, path: &str, body: &Value) -> Result<Reply, String> {
        self.call("PUT", path, body)
    }

    /// Calls it without a body.
    pub fn bare(&self, method: &str, path: &str) -> Result<Reply, String> {
        self.send(method, path, "", KEY)
    }

    pub fn send(
        &self,
        method: &str,
        path: &str,
        body: &str,
        headers: &str,
    ) -> Result<Reply, String> {
        let short = format!("{method} /apisix/admin{path}\n{body}");
        Ok(exchange(self.admin, &short, headers)?.into())
    }

    /// A request of a client.
    pub fn get(&self, path: &str) -> Result<Response, String> {
        exchange(self.proxy, &format!("GET {path}"), "")
    }

    pub fn ask(&self, path: &str, headers: &str) -> Result<Response, String> {
        self.request("GET", path, headers)
    }

    pub fn request(&self, method: &str, path: &str, headers: &str) -> Result<Response, String> {
        exchange(self.proxy, &format!("{method} {path}"), headers)
    }

    /// Asks the Control API.
    pub fn control(&self, path: &str) -> Result<Reply, String> {
        Ok(exchange(self.control, &format!("GET {path}"), "")?.into())
    }

    pub fn control_with(&self, path: &str, headers: &str) -> Result<Reply, String> {
        Ok(exchange(self.control, &format!("GET {path}"), headers)?.into())
    }

    /// The page that Prometheus reads.
    pub fn metrics(&self) -> Result<String, String> {
        let page = exchange(self.metrics, "GET /apisix/prometheus/metrics", "")?;
        Ok(page.body_text())
    }

    /// Runs a shell text with real curl, its usual ports replaced by those of this scene; gives
    /// the status and the body of its one request.
    pub fn shell(&self, text: &str) -> Result<Reply, String> {
        let mut text = text.to_owned();
        for (usual, port) in [("9080", self.proxy), ("9180", self.admin), ("9090", self.control)] {
            text = text.replace(&format!("127.0.0.1:{usual}"), &format!("127.0.0.1:{port}"));
        }
        let prefix = &self.server.prefix;
        prefix.write(".curlrc", "silent\nwrite-out = \"\\n%{http_code}\"\nmax-time = 60\n")?;
        let output =
            Command::new("sh").args(["-c", &text]).env("CURL_HOME", prefix.path()).output();
        let output = output.map_err(|e| format!("sh: {e}"))?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = printed.rsplit_once('\n').ok_or_else(|| printed.clone())?;
        let status = status.parse().map_err(|_| format!("curl printed {printed}"))?;
        Ok(Reply { status, text: body.to_owned(), headers: Vec::new() })
    }

    /// What is told of a node of `routes/1` and the like; by the port of its probes.
    pub fn node(&self, resource: &str, port: u16) -> Result<Node, String> {
        let view = self.control(&format!("/v1/healthcheck/{resource}"))?.has(200)?;
        Node::of(&view, port).ok_or_else(|| format!("no {port} in {view}"))
    }

    /// Waits until a node is so.
    pub fn wait(&self, resource: &str, port: u16, wanted: &Node) -> Result<(), String> {
        eventually(|| match self.node(resource, port)? {
            node if node == *wanted => Ok(()),
            node => Err(format!("{resource} {port} is {node:?}, wanted {wanted:?}")),
        })
    }

    /// Waits until a node has this status.
    pub fn wait_status(&self, resource: &str, port: u16, status: &str) -> Result<Node, String> {
        eventually(|| match self.node(resource, port)? {
            node if node.status == status => Ok(node),
            node => Err(format!("{resource} {port} is {node:?}, wanted {status}")),
        })
    }

    /// Waits for a line with this text.
    pub fn wait_for_log(&self, text: &str) -> Result<(), String> {
        eventually(|| match self.error_log().contains(text) {
            true => Ok(()),
            false => Err(format!("no \"{text}\" in the log")),
        })
    }

    pub fn error_log(&self) -> String {
        self.server.error_log()
    }

    pub fn prefix(&self) -> &Prefix {
        &self.server.prefix
    }

    /// Ends it well, and gives its folder to the next.
    pub fn stop(mut self) -> Result<Prefix, String> {
        self.server.stop(&[])?;
        self.server.leave()
    }
}

impl Node {
    pub fn new(status: &str, counts: [u64; 4]) -> Node {
        Node { status: status.to_owned(), counts }
    }

    /// The node with this port, in one entry of the Control API.
    pub fn of(view: &Value, port: u16) -> Option<Node> {
        let node = view["nodes"].as_array()?.iter().find(|node| node["port"] == port)?;
        let count = |name: &str| node["counter"][name].as_u64().unwrap_or(u64::MAX);
        let counts = ["success", "http_failure", "tcp_failure", "timeout_failure"].map(count);
        Some(Node { status: node["status"].as_str()?.to_owned(), counts })
    }
}

impl Reply {
    /// The body, when the status is this one.
    pub fn has(&self, status: u16) -> Result<Value, String> {
        if self.status != status {
            return Err(format!("{} {}\nwanted {status}", self.status, self.text));
        }
        if self.text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&self.text).map_err(|e| format!("{e}: {}", self.text))
    }

    /// Exactly this body.
    pub fn is(&self, status: u16, body: &Value) -> Result<(), String> {
        same(&self.has(status)?, body)
    }

    /// A refusal with exactly this text.
    pub fn refuses(&self, status: u16, text: &str) -> Result<(), String> {
        self.is(status, &json!({ "error_msg": text }))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Reply {
        let text = response.body_text();
        Reply { status: response.status, text, headers: response.headers }
    }
}

/// The seed's command, on these nodes.
pub fn seed(up: &Backend, down: u16) -> String {
    SEED.replace("127.0.0.1:1980", &up.text()).replace(":1970", &format!(":{down}"))
}

/// The document of the seed's command.
pub fn seed_document(up: &Backend, down: u16) -> Result<Value, String> {
    let text = seed(up, down);
    let document = text.split('\'').nth(3).ok_or("the seed has no document")?;
    serde_json::from_str(document).map_err(|e| e.to_string())
}

/// A route to these nodes, with this `checks`.
pub fn route(uri: &str, nodes: &[&Backend], checks: Value) -> Value {
    let nodes: Vec<Value> = nodes
        .iter()
        .map(|node| json!({ "host": "127.0.0.1", "port": node.port, "weight": 1 }))
        .collect();
    json!({ "uri": uri, "upstream": { "type": "roundrobin", "nodes": nodes, "checks": checks } })
}

/// Active checks of `/status` as often as can be; no busy machine takes as long as their limit.
pub fn active(more: &[(&str, Value)]) -> Value {
    let mut checks = json!({ "active": {
        "http_path": "/status", "timeout": 60,
        "healthy": { "interval": 1, "successes": 1 },
        "unhealthy": { "interval": 1, "http_failures": 2 },
    } });
    for (name, value) in more {
        match checks.pointer_mut(name) {
            Some(slot) => *slot = value.clone(),
            None => {
                let (object, name) = name.rsplit_once('/').unwrap_or(("", name));
                if let Some(object) = checks.pointer_mut(object) {
                    object[name] = value.clone();
                }
            }
        }
    }
    checks
}

/// Makes `conf/self.pem` and `conf/self.key` for a name.
pub fn certificate(prefix: &Prefix, name: &str) -> Result<(), String> {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", &format!("/CN={name}")])
        .args(["-addext", &format!("subjectAltName=DNS:{name}"), "-days", "30"])
        .args(["-keyout", "self.key", "-out", "self.pem"])
        .current_dir(prefix.path().join("conf"))
        .output()
        .map_err(|e| format!("openssl: {e}"))?;
    match made.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&made.stderr).into_owned()),
    }
}

pub fn two() -> Result<(Backend, Backend), String> {
    Ok((Backend::start()?, Backend::start()?))
}

pub fn same(got: &Value, wanted: &Value) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("got    {got}\nwanted {wanted}")) }
}

/// Tries until it is so, or has had time enough.
pub fn eventually<T>(check: impl Fn() -> Result<T, String>) -> Result<T, String> {
    wait::until(HANG, check)
}

fn replaced(text: &str, from: &str, to: &str) -> Result<String, String> {
    match text.contains(from) {
        true => Ok(text.replace(from, to)),
        false => Err(format!("the example has no {from}")),
    }
}

fn exchange(port: u16, short: &str, headers: &str) -> Result<Response, String> {
    let request = client::build(short, headers, "close");
    let bytes = client::exchange(port, &request, HANG)?;
    let method = short.split(' ').next().unwrap_or("GET").to_owned();
    let mut responses = client::parse_all(&bytes, &[method])?;
    responses.pop().ok_or_else(|| "no response".to_owned())
}

pub const KEY: &str = "X-API-KEY: edd1c9f034335f136f87ad84b625c8f1";
pub const VIEWER: &str = "X-API-KEY: 4054f7cf07e344346cd3f287985e76a2";
pub const SEED: &str = include_str!("seed.sh");

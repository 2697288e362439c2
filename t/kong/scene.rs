//! The shipped example on ports of its own, and calls to its three faces.

use serde_json::{Value, json};

use super::backend::Backend;
use crate::harness::client::{self, Response};
use crate::harness::server::{Prefix, Program, Server, free_port};
use crate::harness::wait::{self, HANG};
use crate::tidy::source;

/// A running gateway.
pub struct Scene {
    pub proxy: u16,
    pub admin: u16,
    pub status: u16,
    server: Server,
}

/// What the Admin API answered.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub text: String,
    pub headers: Vec<(String, String)>,
}

impl Scene {
    pub fn start() -> Result<Scene, String> {
        Scene::start_in(Prefix::new()?, &[])
    }

    /// With Tencent's ranges and defaults.
    pub fn tse() -> Result<Scene, String> {
        Scene::start_in(Prefix::new()?, &[("# kong_preset tse;", "kong_preset tse;")])
    }

    /// In a folder that an earlier server has left, with these changes to the example.
    pub fn start_in(prefix: Prefix, changes: &[(&str, &str)]) -> Result<Scene, String> {
        let (proxy, admin, status) = (free_port(), free_port(), free_port());
        let mut example = source::read("conf/examples/kong.conf")
            .replace("listen 8000", &format!("listen 127.0.0.1:{proxy}"))
            .replace("127.0.0.1:8001", &format!("127.0.0.1:{admin}"))
            .replace("127.0.0.1:8100", &format!("127.0.0.1:{status}"));
        for (from, to) in changes {
            if !example.contains(from) {
                return Err(format!("the example has no {from}"));
            }
            example = example.replace(from, to);
        }
        prefix.write("conf/example.conf", example)?;
        let conf = "daemon off;\nmaster_process off;\ninclude example.conf;\n";
        let server = Server::start(Program::Ours, prefix, conf, admin)?;
        Ok(Scene { proxy, admin, status, server })
    }

    /// Calls the Admin API with a JSON body.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Result<Reply, String> {
        self.send(method, path, &body.to_string(), "Content-Type: application/json")
    }

    /// Calls it without a body.
    pub fn bare(&self, method: &str, path: &str) -> Result<Reply, String> {
        self.send(method, path, "", "")
    }

    /// Calls it as `curl -d` does.
    pub fn form(&self, method: &str, path: &str, form: &str) -> Result<Reply, String> {
        self.send(method, path, form, "Content-Type: application/x-www-form-urlencoded")
    }

    pub fn send(
        &self,
        method: &str,
        path: &str,
        body: &str,
        headers: &str,
    ) -> Result<Reply, String> {
        let short = format!("{method} {path}\n{body}");
        let response = exchange(self.admin, &short, headers, method)?;
        let text = response.body_text();
        Ok(Reply { status: response.status, text, headers: response.headers })
    }

    /// A request of a client.
    pub fn get(&self, path: &str) -> Result<Response, String> {
        exchange(self.proxy, &format!("GET {path}"), "", "GET")
    }

    pub fn ask(&self, path: &str, headers: &str) -> Result<Response, String> {
        exchange(self.proxy, &format!("GET {path}"), headers, "GET")
    }

    /// Upstream `svc` with these targets, and a route `/` to it.
    pub fn serve(&self, targets: &[&str]) -> Result<(), String> {
        self.call("POST", "/upstreams", &json!({ "name": "svc" }))?.has(201)?;
        for target in targets {
            let target = json!({ "target": target });
            self.call("POST", "/upstreams/svc/targets", &target)?.has(201)?;
        }
        let service = json!({ "name": "web", "host": "svc" });
        self.call("POST", "/services", &service)?.has(201)?;
        let route = json!({ "paths": ["/"] });
        self.call("POST", "/services/web/routes", &route)?.has(201).map(drop)
    }

    /// Changes the health checks of `svc`.
    pub fn check(&self, checks: Value) -> Result<Reply, String> {
        self.call("PATCH", "/upstreams/svc", &json!({ "healthchecks": checks }))
    }

    /// The health of a target of `svc`.
    pub fn health(&self, target: &str) -> Result<String, String> {
        let health = self.bare("GET", "/upstreams/svc/health")?.has(200)?;
        let rows = health["data"].as_array().cloned().unwrap_or_default();
        let row = rows.iter().find(|row| row["target"] == target);
        let row = row.ok_or_else(|| format!("no {target} in {health}"))?;
        Ok(row["health"].as_str().unwrap_or_default().to_owned())
    }

    pub fn health_is(&self, target: &str, wanted: &str) -> Result<(), String> {
        let got = self.health(target)?;
        if got == wanted { Ok(()) } else { Err(format!("{target} is {got}, wanted {wanted}")) }
    }

    /// Waits until the target is so.
    pub fn wait(&self, target: &str, wanted: &str) -> Result<(), String> {
        wait::until(HANG, || self.health_is(target, wanted))
    }

    /// Waits for a line with this text.
    pub fn wait_for_log(&self, text: &str) -> Result<(), String> {
        wait::until(HANG, || match self.error_log().contains(text) {
            true => Ok(()),
            false => Err(format!("no \"{text}\" in the log")),
        })
    }

    /// The metrics page of the status face.
    pub fn metrics(&self) -> Result<String, String> {
        Ok(exchange(self.status, "GET /metrics", "", "GET")?.body_text())
    }

    pub fn error_log(&self) -> String {
        self.server.error_log()
    }

    /// Ends it well, and gives its folder to the next.
    pub fn stop(mut self) -> Result<Prefix, String> {
        self.server.stop(&[])?;
        self.server.leave()
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

    /// A refusal with this in its message.
    pub fn says(&self, status: u16, text: &str) -> Result<(), String> {
        let message = self.has(status)?["message"].as_str().unwrap_or_default().to_owned();
        if message.contains(text) { Ok(()) } else { Err(format!("{message}\nwanted {text}")) }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Active checks of `/` every tenth of a second with the lists of Tencent's document; no busy
/// machine takes as long as their time limit.
pub fn quick(more: &[(&str, Value)]) -> Value {
    let mut checks = json!({
        "active": {
            "http_path": "/probe", "timeout": 60,
            "healthy": { "interval": 0.1, "successes": 1, "http_statuses": NORMAL },
            "unhealthy": {
                "interval": 0.1, "http_failures": 10, "timeouts": 10, "tcp_failures": 3,
                "http_statuses": [500, 502, 503, 504],
            },
        },
    });
    for (pointer, value) in more {
        if let Some(slot) = checks.pointer_mut(pointer) {
            *slot = value.clone();
        }
    }
    checks
}

pub fn two() -> Result<(Backend, Backend), String> {
    Ok((Backend::start()?, Backend::start()?))
}

pub fn same(got: &Value, wanted: &Value) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("got    {got}\nwanted {wanted}")) }
}

fn exchange(port: u16, short: &str, headers: &str, method: &str) -> Result<Response, String> {
    let request = client::build(short, headers, "close");
    let bytes = client::exchange(port, &request, HANG)?;
    let mut responses = client::parse_all(&bytes, &[method.to_owned()])?;
    responses.pop().ok_or_else(|| "no response".to_owned())
}

/// A port nobody listens on.
pub fn dead() -> String {
    format!("127.0.0.1:{}", free_port())
}

pub const NORMAL: &[u16] =
    &[200, 201, 202, 204, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 410, 411, 429, 499];
/// The answer when no target may be used.
pub const RING: &str = "failure to get a peer from the ring-balancer";

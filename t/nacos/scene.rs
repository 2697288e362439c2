//! A server with the naming face, and calls to it.

use serde_json::Value;

use crate::harness::client;
use crate::harness::server::{Prefix, Program, Server, free_port};
use crate::harness::wait::{self, HANG};
use crate::tidy::source;

/// A running naming face.
pub struct Scene {
    pub port: u16,
    server: Server,
}

/// What a call was answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub text: String,
    pub allow: Option<String>,
}

impl Scene {
    /// The shipped example, on a free port, with these words behind `nacos_naming`.
    pub fn start(options: &str) -> Result<Scene, String> {
        Scene::start_in(Prefix::new()?, options)
    }

    /// The same in a folder that an earlier server has left.
    pub fn start_in(prefix: Prefix, options: &str) -> Result<Scene, String> {
        Scene::start_with(prefix, options, "")
    }

    /// The same with more lines beside its `listen`.
    pub fn start_with(prefix: Prefix, options: &str, server: &str) -> Result<Scene, String> {
        let port = free_port();
        let example = source::read("conf/examples/nacos.conf");
        let example = example
            .replace("127.0.0.1:8848;", &format!("127.0.0.1:{port}; {server}"))
            .replace("nacos_naming;", &format!("nacos_naming {options};"));
        prefix.write("conf/example.conf", example)?;
        let conf = "daemon off;\nmaster_process off;\npid logs/nginx.pid;\n\
                    error_log logs/error.log info;\ninclude example.conf;\n";
        let server = Server::start(Program::Ours, prefix, conf, port)?;
        Ok(Scene { port, server })
    }

    /// Calls with a form body.
    pub fn form(&self, method: &str, path: &str, form: &str) -> Result<Reply, String> {
        let headers = "Content-Type: application/x-www-form-urlencoded";
        self.send(&format!("{method} /nacos/{path}\n{form}"), headers)
    }

    /// Calls with everything in the query.
    pub fn call(&self, method: &str, target: &str) -> Result<Reply, String> {
        self.send(&format!("{method} /nacos/{target}"), "")
    }

    pub fn send(&self, short: &str, headers: &str) -> Result<Reply, String> {
        let request = client::build(short, headers, "close");
        let bytes = client::exchange(self.port, &request, HANG)?;
        let method = short.split(' ').next().unwrap_or("GET").to_owned();
        let mut replies = client::parse_all(&bytes, &[method])?;
        let reply = replies.pop().ok_or("no response")?;
        let (text, allow) = (reply.body_text(), reply.header("Allow"));
        Ok(Reply { status: reply.status, text, allow })
    }

    /// Registers `nacos.test.1` at 127.0.0.1:8080, as the rows of the table do.
    pub fn register(&self) -> Result<(), String> {
        self.form("POST", "v1/ns/instance", ONE)?.is(200, "ok")
    }

    /// The version 1 list of a service.
    pub fn list(&self, query: &str) -> Result<Value, String> {
        self.call("GET", &format!("v1/ns/instance/list?{query}"))?.json()
    }

    /// The `healthy` of each listed instance, in order.
    pub fn health(&self, query: &str) -> Result<Vec<bool>, String> {
        let list = self.list(query)?;
        let hosts = list["hosts"].as_array().ok_or_else(|| format!("no hosts in {list}"))?;
        Ok(hosts.iter().map(|host| host["healthy"] == Value::Bool(true)).collect())
    }

    pub fn health_is(&self, query: &str, wanted: &[bool]) -> Result<(), String> {
        let got = self.health(query)?;
        if got == wanted { Ok(()) } else { Err(format!("{query}: {got:?}, wanted {wanted:?}")) }
    }

    /// Waits until the list shows this.
    pub fn wait_for(&self, query: &str, wanted: &[bool]) -> Result<(), String> {
        wait::until(HANG, || self.health_is(query, wanted))
    }

    pub fn stop(mut self) -> Result<Prefix, String> {
        self.server.stop(&[])?;
        self.server.leave()
    }
}

impl Reply {
    pub fn is(&self, status: u16, text: &str) -> Result<(), String> {
        if self.status == status && self.text == text {
            return Ok(());
        }
        Err(format!("{} {}\nwanted {status} {text}", self.status, self.text))
    }

    /// A refusal in the envelope of version 2 and 3.
    pub fn is_code(&self, status: u16, code: u64, data: &str) -> Result<(), String> {
        let body = self.json()?;
        let same = self.status == status && body["code"] == code && body["data"] == data;
        if same { Ok(()) } else { Err(format!("{} {}\nwanted {code} {data}", self.status, body)) }
    }

    pub fn json(&self) -> Result<Value, String> {
        serde_json::from_str(&self.text).map_err(|e| format!("{e}: {} {}", self.status, self.text))
    }
}

pub const ONE: &str = "serviceName=nacos.test.1&ip=127.0.0.1&port=8080";
pub const SUCCESS: &str = r#"{"code":0,"message":"success","data":"ok"}"#;

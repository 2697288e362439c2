//! A gateway with APISIX's Admin API, and one connection to it that stays open.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::server::{Prefix, Program, Server, free_port};
use crate::harness::wait::{self, HANG};

/// A running gateway.
pub struct Scene {
    pub port: u16,
    pub server: Server,
}

impl Scene {
    /// In the folder `prefix`, with these lines in `http`.
    pub fn start(prefix: Prefix, http: &str) -> Result<Scene, String> {
        let port = free_port();
        let conf = format!(
            "daemon off;\nmaster_process off;\nworker_processes 2;\npid logs/nginx.pid;\n\
             error_log logs/error.log notice;\nevents {{ }}\nhttp {{\n    access_log off;\n    keepalive_requests 10000000;\n    \
             {http}\n    server {{\n        listen 127.0.0.1:{port};\n        \
             location /apisix/admin/ {{ client_max_body_size 0; apisix_admin key={KEY}; }}\n        \
             location = /metrics {{ apisix_metrics; }}\n        \
             location / {{ apisix_gateway; }}\n    }}\n}}\n"
        );
        let server = Server::start(Program::Ours, prefix, &conf, port)?;
        Ok(Scene { port, server })
    }

    /// One write or question to the Admin API.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Result<Reply, String> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        Line::open(self.port)?.call(method, &format!("/apisix/admin/{path}"), &body)
    }

    /// What traffic gets.
    pub fn get(&self, path: &str) -> Result<u16, String> {
        Ok(Line::open(self.port)?.call("GET", path, "")?.status)
    }

    /// Waits until the log has this.
    pub fn tells(&self, text: &str) -> Result<(), String> {
        wait::until(HANG, || match self.server.error_log().contains(text) {
            true => Ok(()),
            false => Err(format!("not in the log: {text}")),
        })
    }

    /// Waits until the metrics have this line.
    pub fn metric(&self, line: &str) -> Result<(), String> {
        wait(|| {
            let page = Line::open(self.port)?.call("GET", "/metrics", "")?.text;
            let found = page.lines().any(|l| l == line);
            if found { Ok(()) } else { Err(format!("no {line} in {page}")) }
        })
        .map(drop)
    }

    /// Waits until traffic gets this; tells how long it took.
    pub fn until(&self, path: &str, status: u16) -> Result<Duration, String> {
        wait(|| match self.get(path)? {
            got if got == status => Ok(()),
            got => Err(format!("{path}: {got}, wanted {status}")),
        })
    }

    /// Kills it as a crash would; gives its folder to the next.
    pub fn kill(mut self) -> Result<Prefix, String> {
        self.server.signal("KILL")?;
        self.server.wait(HANG)?;
        self.server.leave()
    }

    pub fn stop(mut self) -> Result<Prefix, String> {
        self.server.stop(&[])?;
        self.server.leave()
    }
}

/// A connection that is used again and again.
pub struct Line {
    socket: TcpStream,
    read: Vec<u8>,
}

/// What was answered.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub text: String,
}

impl Line {
    pub fn open(port: u16) -> Result<Line, String> {
        let socket = TcpStream::connect(("127.0.0.1", port)).map_err(|e| e.to_string())?;
        socket.set_nodelay(true).map_err(|e| e.to_string())?;
        socket.set_read_timeout(Some(HANG)).map_err(|e| e.to_string())?;
        Ok(Line { socket, read: Vec::new() })
    }

    pub fn call(&mut self, method: &str, path: &str, body: &str) -> Result<Reply, String> {
        self.send(method, path, &format!("X-API-KEY: {KEY}\r\n"), body)
    }

    /// With these header lines.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Result<Reply, String> {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {length}\r\n\r\n\
             {body}"
        );
        self.socket.write_all(request.as_bytes()).map_err(|e| e.to_string())?;
        let head = loop {
            match self.read.windows(4).position(|end| end == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => self.more()?,
            }
        };
        let text = String::from_utf8_lossy(&self.read[..head]).into_owned();
        let status = text.get(9..12).and_then(|s| s.parse().ok()).ok_or("no status")?;
        let named = |name: &str| {
            text.lines().find_map(|line| {
                let (key, value) = line.split_once(": ")?;
                key.eq_ignore_ascii_case(name).then(|| value.to_owned())
            })
        };
        let length = match status {
            204 => Some(0),
            _ => named("Content-Length").and_then(|length| length.parse().ok()),
        };
        let length: usize = length.ok_or_else(|| format!("no length: {text}"))?;
        while self.read.len() < head + length {
            self.more()?;
        }
        let answer: Vec<u8> = self.read.drain(..head + length).collect();
        Ok(Reply { status, text: String::from_utf8_lossy(&answer[head..]).into_owned() })
    }

    fn more(&mut self) -> Result<(), String> {
        let mut some = [0; 65536];
        match self.socket.read(&mut some) {
            Ok(0) => Err("closed".into()),
            Ok(count) => {
                self.read.extend_from_slice(&some[..count]);
                Ok(())
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => Ok(()),
            Err(e) => Err(e.to_string()),
        }
    }
}

impl Reply {
    pub fn json(&self) -> Result<Value, String> {
        serde_json::from_str(&self.text).map_err(|e| format!("{e}: {} {}", self.status, self.text))
    }

    pub fn has(&self, status: u16) -> Result<Value, String> {
        if self.status != status {
            return Err(format!("{} {}\nwanted {status}", self.status, self.text));
        }
        self.json()
    }
}

/// Waits until `done` says so, and tells how long it took; its last complaint is the failure.
pub fn wait(done: impl FnMut() -> Result<(), String>) -> Result<Duration, String> {
    let begun = Instant::now();
    let waited = wait::until(HANG, done).map(|()| begun.elapsed());
    waited.map_err(|why| format!("not within {HANG:?}: {why}"))
}

pub const KEY: &str = "edd1c9f034335f136f87ad84b625c8f1";

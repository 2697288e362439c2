//! Our binary with one checked upstream, and questions to it.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::client::{self, Response};
use crate::harness::server::{Prefix, Program, Server, free_port};
use crate::harness::wait::{self, HANG};

/// The values of the library's own example.
pub const SLOW: &str = "interval = 2000, timeout = 1000, fall = 3, rise = 2, \
                        valid_statuses = {200, 302}, concurrency = 10,";

/// The same decisions, sooner, and with patience: a busy machine makes no peer fail.
pub const QUICK: &str = "interval = 200, timeout = 10000, fall = 3, rise = 2, \
                         valid_statuses = {200, 302}, concurrency = 10,";

/// A running gateway.
pub struct Gateway {
    server: Server,
    port: u16,
    /// It was not there before this moment; what takes its time is measured from here.
    pub begun: Instant,
}

/// What stands in a gateway's configuration.
pub struct Plan {
    required: String,
    options: String,
    dicts: String,
    servers: String,
    http: String,
}

impl Gateway {
    /// A gateway whose checker has these options beside the required ones.
    #[allow(clippy::new_ret_no_self, reason = "a plan becomes a gateway by start()")]
    pub fn new(options: &str) -> Plan {
        Plan {
            required: "shm = \"healthcheck\", upstream = \"foo.com\", type = \"http\", http_req = \
                       \"GET /status HTTP/1.0\\r\\nHost: foo.com\\r\\n\\r\\n\","
                .into(),
            options: options.to_owned(),
            dicts: "lua_shared_dict healthcheck 1m;".into(),
            servers: String::new(),
            http: String::new(),
        }
    }

    pub fn get(&self, path: &str) -> Result<Response, String> {
        client::get(self.port, path)
    }

    /// The page without the line about the worker.
    pub fn status_page(&self) -> Result<String, String> {
        let response = self.get("/status")?;
        if response.status != 200
            || response.header("Content-Type").as_deref() != Some("text/plain")
        {
            return Err(format!("the page's head is\n{}", response.head));
        }
        let text = response.body_text();
        let (first, page) = text.split_once('\n').unwrap_or((&text, ""));
        if !first.starts_with("Nginx Worker PID: ") {
            return Err(format!("the page begins with {first}"));
        }
        Ok(page.to_owned())
    }

    pub fn is(&self, state: &str, port: u16) -> Result<(), String> {
        let page = self.status_page()?;
        if page.contains(&format!("127.0.0.1:{port} {state}\n")) {
            return Ok(());
        }
        Err(format!("peer {port} is not {state}:\n{page}\n{}", self.log_tail()))
    }

    pub fn stays(&self, state: &str, port: u16, time: Duration) -> Result<(), String> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.is(state, port)?;
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Waits for a peer's state; gives back the time since the gateway was started.
    pub fn wait_for_state(&self, port: u16, state: &str) -> Result<Duration, String> {
        wait::until(HANG, || self.is(state, port)).map(|()| self.begun.elapsed())
    }

    pub fn wait_for_log(&self, text: &str) -> Result<(), String> {
        wait::until(HANG, || match self.server.error_log().contains(text) {
            true => Ok(()),
            false => Err(format!("the log has no line \"{text}\"\n{}", self.log_tail())),
        })
    }

    /// Twelve requests go to exactly these peers.
    pub fn traffic_goes_to(&self, ports: &[u16]) -> Result<(), String> {
        let mut seen = Vec::new();
        for _ in 0..12 {
            let response = self.get("/")?;
            if response.status != 200 {
                return Err(format!("traffic got {}\n{}", response.status, self.log_tail()));
            }
            let text = response.body_text();
            let port = text.trim().trim_start_matches("peer ").parse::<u16>();
            seen.push(port.map_err(|_| format!("traffic got {text}"))?);
        }
        seen.sort_unstable();
        seen.dedup();
        let mut wanted = ports.to_vec();
        wanted.sort_unstable();
        if seen == wanted {
            Ok(())
        } else {
            Err(format!("traffic went to {seen:?}, not {wanted:?}"))
        }
    }

    /// The status that a client with this address gets.
    pub fn status_from(&self, address: &str, path: &str) -> Result<String, String> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let output = Command::new("curl")
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--interface", address, &url])
            .output()
            .map_err(|e| format!("curl: {e}"))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub fn stop(mut self) -> Result<(), String> {
        self.server.stop(&[])
    }

    fn log_tail(&self) -> String {
        let log = self.server.error_log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Plan {
    pub fn primary(mut self, port: u16) -> Plan {
        self.servers.push_str(&format!("server 127.0.0.1:{port}; "));
        self
    }

    pub fn backup(mut self, port: u16) -> Plan {
        self.servers.push_str(&format!("server 127.0.0.1:{port} backup; "));
        self
    }

    /// More lines for the http block.
    pub fn http(mut self, lines: &str) -> Plan {
        self.http.push_str(lines);
        self
    }

    /// Replaces a required option, or takes it away.
    pub fn required(mut self, old: &str, new: &str) -> Plan {
        self.required = self.required.replace(old, new);
        self
    }

    pub fn without_dict(mut self) -> Plan {
        self.dicts = String::new();
        self
    }

    pub fn start(self) -> Result<Gateway, String> {
        let (port, begun) = (free_port(), Instant::now());
        let server = Server::start(Program::Ours, Prefix::new()?, &self.configuration(port), port)?;
        Ok(Gateway { server, port, begun })
    }

    /// What a user would write.
    fn configuration(&self, port: u16) -> String {
        let Plan { required, options, dicts, servers, http } = self;
        format!(
            r#"daemon off;
master_process off;
error_log logs/error.log info;
pid logs/nginx.pid;
events {{ }}
http {{
    {dicts}
    lua_socket_log_errors off;
    access_log off;

    init_worker_by_lua_block {{
        local hc = require "resty.upstream.healthcheck"
        local ok, err = hc.spawn_checker{{ {required} {options} }}
        if not ok then
            ngx.log(ngx.ERR, "failed to spawn health checker: ", err)
            return
        end
    }}

    upstream foo.com {{ {servers} }}
    {http}

    server {{
        listen {port};
        location = /status {{
            access_log off;
            allow 127.0.0.1;
            deny all;
            default_type text/plain;
            content_by_lua_block {{
                local hc = require "resty.upstream.healthcheck"
                ngx.say("Nginx Worker PID: ", ngx.worker.pid())
                ngx.print(hc.status_page())
            }}
        }}
        location = /metrics {{
            default_type text/plain;
            content_by_lua_block {{
                local hc = require "resty.upstream.healthcheck"
                ngx.print(hc.prometheus_status_page())
            }}
        }}
        location / {{ proxy_pass http://foo.com; }}
    }}
}}
"#
        )
    }
}

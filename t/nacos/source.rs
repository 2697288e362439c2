//! Upstreams whose peers are the instances of a service.

use std::time::{Duration, Instant};

use super::scene::Scene;
use crate::harness::case::Check;
use crate::harness::client;
use crate::harness::server::{Prefix, Program, Server, free_port, run_to_end};

pub const ROWS: &[(&str, Check)] = &[
    ("an upstream follows the table of its process", same_process),
    ("over reloads, with weights and a backup", reloads),
    ("an upstream follows another server, and outlives it", other_server),
    ("a server that asks for a login", login),
    ("directives that are wrong", wrong),
];

/// A gateway with two backends, on ports of its own.
struct Gateway {
    port: u16,
    backends: [u16; 2],
    server: Server,
}

impl Gateway {
    fn start(upstream: &str, http: &str) -> Result<Gateway, String> {
        let (port, backends) = (free_port(), [free_port(), free_port()]);
        let conf = configuration(port, backends, upstream, http);
        let server = Server::start(Program::Ours, Prefix::new()?, &conf, port)?;
        Ok(Gateway { port, backends, server })
    }

    fn naming(&self, method: &str, backend: u16, more: &str) -> Result<(), String> {
        let form = format!("serviceName=orders&groupName=G&ip=127.0.0.1&port={backend}{more}");
        register(self.port, method, &form)
    }

    /// Who answers, over some requests; `502` for nobody.
    fn answers(&self) -> Result<Vec<String>, String> {
        let mut seen = Vec::new();
        for _ in 0..6 {
            let answer = client::get(self.port, "/")?;
            let who = match answer.status {
                200 => answer.body_text(),
                status => status.to_string(),
            };
            seen.push(who);
        }
        Ok(seen)
    }

    /// Waits until exactly these answer.
    fn wait_for(&self, wanted: &[u16]) -> Result<(), String> {
        let mut wanted: Vec<String> = wanted.iter().map(u16::to_string).collect();
        wanted.sort();
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            let mut seen = self.answers()?;
            seen.sort();
            seen.dedup();
            if seen == wanted {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(format!("{seen:?} answer, wanted {wanted:?}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn register(port: u16, method: &str, form: &str) -> Result<(), String> {
    let headers = "Content-Type: application/x-www-form-urlencoded";
    let path = if form.contains("healthy=") { "health/instance" } else { "instance" };
    let request = client::build(&format!("{method} /nacos/v1/ns/{path}\n{form}"), headers, "close");
    let bytes = client::exchange(port, &request, Duration::from_secs(5))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if text.ends_with("\r\n\r\nok") { Ok(()) } else { Err(text) }
}

fn configuration(port: u16, backends: [u16; 2], upstream: &str, http: &str) -> String {
    let backend = |port: u16| format!("server {{ listen {port}; return 200 {port}; }}\n");
    format!(
        "daemon off; master_process off; pid logs/nginx.pid; error_log logs/error.log info;\n\
         events {{}}\n\
         http {{\n access_log off;\n {http}\n\
         upstream orders {{ {upstream} }}\n\
         server {{ listen {port};\n\
             location /nacos/ {{ nacos_naming; }}\n\
             location / {{ proxy_pass http://orders; }}\n\
         }}\n\
         {}{} }}\n",
        backend(backends[0]),
        backend(backends[1])
    )
}

const FOLLOW: &str = "nacos service=orders group=G;";

fn same_process() -> Result<(), String> {
    let mut gateway = Gateway::start(FOLLOW, "")?;
    let [one, two] = gateway.backends;
    gateway.wait_for(&[502])?;
    gateway.naming("POST", one, "")?;
    gateway.wait_for(&[one])?;
    gateway.naming("POST", two, "")?;
    gateway.wait_for(&[one, two])?;
    gateway.naming("PUT", one, "&healthy=false")?;
    gateway.wait_for(&[two])?;
    gateway.naming("PUT", one, "&healthy=true")?;
    gateway.naming("PUT", two, "&enabled=false")?;
    gateway.wait_for(&[one])?;
    gateway.naming("DELETE", one, "")?;
    gateway.wait_for(&[502])?;
    gateway.server.stop(&[])
}

fn reloads() -> Result<(), String> {
    let backup = free_port();
    let upstream = format!("{FOLLOW} server 127.0.0.1:{backup} backup;");
    let more = format!("server {{ listen {backup}; return 200 {backup}; }}");
    let mut gateway = Gateway::start(&upstream, &more)?;
    let [one, two] = gateway.backends;
    gateway.wait_for(&[backup])?;
    gateway.naming("POST", one, "&weight=2")?;
    gateway.naming("POST", two, "")?;
    gateway.wait_for(&[one, two])?;
    let count = gateway.answers()?.iter().filter(|who| **who == one.to_string()).count();
    if count != 4 {
        return Err(format!("{count} of 6 requests go to two thirds of the weight"));
    }
    gateway.server.signal("HUP")?;
    std::thread::sleep(Duration::from_millis(300));
    for _ in 0..20 {
        let seen = gateway.answers()?;
        if seen.iter().any(|who| *who == backup.to_string() || who == "502") {
            return Err(format!("after a reload: {seen:?}"));
        }
    }
    gateway.naming("DELETE", one, "")?;
    gateway.naming("DELETE", two, "")?;
    gateway.wait_for(&[backup])?;
    gateway.server.stop(&[])
}

fn other_server() -> Result<(), String> {
    let nacos = Scene::start("")?;
    let servers = format!(
        "nacos_server http://127.0.0.1:1 http://127.0.0.1:{}/nacos interval=50ms;",
        nacos.port
    );
    let mut gateway = Gateway::start(FOLLOW, &servers)?;
    let [one, two] = gateway.backends;
    let form = |port: u16| {
        format!("serviceName=orders&groupName=G&ip=127.0.0.1&port={port}&ephemeral=false")
    };
    register(nacos.port, "POST", &form(one))?;
    gateway.wait_for(&[one])?;
    register(nacos.port, "POST", &form(two))?;
    gateway.wait_for(&[one, two])?;
    let kept = nacos.stop()?;
    std::thread::sleep(Duration::from_millis(300));
    gateway.wait_for(&[one, two])?;
    gateway.server.signal("HUP")?;
    std::thread::sleep(Duration::from_millis(300));
    gateway.wait_for(&[one, two])?;
    if !gateway.server.error_log().contains("the peers stay as they are") {
        return Err("nothing in the log about the server".into());
    }
    drop(kept);
    gateway.server.stop(&[])
}

fn login() -> Result<(), String> {
    let nacos = Scene::start("auth=nacos:se%cret")?;
    let upstream = format!(
        "{FOLLOW} nacos_server http://127.0.0.1:{} interval=50ms auth=nacos:se%cret;",
        nacos.port
    );
    let mut gateway = Gateway::start(&upstream, "")?;
    let one = gateway.backends[0];
    let login = "username=nacos&password=se%25cret";
    let token = nacos.form("POST", "v1/auth/login", login)?.json()?;
    let token = token["accessToken"].as_str().ok_or("no token")?.to_owned();
    let form = format!("serviceName=orders&groupName=G&ip=127.0.0.1&port={one}");
    let form = format!("{form}&accessToken={token}");
    nacos.form("POST", "v1/ns/instance", &form)?.is(200, "ok")?;
    gateway.wait_for(&[one])?;
    gateway.server.stop(&[])
}

fn wrong() -> Result<(), String> {
    let rows = [
        ("nacos group=G;", "", "\"nacos\" must have \"service\" parameter"),
        ("nacos service=a x=y;", "", "invalid parameter \"x=y\""),
        ("nacos service=;", "", "invalid parameter \"service=\""),
        (FOLLOW, "nacos_server https://127.0.0.1;", "over https is not supported"),
        (FOLLOW, "nacos_server interval=1s;", "needs the address of a server"),
        (FOLLOW, "nacos_server http://127.0.0.1 interval=0;", "invalid parameter \"interval=0\""),
    ];
    for (upstream, http, wanted) in rows {
        let prefix = Prefix::new()?;
        let conf = configuration(free_port(), [free_port(), free_port()], upstream, http);
        prefix.write("conf/nginx.conf", conf)?;
        let (loads, text) = run_to_end(Program::Ours, &prefix, &["-t"])?;
        if loads || !text.contains(wanted) {
            return Err(format!("{upstream} {http}: {text}"));
        }
    }
    Ok(())
}

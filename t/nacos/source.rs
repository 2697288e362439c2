//! Upstreams whose peers are the instances of a service.

use std::time::Duration;

use super::scene::Scene;
use crate::harness::case::Check;
use crate::harness::certs::Pair;
use crate::harness::client;
use crate::harness::server::{Prefix, Program, Server, free_port, run_to_end};
use crate::harness::wait::{self, HANG};

pub const ROWS: &[(&str, Check)] = &[
    ("an upstream follows the table of its process", same_process),
    ("over reloads, with weights and a backup", reloads),
    ("an upstream follows another server, and outlives it", other_server),
    ("a server that asks for a login", login),
    ("a server behind TLS, known by its certificate", secure),
    ("metadata chooses among the instances", metadata),
    ("checks of every dialect apply on top", checks),
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
        wait::until(HANG, || {
            let mut seen = self.answers()?;
            seen.sort();
            seen.dedup();
            match seen == wanted {
                true => Ok(()),
                false => Err(format!("{seen:?} answer, wanted {wanted:?}")),
            }
        })
    }

    /// Waits for the line about a server that cannot be asked.
    fn tells_of_the_server(&self) -> Result<(), String> {
        let text = "the peers stay as they are";
        wait::until(HANG, || match self.server.error_log().contains(text) {
            true => Ok(()),
            false => Err("nothing in the log about the server".into()),
        })
    }
}

fn register(port: u16, method: &str, form: &str) -> Result<(), String> {
    let headers = "Content-Type: application/x-www-form-urlencoded";
    let path = if form.contains("healthy=") { "health/instance" } else { "instance" };
    let request = client::build(&format!("{method} /nacos/v1/ns/{path}\n{form}"), headers, "close");
    let bytes = client::exchange(port, &request, HANG)?;
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
    gateway.tells_of_the_server()?;
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

fn secure() -> Result<(), String> {
    let (keys, tls) = (Prefix::new()?, free_port());
    let (pair, other) = (Pair::make(&keys, "nacos")?, Pair::make(&keys, "other")?);
    let server = format!(
        "listen 127.0.0.1:{tls} ssl; ssl_certificate {}; ssl_certificate_key {};",
        pair.cert(),
        pair.key()
    );
    let nacos = Scene::start_with(Prefix::new()?, "", &server)?;
    let servers =
        |more: &str| format!("{FOLLOW} nacos_server https://127.0.0.1:{tls} interval=50ms {more};");
    let mut trusting = Gateway::start(&servers(&format!("ca={}", pair.cert())), "")?;
    let mut doubting = Gateway::start(&servers(&format!("ca={}", other.cert())), "")?;
    let mut careless = Gateway::start(&servers("verify=off"), "")?;
    let backend = trusting.backends[0];
    let form = format!("serviceName=orders&groupName=G&ip=127.0.0.1&port={backend}");
    register(nacos.port, "POST", &form)?;
    trusting.wait_for(&[backend])?;
    careless.wait_for(&[backend])?;
    doubting.wait_for(&[502])?;
    doubting.tells_of_the_server()?;
    trusting.server.stop(&[])?;
    doubting.server.stop(&[])?;
    careless.server.stop(&[])
}

fn metadata() -> Result<(), String> {
    let mut gateway = Gateway::start("nacos service=orders group=G metadata=zone=a;", "")?;
    let [one, two] = gateway.backends;
    gateway.naming("POST", one, "&metadata=zone=a,rack=1")?;
    gateway.naming("POST", two, "&metadata=zone=b")?;
    gateway.wait_for(&[one])?;
    gateway.naming("PUT", two, "&metadata=zone=a")?;
    gateway.wait_for(&[one, two])?;
    gateway.naming("PUT", one, "")?;
    gateway.wait_for(&[two])?;
    gateway.server.stop(&[])
}

/// An instance that Nacos takes for well, and a check does not.
fn checks() -> Result<(), String> {
    let rows = [
        ("health_check uri=/ interval=50ms timeout=60s;", ""),
        ("check interval=50 rise=1 fall=1 timeout=60000 type=tcp;", ""),
        (
            "",
            "lua_shared_dict hc 1m;
             init_worker_by_lua_block {
                assert(require('resty.upstream.healthcheck').spawn_checker {
                    shm = 'hc', upstream = 'orders', type = 'http',
                    interval = 50, fall = 1, timeout = 60000,
                    http_req = 'GET / HTTP/1.0\\r\\n\\r\\n', valid_statuses = {200} })
             }",
        ),
    ];
    for (upstream, http) in rows {
        let mut gateway = Gateway::start(&format!("{FOLLOW} {upstream}"), http)?;
        let ([one, two], dead) = (gateway.backends, free_port());
        gateway.naming("POST", one, "")?;
        gateway.naming("POST", dead, "")?;
        gateway.wait_for(&[one])?;
        gateway.naming("POST", two, "")?;
        gateway.wait_for(&[one, two])?;
        // The one that nobody reaches takes part no more: no request is tried there first.
        let before = gateway.server.error_log().matches(&format!(":{dead}/")).count();
        gateway.answers()?;
        let after = gateway.server.error_log().matches(&format!(":{dead}/")).count();
        if after > before {
            return Err(format!("{upstream}: requests still go to the dead one"));
        }
        gateway.server.stop(&[])?;
    }
    Ok(())
}

fn wrong() -> Result<(), String> {
    let rows = [
        ("nacos group=G;", "", "\"nacos\" must have \"service\" parameter"),
        ("nacos service=a x=y;", "", "invalid parameter \"x=y\""),
        ("nacos service=;", "", "invalid parameter \"service=\""),
        (FOLLOW, "nacos_server https://127.0.0.1 ca=nope.crt;", "nope.crt"),
        (FOLLOW, "nacos_server ftp://127.0.0.1;", "invalid URL prefix"),
        ("nacos service=a metadata=x;", "", "invalid parameter \"metadata=x\""),
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

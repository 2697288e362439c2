//! Servers of an upstream that are names: asked for while requests run, over reloads as well.
//!
//! ```text
//!  name server of the test (table) ◀─ resolver ─ gateway ─ proxy_pass ─▶ itself, at 127.0.0.N
//! ```

mod dns;

use std::time::Duration;

use self::dns::Dns;
use crate::harness::case::Case;
use crate::harness::client;
use crate::harness::server::{Prefix, Program, Server, free_port};
use crate::harness::wait;

pub fn cases() -> Vec<Case> {
    vec![
        Case::check("resolve/peers follow the addresses of a name", follows),
        Case::check("resolve/the records of a service are peers and backups", service),
        Case::check("resolve/a reload goes on with the addresses known", reload),
    ]
}

fn follows() -> Result<(), String> {
    let dns = Dns::start()?;
    dns.addresses("app.test", &["127.0.0.2"]);
    let port = free_port();
    let mut server = start(&dns, port, &format!("server app.test:{port} resolve;"), "one")?;
    until_answer(port, "one 127.0.0.2")?;
    dns.addresses("app.test", &["127.0.0.3"]);
    until_answer(port, "one 127.0.0.3")?;
    // A name server in trouble changes nothing.
    dns.fail("app.test");
    dns.until_asked_again("app.test")?;
    until_answer(port, "one 127.0.0.3")?;
    dns.addresses("app.test", &[]);
    wait::until(LIMIT, || match client::get(port, "/")?.status {
        502 => Ok(()),
        status => Err(format!("{status} though the name is gone")),
    })?;
    dns.addresses("app.test", &["127.0.0.4"]);
    until_answer(port, "one 127.0.0.4")?;
    server.stop(&[])
}

fn service() -> Result<(), String> {
    let dns = Dns::start()?;
    let (port, closed) = (free_port(), free_port());
    dns.addresses("first.test", &["127.0.0.2"]);
    dns.addresses("second.test", &["127.0.0.3"]);
    let name = "_http._tcp.app.test";
    dns.services(name, &[(1, 5, port, "first.test"), (2, 5, port, "second.test")]);
    let mut server = start(&dns, port, "server app.test resolve service=http;", "one")?;
    until_answer(port, "one 127.0.0.2")?;
    dns.services(name, &[(1, 5, closed, "first.test"), (2, 5, port, "second.test")]);
    until_answer(port, "one 127.0.0.3")?;
    server.stop(&[])
}

fn reload() -> Result<(), String> {
    let dns = Dns::start()?;
    dns.addresses("app.test", &["127.0.0.2"]);
    let port = free_port();
    let line = format!("server app.test:{port} resolve;");
    let mut server = start(&dns, port, &line, "one")?;
    until_answer(port, "one 127.0.0.2")?;
    dns.fail("app.test");
    server.prefix.write("conf/nginx.conf", configuration(&dns, port, &line, "two"))?;
    // The first answer of the new configuration is a good one.
    wait::until(LIMIT, || {
        server.signal("HUP")?;
        let answer = client::get(port, "/")?;
        match (answer.status, answer.body_text().as_str()) {
            (200, "two 127.0.0.2") => Ok(Ok(())),
            (200, "one 127.0.0.2") => Err("the old configuration answers".to_owned()),
            (status, body) => Ok(Err(format!("{status}: {body}"))),
        }
    })??;
    server.stop(&[])
}

fn start(dns: &Dns, port: u16, line: &str, word: &str) -> Result<Server, String> {
    let conf = configuration(dns, port, line, word);
    Server::start(Program::Ours, Prefix::new()?, &conf, port)
}

fn configuration(dns: &Dns, port: u16, line: &str, word: &str) -> String {
    let ours = Program::Ours.preamble();
    let resolver = format!("resolver 127.0.0.1:{} valid=1s ipv6=off;", dns.port);
    format!(
        "{ours}user root;\nworker_processes 2;\ndaemon off;\nmaster_process on;\n\
         error_log logs/error.log notice;\npid logs/nginx.pid;\nevents {{ }}\n\
         http {{\n    {resolver}\n    resolver_timeout 1s;\n    access_log off;\n    \
         upstream app {{ zone app 64k; {line} }}\n    \
         server {{\n        listen 0.0.0.0:{port};\n        \
         location / {{ proxy_pass http://app/at; }}\n        \
         location = /at {{ return 200 \"{word} $server_addr\"; }}\n    }}\n}}\n"
    )
}

fn until_answer(port: u16, wanted: &str) -> Result<(), String> {
    wait::until(LIMIT, || {
        let answer = client::get(port, "/")?;
        match answer.body_text() {
            body if body == wanted => Ok(()),
            body => Err(format!("{} instead of \"{wanted}\": {body}", answer.status)),
        }
    })
}

const LIMIT: Duration = Duration::from_secs(30);

//! A server that answers the health protocol, and calls to it over HTTP/1.1.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::certs::Pair;
use crate::harness::client::{self, Response};
use crate::harness::server::{Prefix, Program, Server, free_port};
use crate::harness::wait::{self, HANG};
use crate::tidy::source;

/// A running server.
pub struct Scene {
    pub port: u16,
    pub server: Server,
    /// The address of a backend of a case's own.
    pub backend: String,
}

impl Scene {
    /// The shipped example on free ports, with these words behind `grpc_health`.
    pub fn start(options: &str) -> Result<Scene, String> {
        Scene::start_with(options, "")
    }

    /// The same with more lines in `http`.
    pub fn start_with(options: &str, http: &str) -> Result<Scene, String> {
        Scene::start_in(Prefix::new()?, options, "", http)
    }

    /// The same, in this folder, with more lines beside the first `listen`.
    pub fn start_in(
        prefix: Prefix,
        options: &str,
        server: &str,
        http: &str,
    ) -> Result<Scene, String> {
        let port = free_port();
        let text = example(port, free_port(), options, http);
        let listen = format!("listen 127.0.0.1:{port};");
        let text = text.replacen(&listen, &format!("{listen} {server}"), 1);
        prefix.write("conf/example.conf", text)?;
        let server = Server::start(Program::Ours, prefix, FRAME, port)?;
        Ok(Scene { port, server, backend: String::new() })
    }

    /// The example with a second port, that of TLS, and the certificate to know it by.
    pub fn start_secure() -> Result<(Scene, u16, Pair), String> {
        let (prefix, tls) = (Prefix::new()?, free_port());
        let pair = Pair::make(&prefix, "gateway")?;
        let server = format!(
            "listen 127.0.0.1:{tls} ssl; ssl_certificate {}; ssl_certificate_key {};",
            pair.cert(),
            pair.key()
        );
        Ok((Scene::start_in(prefix, "", &server, "")?, tls, pair))
    }

    /// Posts to a method of the service.
    pub fn post(&self, method: &str, kind: &str, body: &[u8]) -> Result<Response, String> {
        self.post_with(method, &format!("Content-Type: {kind}"), body)
    }

    pub fn post_with(&self, method: &str, headers: &str, body: &[u8]) -> Result<Response, String> {
        let request = request(method, headers, body);
        let bytes = client::exchange(self.port, &request, HANG)?;
        let mut responses = client::parse_all(&bytes, &["POST".to_owned()])?;
        responses.pop().ok_or_else(|| "no response".to_owned())
    }

    /// Asks for a service in JSON; the answer's text.
    pub fn check(&self, service: &str) -> Result<String, String> {
        let body = format!("{{\"service\":\"{service}\"}}");
        Ok(self.post("Check", "application/json", body.as_bytes())?.body_text())
    }

    /// Waits until this is what is told of a service.
    pub fn wait_for(&self, service: &str, status: &str) -> Result<(), String> {
        wait::until(HANG, || self.is(service, status))
    }

    pub fn is(&self, service: &str, status: &str) -> Result<(), String> {
        match self.check(service)? {
            got if got == format!("{{\"status\":\"{status}\"}}") => Ok(()),
            got => Err(format!("{service}: {got}, wanted {status}")),
        }
    }

    /// Turns the peer of the example's upstream down, or up.
    pub fn turn(&self, down: bool) -> Result<(), String> {
        let answer = client::get(self.port, if down { "/down" } else { "/up" })?;
        if answer.status == 200 { Ok(()) } else { Err(format!("{}", answer.status)) }
    }

    /// Loads the example again with more lines in `http`.
    pub fn reload_with(&self, http: &str) -> Result<(), String> {
        let conf = self.server.prefix.read("conf/example.conf");
        let conf = conf.replacen("http {", &format!("http {{ {http}"), 1);
        self.server.prefix.write("conf/example.conf", conf)?;
        self.server.signal("HUP")
    }

    /// Opens a stream of Watch and leaves it open.
    pub fn watch(&self, service: &str, headers: &str) -> Result<Watcher, String> {
        let headers = format!("Content-Type: application/grpc\n{headers}");
        let request = request("Watch", headers.trim_end(), &frame(&question(service)));
        let io = |e: std::io::Error| e.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).map_err(io)?;
        stream.write_all(&request).map_err(io)?;
        Ok(Watcher { stream, received: Vec::new() })
    }

    pub fn stop(mut self) -> Result<(), String> {
        self.server.stop(&[])
    }
}

/// An open stream of Watch.
pub struct Watcher {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Watcher {
    /// Waits until the messages so far are these statuses.
    pub fn expect(&mut self, statuses: &[u8]) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let got = self.statuses();
            if got == statuses {
                return Ok(());
            }
            if !statuses.starts_with(&got) || begun.elapsed() > HANG {
                return Err(format!("statuses {got:?}, wanted {statuses:?}"));
            }
            self.read(Duration::from_millis(20))?;
        }
    }

    /// Everything that comes until the server closes.
    pub fn rest(&mut self) -> Result<String, String> {
        let begun = Instant::now();
        while begun.elapsed() < HANG && self.read(Duration::from_millis(50))? {}
        Ok(String::from_utf8_lossy(&self.received).into_owned())
    }

    /// True while there may be more to come.
    fn read(&mut self, limit: Duration) -> Result<bool, String> {
        self.stream.set_read_timeout(Some(limit)).map_err(|e| e.to_string())?;
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.received.extend_from_slice(&buffer[..count]);
                Ok(true)
            }
            Err(_) => Ok(true),
        }
    }

    fn statuses(&self) -> Vec<u8> {
        let frame = b"\0\0\0\0\x02\x08";
        let windows = self.received.windows(7);
        windows.filter(|window| window.starts_with(frame)).map(|window| window[6]).collect()
    }
}

/// A request message in protobuf.
pub fn question(service: &str) -> Vec<u8> {
    match u8::try_from(service.len()) {
        Ok(0) | Err(_) => Vec::new(),
        Ok(length) => [&[0x0a, length], service.as_bytes()].concat(),
    }
}

/// A message in gRPC's frame.
pub fn frame(message: &[u8]) -> Vec<u8> {
    [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat()
}

fn request(method: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let short = format!("POST /grpc.health.v1.Health/{method}");
    let headers = format!("{headers}\nContent-Length: {}", body.len());
    let mut request = client::build(&short, &headers, "close");
    request.extend_from_slice(body);
    request
}

fn example(port: u16, backend: u16, options: &str, http: &str) -> String {
    let turn = |name: &str, down: bool| {
        format!(
            "location = /{name} {{ content_by_lua_block {{
                assert(require('ngx.upstream').set_peer_down('{UPSTREAM}', false, 0, {down}))
                ngx.say('ok')
            }} }}"
        )
    };
    source::read("conf/examples/grpc-health.conf")
        .replace("127.0.0.1:20000;", &format!("127.0.0.1:{port};"))
        .replace("127.0.0.1:20001;", &format!("127.0.0.1:{backend};"))
        .replace("grpc_health;", &format!("grpc_health {options};"))
        .replace(
            "location / {\n            proxy_pass",
            &format!(
                "{} {}\n        location / {{\n            proxy_pass",
                turn("down", true),
                turn("up", false)
            ),
        )
        .replacen("http {", &format!("http {{\n{http}"), 1)
}

pub const UPSTREAM: &str = "greet.GreetService";
const FRAME: &str = "daemon off;\nmaster_process off;\npid logs/nginx.pid;\n\
                     error_log logs/error.log info;\ninclude example.conf;\n";

//! Runs one block: writes its configuration, starts a server, makes its requests, checks.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::blocks::Block;
use super::case::Outcome;
use super::checks;
use super::client::{self, Response};
use super::literal::Value;
use super::modes::Mode;
use super::server::{self, Prefix, Program, Server};
use super::wait::{self, HANG};

/// Runs the block in the mode of this run.
pub fn run(block: &Block) -> Outcome {
    if block.has("SKIP") {
        let reason = block.text("SKIP").unwrap_or_default();
        return Outcome::Skipped(reason.trim().to_owned());
    }
    let mode = match Mode::from_env() {
        Ok(mode) => mode,
        Err(complaint) => return Outcome::Failed(complaint),
    };
    let program = if mode.oracle { Program::Oracle } else { Program::Ours };
    if let Some(reason) = program.missing() {
        return Outcome::Skipped(reason);
    }
    if let Some(file) = block.text("skip_without").map(|text| text.trim().to_owned())
        && !std::path::Path::new(&file).exists()
    {
        return Outcome::Skipped(format!("{file} is not here"));
    }
    match Run::new(block, &mode, program).and_then(Run::finish) {
        Ok(()) => Outcome::Passed,
        Err(complaint) => Outcome::Failed(complaint),
    }
}

/// One run of one block.
struct Run<'a> {
    block: &'a Block,
    mode: &'a Mode,
    program: Program,
    prefix: Prefix,
    names: Names,
}

impl<'a> Run<'a> {
    fn new(block: &'a Block, mode: &'a Mode, program: Program) -> Result<Run<'a>, String> {
        let prefix = Prefix::new()?;
        let names = Names::new(block, &prefix);
        let run = Run { block, mode, program, prefix, names };
        run.write_user_files()?;
        Ok(run)
    }

    fn finish(self) -> Result<(), String> {
        if self.block.has("must_die") {
            return self.must_die();
        }
        let backend = self.tcp_backend()?;
        let Run { block, mode, program, prefix, names } = self;
        let conf = configuration(block, mode, program, &names, 1);
        let mut server = Server::start(program, prefix, &conf, names.port)?;
        if mode.hup {
            reload(&server, &configuration(block, mode, program, &names, 2), names.port)?;
        }
        requests(block, mode, &names, &server)?;
        if let (Some(backend), Some(Value::Text(query))) = (backend, block.value("tcp_query")) {
            let got = backend.recv_timeout(HANG).unwrap_or_default();
            checks::same_text("tcp_query", &names.expand_bytes(query), &got)?;
        }
        server.stop(&checks::expected_log_texts(block, &names))?;
        checks::shutdown_log(block, &names, &server.error_log())
    }

    /// A configuration that must be refused, with its words in the log or on standard error.
    fn must_die(self) -> Result<(), String> {
        let conf = configuration(self.block, self.mode, self.program, &self.names, 1);
        self.prefix.write("conf/nginx.conf", conf)?;
        // -t instead of a start: a configuration that loads must not leave a server behind.
        let (loaded, text) = server::run_to_end(self.program, &self.prefix, &["-t"])?;
        if loaded {
            return Err("the configuration loads, but must not".into());
        }
        checks::error_log(self.block, &self.names, &(self.prefix.error_log() + &text))
    }

    fn write_user_files(&self) -> Result<(), String> {
        self.prefix
            .write("html/index.html", "<html><head><title>It works!</title></head></html>\n")?;
        let Some(text) = self.block.text("user_files") else { return Ok(()) };
        let text = self.names.expand(&text);
        for file in text.split(">>> ").skip(1) {
            let (name, body) = file.split_once('\n').unwrap_or((file, ""));
            let name = name.split_whitespace().next().unwrap_or_default();
            self.prefix.write(&format!("html/{name}"), body)?;
        }
        Ok(())
    }

    /// A server that reads once, answers `tcp_reply` and closes; gives back what it read.
    fn tcp_backend(&self) -> Result<Option<Receiver<Vec<u8>>>, String> {
        let Some(port) = self.block.text("tcp_listen") else { return Ok(None) };
        let port: u16 =
            self.names.expand(&port).trim().parse().map_err(|_| "tcp_listen takes a port")?;
        let reply = match self.block.value("tcp_reply") {
            Some(Value::Text(reply)) => self.names.expand_bytes(reply),
            _ => Vec::new(),
        };
        let listener = TcpListener::bind(("127.0.0.1", port)).map_err(|e| e.to_string())?;
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let mut buffer = vec![0; 65536];
            let count = stream.read(&mut buffer).unwrap_or(0);
            buffer.truncate(count);
            let _ = sender.send(buffer);
            let _ = stream.write_all(&reply);
        });
        Ok(Some(receiver))
    }
}

/// The words that stand for ports and folders in a block.
pub struct Names {
    port: u16,
    words: Vec<(String, String)>,
}

impl Names {
    fn new(block: &Block, prefix: &Prefix) -> Names {
        let port = server::free_port();
        let root = prefix.path().display().to_string();
        let mut words = vec![
            ("$TEST_NGINX_SERVER_PORT".into(), port.to_string()),
            ("$TEST_NGINX_HTML_DIR".into(), format!("{root}/html")),
            ("$TEST_NGINX_SERVER_ROOT".into(), root),
            ("$TEST_NGINX_CERT_DIR".into(), concat!(env!("CARGO_MANIFEST_DIR"), "/t/certs").into()),
        ];
        for number in 1..=6 {
            let name = format!("$TEST_NGINX_RAND_PORT_{number}");
            if block.mentions(&name) {
                words.push((name, server::free_port().to_string()));
            }
        }
        Names { port, words }
    }

    pub fn expand(&self, text: &str) -> String {
        self.words.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    pub fn expand_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.expand(text).into_bytes(),
            Err(_) => bytes.to_vec(),
        }
    }
}

/// The block's configuration inside the frame that Test::Nginx puts around it.
fn configuration(
    block: &Block,
    mode: &Mode,
    program: Program,
    names: &Names,
    generation: u32,
) -> String {
    let section = |name: &str| names.expand(&block.text(name).unwrap_or_default());
    let config = section("config");
    let root_location = if block.has("no_root_location") || config.contains("location / {") {
        ""
    } else {
        "location / { root html; index index.html index.htm; }"
    };
    let level = block.text("log_level").unwrap_or_else(|| "info".into());
    let master = mode.hup || mode.workers.is_some() || block.has("master_on");
    let master = if master { "on" } else { "off" };
    format!(
        "{preamble}\
         daemon off;\n\
         master_process {master};\n\
         worker_processes {workers};\n\
         user root;\n\
         error_log logs/error.log {level};\n\
         pid logs/nginx.pid;\n\
         {main_config}\n\
         http {{\n\
             access_log logs/access.log;\n\
             client_body_temp_path temp_body; proxy_temp_path temp_proxy;\n\
             default_type text/plain;\n\
             keepalive_timeout 68s;\n\
             {http_config}\n\
             server {{\n\
                 listen {port};\n\
                 server_name localhost;\n\
                 client_max_body_size 30M;\n\
                 {config}\n\
                 {root_location}\n\
             }}\n\
             server {{\n\
                 listen {port};\n\
                 server_name generation.test;\n\
                 location / {{ return 200 {generation}; }}\n\
             }}\n\
         }}\n\
         events {{ worker_connections 1024; }}\n",
        preamble = program.preamble(),
        workers = mode.workers.unwrap_or(1),
        level = level.trim(),
        main_config = section("main_config"),
        http_config = section("http_config"),
        port = names.port,
    )
}

/// Replaces the configuration and waits until only the new one answers.
fn reload(server: &Server, conf: &str, port: u16) -> Result<(), String> {
    server.prefix.write("conf/nginx.conf", conf)?;
    let request = client::build("GET /", "Host: generation.test", "close");
    let mut seen = 0;
    let mut asked_at: Option<Instant> = None;
    wait::until(HANG, || {
        // A server that is still starting may not have heard the first signal.
        if seen == 0 && asked_at.is_none_or(|at| at.elapsed() > Duration::from_secs(2)) {
            server.signal("HUP")?;
            asked_at = Some(Instant::now());
        }
        let answer = client::exchange(port, &request, HANG)?;
        seen = if answer.ends_with(b"\r\n\r\n2") { seen + 1 } else { 0 };
        match seen {
            5 => Ok(()),
            _ => Err(format!("the new configuration does not answer within {HANG:?} after HUP")),
        }
    })
}

/// Makes the block's requests and checks each answer, then the logs.
fn requests(block: &Block, mode: &Mode, names: &Names, server: &Server) -> Result<(), String> {
    let timeout = Duration::from_secs_f64(block.seconds("timeout").unwrap_or(60.0));
    for _ in 0..mode.repeat.unwrap_or(1) {
        let mut index = 0;
        for request in prepare(block, names)? {
            let bytes = client::exchange(names.port, &request.bytes, timeout)?;
            if block.has("abort") || block.has("ignore_response") {
                continue;
            }
            let responses: Vec<Response> = client::parse_all(&bytes, &request.methods)?;
            if responses.len() != request.methods.len() {
                return Err(format!(
                    "{} requests, {} responses",
                    request.methods.len(),
                    responses.len()
                ));
            }
            for response in responses {
                checks::response(block, names, index, &response)?;
                index += 1;
            }
        }
    }
    if let Some(seconds) = block.seconds("wait") {
        std::thread::sleep(Duration::from_secs_f64(seconds));
    }
    checks::logs(block, names, &server.prefix)
}

/// Bytes for one connection, and the methods of the requests in them.
struct Prepared {
    bytes: Vec<u8>,
    methods: Vec<String>,
}

fn prepare(block: &Block, names: &Names) -> Result<Vec<Prepared>, String> {
    let text = |value: &Value| match value {
        Value::Text(text) => Ok(String::from_utf8_lossy(&names.expand_bytes(text)).into_owned()),
        _ => Err("a request is a text".to_owned()),
    };
    let headers = |index| match block.nth("more_headers", index) {
        Some(value) => text(value),
        None => Ok(String::new()),
    };
    if let Some(value) = block.value("raw_request") {
        let Value::Text(bytes) = value else { return Err("raw_request is one text".into()) };
        let method = bytes.split(|b| *b == b' ').next().unwrap_or_default();
        let methods = vec![String::from_utf8_lossy(method).into_owned()];
        return Ok(vec![Prepared { bytes: names.expand_bytes(bytes), methods }]);
    }
    if let Some(Value::List(shorts)) = block.value("pipelined_requests") {
        let mut all = Prepared { bytes: Vec::new(), methods: Vec::new() };
        for (index, short) in shorts.iter().enumerate() {
            let connection = if index + 1 == shorts.len() { "close" } else { "keep-alive" };
            let short = text(short)?;
            all.bytes.extend(client::build(&short, &headers(index)?, connection));
            all.methods.push(method_of(&short));
        }
        return Ok(vec![all]);
    }
    let shorts = match block.value("request") {
        Some(Value::List(shorts)) => shorts.clone(),
        Some(short) => vec![short.clone()],
        None => Vec::new(),
    };
    shorts
        .iter()
        .enumerate()
        .map(|(index, short)| {
            let short = text(short)?;
            let bytes = client::build(&short, &headers(index)?, "close");
            Ok(Prepared { bytes, methods: vec![method_of(&short)] })
        })
        .collect()
}

fn method_of(short: &str) -> String {
    short.split_whitespace().next().unwrap_or("GET").to_owned()
}

//! A server to load, what the system says of it, and a client that keeps its connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::server::{Prefix, Program, Server, free_port};

/// A running server of ours.
pub struct Loaded {
    pub port: u16,
    pub server: Server,
}

/// What a process has used.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub cpu_s: f64,
    pub rss_kb: u64,
}

impl Loaded {
    /// Starts a server with one worker thread; `PORT` in the text is its port.
    pub fn start(http: &str) -> Result<Loaded, String> {
        let port = free_port();
        let conf = format!(
            "daemon off; master_process off; worker_processes 1; pid logs/nginx.pid;\n\
             error_log logs/error.log notice;\n\
             events {{ worker_connections 4096; }}\n\
             http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 600;\n{}\n}}\n",
            http.replace("PORT", &port.to_string())
        );
        let server = Server::start(Program::Ours, Prefix::new()?, &conf, port)?;
        Ok(Loaded { port, server })
    }

    pub fn usage(&self) -> Result<Usage, String> {
        let read = |file: &str| {
            std::fs::read_to_string(format!("/proc/{}/{file}", self.server.pid()))
                .map_err(|e| e.to_string())
        };
        // The name of the program stands in brackets and may hold blanks.
        let stat = read("stat")?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
        let status = read("status")?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let rss_kb = rss.and_then(|t| t.trim().strip_suffix(" kB")?.trim().parse().ok());
        Ok(Usage {
            cpu_s: (ticks(11) + ticks(12)) / TICKS_PER_S,
            rss_kb: rss_kb.ok_or("no VmRSS")?,
        })
    }
}

/// A connection that is used again and again.
pub struct Client(BufReader<TcpStream>);

impl Client {
    pub fn connect(port: u16) -> Result<Client, String> {
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|e| e.to_string())?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        let limit = Some(Duration::from_secs(30));
        stream.set_read_timeout(limit).map_err(|e| e.to_string())?;
        Ok(Client(BufReader::with_capacity(256 * 1024, stream)))
    }

    /// Sends a form, or nothing; gives the body of a 200.
    pub fn call(&mut self, method: &str, target: &str, form: &str) -> Result<Vec<u8>, String> {
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        self.0.get_mut().write_all(request.as_bytes()).map_err(|e| e.to_string())?;
        let (mut status, mut length, mut line) = (String::new(), 0, String::new());
        loop {
            line.clear();
            self.0.read_line(&mut line).map_err(|e| e.to_string())?;
            match line.trim_end() {
                "" => break,
                head if status.is_empty() => head.clone_into(&mut status),
                field => {
                    let (name, value) = field.split_once(": ").unwrap_or_default();
                    if name.eq_ignore_ascii_case("Content-Length") {
                        length = value.parse().unwrap_or(0);
                    }
                }
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).map_err(|e| e.to_string())?;
        match status.contains(" 200 ") {
            true => Ok(body),
            false => Err(format!("{status}: {}", String::from_utf8_lossy(&body))),
        }
    }
}

/// Prints one figure.
pub fn figure(scenario: &str, what: &str, value: impl std::fmt::Display) {
    println!("{scenario:8} {what:52} {value}");
}

const TICKS_PER_S: f64 = 100.0;

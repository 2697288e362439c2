//! A plain HTTP/1 client that shows what really came over the wire.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::wait::HANG;

/// One response, headers in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Response {
    pub status: u16,
    /// The head as received, without the empty line.
    pub head: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self
            .headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect();
        if values.is_empty() { None } else { Some(values.join(", ")) }
    }

    pub fn body_text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Makes one `GET` and reads the answer.
pub fn get(port: u16, path: &str) -> Result<Response, String> {
    let request = build(&format!("GET {path}"), "", "close");
    let bytes = exchange(port, &request, HANG)?;
    let mut responses = parse_all(&bytes, &["GET".to_owned()])?;
    responses.pop().ok_or_else(|| "no response".to_owned())
}

/// Completes the short form of a block (`POST /path` and body lines) to a request.
pub fn build(short: &str, more_headers: &str, connection: &str) -> Vec<u8> {
    let short = short.trim_start();
    let (line, body) = short.split_once('\n').unwrap_or((short, ""));
    let body = body.strip_suffix('\n').unwrap_or(body);
    let mut words = line.split_whitespace();
    let method = words.next().unwrap_or("GET");
    let target = words.next().unwrap_or("/");
    let version = words.next().unwrap_or("HTTP/1.1");
    let mut head = format!("{method} {target} {version}\r\n");
    let named = |name: &str| {
        more_headers.lines().any(|line| {
            line.split_once(':').is_some_and(|(key, _)| key.trim().eq_ignore_ascii_case(name))
        })
    };
    if !named("Host") {
        head.push_str("Host: localhost\r\n");
    }
    if !named("Connection") {
        head.push_str(&format!("Connection: {connection}\r\n"));
    }
    for header in more_headers.lines().filter(|line| !line.trim().is_empty()) {
        head.push_str(header);
        head.push_str("\r\n");
    }
    if !body.is_empty() && !named("Content-Length") && !named("Transfer-Encoding") {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let mut request = head.into_bytes();
    request.extend_from_slice(body.as_bytes());
    request
}

/// Sends the bytes and reads until the server closes or time is up.
pub fn exchange(port: u16, request: &[u8], limit: Duration) -> Result<Vec<u8>, String> {
    let end = Instant::now() + limit;
    let mut stream =
        TcpStream::connect(("127.0.0.1", port)).map_err(|e| format!("connect: {e}"))?;
    stream.set_nodelay(true).map_err(|e| e.to_string())?;
    stream.set_write_timeout(Some(limit)).map_err(|e| e.to_string())?;
    // A server may answer and close before it has read everything.
    let _ = stream.write_all(request);
    let mut received = Vec::new();
    let mut buffer = vec![0; 65536];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(received);
        }
        stream.set_read_timeout(Some(left)).map_err(|e| e.to_string())?;
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(received),
            Ok(count) => received.extend_from_slice(&buffer[..count]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            // A reset after the response is how a server says that it did not read our body.
            Err(_) => return Ok(received),
        }
    }
}

/// Cuts what came over one connection into responses, one for each method.
pub fn parse_all(bytes: &[u8], methods: &[String]) -> Result<Vec<Response>, String> {
    let mut rest = bytes;
    let mut responses = Vec::new();
    for method in methods {
        if rest.is_empty() {
            break;
        }
        let (response, used) = parse(rest, method)?;
        responses.push(response);
        rest = &rest[used..];
    }
    if responses.is_empty() {
        return Err("the server closed the connection without an answer".into());
    }
    Ok(responses)
}

fn parse(bytes: &[u8], method: &str) -> Result<(Response, usize), String> {
    if !bytes.starts_with(b"HTTP/") {
        // HTTP/0.9: a body and nothing else.
        return Ok((
            Response { status: 200, body: bytes.to_vec(), ..Response::default() },
            bytes.len(),
        ));
    }
    let head_len = find(bytes, b"\r\n\r\n").ok_or("the response head does not end")?;
    let head = String::from_utf8_lossy(&bytes[..head_len]).into_owned();
    let body = &bytes[head_len + 4..];
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status: u16 = status_line
        .split_whitespace()
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| format!("bad status line: {status_line}"))?;
    if status == 100 || status == 103 {
        let (response, used) = parse(body, method)?;
        return Ok((response, head_len + 4 + used));
    }
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
        .collect();
    let mut response = Response { status, head: head.clone(), headers, body: Vec::new() };
    let bodiless = method == "HEAD" || status == 204 || status == 304;
    let used = if bodiless {
        0
    } else if response.header("Transfer-Encoding").is_some_and(|te| te.contains("chunked")) {
        dechunk(body, &mut response.body)
    } else if let Some(length) = response.header("Content-Length").and_then(|l| l.parse().ok()) {
        let length: usize = usize::min(length, body.len());
        response.body = body[..length].to_vec();
        length
    } else {
        response.body = body.to_vec();
        body.len()
    };
    Ok((response, head_len + 4 + used))
}

/// Appends the chunks' data to `out`; a cut-off stream gives what came.
fn dechunk(bytes: &[u8], out: &mut Vec<u8>) -> usize {
    let mut at = 0;
    loop {
        let Some(line) = find(&bytes[at..], b"\r\n") else { return bytes.len() };
        let text = String::from_utf8_lossy(&bytes[at..at + line]).into_owned();
        let digits = text.split(';').next().unwrap_or_default().trim();
        let Ok(size) = usize::from_str_radix(digits, 16) else { return bytes.len() };
        at += line + 2;
        if size == 0 {
            let trailer = find(&bytes[at..], b"\r\n").unwrap_or(0);
            return usize::min(at + trailer + 2, bytes.len());
        }
        let end = usize::min(at + size, bytes.len());
        out.extend_from_slice(&bytes[at..end]);
        at = usize::min(end + 2, bytes.len());
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

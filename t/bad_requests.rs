//! Malformed requests as a table: the status and the log line nginx gives for each.
//!
//! ```text
//!   t/http/bad_requests.txt -> rows -> one connection each -> status line, error log -> complaints
//! ```

use crate::harness::case::{Case, Outcome};
use crate::harness::client;
use crate::harness::modes::Mode;
use crate::harness::server::{Prefix, Program, Server, free_port};
use crate::harness::wait::{self, HANG};

pub fn cases() -> Vec<Case> {
    vec![Case::shared("http/bad_requests/table", judge)]
}

/// Sends every row to a running server and gives what went otherwise; `log` reads its error log.
pub fn run(port: u16, rows: &[Row], log: impl Fn() -> String) -> Vec<String> {
    let complaint = |row: &Row| {
        let before = log().len();
        let answer = match client::exchange(port, &row.request, HANG) {
            Ok(answer) => answer,
            Err(e) => return Some(format!("line {}: {}: {e}", row.line, row.name)),
        };
        let status = status_of(&answer);
        if status != row.status {
            let Row { line, name, status: wanted, .. } = row;
            return Some(format!("line {line}: {name}: {status} instead of {wanted}"));
        }
        let wanted = row.log.as_ref()?;
        let is_told = || {
            let written = log();
            let new = written.get(before..).unwrap_or_default();
            if new.contains(wanted.as_str()) { Ok(()) } else { Err(new.to_owned()) }
        };
        let new = wait::until(HANG, is_told).err()?;
        let Row { line, name, .. } = row;
        Some(format!("line {line}: {name}: no \"{wanted}\" in the log, but:\n{new}"))
    };
    rows.iter().filter_map(complaint).collect()
}

/// One request of the table.
pub struct Row {
    line: usize,
    name: String,
    status: u16,
    /// What nginx began to do after the version of the oracle.
    newer: bool,
    request: Vec<u8>,
    log: Option<String>,
}

/// Reads the table.
pub fn rows(text: &str) -> Result<Vec<Row>, String> {
    let mut rows: Vec<Row> = Vec::new();
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line));
    for (number, line) in lines.filter(|(_, l)| !l.is_empty() && !l.starts_with('#')) {
        let wrong = || format!("line {number}: not a part of a case");
        if let Some(head) = line.strip_prefix("== ") {
            let (status, name) = head.split_once(' ').ok_or_else(wrong)?;
            rows.push(Row {
                line: number,
                name: name.to_owned(),
                status: status.trim_end_matches('+').parse().map_err(|_| wrong())?,
                newer: status.ends_with('+'),
                request: Vec::new(),
                log: None,
            });
            continue;
        }
        let row = rows.last_mut().ok_or_else(wrong)?;
        match line.strip_prefix("~ ") {
            Some(log) => row.log = Some(log.to_owned()),
            None if row.request.is_empty() => row.request = unescape(line).ok_or_else(wrong)?,
            None => return Err(wrong()),
        }
    }
    Ok(rows)
}

fn judge() -> Outcome {
    let oracle = match Mode::from_env() {
        Ok(mode) => mode.oracle,
        Err(complaint) => return Outcome::Failed(complaint),
    };
    let program = if oracle { Program::Oracle } else { Program::Ours };
    if let Some(reason) = program.missing() {
        return Outcome::Skipped(reason);
    }
    Outcome::from(judge_program(program))
}

fn judge_program(program: Program) -> Result<(), String> {
    let mut rows = rows(TABLE)?;
    if rows.len() < 60 {
        return Err(format!("only {} rows", rows.len()));
    }
    rows.retain(|row| !row.newer || program == Program::Ours);
    let port = free_port();
    let conf = CONF.replace("PORT", &port.to_string());
    let mut server = Server::start(program, Prefix::new()?, &(program.preamble() + &conf), port)?;
    let complaints = run(port, &rows, || server.error_log());
    let stopped = server.stop(&[]);
    match complaints.is_empty() {
        true => stopped,
        false => Err(complaints.join("\n")),
    }
}

/// The status of an answer; HTTP/0.9 has none but in the title of the page.
fn status_of(answer: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(answer);
    let behind = match text.strip_prefix("HTTP/1.1 ") {
        Some(rest) => rest,
        None => text.split_once("<title>").map_or("", |(_, rest)| rest),
    };
    behind.get(..3).and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

/// `\r`, `\xHH` and `{x*N}`.
fn unescape(line: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let used = match (first, rest.as_bytes().get(1)) {
            ('\\', Some(b'x')) => {
                out.push(u8::from_str_radix(rest.get(2..4)?, 16).ok()?);
                4
            }
            ('\\', Some(letter)) => {
                let known = [(b'r', b'\r'), (b'n', b'\n'), (b't', b'\t'), (b'\\', b'\\')];
                out.push(known.iter().find(|(l, _)| l == letter)?.1);
                2
            }
            ('{', Some(byte)) if rest.as_bytes().get(2) == Some(&b'*') => {
                let end = rest.find('}')?;
                out.resize(out.len() + rest[3..end].parse::<usize>().ok()?, *byte);
                end + 1
            }
            _ => {
                out.extend_from_slice(first.to_string().as_bytes());
                first.len_utf8()
            }
        };
        rest = &rest[used..];
    }
    Some(out)
}

const TABLE: &str = include_str!("http/bad_requests.txt");
const CONF: &str = "
    daemon off;
    master_process off;
    error_log logs/error.log info;
    pid logs/nginx.pid;
    events { }
    http {
        client_header_buffer_size 1k;
        large_client_header_buffers 2 2k;
        client_max_body_size 1k;
        keepalive_timeout 0;
        server {
            listen 127.0.0.1:PORT;
            location / { return 200 ok; }
        }
    }
";

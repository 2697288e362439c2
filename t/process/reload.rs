//! Reloads and worker deaths while clients keep asking.

use std::net::TcpStream;
use std::time::Duration;

use super::load::Load;
use super::{Row, children, configuration, start, wait_until};
use crate::harness::client;
use crate::harness::server::{self, Program, free_port};
use crate::harness::wait::{self, HANG};

pub const ROWS: &[Row] = &[
    ("a reload takes the new configuration", new_configuration),
    ("a bad new configuration leaves the old one serving", bad_configuration),
    ("requests that began before a reload end on the old configuration", in_flight),
    ("shared dictionaries survive a reload", dictionaries),
    ("a reload may open and close addresses", addresses),
    ("reloads under load fail no request", under_load),
    ("a killed worker is replaced and nobody is refused", killed_worker),
];

fn new_configuration(program: Program) -> Result<(), String> {
    let port = free_port();
    let mut server = start(program, port, "", "return 200 one;")?;
    reload_to(program, &server, port, "", "return 200 two;")?;
    wait_until("the new answer", || body(port, "/") == "two")?;
    server.stop(&[])
}

fn bad_configuration(program: Program) -> Result<(), String> {
    let port = free_port();
    let mut server = start(program, port, "", "return 200 one;")?;
    reload_to(program, &server, port, "", "returns 200 two;")?;
    let complaint = "unknown directive \"returns\"";
    wait_until("the complaint", || server.error_log().contains(complaint))?;
    if body(port, "/") != "one" {
        return Err("the old configuration does not answer".into());
    }
    reload_to(program, &server, port, "", "return 200 three;")?;
    wait_until("the next answer", || body(port, "/") == "three")?;
    server.stop(&[complaint.to_owned()])
}

fn in_flight(program: Program) -> Result<(), String> {
    let port = free_port();
    let slow = "location /now { return 200 old; } location /slow { content_by_lua_block {
        ngx.log(ngx.WARN, 'has begun')
        while not io.open(ngx.config.prefix() .. 'html/go') do ngx.sleep(0.01) end
        ngx.print('old')
    } }";
    let mut server = start(program, port, "", slow)?;
    let request = std::thread::spawn(move || client::get(port, "/slow"));
    wait_until("a request", || server.error_log().contains("has begun"))?;
    reload_to(program, &server, port, "", "return 200 new;")?;
    wait_until("the new answer", || body(port, "/now") == "new")?;
    server.prefix.write("html/go", "")?;
    let response = request.join().map_err(|_| "the client panicked")??;
    if response.body_text() != "old" {
        return Err(format!("the request got {}", response.body_text()));
    }
    server.stop(&[])
}

fn dictionaries(program: Program) -> Result<(), String> {
    let port = free_port();
    let handler = |word: &str| {
        format!(
            "location / {{ content_by_lua_block {{ \
             ngx.print('{word} ', (ngx.shared.d:incr('n', 1, 0))) }} }}"
        )
    };
    let http = "lua_shared_dict d 1m;";
    let mut server = start(program, port, http, &handler("one"))?;
    if body(port, "/") != "one 1" {
        return Err("the dictionary does not count".into());
    }
    reload_to(program, &server, port, http, &handler("two"))?;
    let mut last = String::new();
    wait_until("the new answer", || {
        last = body(port, "/");
        last.starts_with("two")
    })?;
    if last == "two 1" {
        return Err("the dictionary was emptied".into());
    }
    server.stop(&[])
}

fn addresses(program: Program) -> Result<(), String> {
    let (port, first, second) = (free_port(), free_port(), free_port());
    let other = |port| format!("server {{ listen {port}; return 200 other; }}");
    let mut server = start(program, port, &other(first), "return 200 one;")?;
    if body(first, "/") != "other" {
        return Err("the second address does not answer".into());
    }
    reload_to(program, &server, port, &other(second), "return 200 two;")?;
    wait_until("the new address", || body(second, "/") == "other")?;
    wait_until("the old address to close", || TcpStream::connect(("127.0.0.1", first)).is_err())?;
    server.stop(&[])
}

fn under_load(program: Program) -> Result<(), String> {
    let port = free_port();
    let mut server = start(program, port, "lua_shared_dict d 1m;", "return 200 ok;")?;
    let load = Load::start(port, 4);
    // The long form is for a release; twenty reloads show the same faults, less surely.
    let times = if std::env::var_os("T_LONG").is_some() { 1000 } else { 20 };
    let mut settled_kib = 0;
    for done in 0..times {
        let answered = load.answered();
        server.signal("HUP")?;
        std::thread::sleep(Duration::from_millis(100));
        wait_until("more answers", || load.answered() > answered + 4)?;
        if done == times / 4 {
            settled_kib = memory_kib(&server);
        }
    }
    let counts = load.stop()?;
    // Cycles that drain hold their memory; wait until only the last one is left.
    wait::until(HANG, || match memory_kib(&server).saturating_sub(settled_kib) {
        grown if grown > 20 * 1024 => Err(format!("{times} reloads: memory grew by {grown} KiB")),
        _ => Ok(()),
    })?;
    if counts.answered < times || counts.refused + counts.cut > 0 {
        return Err(format!("{times} reloads: {counts:?}"));
    }
    server.stop(&[])
}

fn killed_worker(program: Program) -> Result<(), String> {
    let port = free_port();
    let mut server = start(program, port, "", "return 200 ok;")?;
    let load = Load::start(port, 4);
    wait_until("answers", || load.answered() > 20)?;
    let old = children(server.pid());
    for worker in &old {
        server::signal(*worker, "SEGV")?;
    }
    wait_until("new workers", || {
        let now = children(server.pid());
        now.len() == old.len() && now.iter().all(|pid| !old.contains(pid))
    })?;
    let answered = load.answered();
    wait_until("answers of the new workers", || load.answered() > answered + 20)?;
    let counts = load.stop()?;
    if old.is_empty() || counts.refused > 0 || counts.cut > 8 {
        return Err(format!("{} workers killed: {counts:?}", old.len()));
    }
    server.stop(&["exited on signal 11".to_owned()])
}

fn reload_to(
    program: Program,
    server: &server::Server,
    port: u16,
    http: &str,
    lines: &str,
) -> Result<(), String> {
    server.prefix.write("conf/nginx.conf", configuration(program, port, http, lines))?;
    server.signal("HUP")
}

/// Resident memory of the master and its workers.
fn memory_kib(server: &server::Server) -> u64 {
    let mut pids = children(server.pid());
    pids.push(server.pid());
    pids.iter().filter_map(|pid| resident_kib(*pid)).sum()
}

fn resident_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn body(port: u16, path: &str) -> String {
    client::get(port, path).map(|response| response.body_text()).unwrap_or_default()
}

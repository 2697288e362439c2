//! Faults that take a process of their own: descriptors and ports used up, dropped packets, and ten
//! thousand peers that die at once.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::harness::case::{Case, Outcome};
use crate::harness::client;
use crate::harness::server::{Prefix, Program, Server, free_port};
use crate::harness::wait::{self, HANG};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("health/faults/packets are dropped", black_hole),
        Case::new("health/faults/ports are used up", no_ports),
        Case::check("health/faults/descriptors are used up", no_descriptors),
        Case::check("health/faults/ten thousand peers die at once", crowd),
    ]
}

/// A device that nobody reads from swallows every packet.
fn black_hole() -> Outcome {
    let script = "ip tuntap add dev hole mode tun && ip addr add 10.99.9.1/24 dev hole \
                  && ip link set hole up && exec \"$@\"";
    let expected = "FAIL: L4TOUT connect timed out: timeout";
    probes_alone(script, "server 10.99.9.2:80;", expected)
}

/// Two ports for clients, and both are taken by connections to the very peer that is probed.
fn no_ports() -> Outcome {
    let script = "echo 40000 40001 > /proc/sys/net/ipv4/ip_local_port_range && python3 -c '
import socket, subprocess, sys
server = socket.create_server((\"127.0.0.1\", 9000))
held = [socket.create_connection((\"127.0.0.1\", 9000)) for _ in range(2)]
sys.exit(subprocess.run(sys.argv[1:]).returncode)' \"$@\"";
    let expected = "does not count: SOCKERR no socket: cannot assign requested address";
    probes_alone(script, "server 127.0.0.1:9000;", expected)
}

/// Probes once, in a network of its own that the script prepares.
fn probes_alone(script: &str, servers: &str, expected: &str) -> Outcome {
    let allowed = Command::new("unshare").args(["-n", "ip", "link", "set", "lo", "up"]).output();
    if !allowed.is_ok_and(|o| o.status.success()) {
        return Outcome::Skipped("network namespaces are not permitted here".into());
    }
    let said = || -> Result<Output, String> {
        let prefix = Prefix::new()?;
        let check = "health_check timeout=300ms;";
        prefix.write("conf/nginx.conf", configuration(free_port(), servers, check))?;
        let script = format!("ip link set lo up && {script}");
        Command::new("unshare")
            .args(["-n", "sh", "-c", &script, "sh", Program::Ours.path(), "-p"])
            .arg(prefix.path())
            .args(["-c", "conf/nginx.conf", "--check-now", "foo"])
            .output()
            .map_err(|e| e.to_string())
    };
    match said() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let wrong = String::from_utf8_lossy(&output.stderr).into_owned();
            if wrong.contains("Operation not permitted") {
                return Outcome::Skipped(format!("not permitted here: {}", wrong.trim()));
            }
            match text.contains(expected) {
                true => Outcome::Passed,
                false => Outcome::Failed(format!("{text}{wrong}")),
            }
        }
        Err(complaint) => Outcome::Failed(complaint),
    }
}

/// Our own fault is no fault of the peers: they stay up, and the page says what was wrong.
fn no_descriptors() -> Result<(), String> {
    let peers = answering("127.0.0.1:0")?;
    let (port, server) = (free_port(), format!("server {};", peers));
    let conf = configuration(port, &server, "health_check interval=300ms fails=1;");
    let mut gateway = Server::start(Program::Ours, Prefix::new()?, &conf, port)?;
    wait(|| page(port).map(|p| p.contains("\"kind\":\"passed\"")))?;
    let pid = worker_of(gateway.pid());
    // Nothing can be asked while nothing can be accepted: the limit is lifted again first. A busy
    // machine may not probe meanwhile.
    let page = wait::until(HANG, || {
        limit(pid, "3:")?;
        std::thread::sleep(Duration::from_millis(700));
        limit(pid, "1024:")?;
        let page = page(port)?;
        if page.contains("\"word\":\"SOCKERR\"") { Ok(page) } else { Err(page) }
    })?;
    let told = page.contains("too many open files") && page.contains("\"state\":\"healthy\"");
    if !told || !page.contains("\"changes\":[]") {
        return Err(page);
    }
    gateway.stop(&["accept".into(), "24: Too many open files".into()])
}

fn limit(pid: u32, limits: &str) -> Result<(), String> {
    let set = Command::new("prlimit")
        .args(["--pid", &pid.to_string(), &format!("--nofile={limits}")])
        .output()
        .map_err(|e| e.to_string())?;
    match set.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&set.stderr).into_owned()),
    }
}

/// All are found out about, each with its reason; no more probes are sent than before, and what is
/// kept of each stays small.
fn crowd() -> Result<(), String> {
    let (backend, port) = (free_port(), free_port());
    let mut peers = mass(backend)?;
    let servers: String = (0..CROWD)
        .map(|i| format!("server 127.7.{}.{}:{backend};\n", i / 250, i % 250 + 1))
        .collect();
    let check = "health_check interval=4s jitter=1s fails=1 timeout=60s;";
    let conf = configuration(port, &servers, check);
    let mut gateway = Server::start(Program::Ours, Prefix::new()?, &conf, port)?;
    let pid = worker_of(gateway.pid());
    wait(|| Ok(count(&page(port)?, "\"kind\":\"passed\"") >= CROWD))?;
    let before = resident_kb(pid);
    let begun = Instant::now();
    let probes = probes(&page(port)?);
    peers.stop(&[])?;
    // The short page: the long one takes more memory than all peers.
    wait(|| match count(&client::get(port, "/short")?.body_text(), " DOWN") {
        CROWD => Ok(true),
        down => Err(format!("{down} are down after {:?}", begun.elapsed())),
    })?;
    let grown = resident_kb(pid).saturating_sub(before) * 1024 / CROWD as u64;
    if grown > 4096 {
        return Err(format!("{grown} bytes for each peer that died"));
    }
    let page = page(port)?;
    let rounds = begun.elapsed().as_secs() / 4 + 2;
    let sent = self::probes(&page) - probes;
    if sent > CROWD as u64 * rounds {
        return Err(format!("{sent} probes in {rounds} rounds"));
    }
    // A few were being probed when it happened, and have another story to tell.
    let refused = count(&page, "\"why\":\"L4CON connect failed: connection refused\"");
    if refused < CROWD * 9 / 10 {
        return Err(format!("only {refused} say why"));
    }
    gateway.stop(&[])
}

/// One process behind all addresses.
fn mass(port: u16) -> Result<Server, String> {
    let conf = format!(
        "daemon off; master_process off; error_log logs/error.log warn;
        events {{ worker_connections 10000; }}
        http {{ access_log off; server {{ listen {port} backlog=4096; return 200; }} }}"
    );
    Server::start(Program::Ours, Prefix::new()?, &conf, port)
}

/// Somebody who answers every request.
fn answering(at: &str) -> Result<String, String> {
    let listener = TcpListener::bind(at).map_err(|e| e.to_string())?;
    let addr = listener.local_addr().map_err(|e| e.to_string())?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            super::peer::answer(stream, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        }
    });
    Ok(addr.to_string())
}

fn configuration(port: u16, servers: &str, check: &str) -> String {
    format!(
        "daemon off; master_process off; error_log logs/error.log warn;
        events {{ worker_connections 1024; }}
        http {{
            access_log off;
            upstream foo {{ {servers} {check} }}
            server {{
                listen 127.0.0.1:{port};
                location /page {{ content_by_lua_block {{
                    ngx.print(require('resty.upstream.healthcheck').json_status_page())
                }} }}
                location /short {{ content_by_lua_block {{
                    ngx.print(require('resty.upstream.healthcheck').status_page())
                }} }}
            }}
        }}"
    )
}

fn page(port: u16) -> Result<String, String> {
    Ok(client::get(port, "/page")?.body_text())
}

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

/// All probes of a page's peers together.
fn probes(page: &str) -> u64 {
    let numbers = page.split("\"probes\":").skip(1);
    numbers.filter_map(|rest| rest.split(',').next()?.parse::<u64>().ok()).sum()
}

/// Without a master the process itself does the work.
fn worker_of(pid: u32) -> u32 {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(Path::new(&path)).unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(pid)
}

fn resident_kb(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

fn wait(is_so: impl Fn() -> Result<bool, String>) -> Result<(), String> {
    let end = Instant::now() + 2 * HANG;
    let mut last = is_so();
    while last != Ok(true) {
        if Instant::now() > end {
            return last.and_then(|_| Err(format!("it does not come true within {:?}", 2 * HANG)));
        }
        std::thread::sleep(Duration::from_millis(50));
        last = is_so();
    }
    Ok(())
}

const CROWD: usize = 10_000;

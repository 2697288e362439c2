//! Checks that directives ask for, over reloads: states stay, and nothing is left behind.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::children;
use crate::harness::case::Case;
use crate::harness::client;
use crate::harness::server::{Prefix, Program, Server, free_port};
use crate::harness::wait::{self, HANG};

pub fn cases() -> Vec<Case> {
    vec![
        Case::check("health/life/directives: reloads keep states and leave nothing", reloads),
        Case::check("health/life/directives: one state for each peer of an upstream", identity),
    ]
}

fn reloads() -> Result<(), String> {
    let mut scene = Scene::start()?;
    scene.wait_for(&[("foo", scene.live, "up"), ("foo", scene.dead, "down")])?;
    for _ in 0..3 {
        scene.reload(&scene.upstreams())?;
    }
    let before = scene.settled()?;
    for _ in 0..15 {
        scene.reload(&scene.upstreams())?;
        scene.is("foo", scene.dead, "down")?;
    }
    // Threads and memory of the configuration before are given back in their own time.
    wait::until(HANG, || {
        let after = scene.held()?;
        let grows = after.memory_kb > before.memory_kb + 16 * 1024;
        match grows || after.threads > before.threads || after.files > before.files {
            true => Err(format!("before {before:?}, after 15 reloads {after:?}")),
            false => Ok(()),
        }
    })?;
    let log = scene.server.error_log();
    let turned = log.matches("is down after").count();
    // Each of the two upstreams turned its dead peer once.
    if turned != 2 {
        return Err(format!("{turned} transitions:\n{log}"));
    }
    let (from, begun_at) = (scene.probes.load(Relaxed), Instant::now());
    wait::until(HANG, || match scene.probes.load(Relaxed) < from + 40 {
        true => Err("the probes have stopped".to_string()),
        false => Ok(()),
    })?;
    // Two upstreams, a probe each 50 ms: had old checks gone on there would be many more.
    if begun_at.elapsed() < Duration::from_millis(500) {
        return Err(format!("40 probes within {:?}", begun_at.elapsed()));
    }
    scene.server.stop(&[])
}

fn identity() -> Result<(), String> {
    let mut scene = Scene::start()?;
    scene.wait_for(&[("foo", scene.dead, "down"), ("bar", scene.dead, "down")])?;
    // Alone, then behind another one, then with another upstream in front.
    let (live, dead) = (scene.live, scene.dead);
    let slow = CHECK.replace("interval=50", "interval=60000");
    for text in [
        format!("upstream foo {{ server 127.0.0.1:{dead}; {slow} }}"),
        format!("upstream foo {{ server 127.0.0.1:{live}; server 127.0.0.1:{dead}; {slow} }}"),
        format!(
            "upstream new {{ server 127.0.0.1:{dead}; {slow} }}
             upstream foo {{ server 127.0.0.1:{dead} weight=2; server 127.0.0.1:{live}; {slow} }}"
        ),
    ] {
        scene.reload(&text)?;
        scene.is("foo", dead, "down")?;
    }
    // The same address in an upstream that never saw it fail begins by itself.
    wait::until(HANG, || scene.is("new", dead, "up"))?;
    scene.server.stop(&[])
}

/// What a worker process holds.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    threads: usize,
    files: usize,
    memory_kb: u64,
}

struct Scene {
    server: Server,
    port: u16,
    live: u16,
    dead: u16,
    probes: Arc<AtomicUsize>,
}

impl Scene {
    fn start() -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        let live = listener.local_addr().map_err(|e| e.to_string())?.port();
        let probes = Arc::new(AtomicUsize::new(0));
        answer(listener, probes.clone());
        let (port, dead) = (free_port(), free_port());
        let conf = configuration(port, &upstreams(live, dead));
        let server = Server::start(Program::Ours, Prefix::new()?, &conf, port)?;
        Ok(Self { server, port, live, dead, probes })
    }

    fn upstreams(&self) -> String {
        upstreams(self.live, self.dead)
    }

    /// Loads the configuration and waits until it answers.
    fn reload(&self, upstreams: &str) -> Result<(), String> {
        let before = self.page("json")?;
        let generation = |page: &str| {
            let line = page.lines().find(|line| line.contains("\"generation\""));
            line.map(str::to_string)
        };
        self.server.prefix.write("conf/nginx.conf", configuration(self.port, upstreams))?;
        self.server.signal("HUP")?;
        self.until("the new configuration", || {
            Ok(generation(&self.page("json")?) != generation(&before))
        })
    }

    fn page(&self, format: &str) -> Result<String, String> {
        Ok(client::get(self.port, &format!("/status?format={format}"))?.body_text())
    }

    fn is(&self, upstream: &str, peer: u16, state: &str) -> Result<(), String> {
        let page = self.page("csv")?;
        match page.contains(&format!(",{upstream},127.0.0.1:{peer},{state},")) {
            true => Ok(()),
            false => Err(format!("{peer} of {upstream} is not {state}:\n{page}")),
        }
    }

    fn wait_for(&self, states: &[(&str, u16, &str)]) -> Result<(), String> {
        self.until("the verdicts", || {
            Ok(states.iter().all(|(upstream, peer, state)| self.is(upstream, *peer, state).is_ok()))
        })
    }

    /// What the worker process holds once the threads of older configurations are gone.
    fn settled(&self) -> Result<Held, String> {
        let mut last = None;
        let mut same = 0;
        self.until("an end of old threads", || {
            let held = self.held()?;
            let threads = Some(held.threads);
            same = if threads == last { same + 1 } else { 0 };
            last = threads;
            std::thread::sleep(Duration::from_millis(50));
            Ok(same >= 10)
        })?;
        self.held()
    }

    fn held(&self) -> Result<Held, String> {
        let worker = *children(self.server.pid()).first().ok_or("no worker process")?;
        let count = |folder: &str| {
            let list = std::fs::read_dir(format!("/proc/{worker}/{folder}"));
            list.map(Iterator::count).map_err(|e| e.to_string())
        };
        let status = std::fs::read_to_string(format!("/proc/{worker}/status"));
        let status = status.map_err(|e| e.to_string())?;
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = memory.and_then(|text| text.split_whitespace().next());
        let memory_kb = number.and_then(|n| n.parse().ok()).ok_or("no VmRSS")?;
        // Probes come and go: what counts is what never goes.
        let mut files = Vec::new();
        for _ in 0..10 {
            files.push(count("fd")?);
            std::thread::sleep(Duration::from_millis(7));
        }
        let files = files.into_iter().min().unwrap_or_default();
        Ok(Held { threads: count("task")?, files, memory_kb })
    }

    fn until(
        &self,
        what: &str,
        mut reached: impl FnMut() -> Result<bool, String>,
    ) -> Result<(), String> {
        wait::until(HANG, || match reached() {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("no {what} in time")),
            Err(complaint) => Err(complaint),
        })
    }
}

/// Answers and counts every connection until the process ends.
fn answer(listener: TcpListener, probes: Arc<AtomicUsize>) {
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for mut stream in listener.incoming().flatten() {
            probes.fetch_add(1, Relaxed);
            let _ = stream.read(&mut [0; 512]);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n");
        }
    });
}

fn upstreams(live: u16, dead: u16) -> String {
    ["foo", "bar"]
        .map(|name| {
            format!(
                "upstream {name} {{ server 127.0.0.1:{live}; server 127.0.0.1:{dead}; {CHECK} }}"
            )
        })
        .join("\n")
}

fn configuration(port: u16, upstreams: &str) -> String {
    format!(
        "daemon off; worker_processes 2; error_log logs/error.log info;
        events {{ worker_connections 64; }}
        http {{
            access_log off;
            {upstreams}
            server {{ listen {port}; location /status {{ check_status; }} }}
        }}"
    )
}

const CHECK: &str = "check interval=50 timeout=60000 fall=2 rise=2 type=http default_down=false;";

//! Health states over reloads and over the death of the worker process.
//!
//! ```text
//!   master ── worker process (two threads) ── checks: one live peer, one dead
//!      HUP ─▶ nothing is turned twice        SEGV ─▶ the next process knows what this one knew
//! ```

mod native;

use std::net::TcpListener;

use crate::harness::case::Case;
use crate::harness::client;
use crate::harness::server::{Prefix, Program, Server, free_port, signal};
use crate::harness::wait::{self, HANG};

mod wrk;

pub fn cases() -> Vec<Case> {
    let mut cases = native::cases();
    cases.extend([
        Case::check("health/life/states survive reloads", reloads),
        Case::check("health/life/states survive a dead worker", dead_worker),
        Case::new("health/life/a worker dies under wrk", wrk::dead_worker),
        Case::check("health/life/a peer that moves keeps its state", moved),
        Case::check("health/life/a check ends with its configuration", ended),
    ]);
    cases
}

fn reloads() -> Result<(), String> {
    let mut scene = Scene::start()?;
    scene.wait_for("DOWN")?;
    for _ in 0..5 {
        scene.reload(&[scene.live(), scene.dead], OPTIONS)?;
        scene.is("DOWN")?;
    }
    scene.is_turned_once()?;
    scene.server.stop(&[])
}

fn dead_worker() -> Result<(), String> {
    let mut scene = Scene::start()?;
    scene.wait_for("DOWN")?;
    let old = children(scene.server.pid());
    for pid in &old {
        signal(*pid, "SEGV")?;
    }
    wait::until(HANG, || {
        match children(scene.server.pid()).iter().any(|pid| !old.contains(pid)) {
            true => Ok(()),
            false => Err("no new worker process".to_string()),
        }
    })?;
    // The first page the new process renders tells what the old one knew.
    let page = client::get(scene.port, "/status")?.body_text();
    if !page.contains(&format!("127.0.0.1:{} DOWN", scene.dead)) {
        return Err(format!("the state is gone:\n{page}"));
    }
    scene.wait_for("DOWN")?;
    scene.is_turned_once()?;
    scene.server.stop(&["exited on signal 11".into()])
}

fn moved() -> Result<(), String> {
    let mut scene = Scene::start()?;
    scene.wait_for("DOWN")?;
    // The live peer goes away: the dead one is the first of the list now.
    scene.reload(&[scene.dead], OPTIONS)?;
    scene.is("DOWN")?;
    scene.reload(&[scene.live(), scene.dead], OPTIONS)?;
    scene.is("DOWN")?;
    scene.is_turned_once()?;
    scene.server.stop(&[])
}

fn ended() -> Result<(), String> {
    let mut scene = Scene::start()?;
    scene.wait_for("DOWN")?;
    scene.reload(&[scene.live(), scene.dead], "")?;
    scene.wait_for("UP")?;
    let page = client::get(scene.port, "/status")?.body_text();
    if !page.starts_with("Upstream foo (NO checkers)\n") {
        return Err(format!("the check is still there:\n{page}"));
    }
    scene.server.stop(&[])
}

/// A server with a master that checks a peer that accepts and one that refuses.
struct Scene {
    server: Server,
    port: u16,
    dead: u16,
    listener: TcpListener,
    /// How often a configuration was loaded.
    loaded: u32,
}

impl Scene {
    fn start() -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        let live = listener.local_addr().map_err(|e| e.to_string())?.port();
        answer_all(&listener)?;
        let (port, dead) = (free_port(), free_port());
        let conf = configuration(port, &[live, dead], OPTIONS, 0);
        let server = Server::start(Program::Ours, Prefix::new()?, &conf, port)?;
        Ok(Self { server, port, dead, listener, loaded: 0 })
    }

    fn live(&self) -> u16 {
        self.listener.local_addr().map_or(0, |a| a.port())
    }

    /// Loads the configuration and waits until only it answers.
    fn reload(&mut self, peers: &[u16], options: &str) -> Result<(), String> {
        self.loaded += 1;
        let conf = configuration(self.port, peers, options, self.loaded);
        self.server.prefix.write("conf/nginx.conf", conf)?;
        self.server.signal("HUP")?;
        let wanted = self.loaded.to_string();
        wait::steadily(|| match client::get(self.port, "/loaded")?.body_text() {
            loaded if loaded == wanted => Ok(()),
            other => Err(format!("configuration {other} answers, not {wanted}")),
        })
    }

    fn is(&self, state: &str) -> Result<(), String> {
        let page = client::get(self.port, "/status")?.body_text();
        match page.contains(&format!("127.0.0.1:{} {state}", self.dead)) {
            true => Ok(()),
            false => Err(format!("not {state}:\n{page}\n{}", self.server.error_log())),
        }
    }

    fn wait_for(&self, state: &str) -> Result<(), String> {
        wait::until(HANG, || self.is(state))
    }

    fn is_turned_once(&self) -> Result<(), String> {
        let log = self.server.error_log();
        match log.matches("is turned").count() {
            1 => Ok(()),
            n => Err(format!("turned {n} times:\n{log}")),
        }
    }
}

/// Answers every connection until the process ends.
fn answer_all(listener: &TcpListener) -> Result<(), String> {
    let listener = listener.try_clone().map_err(|e| e.to_string())?;
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 512]);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n");
        }
    });
    Ok(())
}

/// Without options there is no check.
fn configuration(port: u16, peers: &[u16], options: &str, number: u32) -> String {
    let servers: String = peers.iter().map(|p| format!("server 127.0.0.1:{p};")).collect();
    let check = if options.is_empty() {
        String::new()
    } else {
        format!(
            "init_worker_by_lua_block {{
                local hc = require 'resty.upstream.healthcheck'
                assert(hc.spawn_checker{{ shm = 'healthcheck', upstream = 'foo', type = 'http',
                    http_req = 'GET / HTTP/1.0\\r\\n\\r\\n', {options} }})
            }}"
        )
    };
    format!(
        "daemon off; worker_processes 2; error_log logs/error.log info;
        events {{ worker_connections 64; }}
        http {{
            access_log off;
            lua_shared_dict healthcheck 1m;
            upstream foo {{ {servers} }}
            {check}
            server {{
                listen {port};
                location /loaded {{ return 200 {number}; }}
                location /status {{ content_by_lua_block {{
                    ngx.print(require('resty.upstream.healthcheck').status_page())
                }} }}
            }}
        }}"
    )
}

fn children(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

const OPTIONS: &str = "interval = 50, timeout = 60000, fall = 2, rise = 2";

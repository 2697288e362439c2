//! A real etcd of one member, and a wire to it that can be cut.
//!
//! ```text
//!   moonbeat ─▶ Wire ─▶ Member (etcd)        etcdctl ─▶ Member
//! ```

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::scene::wait;
use crate::harness::server::{Prefix, free_port};

/// A running etcd, or one that is stopped for a while.
pub struct Member {
    pub port: u16,
    peer: u16,
    prefix: Prefix,
    more: Vec<String>,
    https: bool,
    /// Who etcdctl is, when it has to say so.
    pub user: Option<String>,
    child: Option<Child>,
}

impl Member {
    /// Why there is none here, if so.
    pub fn missing() -> Option<String> {
        let there = |name: &str| Path::new("/usr/bin").join(name).exists();
        (!there("etcd") || !there("etcdctl"))
            .then(|| "etcd-server and etcd-client are not installed".to_owned())
    }

    pub fn start() -> Result<Member, String> {
        let mut member = Member::new(Prefix::new()?, Vec::new());
        member.run()?;
        Ok(member)
    }

    /// With certificates of the folder of `prefix`: clients must show one.
    pub fn start_tls(prefix: Prefix) -> Result<Member, String> {
        let file = |name: &str| prefix.path().join(name).display().to_string();
        let more = [
            ("--cert-file", "server.pem"),
            ("--key-file", "server.key"),
            ("--trusted-ca-file", "ca.pem"),
        ];
        let mut more: Vec<String> =
            more.into_iter().flat_map(|(flag, name)| [flag.to_owned(), file(name)]).collect();
        more.push("--client-cert-auth".into());
        let mut member = Member::new(prefix, more);
        member.https = true;
        member.run()?;
        Ok(member)
    }

    fn new(prefix: Prefix, more: Vec<String>) -> Member {
        let (port, peer) = (free_port(), free_port());
        Member { port, peer, prefix, more, https: false, user: None, child: None }
    }

    pub fn folder(&self) -> &Path {
        self.prefix.path()
    }

    /// Starts it again with what it has.
    pub fn run(&mut self) -> Result<(), String> {
        let scheme = if self.https { "https" } else { "http" };
        let client = format!("{scheme}://127.0.0.1:{}", self.port);
        let peer = format!("http://127.0.0.1:{}", self.peer);
        let log = std::fs::File::create(self.folder().join("etcd.log"));
        let child = Command::new("/usr/bin/etcd")
            .arg("--data-dir")
            .arg(self.data())
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("default={peer}")])
            .args(&self.more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.map_err(|e| e.to_string())?)
            .spawn()
            .map_err(|e| format!("etcd: {e}"))?;
        self.child = Some(child);
        // Answers only when it has a leader.
        wait(|| self.ctl_within("2s", &["get", "/nothing"]).map(drop)).map(drop).map_err(|why| {
            let log = self.prefix.read("etcd.log");
            let lines: Vec<&str> = log.lines().rev().take(2).collect();
            format!("etcd does not answer: {why}\n{}", lines.join("\n"))
        })
    }

    /// As a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Forgets everything. It must not run.
    pub fn wipe(&self) -> Result<(), String> {
        std::fs::remove_dir_all(self.data()).map_err(|e| e.to_string())
    }

    fn data(&self) -> PathBuf {
        self.folder().join("etcd")
    }

    pub fn ctl(&self, args: &[&str]) -> Result<String, String> {
        self.ctl_within("60s", args)
    }

    fn ctl_within(&self, limit: &str, args: &[&str]) -> Result<String, String> {
        let scheme = if self.https { "https" } else { "http" };
        let mut command = Command::new("/usr/bin/etcdctl");
        command.env("ETCDCTL_API", "3").arg(format!("--command-timeout={limit}"));
        command.arg(format!("--endpoints={scheme}://127.0.0.1:{}", self.port));
        if let Some(user) = &self.user {
            command.arg(format!("--user={user}"));
        }
        if self.https {
            let files = [("cacert", "ca.pem"), ("cert", "client.pem"), ("key", "client.key")];
            for (flag, name) in files {
                command.arg(format!("--{flag}={}", self.folder().join(name).display()));
            }
        }
        let output = command.args(args).output().map_err(|e| format!("etcdctl: {e}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub fn put(&self, key: &str, value: &str) -> Result<(), String> {
        self.ctl(&["put", key, "--", value]).map(drop)
    }

    pub fn delete(&self, key: &str) -> Result<(), String> {
        self.ctl(&["del", key]).map(drop)
    }

    pub fn value(&self, key: &str) -> Result<String, String> {
        Ok(self.ctl(&["get", "--print-value-only", key])?.trim_end().to_owned())
    }

    /// The number of its last change.
    pub fn revision(&self) -> Result<u64, String> {
        let shown = self.ctl(&["get", "/nothing", "-w", "json"])?;
        let shown: serde_json::Value = serde_json::from_str(&shown).map_err(|e| e.to_string())?;
        shown["header"]["revision"].as_u64().ok_or_else(|| format!("no revision: {shown}"))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Carries connections to a port, until it is cut.
pub struct Wire {
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    to: u16,
    cut: AtomicBool,
    ends: Mutex<Vec<TcpStream>>,
}

impl Wire {
    pub fn to(port: u16) -> Result<Wire, String> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|e| e.to_string())?;
        let own = listener.local_addr().map_err(|e| e.to_string())?.port();
        let (cut, ends) = (AtomicBool::new(false), Mutex::default());
        let shared = Arc::new(Shared { to: port, cut, ends });
        let carrier = shared.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                carrier.carry(near);
            }
        });
        Ok(Wire { port: own, shared })
    }

    /// Ends all connections and refuses new ones.
    pub fn cut(&self) {
        let mut ends = self.shared.ends.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.cut.store(true, Ordering::SeqCst);
        for end in ends.drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    pub fn mend(&self) {
        self.shared.cut.store(false, Ordering::SeqCst);
    }
}

impl Shared {
    fn carry(&self, near: TcpStream) {
        // Held until all is noted: a cut finds every connection, or none is made.
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if self.cut.load(Ordering::SeqCst) {
            return;
        }
        let Ok(far) = TcpStream::connect(("127.0.0.1", self.to)) else { return };
        for (from, to) in [(&near, &far), (&far, &near)] {
            if let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) {
                std::thread::spawn(move || pump(from, to));
            }
        }
        ends.extend([near, far]);
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    let mut some = [0; 65536];
    while let Ok(count) = from.read(&mut some) {
        if count == 0 || to.write_all(&some[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

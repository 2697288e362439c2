//! Starts a server in a folder of its own, on ports of its own, and sees that it ends well.
//!
//! ```text
//!   Prefix (temp folder) + Ports + configuration text -> Server -> stop() -> complaints
//! ```

use std::cell::RefCell;
use std::io::{Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub use super::ports::free_port;
use super::wait::{self, HANG};

/// Which program serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Ours,
    /// The distribution's nginx with its Lua, echo, headers-more and set-misc modules.
    Oracle,
}

impl Program {
    pub fn path(self) -> &'static str {
        match self {
            Program::Ours => env!("CARGO_BIN_EXE_moonbeat"),
            Program::Oracle => "/usr/sbin/nginx",
        }
    }

    /// Why this program cannot be used here, if so.
    pub fn missing(self) -> Option<String> {
        let modules = self == Program::Oracle && !Path::new(MODULES).join(LUA_MODULE).exists();
        if modules || !Path::new(self.path()).exists() {
            return Some("nginx with its Lua module is not installed".into());
        }
        None
    }

    /// The lines that must stand first in a configuration of this program.
    pub fn preamble(self) -> String {
        if self == Program::Ours {
            return String::new();
        }
        // The Lua and set-misc modules need the development kit, so it is loaded first.
        ORACLE_MODULES
            .iter()
            .map(|name| Path::new(MODULES).join(name))
            .filter(|path| path.exists())
            .map(|path| format!("load_module {};\n", path.display()))
            .collect()
    }
}

/// A temporary server folder with `conf/`, `logs/` and `html/`; removed when dropped.
pub struct Prefix {
    path: PathBuf,
}

impl Prefix {
    pub fn new() -> Result<Prefix, String> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // A run that was killed may have left folders behind, and its process id may come again.
        let path = loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("moonbeat-t-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match std::fs::create_dir(&path) {
                Ok(()) => break path,
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(format!("{}: {e}", path.display())),
            }
        };
        for folder in ["conf", "logs", "html"] {
            std::fs::create_dir_all(path.join(folder)).map_err(|e| e.to_string())?;
        }
        Ok(Prefix { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> Result<(), String> {
        let path = self.path.join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| e.to_string())?;
        }
        std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// A file's text, empty when there is none.
    pub fn read(&self, name: &str) -> String {
        let bytes = std::fs::read(self.path.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn error_log(&self) -> String {
        self.read("logs/error.log")
    }
}

impl Drop for Prefix {
    fn drop(&mut self) {
        if std::env::var_os("T_KEEP").is_none() {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// A running server.
pub struct Server {
    pub prefix: Prefix,
    program: Program,
    child: Child,
}

impl Server {
    /// Writes the configuration as `conf/nginx.conf` and starts the program in the foreground;
    /// returns when something listens on `port`.
    pub fn start(
        program: Program,
        prefix: Prefix,
        conf: &str,
        port: u16,
    ) -> Result<Server, String> {
        prefix.write("conf/nginx.conf", conf)?;
        let stderr = std::fs::File::create(prefix.path.join("logs/stderr.log"))
            .map_err(|e| e.to_string())?;
        let child = command(program, &prefix)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .map_err(|e| format!("{}: {e}", program.path()))?;
        let mut server = Server { prefix, program, child };
        server.wait_until_listening(port)?;
        // nginx listens before it can take signals.
        if program == Program::Oracle && conf.contains("pid logs/nginx.pid;") {
            wait::until(HANG, || match server.prefix.read("logs/nginx.pid") {
                pid if pid.ends_with('\n') => Ok(()),
                _ => Err("nginx writes no pid file".to_owned()),
            })?;
        }
        Ok(server)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn error_log(&self) -> String {
        self.prefix.error_log()
    }

    /// Sends a signal by its short name, as in `signal("HUP")`.
    pub fn signal(&self, name: &str) -> Result<(), String> {
        signal(self.pid(), name)
    }

    /// Gives its folder to the next server; it has ended.
    pub fn leave(&mut self) -> Result<Prefix, String> {
        let empty = Prefix::new()?;
        Ok(std::mem::replace(&mut self.prefix, empty))
    }

    /// Asks the server to quit and complains about every way in which it did not end cleanly.
    pub fn stop(&mut self, expected: &[String]) -> Result<(), String> {
        self.signal("QUIT")?;
        match self.wait_for_quit()? {
            Some(status) if status.success() => self.complain_about_log(expected),
            Some(status) => Err(format!("the server ended with {status}")),
            None => Err(format!("the server does not quit within {HANG:?}")),
        }
    }

    /// Fails on a line of level alert or emerg, and on a panic, unless a block expects it.
    pub fn complain_about_log(&self, expected: &[String]) -> Result<(), String> {
        let log = self.error_log();
        for line in log.lines() {
            let bad = ["[alert]", "[emerg]", "panicked at"].iter().any(|mark| line.contains(mark));
            let harmless = self.program == Program::Oracle && line.contains("open socket #");
            if bad && !harmless && !expected.iter().any(|text| line.contains(text.as_str())) {
                return Err(format!("the error log has: {line}"));
            }
        }
        Ok(())
    }

    /// Waits for the process to end; `None` when time is up.
    pub fn wait(&mut self, limit: Duration) -> Result<Option<ExitStatus>, String> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().map_err(|e| e.to_string())? {
                return Ok(Some(status));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Without a master nginx sleeps on when a signal comes just before it begins to wait.
    fn wait_for_quit(&mut self) -> Result<Option<ExitStatus>, String> {
        if self.program == Program::Ours {
            return self.wait(HANG);
        }
        for _ in 0..HANG.as_secs() {
            if let Some(status) = self.wait(Duration::from_secs(1))? {
                return Ok(Some(status));
            }
            self.signal("QUIT")?;
        }
        Ok(None)
    }

    fn wait_until_listening(&mut self, port: u16) -> Result<(), String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let end = Instant::now() + HANG;
        while Instant::now() < end {
            if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait().map_err(|e| e.to_string())? {
                let stderr = self.prefix.read("logs/stderr.log");
                return Err(format!("the server ended at start ({status}):\n{stderr}"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(format!("nothing listens on port {port} after {HANG:?}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        keep_log(&self.prefix);
        if matches!(self.child.try_wait(), Ok(None)) {
            // TERM first: a killed master would leave its worker behind.
            let _ = signal(self.child.id(), "TERM");
            if !matches!(self.wait(Duration::from_secs(10)), Ok(Some(_))) {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
    }
}

/// Runs the program on a configuration until it ends; for configurations that must not load.
pub fn run_to_end(
    program: Program,
    prefix: &Prefix,
    args: &[&str],
) -> Result<(bool, String), String> {
    let output = command(program, prefix)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{}: {e}", program.path()))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((output.status.success(), text + &String::from_utf8_lossy(&output.stdout)))
}

/// Sends a signal to a process.
pub fn signal(pid: u32, name: &str) -> Result<(), String> {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .stderr(Stdio::null())
        .status()
        .map_err(|e| format!("kill: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("cannot send {name} to {pid}")) }
}

/// The last lines that this thread's servers logged, those that have ended since the last call.
pub fn take_logs() -> Vec<String> {
    LOGS.with(RefCell::take)
}

fn keep_log(prefix: &Prefix) {
    for name in ["logs/stderr.log", "logs/error.log"] {
        let lines = last_lines(&prefix.path.join(name)).unwrap_or_default();
        LOGS.with_borrow_mut(|logs| logs.extend(lines));
    }
}

fn last_lines(path: &Path) -> std::io::Result<Vec<String>> {
    let mut file = std::fs::File::open(path)?;
    let from = file.metadata()?.len().saturating_sub(8192);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(12)..].iter().map(|line| (*line).to_owned()).collect())
}

fn command(program: Program, prefix: &Prefix) -> Command {
    let mut command = Command::new(program.path());
    let folder = format!("{}/", prefix.path.display());
    command.args(["-p", &folder, "-c", "conf/nginx.conf", "-e", "logs/error.log"]);
    command.current_dir(&prefix.path);
    command
}

thread_local! {
    static LOGS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

const MODULES: &str = "/usr/lib/nginx/modules";
const LUA_MODULE: &str = "ngx_http_lua_module.so";
const ORACLE_MODULES: &[&str] = &[
    "ndk_http_module.so",
    LUA_MODULE,
    "ngx_http_echo_module.so",
    "ngx_http_headers_more_filter_module.so",
    "ngx_http_set_misc_module.so",
    "ngx_stream_module.so",
];

//! Becoming a server: fork to the background, pid file, standard descriptors, limits, title.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use bstr::ByteSlice;

use super::conf::ProcessConf;
use super::cycle::Cycle;
use super::errorlog::ErrorLog;
use super::sys::{self, Fork, Limit};
use crate::base::errno::Errno;
use crate::base::log::{Level, emit};
use crate::net::fd;

/// What the process is after [`detach`].
pub enum Role {
    /// The one the user started: it returns this exit code.
    Launcher(i32),
    Daemon(Launch),
}

/// The way to tell the launcher that the server is up; dropping it tells that it failed.
#[derive(Default)]
pub struct Launch(Option<UnixStream>);

impl Launch {
    /// For a server that stays in the foreground.
    pub fn foreground() -> Self {
        Self(None)
    }

    /// The launcher returns 0.
    pub fn is_up(&mut self) {
        if let Some(mut pipe) = self.0.take() {
            // The launcher may have been killed; the server does not mind.
            let _ = pipe.write_all(b"1");
        }
    }
}

/// Splits off a daemon. The launcher waits until the daemon serves or has failed, so that its exit
/// code tells the truth.
pub fn detach() -> io::Result<Role> {
    let (mut waiting, telling) = UnixStream::pair()?;
    match sys::fork()? {
        Fork::Parent => {
            drop(telling);
            let mut byte = [0];
            let up = waiting.read_exact(&mut byte).is_ok();
            Ok(Role::Launcher(if up { 0 } else { 1 }))
        }
        Fork::Child => {
            drop(waiting);
            sys::new_session()?;
            let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
            fd::dup2(&null, 0)?;
            fd::dup2(&null, 1)?;
            Ok(Role::Daemon(Launch(Some(telling))))
        }
    }
}

/// Sends what is written to stderr into the error log, as nginx does once it is up.
pub fn stderr_to_log(cycle: &Cycle) {
    let log: &ErrorLog = cycle.scope.part();
    let stays = log.own_chain().is_some_and(|c| {
        c.sinks().iter().any(|(sink, _)| matches!(sink, crate::base::log::Sink::Stderr))
    });
    if stays {
        return;
    }
    if let Some(Err(e)) = log.file().map(|file| fd::dup2(&*file, 2)) {
        emit(Level::Alert, format_args!("dup2(STDERR) failed {}", Errno(&e)));
    }
}

/// Writes the pid file.
pub fn write_pid(path: &Path) -> Result<(), String> {
    let failed = |call, e| format!("{call}() \"{}\" failed {}", path.display(), Errno(&e));
    let mut file = open_pid(path, true).map_err(|e| failed("open", e))?;
    writeln!(file, "{}", std::process::id()).map_err(|e| failed("write", e))
}

/// `-t`: finds out whether the pid file could be written.
pub fn try_pid(path: &Path) -> Result<(), String> {
    let open = open_pid(path, false);
    open.map(drop).map_err(|e| format!("open() \"{}\" failed {}", path.display(), Errno(&e)))
}

pub fn remove_pid(path: &Path) {
    if let Err(e) = fs::remove_file(path) {
        emit(Level::Alert, format_args!("unlink() \"{}\" failed {}", path.display(), Errno(&e)));
    }
}

fn open_pid(path: &Path, truncate: bool) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(truncate).mode(0o644).open(path)
}

/// Applies limits, priority and working directory of a worker; failures are told, not fatal.
pub fn apply_limits(conf: &ProcessConf) {
    let told = |level, call: &str, done: io::Result<()>| {
        if let Err(e) = done {
            emit(level, format_args!("{call} failed {}", Errno(&e)));
        }
    };
    if let Some(value) = conf.priority {
        told(Level::Alert, &format!("setpriority({value})"), sys::set_priority(value));
    }
    if let Some(value) = conf.rlimit_nofile {
        let call = format!("setrlimit(RLIMIT_NOFILE, {value})");
        told(Level::Alert, &call, sys::set_limit(Limit::OpenFiles, value));
    }
    if let Some(value) = conf.rlimit_core {
        let call = format!("setrlimit(RLIMIT_CORE, {value})");
        told(Level::Alert, &call, sys::set_limit(Limit::CoreSize, value));
    }
    if let Some(dir) = &conf.working_directory {
        let path = OsStr::from_bytes(dir);
        told(Level::Alert, &format!("chdir(\"{dir}\")"), std::env::set_current_dir(path));
    }
}

/// The environment a worker sees: `TZ` and what `env` names, nothing else.
pub fn environment(conf: &ProcessConf) -> Vec<(OsString, OsString)> {
    let mut vars: Vec<(OsString, OsString)> = Vec::new();
    let mut put = |name: &OsStr, value: OsString| {
        vars.retain(|(known, _)| known != name);
        vars.push((name.to_owned(), value));
    };
    // LuaJIT looks for its two when a VM is made, which in nginx is before the rest is dropped.
    for name in ["TZ", "LUA_PATH", "LUA_CPATH"] {
        if let Some(value) = std::env::var_os(name) {
            put(OsStr::new(name), value);
        }
    }
    for text in &conf.env {
        match text.split_once_str("=") {
            Some((name, value)) => {
                put(OsStr::from_bytes(name), OsStr::from_bytes(value).to_owned());
            }
            None => {
                let name = OsStr::from_bytes(text);
                if let Some(value) = std::env::var_os(name) {
                    put(name, value);
                }
            }
        }
    }
    vars
}

/// `nginx: master process /usr/sbin/moonbeat -c …`
pub fn master_title() -> OsString {
    let mut title = OsString::from("nginx: master process");
    for arg in std::env::args_os() {
        title.push(" ");
        title.push(arg);
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_what_was_named() {
        let mut conf = ProcessConf::default();
        conf.env = vec!["A=1".into(), "A=2".into(), "PATH".into(), "NO_SUCH_VARIABLE".into()];
        let vars = environment(&conf);
        let find = |name: &str| vars.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        assert_eq!(find("A"), Some("2".into()));
        assert_eq!(find("PATH"), std::env::var_os("PATH"));
        assert_eq!(find("NO_SUCH_VARIABLE"), None);
        assert_eq!(find("HOME"), None);
    }
}

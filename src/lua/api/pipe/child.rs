//! One child process.
//!
//! ```text
//!   Order ─▶ fork, exec ─▶ Child, reaped by a task of its own ─▶ exit ─▶ who waits
//! ```

use std::cell::{Cell, OnceCell};
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::rc::Rc;

use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::sync::Notify;

use super::stream::{Input, Output};
use crate::base::errno::{self, Errno};
use crate::base::log::{Level, emit};
use crate::lua::ctx;
use crate::process::sys;

/// A process with our ends of its pipes.
pub struct Child {
    /// 0 when the program could not be executed.
    pub pid: u32,
    pub stdin: Input,
    pub stdout: Output,
    /// Nothing when it is merged into stdout.
    pub stderr: Option<Output>,
    pub buffer_size: usize,
    /// Somebody waits for the exit.
    pub waited: Cell<bool>,
    /// Its exit was told, or the handle is gone: nothing can be done with it any more.
    pub closed: Cell<bool>,
    exit: OnceCell<Exit>,
    exit_told: Notify,
}

/// What to run.
pub struct Order {
    pub argv: Vec<Vec<u8>>,
    pub merge_stderr: bool,
    pub buffer_size: usize,
    /// `name=value`, instead of our own environment.
    pub environ: Option<Vec<Vec<u8>>>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug)]
pub struct Exit {
    /// `exit` or `signal`.
    pub reason: &'static str,
    pub number: i32,
}

/// Why there is no process.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    #[error("pipe failed: {}", errno::text(.0))]
    Pipe(io::Error),
    #[error("fork failed: {}", errno::text(.0))]
    Fork(io::Error),
}

impl Child {
    pub fn spawn(order: &Order) -> Result<Rc<Self>, SpawnError> {
        let (their_in, stdin) = io::pipe().map_err(SpawnError::Pipe)?;
        let (stdout, their_out) = io::pipe().map_err(SpawnError::Pipe)?;
        let (stderr, their_err) = if order.merge_stderr {
            (None, their_out.try_clone().map_err(SpawnError::Pipe)?)
        } else {
            let (ours, theirs) = io::pipe().map_err(SpawnError::Pipe)?;
            (Some(ours), theirs)
        };
        let mut command = command(order);
        command.stdin(Stdio::from(their_in)).stdout(Stdio::from(their_out)).stderr(their_err);
        let receiver = |fd: OwnedFd| pipe::Receiver::from_owned_fd(fd).map(Output::new);
        let child = Self {
            pid: 0,
            stdin: pipe::Sender::from_owned_fd(stdin.into())
                .map(Input::new)
                .map_err(SpawnError::Pipe)?,
            stdout: receiver(stdout.into()).map_err(SpawnError::Pipe)?,
            stderr: stderr.map(|fd| receiver(fd.into())).transpose().map_err(SpawnError::Pipe)?,
            buffer_size: order.buffer_size,
            waited: Cell::new(false),
            closed: Cell::new(false),
            exit: OnceCell::new(),
            exit_told: Notify::new(),
        };
        child.start(command, order)
    }

    /// Starts the program. One that cannot be executed is a process that fails at once, because
    /// OpenResty finds that out in the forked child.
    fn start(mut self, mut command: Command, order: &Order) -> Result<Rc<Self>, SpawnError> {
        match command.spawn() {
            Ok(mut process) => {
                // The command holds the child's ends of the pipes.
                drop(command);
                self.pid = process.id().unwrap_or_default();
                let child = Rc::new(self);
                let told = Rc::clone(&child);
                tokio::task::spawn_local(async move {
                    told.end(process.wait().await.unwrap_or_default());
                });
                Ok(child)
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(SpawnError::Fork(e)),
            Err(e) => {
                let call = if order.environ.is_some() { "execvpe" } else { "execvp" };
                let file = order.argv.first().map(|arg| String::from_utf8_lossy(arg));
                let file = file.unwrap_or_default();
                let why = Errno(&e);
                let text = format!("lua pipe child {call}() failed while executing {file} {why}");
                // Told by the child, which knows of no request.
                emit(Level::Error, format_args!("{text}"));
                _ = self.exit.set(Exit { reason: "exit", number: 1 });
                Ok(Rc::new(self))
            }
        }
    }

    /// The process was reaped.
    fn end(&self, status: ExitStatus) {
        let text = format!("signal {SIGCHLD} (SIGCHLD) received from {}", self.pid);
        ctx::log(Level::Notice, &text);
        _ = self.exit.set(match (status.signal(), status.code()) {
            (Some(signal), _) => Exit { reason: "signal", number: signal },
            (None, Some(code)) => Exit { reason: "exit", number: code },
            (None, None) => Exit { reason: "unknown", number: status.into_raw() },
        });
        self.exit_told.notify_waiters();
    }

    pub async fn exited(&self) -> Exit {
        loop {
            if let Some(exit) = self.exit.get() {
                return *exit;
            }
            self.exit_told.notified().await;
        }
    }

    pub fn kill(&self, signal: i32) -> Result<(), String> {
        if self.exit.get().is_some() {
            return Err("exited".to_owned());
        }
        sys::kill(self.pid as i32, signal).map_err(|e| match e.kind() {
            io::ErrorKind::InvalidInput => "invalid signal".to_owned(),
            _ if e.raw_os_error() == Some(ESRCH) => "exited".to_owned(),
            _ => errno::text(&e),
        })
    }

    /// A debug line of lua-nginx-module about this process.
    pub fn trace(&self, doing: &str, more: std::fmt::Arguments<'_>) {
        let (at, pid) = (std::ptr::from_ref(self).addr(), self.pid);
        emit(Level::Debug, format_args!("lua pipe {doing} process:{at:016X} pid:{pid}{more}"));
    }

    /// The handle is gone: nobody can wait for the process any more.
    pub fn abandon(&self) {
        if !self.closed.get() {
            self.trace("destroy", format_args!(""));
            if self.exit.get().is_none() {
                self.trace("kill", format_args!(""));
            }
            // An error means that it has ended by itself.
            _ = self.kill(SIGKILL);
            self.close();
        }
    }

    /// Closes all pipes.
    pub fn close(&self) {
        self.closed.set(true);
        self.stdin.close();
        self.stdout.close();
        if let Some(stderr) = &self.stderr {
            stderr.close();
        }
    }

    /// An operation that was cut short by a shutdown says so, unless the process had ended.
    pub fn reason(&self, reason: String) -> String {
        if reason == "aborted" && (self.closed.get() || self.exit.get().is_some()) {
            return "closed".to_owned();
        }
        reason
    }

    pub fn stdout(&self) -> &Output {
        &self.stdout
    }

    /// Where the error stream can be read.
    pub fn stderr(&self) -> &Output {
        self.stderr.as_ref().unwrap_or(&self.stdout)
    }
}

fn command(order: &Order) -> Command {
    let words: Vec<&OsStr> = order.argv.iter().map(|arg| OsStr::from_bytes(arg)).collect();
    let (program, args) = words.split_first().map_or((OsStr::new(""), &[][..]), |(p, a)| (*p, a));
    let mut command = Command::new(program);
    command.args(args);
    if let Some(environ) = &order.environ {
        command.env_clear();
        for pair in environ {
            let at = pair.iter().position(|&b| b == b'=').unwrap_or(pair.len());
            let (name, value) = pair.split_at(at);
            let value = value.get(1..).unwrap_or_default();
            command.env(OsStr::from_bytes(name), OsStr::from_bytes(value));
        }
    }
    command
}

const SIGCHLD: i32 = 17;
const SIGKILL: i32 = 9;
const ESRCH: i32 = 3;

//! Signal names and actions, and `-s NAME`: telling a running server through its pid file.

use std::fs;
use std::io;
use std::path::Path;

use super::sys;
use crate::base::errno::Errno;
use crate::base::log::Level;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Stop at once.
    Stop,
    /// Finish what is under way, then stop.
    Quit,
    Reload,
    Reopen,
}

impl Action {
    /// The words of `-s`.
    pub fn from_name(name: &str) -> Option<Self> {
        ROWS.iter().find(|row| row.0 == name).map(|row| row.1)
    }

    pub fn from_number(number: i32) -> Option<Self> {
        match number {
            sys::SIGINT => Some(Self::Stop),
            _ => ROWS.iter().find(|row| row.2 == number).map(|row| row.1),
        }
    }

    pub fn number(self) -> i32 {
        ROWS.iter().find(|row| row.1 == self).map_or(0, |row| row.2)
    }

    /// How nginx's log line goes on: `signal 3 (SIGQUIT) received from 1, shutting down`.
    pub fn doing(self) -> &'static str {
        match self {
            Self::Stop => ", exiting",
            Self::Quit => ", shutting down",
            Self::Reload => ", reconfiguring",
            Self::Reopen => ", reopening logs",
        }
    }
}

/// `SIGHUP`, `SIGCHLD`; as nginx's log names them.
pub fn name(number: i32) -> &'static str {
    NAMES.iter().find(|row| row.0 == number).map_or("", |row| row.1)
}

/// Sends the signal of `action` to the process named in the pid file.
pub fn send(pid_path: &Path, action: Action) -> Result<(), SendError> {
    let pid = read_pid(pid_path)?;
    let signal = action.number();
    sys::kill(pid, signal).map_err(|error| SendError::Kill { pid, signal, error })
}

/// The number in a pid file.
pub fn read_pid(path: &Path) -> Result<i32, SendError> {
    let shown = || path.display().to_string();
    let text = fs::read(path).map_err(|error| SendError::Open { path: shown(), error })?;
    // nginx cuts CR and LF at the end and then wants digits only.
    let text = String::from_utf8_lossy(&text);
    let number = text.trim_end_matches(['\r', '\n']);
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    digits
        .then(|| number.parse().ok())
        .flatten()
        .ok_or_else(|| SendError::Invalid { number: number.to_string(), path: shown() })
}

/// Why no signal was sent, in nginx's words.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("open() \"{path}\" failed {}", Errno(.error))]
    Open { path: String, error: io::Error },
    #[error("invalid PID number \"{number}\" in \"{path}\"")]
    Invalid { number: String, path: String },
    #[error("kill({pid}, {signal}) failed {}", Errno(.error))]
    Kill { pid: i32, signal: i32, error: io::Error },
}

impl SendError {
    pub fn level(&self) -> Level {
        match self {
            Self::Kill { .. } => Level::Alert,
            Self::Open { .. } | Self::Invalid { .. } => Level::Error,
        }
    }
}

const ROWS: &[(&str, Action, i32)] = &[
    ("stop", Action::Stop, sys::SIGTERM),
    ("quit", Action::Quit, sys::SIGQUIT),
    ("reload", Action::Reload, sys::SIGHUP),
    ("reopen", Action::Reopen, sys::SIGUSR1),
];

const NAMES: &[(i32, &str)] = &[
    (sys::SIGHUP, "SIGHUP"),
    (sys::SIGUSR1, "SIGUSR1"),
    (sys::SIGUSR2, "SIGUSR2"),
    (sys::SIGWINCH, "SIGWINCH"),
    (sys::SIGTERM, "SIGTERM"),
    (sys::SIGQUIT, "SIGQUIT"),
    (sys::SIGINT, "SIGINT"),
    (sys::SIGCHLD, "SIGCHLD"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pid_files() {
        let path = std::env::temp_dir().join(format!("moonbeat-pid-{}", std::process::id()));
        let shown = path.display();
        let tell = || read_pid(&path).map_err(|e| e.to_string());
        assert_eq!(
            tell(),
            Err(format!("open() \"{shown}\" failed (2: No such file or directory)"))
        );
        fs::write(&path, "12x\n").unwrap();
        assert_eq!(tell(), Err(format!("invalid PID number \"12x\" in \"{shown}\"")));
        fs::write(&path, "123\n").unwrap();
        assert_eq!(tell(), Ok(123));
        fs::write(&path, "2147483646\n").unwrap();
        let error = send(&path, Action::Stop).unwrap_err();
        assert_eq!(error.to_string(), "kill(2147483646, 15) failed (3: No such process)");
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn names_and_numbers() {
        assert_eq!(Action::from_name("quit"), Some(Action::Quit));
        assert_eq!(Action::from_name("x"), None);
        assert_eq!(Action::from_number(sys::SIGINT), Some(Action::Stop));
        assert_eq!(name(sys::SIGUSR1), "SIGUSR1");
    }
}

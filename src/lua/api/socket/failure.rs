//! Why a socket operation failed, in the words scripts compare with.

use std::io;

use crate::base::errno;
use crate::lua::raw::{Reply, Val};

/// A failed operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    Timeout,
    Closed,
    /// What the system said, in lower case as lua-nginx-module shows it.
    System(String),
}

impl Failure {
    pub fn word(&self) -> Val {
        match self {
            Self::Timeout => Val::Text("timeout"),
            Self::Closed => Val::Text("closed"),
            Self::System(text) => Val::Str(text.clone().into_bytes()),
        }
    }

    /// `nil, "reason"`.
    pub fn reply(&self) -> Reply {
        Reply::fail(self.word())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut if error.raw_os_error().is_none() => Self::Timeout,
            io::ErrorKind::UnexpectedEof | io::ErrorKind::WriteZero => Self::Closed,
            _ => Self::System(errno::text(&error).to_lowercase()),
        }
    }
}

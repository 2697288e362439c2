//! Why a try at a peer failed.

use std::io;

use crate::base::errno::Errno;
use crate::base::log::Level;
use crate::net::dial::DialError;
use crate::upstream::{ReportKind, Step};

#[derive(Debug)]
pub enum Fault {
    Connect(DialError),
    /// The TLS handshake, or what the certificate says.
    Tls(String),
    Timeout(Step),
    Send(io::Error),
    Recv(io::Error),
}

impl Fault {
    /// nginx's line.
    pub fn message(&self) -> (Level, String) {
        match self {
            Self::Connect(DialError::Timeout) | Self::Timeout(_) => {
                (Level::Error, TIMED_OUT.into())
            }
            Self::Connect(e) => (e.level(), e.to_string()),
            Self::Tls(text) => (Level::Error, text.clone()),
            Self::Send(e) => (Level::Error, format!("send() failed {}", Errno(e))),
            Self::Recv(e) => (Level::Error, format!("recv() failed {}", Errno(e))),
        }
    }

    /// The same for those who judge peers by live traffic.
    pub fn report(&self) -> (ReportKind, Step) {
        match self {
            Self::Connect(e) if e.is_timeout() => (ReportKind::Timeout, Step::Connect),
            Self::Connect(_) => (ReportKind::Broken, Step::Connect),
            Self::Tls(_) => (ReportKind::Broken, Step::Handshake),
            Self::Timeout(step) => (ReportKind::Timeout, *step),
            Self::Send(_) => (ReportKind::Broken, Step::Send),
            Self::Recv(_) => (ReportKind::Broken, Step::Header),
        }
    }
}

pub const TIMED_OUT: &str = "upstream timed out (110: Connection timed out)";

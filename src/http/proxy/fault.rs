//! What can go wrong at a try, with the facts others decide by: whether to go on, what to answer,
//! what to tell the health engine, what nginx would log.

use std::io;

use crate::{
    base::{errno::Errno, log::Level},
    net::{dial::DialError, http1::UpstreamError},
    upstream::{ReportKind, Step},
};

use super::settings::next;

/// The end of a try without a usable answer.
#[derive(Debug)]
pub enum Fault {
    /// The group has no peer that can be used.
    NoLive,
    Connect(DialError),
    Timeout(During),
    /// The upstream closed before it had answered.
    Closed,
    Recv(io::Error),
    Send(io::Error),
    /// The TLS handshake, or what the certificate says.
    Tls(String),
    Header(UpstreamError),
    /// What cannot be in the protocol spoken, or a request the upstream rejected.
    Invalid(String),
    /// An answer that `proxy_next_upstream` calls a failure.
    Status(u16),
}

/// Why the passing ends as a whole.
#[derive(Debug)]
pub enum End {
    Try(Fault),
    /// The client went away.
    Client,
    /// Ours: a body file, a balancer.
    Status(u16),
}

/// What was being done; nginx's words behind `while`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum During {
    Connecting,
    Handshake,
    Sending,
    ReadingHead,
    ReadingBody,
    Upgraded,
}

impl Fault {
    /// The bit of `proxy_next_upstream` that covers it.
    pub fn cause(&self) -> u32 {
        match self {
            Self::NoLive => next::NO_LIVE,
            Self::Connect(e) if e.is_timeout() => next::TIMEOUT,
            Self::Timeout(_) => next::TIMEOUT,
            Self::Connect(_) | Self::Closed | Self::Recv(_) | Self::Send(_) | Self::Tls(_) => {
                next::ERROR
            }
            Self::Header(_) | Self::Invalid(_) => next::INVALID_HEADER,
            Self::Status(status) => next::of_status(*status).unwrap_or(next::ERROR),
        }
    }

    /// The status the client gets when this was the last try.
    pub fn status(&self) -> u16 {
        match self {
            Self::Status(status @ (500 | 503 | 504 | 403 | 404 | 429)) => *status,
            _ if self.cause() == next::TIMEOUT => 504,
            _ => 502,
        }
    }

    /// Whether the peer is blamed. A 403 or 404 is an answer all the same.
    pub fn blames_peer(&self) -> bool {
        !matches!(self, Self::Status(403 | 404))
    }

    pub fn report(&self) -> (ReportKind, Step) {
        match self {
            Self::Status(status) => (ReportKind::Status(*status), Step::Header),
            Self::Connect(e) if e.is_timeout() => (ReportKind::Timeout, Step::Connect),
            Self::NoLive | Self::Connect(_) => (ReportKind::Broken, Step::Connect),
            Self::Timeout(during) => (ReportKind::Timeout, during.step()),
            Self::Closed | Self::Recv(_) => (ReportKind::Broken, Step::Header),
            Self::Send(_) => (ReportKind::Broken, Step::Send),
            Self::Tls(_) => (ReportKind::Broken, Step::Handshake),
            Self::Header(_) | Self::Invalid(_) => (ReportKind::Invalid, Step::Header),
        }
    }

    /// nginx's line; an answered status has none.
    pub fn message(&self) -> Option<(Level, String)> {
        let (level, text) = match self {
            Self::NoLive => (Level::Error, "no live upstreams".into()),
            Self::Connect(DialError::Timeout) | Self::Timeout(_) => {
                (Level::Error, TIMED_OUT.into())
            }
            Self::Connect(e) => (e.level(), e.to_string()),
            Self::Closed => (Level::Error, CLOSED.into()),
            Self::Recv(e) => (Level::Error, format!("recv() failed {}", Errno(e))),
            Self::Send(e) => (Level::Error, format!("writev() failed {}", Errno(e))),
            Self::Tls(e) => (Level::Error, e.clone()),
            Self::Header(e) => (Level::Error, e.to_string()),
            Self::Invalid(e) => (Level::Error, e.clone()),
            Self::Status(_) => return None,
        };
        // What was said already.
        if text.is_empty() {
            return None;
        }
        Some((level, text))
    }

    /// What was being done, if not what it was when the try began to wait.
    pub fn during(&self) -> Option<During> {
        match self {
            Self::NoLive | Self::Connect(_) => Some(During::Connecting),
            Self::Tls(_) => Some(During::Handshake),
            Self::Timeout(during) => Some(*during),
            _ => None,
        }
    }
}

impl During {
    pub fn words(self) -> &'static str {
        match self {
            Self::Connecting => "connecting to upstream",
            Self::Handshake => "SSL handshaking to upstream",
            Self::Sending => "sending request to upstream",
            Self::ReadingHead => "reading response header from upstream",
            Self::ReadingBody => "reading upstream",
            Self::Upgraded => "proxying upgraded connection",
        }
    }

    fn step(self) -> Step {
        match self {
            Self::Connecting => Step::Connect,
            Self::Handshake => Step::Handshake,
            Self::Sending => Step::Send,
            Self::ReadingHead => Step::Header,
            Self::ReadingBody | Self::Upgraded => Step::Body,
        }
    }
}

pub const TIMED_OUT: &str = "upstream timed out (110: Connection timed out)";
pub const CLOSED: &str = "upstream prematurely closed connection";

//! The words of `resty.upstream.healthcheck`: log lines and keys of the shared dictionary.
//!
//! ```text
//!  [warn] … [lua] healthcheck.lua:60: warn(): healthcheck: peer 127.0.0.1:81 is turned down after
//!           3 failure(s), context: ngx.timer
//!  d:foo:p0 = true    nok:foo:p0 = 3    v:foo = 1    l:foo = true
//! ```
//!
//! People grep these lines, and scripts read these keys; both keep the form the Lua library gave
//! them, with the source position in front and the context behind.

use std::fmt;

use bstr::{BStr, BString, ByteSlice};

use crate::base::log::{Chain, Level};
use crate::health::machine::State;
use crate::health::outcome::Kind;
use crate::health::rounds::Lane;
use crate::health::target::Target;
use crate::health::watch::Finished;

/// Writes the lines of one check.
pub struct Voice<'a> {
    pub log: &'a Chain,
    /// The user's `ngx.config.debug`: without it debug lines are not written at any level.
    pub debug: bool,
}

impl Voice<'_> {
    pub fn debug(&self, text: fmt::Arguments<'_>) {
        if self.debug {
            self.write(Level::Debug, "72: debug", text, "");
        }
    }

    pub fn warn(&self, text: fmt::Arguments<'_>) {
        self.write(Level::Warn, "60: warn", text, CONTEXT);
    }

    pub fn error(&self, text: fmt::Arguments<'_>) {
        self.write(Level::Error, "65: errlog", text, CONTEXT);
    }

    /// A lane of a round begins: the library tells which light thread checks what.
    pub fn lane(&self, lane: &Lane, listed: bool) {
        let who = if lane.last { "check" } else { "spawn a thread checking" };
        let role = if lane.backup { "backup" } else { "primary" };
        if listed {
            self.debug(format_args!("{who} {role} peers {} to {}", lane.from, lane.to));
        } else {
            self.debug(format_args!("{who} {role} peer {}", lane.from));
        }
    }

    /// Everything the library says about one result.
    pub fn result(&self, target: &Target, f: &Finished) {
        let name = &target.name;
        if f.outcome.seen().is_none() {
            let detail = f.outcome.detail.as_bstr();
            return self.error(format_args!("failed to create stream socket: {detail}"));
        }
        if !f.outcome.is_pass() && !f.was_down {
            self.error(format_args!("{}", failure(name, f)));
        }
        let not = if f.outcome.is_pass() { "" } else { "not " };
        self.debug(format_args!("peer {name} was checked to be {not}ok"));
        if let Some(t) = f.transition {
            let (way, what) = match t.to {
                State::Healthy | State::MostlyHealthy => ("up", "success(es)"),
                State::Unhealthy | State::MostlyUnhealthy => ("down", "failure(s)"),
            };
            self.warn(format_args!("peer {name} is turned {way} after {} {what}", t.count));
        }
    }

    fn write(&self, level: Level, place: &str, text: fmt::Arguments<'_>, context: &str) {
        self.log.write(
            level,
            None,
            format_args!("[lua] healthcheck.lua:{place}(): healthcheck: {text}{context}"),
        );
    }
}

/// The error line of a failed probe.
fn failure(name: &str, f: &Finished) -> String {
    let detail = f.outcome.detail.as_bstr();
    match f.outcome.kind {
        Kind::BadStatus => {
            let status = f.outcome.status.unwrap_or_default();
            format!("bad status code from {name}: {status}")
        }
        Kind::BadLine => format!("bad status line from {name}: {detail}"),
        Kind::TlsFailed | Kind::TlsTimeout => {
            format!("failed to ssl handshake to {name}: {detail}")
        }
        Kind::SendFailed | Kind::SendTimeout => {
            format!("failed to send request to {name}: {detail}")
        }
        Kind::ReceiveFailed | Kind::ReceiveTimeout => {
            format!("failed to receive status line from {name}: {detail}")
        }
        _ => format!("failed to connect to {name}: {detail}"),
    }
}

/// A key of one peer: `ok:foo:p0`.
pub fn peer_key(prefix: &str, upstream: &BStr, target: &Target) -> BString {
    let list = if target.backup { 'b' } else { 'p' };
    bstr::concat([prefix.as_bytes(), upstream, format!(":{list}{}", target.id).as_bytes()]).into()
}

/// The key of the version: it rises with each published change.
pub fn version_key(upstream: &BStr) -> BString {
    bstr::concat([b"v:", upstream.as_bytes()]).into()
}

/// The key of the round lock.
pub fn lock_key(upstream: &BStr) -> BString {
    bstr::concat([b"l:", upstream.as_bytes()]).into()
}

/// nginx leaves the context out of debug lines only.
const CONTEXT: &str = ", context: ngx.timer";

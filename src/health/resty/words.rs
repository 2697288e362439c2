//! What a book says to scripts, and how it names targets to the engine.
//!
//! ```text
//!   Event ──▶ Tell: counted, changed, failed …      Ident ◀──▶ Key, Target of the engine
//! ```

use std::net::IpAddr;

use bstr::{BString, ByteSlice};

use super::list::Entry;
use crate::base::log::{Level, main_chain};
use crate::health::machine::Seen;
use crate::health::{Event, Key, Kind, Outcome, Source, Target, TargetSpec, What, probe};
use crate::net::addr::Addr;

/// Something the engine found out, for the script of one checker.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The checker that tells it on.
    pub seat: u64,
    pub target: Option<Ident>,
    pub what: Tell,
}

/// What is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Tell {
    /// A report was counted in a lane, numbered as scripts do from 1.
    Counted { healthy: bool, lane: u8, count: u64, limit: u64 },
    /// The inner state is another.
    Changed(&'static str),
    /// Delayed removal.
    Removed,
    /// A probe failed in a way the library wrote an error about.
    Failed(String),
    /// A probe ended; told at the debug level only.
    Probed { head: BString, status: Option<u64> },
    /// A probe was sent again with another version of HTTP.
    Retried(String),
    /// Nothing: the plan of the checker changed.
    Wake,
}

/// The identity of a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Ident {
    pub ip: BString,
    /// As the script gave it; fractions match nothing.
    pub port: f64,
    pub hostname: BString,
}

impl Ident {
    pub(super) fn of(target: &Target) -> Self {
        let (ip, port) = target.name.rsplit_once(':').unwrap_or((&target.name, ""));
        let (port, hostname) = (port.parse().unwrap_or_default(), target.server.clone());
        Self { ip: ip.into(), port, hostname }
    }

    pub(super) fn key(&self) -> Key {
        Key::new(format!("{}:{}", self.ip, self.port), self.hostname.clone())
    }

    /// Where to connect; names have to be resolved by the script.
    fn addr(&self) -> Option<Addr> {
        if self.ip.starts_with(b"unix:") {
            return Addr::literal(&self.ip);
        }
        let bare = self.ip.trim_with(|c| c == '[' || c == ']').to_str().ok()?;
        let ip: IpAddr = bare.parse().ok()?;
        let port = (0.0..=65535.0).contains(&self.port).then_some(self.port as u16)?;
        Some(Addr::Inet((ip, port).into()))
    }
}

impl Entry {
    /// The target for the engine; `up` tells how it begins.
    pub fn target(&self, up: Option<bool>) -> TargetSpec {
        let Key { name, server } = self.ident.key();
        let mut spec = TargetSpec::new(name, server, self.ident.addr());
        let host = self.hostheader.as_ref().unwrap_or(&self.ident.hostname);
        spec.target.host = Some(host.clone());
        spec.up = up;
        spec
    }
}

/// What scripts have to hear of an event: what their own calls brought about they know.
pub(super) fn told_of(event: &Event, target: &Target) -> Vec<Tell> {
    match &event.what {
        What::Counted { seen, count, limit, source: Source::Active } => vec![Tell::Counted {
            healthy: *seen == Seen::Success,
            lane: lane(*seen),
            count: *count,
            limit: *limit,
        }],
        What::Changed { transition, source: Source::Active, .. } => {
            vec![Tell::Changed(transition.to.name())]
        }
        What::Probed(outcome) => {
            let debug = main_chain().level() >= Level::Debug;
            let request = debug.then(|| probe::request_head(&event.spec, target)).flatten();
            let said = request.map(|head| Tell::Probed { head, status: outcome.status });
            said.into_iter().chain(complaint(outcome, target)).collect()
        }
        _ => Vec::new(),
    }
}

/// What the library wrote about a probe besides counting it.
pub fn complaint(outcome: &Outcome, target: &Target) -> Option<Tell> {
    let (text, server) = (outcome.detail.as_bstr(), target.server.as_bstr());
    let peer = format!("'{server} ({})'", target.name);
    let what = match outcome.kind {
        _ if text.starts_with(RETRIED) => return Some(Tell::Retried(text.to_string())),
        Kind::SendFailed | Kind::SendTimeout => "failed to send http request to",
        Kind::ReceiveFailed | Kind::ReceiveTimeout => "failed to receive status line from",
        Kind::BadLine => "bad status line from",
        Kind::TlsFailed | Kind::TlsTimeout => {
            let sni = target.sni.as_ref().or(target.host.as_ref()).unwrap_or(&target.server);
            return Some(Tell::Failed(format!(
                "failed SSL handshake with {peer}, using server name (sni) '{sni}': {text}"
            )));
        }
        _ => return None,
    };
    Some(Tell::Failed(format!("{what} {peer}: {text}")))
}

/// A target as keys of the shared dictionary name it.
pub(super) fn key_text(target: &Target) -> String {
    format!("{}:{}", target.name, target.server)
}

/// Lanes as scripts number them.
fn lane(seen: Seen) -> u8 {
    match seen {
        Seen::Success => 1,
        Seen::HttpFailure | Seen::Fatal => 2,
        Seen::TcpFailure => 3,
        Seen::Timeout => 4,
    }
}

/// How the engine begins the detail of a probe sent with two versions.
const RETRIED: &[u8] = b"returned ";

//! Probes: what goes over the wire to find out whether a peer is well. Timing is not theirs.
//!
//! ```text
//!  run(spec, addr) ── tcp ──▶ connect [▶ send ▶ expect]      tls ──▶ connect ▶ handshake
//!                  ├─ http ─▶ connect [▶ handshake] ▶ request ▶ status [▶ headers ▶ body]
//!                  ├─ raw ──▶ the same with a request as written, and its first line only
//!                  └─ grpc ─▶ h2 ▶ grpc.health.v1.Health/Check | Watch      ──▶ Outcome
//! ```

mod answer;
mod grpc;
mod grpc_watch;
mod http;
mod http2;
pub mod http_req;
mod kept;
mod lean;
mod raw;
mod session;
mod talk;
mod tcp;
mod tls;
pub mod trace;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bstr::{BString, ByteSlice};
use tokio::time::timeout;

pub use self::kept::Memory;
pub(super) use self::lean::{Lean, Over};
use super::outcome::{Kind, Outcome};
use super::spec::{CheckSpec, ProbeSpec, TimeoutScope, TlsSpec, Version};
use super::target::Target;
use crate::base::{clock, errno};
use crate::net::addr::Addr;
use crate::net::tls::ClientTls;

/// Whom a probe goes to, and with what.
pub struct Aim<'a> {
    pub target: &'a Target,
    /// Whom a check over TLS trusts, and who we say we are.
    pub tls: Option<&'a ClientTls>,
    /// Begin the connection with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// Rung when a peer that is listened to says something.
    pub bell: Option<Bell>,
    /// End the connection with a reset: that costs both sides less than a farewell, and leaves no
    /// port waiting.
    pub resets: bool,
}

/// Called from the runtime's own thread, between two probes.
pub type Bell = Arc<dyn Fn() + Send + Sync>;

impl<'t> Aim<'t> {
    /// At a target, as the check says.
    pub fn at(target: &'t Target, spec: &CheckSpec, tls: Option<&'t ClientTls>) -> Self {
        // The Lua library says farewell, and its users' peers log who does not; streams say GOAWAY.
        let resets = !matches!(spec.probe, ProbeSpec::Raw(_) | ProbeSpec::Grpc(_));
        Self { target, tls, proxy_protocol: spec.proxy_protocol, bell: None, resets }
    }

    /// The Host of the probe: asked for, or the peer's own, its host name, its address.
    fn host(&self, asked: Option<&BString>) -> BString {
        self.host_text(asked).into()
    }

    fn host_text<'a>(&self, asked: Option<&'a BString>) -> &'a [u8]
    where
        't: 'a,
    {
        let target = self.target;
        if let Some(host) = asked.or(target.host.as_ref()) {
            return host;
        }
        let server = without_port(&target.server);
        match server.is_empty() || server.starts_with(b"unix:") {
            false => server,
            true => without_port(target.name.as_bytes()),
        }
    }

    /// The server name of the handshake; an address gives none.
    fn sni<'a>(&'a self, spec: &'a TlsSpec, host: Option<&'a [u8]>) -> Option<&'a [u8]> {
        let own = self.target.sni.as_ref();
        let named = spec.sni.as_ref().or(own).map(|n| n.as_slice());
        let fallback = host.or(self.target.host.as_ref().map(|h| h.as_slice()));
        named.or_else(|| fallback.map(without_port)).filter(|n| !n.is_empty())
    }
}

/// What a probe over HTTP sends, as far as it can be said beforehand.
pub fn request_head(spec: &CheckSpec, target: &Target) -> Option<BString> {
    let ProbeSpec::Http(http) = &spec.probe else { return None };
    let host = Aim::at(target, spec, None).host(http.host.as_ref());
    Some(http::request(http, &host, false, spec.keepalive.is_some()))
}

/// Probes one target as the check says.
pub async fn aimed(spec: &CheckSpec, aim: &Aim<'_>, memory: &mut Memory) -> Outcome {
    let begun_at = clock::instant();
    let limits = Limits::of(spec, begun_at);
    let keepalive = spec.keepalive.as_ref();
    let ended = match &spec.probe {
        ProbeSpec::Http(http) if http.version == Version::V2 => {
            Box::pin(http2::probe(http, keepalive, aim, limits, memory)).await
        }
        ProbeSpec::Http(http) => http::probe(http, keepalive, aim, limits, memory).await,
        ProbeSpec::Raw(raw) => raw::probe(raw, keepalive, aim, limits, memory).await,
        ProbeSpec::Tcp(tcp) => tcp::probe(tcp, aim, limits).await,
        ProbeSpec::Tls(tls) => tls::probe(tls, aim, limits).await,
        // Boxed: HTTP/2 needs far more room than everything else.
        ProbeSpec::Grpc(grpc) => Box::pin(grpc::probe(grpc, keepalive, aim, limits, memory)).await,
        ProbeSpec::None => Err(Outcome::new(Kind::NoSocket).detail("nothing to probe")),
    };
    let mut outcome = ended.unwrap_or_else(|failed| failed);
    outcome.took = clock::instant() - begun_at;
    outcome
}

/// Probes one address; `tls` holds whom a check over TLS trusts.
pub async fn run(spec: &CheckSpec, addr: &Addr, tls: Option<&ClientTls>) -> Outcome {
    let target = Target::new(addr.to_string(), "", Some(addr.clone()));
    aimed(spec, &Aim::at(&target, spec, tls), &mut Memory::default()).await
}

/// The Host a check's probes of a target name, when they name one.
pub fn host_of(spec: &CheckSpec, target: &Target) -> Option<BString> {
    let aim = Aim::at(target, spec, None);
    match &spec.probe {
        ProbeSpec::Http(http) => Some(aim.host(http.host.as_ref())),
        ProbeSpec::Grpc(grpc) => Some(aim.host(grpc.authority.as_ref())),
        ProbeSpec::None | ProbeSpec::Tcp(_) | ProbeSpec::Tls(_) | ProbeSpec::Raw(_) => None,
    }
}

fn unresolved(target: &Target) -> Outcome {
    Outcome::new(Kind::Unresolved).detail(&target.server)
}

/// `foo.com` of `foo.com:8080`, `[::1]` of `[::1]:80`.
fn without_port(name: &[u8]) -> &[u8] {
    match name.rfind_byte(b':') {
        Some(at) if name[at + 1..].iter().all(u8::is_ascii_digit) && at + 1 < name.len() => {
            // The colons of a bare IPv6 address are its own.
            let bare = name[..at].contains(&b':') && !name.starts_with(b"[");
            if bare { name } else { &name[..at] }
        }
        _ => name,
    }
}

/// How long one socket operation may take.
#[derive(Clone, Copy)]
struct Limits {
    each: Duration,
    /// The end of the whole probe.
    until: Option<Instant>,
}

impl Limits {
    fn of(spec: &CheckSpec, begun_at: Instant) -> Self {
        let each = Duration::from_millis(spec.timeout_ms);
        let until = match spec.timeout_scope {
            TimeoutScope::EachOperation => None,
            TimeoutScope::WholeProbe => Some(begun_at + each),
        };
        Self { each, until }
    }

    /// What an operation that begins now may take.
    fn left(&self) -> Duration {
        match self.until {
            None => self.each,
            Some(until) => until.saturating_duration_since(clock::instant()),
        }
    }

    /// Runs one operation; too late is `on_timeout`, an error `on_error` with its text in
    /// OpenResty's form.
    async fn run<T>(
        self,
        operation: impl Future<Output = io::Result<T>>,
        on_error: Kind,
        on_timeout: Kind,
    ) -> Result<T, Outcome> {
        match timeout(self.left(), operation).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(e)) => Err(Outcome::new(on_error).detail(error_text(&e))),
            Err(_) => Err(Outcome::new(on_timeout).detail("timeout")),
        }
    }
}

/// An error as cosockets tell it: `connection refused`, `closed`.
fn error_text(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "closed".to_string(),
        _ => errno::text(error).to_lowercase(),
    }
}

#[cfg(test)]
mod tests;

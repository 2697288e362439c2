//! Probes: what goes over the wire to find out whether a peer is well. Timing is not theirs.
//!
//! ```text
//!  run(spec, addr) ── tcp ──▶ connect
//!                  └─ http ─▶ connect ▶ [handshake] ▶ send ▶ first line ──▶ Outcome
//! ```

mod http;
pub mod http_req;
mod tcp;

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::time::timeout;

use super::outcome::{Kind, Outcome};
use super::spec::{CheckSpec, ProbeSpec, TimeoutScope};
use crate::base::{clock, errno};
use crate::net::addr::Addr;
use crate::net::tls::ClientTls;

/// Probes one address as the check says; `tls` holds whom a check over TLS trusts.
pub async fn run(spec: &CheckSpec, addr: &Addr, tls: Option<&ClientTls>) -> Outcome {
    let begun_at = clock::instant();
    let limit = Duration::from_millis(spec.timeout_ms);
    let mut outcome = match spec.timeout_scope {
        TimeoutScope::EachOperation => wire(spec, addr, tls, Limits { each: limit }).await,
        TimeoutScope::WholeProbe => {
            let probe = wire(spec, addr, tls, Limits { each: limit });
            let late = Outcome::new(Kind::ReceiveTimeout).detail("timeout");
            timeout(limit, probe).await.unwrap_or(late)
        }
    };
    outcome.took = clock::instant() - begun_at;
    outcome
}

async fn wire(spec: &CheckSpec, addr: &Addr, tls: Option<&ClientTls>, limits: Limits) -> Outcome {
    match &spec.probe {
        ProbeSpec::Tcp => tcp::probe(addr, limits).await,
        ProbeSpec::Http(http) => http::probe(http, addr, tls, limits).await,
    }
}

/// How long one socket operation may take.
#[derive(Clone, Copy)]
struct Limits {
    each: Duration,
}

impl Limits {
    /// Runs one operation; too late is `on_timeout`, an error `on_error` with its text in
    /// OpenResty's form.
    async fn run<T>(
        self,
        operation: impl Future<Output = io::Result<T>>,
        on_error: Kind,
        on_timeout: Kind,
    ) -> Result<T, Outcome> {
        match timeout(self.each, operation).await {
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

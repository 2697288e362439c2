//! Whom checks and traffic over TLS trust: the authorities of `kong_trusted_certificate`, or those
//! of the system.
//!
//! ```text
//!  service: tls_verify_depth 3 ─┐
//!  check: grpcs ────────────────┴▶ Wanted ─▶ one ClientTls for each, made when first asked for
//! ```

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::base::log::{Level, emit};
use crate::net::tls::{ClientSpec, ClientTls, system_authorities};

/// What clients of this gateway are made of.
#[derive(Default)]
pub struct Trust {
    file: Option<PathBuf>,
    clients: Mutex<HashMap<Wanted, Option<ClientTls>>>,
}

/// What tells clients apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// How long a chain of certificates may be; nginx's default when nobody says.
    pub depth: Option<u32>,
    /// HTTP/2 is offered, and nothing else.
    pub http2: bool,
}

impl Trust {
    pub fn new(file: Option<PathBuf>) -> Self {
        let file = file.or_else(system_authorities);
        Self { file, clients: Mutex::default() }
    }

    /// A client; none, and a line in the log, when the file cannot be read.
    pub fn client(&self, wanted: Wanted) -> Option<ClientTls> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.entry(wanted).or_insert_with(|| self.build(wanted)).clone()
    }

    fn build(&self, wanted: Wanted) -> Option<ClientTls> {
        let alpn = if wanted.http2 { vec![b"h2".to_vec()] } else { Vec::new() };
        let spec = ClientSpec {
            trusted: self.file.clone(),
            depth: wanted.depth,
            alpn,
            ..ClientSpec::default()
        };
        ClientTls::build(&spec)
            .inspect_err(|error| emit(Level::Error, format_args!("kong: no TLS: {error}")))
            .ok()
    }
}

//! The way a location passes requests on to a group: probes asked for there go the same way.
//!
//! ```text
//!  location { proxy_pass https://foo; proxy_ssl_…; proxy_set_header …; health_check; }
//!     http ─ way_of(location) ─▶ Way ─▶ health: whom to probe, in which words, with which keys
//! ```

use std::sync::Arc;

use bstr::BString;

use super::Group;
use crate::net::tls::ClientSpec;

/// From a location to its group.
#[derive(Clone)]
pub struct Way {
    pub group: Arc<Group>,
    pub protocol: Protocol,
    /// What the location calls the other side: `$proxy_host`.
    pub host: BString,
    /// Lines the location writes into each request, those for the connection left out.
    pub lines: Vec<(BString, BString)>,
    /// The longest of the location's time limits, if one is written.
    pub timeout_ms: Option<u64>,
    pub secure: Option<Secure>,
}

/// What is spoken on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http10,
    Http11,
    Http2,
    Grpc,
    /// Something else, by its directive.
    Other(&'static str),
}

/// TLS on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secure {
    pub spec: ClientSpec,
    /// Whom the certificate must be for.
    pub name: BString,
    /// The name was written, and is not just that of the group.
    pub is_named: bool,
    /// The name goes into the handshake.
    pub says_name: bool,
    pub verifies: bool,
}

//! Documents made ready for traffic.
//!
//! ```text
//!  key, JSON ─ rules::check (defaults) ─▶ Route │ Service │ Upstream ─▶ Table ─▶ Router
//! ```

pub mod expr;
mod limit;
mod nodes;
mod prefixes;
mod route;
mod router;
mod table;
mod upstream;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::names::Collection;

pub use self::limit::{Amount, Limit, Rule, WindowKey, WindowType};
pub use self::nodes::{Node, NodeSpec, Rank};
pub use self::route::{HostRule, Route};
pub use self::table::Table;
pub use self::upstream::{
    CheckSettings, Conf, HashOn, Method, PassHost, Passive, Set, Timeouts, Upstream, probe_port,
    span_ms, system_tls,
};

/// A document as it is stored, and where.
#[derive(Clone, Debug)]
pub struct Item {
    pub collection: Collection,
    pub id: Arc<str>,
    /// `/apisix/routes/1`; in standalone mode `/routes/1`.
    pub key: Arc<str>,
    /// JSON; as text it takes a fraction of the room.
    pub text: Bytes,
    pub created: u64,
    pub modified: u64,
}

impl Item {
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.text).unwrap_or_default()
    }
}

//! What servers of every kind are made of, whether they speak HTTP or pass streams on.
//!
//! ```text
//!  "$remote_addr:$x" ─ load ─▶ Template<S> ─ eval(subject) ─▶ text       S: Request | Session
//!                                └─ VarTable<S>: rows of the kind, variables of the configuration
//! ```

pub mod accept;
pub mod access;
pub mod access_log;
pub mod forwarded;
pub mod geo;
pub mod limit_conn;
pub mod listen;
pub mod map;
pub mod names;
pub mod proxy_protocol;
pub mod regex;
pub mod secure;
pub mod template;
pub mod tls;
pub mod vars;
pub mod vars_process;
pub mod vars_ssl;
pub mod zones;

use std::sync::atomic::{AtomicU64, Ordering};

/// The number of a new connection, the `*1` of log lines: counted over all servers.
pub fn serial() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

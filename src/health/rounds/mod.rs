//! Checks in rounds, as `resty.upstream.healthcheck` makes them: every interval all peers of a
//! group, then its backups, and the results as keys of a shared dictionary.
//!
//! ```text
//!   Checker (a task, sockets) ── Core (pure: slots, lanes, machines) ──▶ Finished
//!        └── Mirror ── `ok:` `nok:` `d:` `v:` keys ──▶ Table (a shared dictionary)
//! ```
//!
//! Whoever needs more than that library's promises uses the board, where each peer has a pace of
//! its own.

mod checker;
mod core;
mod mirror;

pub(in crate::health) use self::checker::{Checker, Order, Setting};
pub use self::core::{Core, Lane, Step};
pub(in crate::health) use self::mirror::Mirror;
pub use self::mirror::Table;

//! Upstreams whose peers are the instances of a Nacos service.
//!
//! ```text
//!  upstream orders { nacos service=orders; }
//!      ├ the table of this process ─ told of every change ─┐
//!      └ nacos_server http://… ─ list, every 2 s ──────────┴─▶ peers ─▶ Group::replace
//! ```
//! Peers are the instances that are enabled and healthy by Nacos; checks of the upstream's own
//! apply on top. What came last is kept while a server is away, and over reloads.

pub mod conf;

mod client;
mod follow;
mod peers;
mod remote;

pub use self::follow::{follow, use_sources};

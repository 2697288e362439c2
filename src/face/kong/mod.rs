//! Kong: its Admin API, its routes, and Tencent's gateway, which is made of it.
//!
//! ```text
//!  kong_admin ─▶ admin ─ schema ─▶ catalog ─▶ store        what the Admin API was told
//!                   │                 │
//!                   └─ health ─▶ live ◀┘ ─▶ upstream::Group, health checks
//!  kong_gateway ─▶ gateway ─ router ─▶ ┘ ─▶ http::proxy     where requests go
//! ```

pub mod form;
pub mod schema;

/// Whose ranges and defaults hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Preset {
    #[default]
    Kong,
    /// Tencent's cloud-native gateway.
    Tse,
}

//! What the Admin faces are told, kept: keys and values with revisions, durable before they are
//! acknowledged, and told to whoever watches.
//!
//! ```text
//!  face ── put / delete ──▶ Store ─▶ embedded log on disk, or etcd
//!        ◀── watch ────────┘
//! ```

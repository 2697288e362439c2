//! What servers of every kind are made of, whether they speak HTTP or pass streams on.
//!
//! ```text
//!  "$remote_addr:$x" ─ load ─▶ Template<S> ─ eval(subject) ─▶ text       S: Request | Session
//!                                └─ VarTable<S>: rows of the kind, variables of the configuration
//! ```

pub mod template;
pub mod vars;

//! The nginx configuration language, knowing no directive.
//!
//! ```text
//!  files ─ lexer ─▶ words ─ parser ─▶ Tree ─ Builder + rows ─▶ Scope (typed settings per block)
//!            └────────────┴──────────── Diag ◀──┘              every complaint, in file order
//! ```

mod args;
mod build;
mod diag;
pub mod dump;
mod lexer;
pub mod logfile;
mod luablock;
mod parser;
pub mod row;
mod scope;
mod snapshot;
mod source;
mod tree;

pub use args::in_bounds;
pub use build::{Builder, Check, Dirs, build};
pub use diag::{Diag, Place, Severity, Span};
pub use parser::{Disk, Files, Memory, Parsed, parse, parse_bytes};
pub use row::{Contexts, Row, Table};
pub use scope::{Part, Scope, inherit};
pub use snapshot::{Recorder, Snapshot};
pub use source::{FileId, Sources};
pub use tree::{Block, Body, Directive, LuaBlock, Position, Word};

#[cfg(test)]
mod tests;

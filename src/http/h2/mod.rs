//! HTTP/2 to clients: a connection's frames become requests like any other.
//!
//! ```text
//!  socket ─▶ session (frames) ─┬▶ draft (header fields ─▶ Request) ─▶ phases, one task a stream
//!                              └▶ stream (body, windows) ◀─▶ conn::Conn of that stream
//!  Request ─ send_header ─▶ respond (HEADERS)   output ─▶ Conn ─▶ stream (DATA) ─▶ link
//! ```
//!
//! Each stream has a `Conn` of its own, so handlers, filters and Lua see a connection that carries
//! one request. The `h2` crate is not used here: nginx's answers to what is malformed (400 and a
//! page, not a reset stream), its windows and its frame sizes are what clients and suites rely on.

pub mod conf;
pub mod draft;
mod frames;
pub mod link;
pub mod respond;
pub mod session;
pub mod stream;

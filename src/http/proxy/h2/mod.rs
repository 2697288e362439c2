//! HTTP/2 to upstreams: `grpc_pass`, and `proxy_pass` with `proxy_http_version 2`.
//!
//! ```text
//!  request (header block) ─▶ call ─ frames ─▶ peer (connection) ─▶ Link
//!  client's body, as it comes ──▲  └▶ Head ─▶ respond      Data, End ─▶ relay ─▶ filters
//! ```
//!
//! One request at a time on a connection, as nginx has it; a head becomes the same `ResponseHead`
//! as in HTTP/1, so everything behind it is shared.

pub mod call;
mod head;
pub mod peer;
pub mod relay;
pub mod request;

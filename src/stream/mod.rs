//! `stream {}`: connections and datagrams passed on as they are.
//!
//! ```text
//!  accept ─▶ Session ─▶ PROXY header ─▶ realip ─▶ limits ─▶ access ─▶ TLS ─▶ preread ─▶ content
//!                                                                                          │
//!                            log ◀── status, bytes, upstream's times ◀── proxy | return | pass
//! ```
//!
//! It does not know http; both stand on `server` and meet in `upstream`.

pub mod access;
pub mod access_log;
pub mod build;
pub mod conf;
pub mod content;
mod datagram;
pub mod limit_conn;
pub mod phase;
pub mod proxy;
pub mod realip;
pub mod server;
pub mod session;
pub mod set;
pub mod ssl_preread;
pub mod tables;
pub mod tls;
pub mod upstream;
pub mod vars;

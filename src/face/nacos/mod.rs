//! Nacos' naming service: instances register, beat and are listed, over versions 1 to 3 of its API.
//!
//! ```text
//!  request ─▶ handler ─▶ route ─▶ api (one file a resource) ─▶ naming: the table of the process
//!                └ params, auth, answer, fault: Nacos' words        ├ probe: persistent ones
//!                                                                   ├ keep: what is durable
//!  upstream { nacos …; } ◀── source ◀── the table, or other servers └ source
//! ```

pub mod conf;
pub mod source;

mod answer;
mod api;
mod auth;
mod call;
mod fault;
mod handler;
mod keep;
mod naming;
mod openapi;
mod params;
mod probe;
mod route;
mod start;

pub use self::start::start;

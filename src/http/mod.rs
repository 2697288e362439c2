//! The HTTP server: requests, phases, filters, proxy; offers hooks, knows no Lua.
//!
//! ```text
//!  server ─▶ read_head ─▶ request ─▶ phase runner ─▶ handlers ─▶ output ─▶ conn
//!                           route ◀──────┘  └─▶ finish (error pages, log)
//! ```

pub mod build;
pub mod conf;
pub mod conf_accepted;
pub mod core;
pub mod location;
pub mod mime;
pub mod server_conf;

pub mod body;
pub mod body_file;
pub mod capture;
pub mod conn;
pub mod deadline;
pub mod head;
pub mod headers;
pub mod headers_in;
pub mod method;
pub mod modules;
pub mod output;
pub mod prefixes;
pub mod request;
pub mod status;

pub mod finish;
pub mod phase;
pub mod redirect;
pub mod route;
pub mod subrequest;

pub mod template;
pub mod vars;
pub mod vars_core;

pub mod balancer;
pub mod file_access;
pub mod files;
pub mod h2;
pub mod keepalive;
pub mod limit_rate;
pub mod proxy;
pub mod read_head;
pub mod request_log;
pub mod server;
pub mod tls;
pub mod upstream_trace;

pub use self::{
    build::{Features, HttpConf, HttpRoot},
    output::{Chunk, Chunks, Filter, OutputError},
    phase::{Flow, Handler, Phase, Registered, Step},
    request::Request,
};

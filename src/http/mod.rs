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
pub mod vars_ssl;

pub mod access;
pub mod access_log;
pub mod add_header;
pub mod addition;
pub mod auth_basic;
pub mod auth_request;
pub mod autoindex;
pub mod balancer;
pub mod charset;
pub mod dav;
pub mod echo;
pub mod empty_gif;
pub mod file_access;
pub mod files;
pub mod geo;
pub mod gunzip;
pub mod gzip;
pub mod gzip_static;
pub mod h2;
pub mod headers_more;
pub mod index;
pub mod keepalive;
pub mod limit_rate;
pub mod limits;
pub mod map;
pub mod mirror;
pub mod not_modified;
pub mod proxy;
pub mod proxy_protocol;
pub mod random_index;
pub mod ranges;
pub mod read_head;
pub mod realip;
pub mod referer;
pub mod request_log;
pub mod resolver;
pub mod rewrite;
pub mod secure_link;
pub mod server;
pub mod set_misc;
pub mod ssi;
pub mod static_files;
pub mod stub_status;
pub mod sub_filter;
pub mod tls;
pub mod tls_conf;
pub mod try_files;
pub mod upstream_trace;
pub mod userid;

pub use self::{
    build::{Features, HttpConf, HttpRoot},
    output::{Chunk, Chunks, Filter, OutputError},
    phase::{Flow, Handler, Phase, Registered, Step},
    request::Request,
};

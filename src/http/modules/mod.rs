//! The modules of nginx and OpenResty: what works on a request or a response, and its directives.
//!
//! ```text
//!   ROWS of each ─▶ directives        register of each ─▶ phases, filters, variables
//! ```

pub mod access;
pub mod access_log;
pub mod add_header;
pub mod addition;
pub mod auth_basic;
pub mod auth_request;
pub mod autoindex;
pub mod charset;
pub mod dav;
pub mod echo;
pub mod empty_gif;
pub mod gunzip;
pub mod gzip;
pub mod gzip_static;
pub mod headers_more;
pub mod index;
pub mod limits;
pub mod mirror;
pub mod not_modified;
pub mod random_index;
pub mod ranges;
pub mod realip;
pub mod referer;
pub mod rewrite;
pub mod secure_link;
pub mod set_misc;
pub mod ssi;
pub mod static_files;
pub mod sticky;
pub mod stub_status;
pub mod sub_filter;
pub mod tables;
pub mod try_files;
pub mod userid;

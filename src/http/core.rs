//! nginx core's settings of a location, with their defaults.

use std::sync::Arc;

use bstr::BString;
use bytes::Bytes;

use crate::conf::{Part, inherit};

use super::{location::ErrorPage, mime::Types, template::Template};

/// Settings of `ngx_http_core_module` that a location reads. Unset fields take nginx's defaults in
/// the accessors.
#[derive(Default)]
pub struct CoreLoc {
    pub root: Option<Root>,
    pub error_pages: Option<Vec<ErrorPage>>,
    pub default_type: Option<BString>,
    pub types: Option<Arc<Types>>,
    pub internal: bool,
    pub satisfy_any: Option<bool>,
    pub auth_delay_ms: Option<u64>,
    pub recursive_error_pages: Option<bool>,
    pub server_tokens: Option<ServerTokens>,
    pub client_max_body_size: Option<u64>,
    pub client_body_buffer_size: Option<usize>,
    pub client_body_timeout_ms: Option<u64>,
    pub client_body_in_file_only: Option<InFile>,
    pub client_body_in_single_buffer: Option<bool>,
    pub client_body_temp_path: Option<std::path::PathBuf>,
    pub send_timeout_ms: Option<u64>,
    pub keepalive_timeout_ms: Option<u64>,
    pub keepalive_header_s: Option<u64>,
    pub keepalive_requests: Option<u64>,
    pub keepalive_time_ms: Option<u64>,
    pub keepalive_disable: Option<u32>,
    pub lingering_close: Option<u8>,
    pub lingering_time_ms: Option<u64>,
    pub lingering_timeout_ms: Option<u64>,
    pub postpone_output: Option<usize>,
    pub chunked_transfer_encoding: Option<bool>,
    pub absolute_redirect: Option<bool>,
    pub server_name_in_redirect: Option<bool>,
    pub port_in_redirect: Option<bool>,
    pub msie_padding: Option<bool>,
    pub msie_refresh: Option<bool>,
    pub post_action: Option<Bytes>,
    pub log_not_found: Option<bool>,
    pub log_subrequest: Option<bool>,
    pub etag: Option<bool>,
    pub if_modified_since: Option<IfModifiedSince>,
    pub max_ranges: Option<u64>,
    pub tcp_nodelay: Option<bool>,
    pub uninitialized_variable_warn: Option<bool>,
    pub rewrite_log: Option<bool>,
}

/// `root` or `alias`.
#[derive(Clone, Debug)]
pub struct Root {
    pub path: Template,
    pub alias: Option<Alias>,
}

/// What of the URI an `alias` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alias {
    /// So many bytes at its start: the location's name.
    Start(usize),
    /// All of it: the location is a regex.
    Whole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerTokens {
    Off,
    On,
    Build,
}

/// `client_body_in_file_only`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InFile {
    Off,
    On,
    Clean,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfModifiedSince {
    Off,
    Exact,
    Before,
}

impl Part for CoreLoc {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: root, error_pages, default_type, types, satisfy_any, auth_delay_ms,
            recursive_error_pages, server_tokens, client_max_body_size, client_body_buffer_size,
            client_body_timeout_ms, client_body_in_file_only, client_body_in_single_buffer,
            client_body_temp_path, send_timeout_ms, postpone_output, chunked_transfer_encoding);
        inherit!(self, parent: keepalive_timeout_ms, keepalive_header_s, keepalive_requests,
            keepalive_time_ms, keepalive_disable, lingering_close, lingering_time_ms,
            lingering_timeout_ms, absolute_redirect, server_name_in_redirect, port_in_redirect,
            msie_padding, msie_refresh, post_action, log_not_found, log_subrequest, etag,
            if_modified_since, max_ranges, tcp_nodelay, uninitialized_variable_warn, rewrite_log);
    }
}

macro_rules! accessors {
    ($($name:ident: $kind:ty = $default:expr;)+) => {
        impl CoreLoc {
            $(pub fn $name(&self) -> $kind { self.$name.unwrap_or($default) })+
        }
    };
}

accessors! {
    satisfy_any: bool = false;
    auth_delay_ms: u64 = 0;
    recursive_error_pages: bool = false;
    client_max_body_size: u64 = 1 << 20;
    client_body_buffer_size: usize = 16 * 1024;
    client_body_timeout_ms: u64 = 60_000;
    client_body_in_file_only: InFile = InFile::Off;
    send_timeout_ms: u64 = 60_000;
    keepalive_timeout_ms: u64 = 75_000;
    keepalive_header_s: u64 = 0;
    keepalive_requests: u64 = 1000;
    keepalive_time_ms: u64 = 3_600_000;
    keepalive_disable: u32 = super::keepalive::DISABLED;
    lingering_time_ms: u64 = 30_000;
    lingering_timeout_ms: u64 = 5_000;
    lingering_close: u8 = 1;
    postpone_output: usize = 1460;
    chunked_transfer_encoding: bool = true;
    absolute_redirect: bool = true;
    server_name_in_redirect: bool = false;
    port_in_redirect: bool = true;
    msie_padding: bool = true;
    msie_refresh: bool = false;
    log_not_found: bool = true;
    log_subrequest: bool = false;
    etag: bool = true;
    if_modified_since: IfModifiedSince = IfModifiedSince::Exact;
    tcp_nodelay: bool = true;
    uninitialized_variable_warn: bool = true;
    rewrite_log: bool = false;
}

impl CoreLoc {
    pub fn error_pages(&self) -> &[ErrorPage] {
        self.error_pages.as_deref().unwrap_or_default()
    }

    /// The media type of a file name by its extension, or `default_type`.
    pub fn media_type(&self, name: &[u8]) -> Bytes {
        let known = match self.types.as_deref() {
            Some(types) => types.of(name),
            None => Types::built_in(name),
        };
        known.unwrap_or_else(|| self.default_type())
    }

    pub fn default_type(&self) -> Bytes {
        match &self.default_type {
            Some(kind) => Bytes::copy_from_slice(kind),
            None => Bytes::from_static(b"text/plain"),
        }
    }

    pub fn server_tokens(&self) -> ServerTokens {
        self.server_tokens.unwrap_or(ServerTokens::On)
    }

    /// The `Server:` line as sent.
    pub fn server_line(&self) -> &'static str {
        match self.server_tokens() {
            ServerTokens::Off => "Server: nginx\r\n",
            ServerTokens::On | ServerTokens::Build => "Server: nginx/1.29.4\r\n",
        }
    }

    /// The name below nginx's own pages.
    pub fn server_name_text(&self) -> &'static str {
        match self.server_tokens() {
            ServerTokens::Off => "nginx",
            ServerTokens::On | ServerTokens::Build => "nginx/1.29.4",
        }
    }
}

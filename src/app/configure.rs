//! What `-V` tells: test harnesses read from it which nginx modules they may use.
//!
//! Nothing is listed by hand: a module is here if a directive of it is.

use std::fmt::Write as _;

use crate::conf::Table;
use crate::conf::row::{STREAM, STREAM_SERVER, STREAM_UPSTREAM};

/// The lines of `-V` below the version.
pub(super) fn describe(table: &Table, prefix: &str) -> String {
    let mut out = String::new();
    let has = |directive: &str| !table.rows(directive.as_bytes().into()).is_empty();
    if has("ssl_certificate") {
        // Harnesses look for an OpenSSL to know which features there are; those of this one are.
        out.push_str("built with OpenSSL 3.0.2 features by rustls\nTLS SNI support enabled\n");
    }
    let _ = writeln!(out, "configure arguments: {}", arguments(table, prefix));
    out
}

/// The words of `./configure` for an nginx like this, also `ngx.config.nginx_configure()`.
pub(super) fn arguments(table: &Table, prefix: &str) -> String {
    let mut out = format!("--prefix={prefix} --with-debug");
    let has = |directive: &str| !table.rows(directive.as_bytes().into()).is_empty();
    for (directive, flag) in OPTIONAL {
        if has(directive) {
            let _ = write!(out, " {flag}");
        }
    }
    for (directive, name) in STANDARD {
        if !has(directive) {
            let _ = write!(out, " --without-{name}");
        }
    }
    let in_stream = |name: &str| table.row_in(name.into(), OF_STREAM).is_some();
    for (directive, flag) in STREAM_OPTIONAL {
        if in_stream(directive) {
            let _ = write!(out, " {flag}");
        }
    }
    for (directive, name) in STREAM_STANDARD {
        if !in_stream(directive) {
            let _ = write!(out, " --without-stream_{name}_module");
        }
    }
    out
}

/// Modules nginx has only when asked for.
const OPTIONAL: &[(&str, &str)] = &[
    ("pcre_jit", "--with-pcre-jit"),
    ("thread_pool", "--with-threads"),
    ("ssl_certificate", "--with-http_ssl_module"),
    ("http2", "--with-http_v2_module"),
    ("set_real_ip_from", "--with-http_realip_module"),
    ("add_before_body", "--with-http_addition_module"),
    ("sub_filter", "--with-http_sub_module"),
    ("stub_status", "--with-http_stub_status_module"),
    ("auth_request", "--with-http_auth_request_module"),
    ("gzip_static", "--with-http_gzip_static_module"),
    ("gunzip", "--with-http_gunzip_module"),
    ("secure_link", "--with-http_secure_link_module"),
    ("slice", "--with-http_slice_module"),
    ("dav_methods", "--with-http_dav_module"),
    ("random_index", "--with-http_random_index_module"),
    ("set_escape_uri", "--add-module=set-misc-nginx-module"),
    ("echo", "--add-module=echo-nginx-module"),
    ("more_set_headers", "--add-module=headers-more-nginx-module"),
    ("content_by_lua_block", "--add-module=ngx_lua-0.10.32"),
    ("content_by_lua_block", "--add-module=ngx_lua_upstream-0.07"),
];

/// Modules nginx has unless told otherwise.
const STANDARD: &[(&str, &str)] = &[
    ("http", "http"),
    ("server", "http"),
    ("charset", "http_charset_module"),
    ("gzip", "http_gzip_module"),
    ("ssi", "http_ssi_module"),
    ("userid", "http_userid_module"),
    ("access_log", "http_log_module"),
    ("allow", "http_access_module"),
    ("auth_basic", "http_auth_basic_module"),
    ("mirror", "http_mirror_module"),
    ("autoindex", "http_autoindex_module"),
    ("geo", "http_geo_module"),
    ("map", "http_map_module"),
    ("split_clients", "http_split_clients_module"),
    ("valid_referers", "http_referer_module"),
    ("rewrite", "http_rewrite_module"),
    ("proxy_pass", "http_proxy_module"),
    ("fastcgi_pass", "http_fastcgi_module"),
    ("uwsgi_pass", "http_uwsgi_module"),
    ("scgi_pass", "http_scgi_module"),
    ("grpc_pass", "http_grpc_module"),
    ("memcached_pass", "http_memcached_module"),
    ("limit_conn", "http_limit_conn_module"),
    ("limit_req", "http_limit_req_module"),
    ("empty_gif", "http_empty_gif_module"),
    ("modern_browser", "http_browser_module"),
    ("hash", "http_upstream_hash_module"),
    ("ip_hash", "http_upstream_ip_hash_module"),
    ("least_conn", "http_upstream_least_conn_module"),
    ("random", "http_upstream_random_module"),
    ("keepalive", "http_upstream_keepalive_module"),
    ("zone", "http_upstream_zone_module"),
    ("proxy_cache_path", "http-cache"),
    ("mail", "mail_pop3_module"),
    ("mail", "mail_imap_module"),
    ("mail", "mail_smtp_module"),
];

/// The same for what stands in `stream {}`.
const STREAM_OPTIONAL: &[(&str, &str)] = &[
    ("server", "--with-stream"),
    ("ssl_certificate", "--with-stream_ssl_module"),
    ("set_real_ip_from", "--with-stream_realip_module"),
    ("ssl_preread", "--with-stream_ssl_preread_module"),
];

const STREAM_STANDARD: &[(&str, &str)] = &[
    ("limit_conn", "limit_conn"),
    ("allow", "access"),
    ("geo", "geo"),
    ("map", "map"),
    ("split_clients", "split_clients"),
    ("return", "return"),
    ("pass", "pass"),
    ("set", "set"),
    ("hash", "upstream_hash"),
    ("least_conn", "upstream_least_conn"),
    ("random", "upstream_random"),
    ("zone", "upstream_zone"),
];

const OF_STREAM: u32 = STREAM | STREAM_SERVER | STREAM_UPSTREAM;

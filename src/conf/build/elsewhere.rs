//! Directives of modules that are not built in: what to do about each.
//!
//! ```text
//!   unknown directive "brotli"  ─▶  hint: leave it out: "gzip" compresses
//! ```
//!
//! Only asked for names that no row has, so an entry falls silent once its module is here.

/// What to write instead of an unknown directive, when its module is known.
pub(super) fn advice(name: &[u8]) -> Option<&'static str> {
    let is_of = |pattern: &&str| match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix.as_bytes()),
        None => name == pattern.as_bytes(),
    };
    MODULES.iter().find(|(patterns, _)| patterns.iter().any(&is_of)).map(|(_, text)| *text)
}

/// Names, or their beginnings, and the advice about them.
const MODULES: &[(&[&str], &str)] = &[
    (&["mail"], "mail is not served here: keep this block with an nginx beside this gateway"),
    (&["http3*", "quic_*"], "HTTP/3 is not built in: leave it out, clients then speak HTTP/2"),
    (&["brotli*", "zstd*"], "of a module that is not built in: leave it out, \"gzip\" compresses"),
    (
        &["js_*", "perl", "perl_*"],
        "of a module that is not built in: the *_by_lua directives run Lua in its place",
    ),
    (
        &["xslt_*", "xml_entities", "image_filter*", "flv", "mp4*", "pagespeed*", "slice"],
        "of a module that is not built in: leave this location with an nginx and \"proxy_pass\" to it",
    ),
    (
        &["geoip*", "geoip2*"],
        "databases of addresses are not read here: \"geo\" takes networks, a Lua library the rest",
    ),
    (
        &["modsecurity*", "naxsi*", "SecRule*", "MainRule", "BasicRule"],
        "of a firewall module that is not built in: \"access_by_lua_block\" can refuse requests",
    ),
    (
        &["vhost_traffic_status*", "status_zone", "status", "api", "req_status*"],
        "not built in: \"stub_status\" counts connections, \"apisix_metrics\" and \"kong_status\" tell \
         Prometheus about peers",
    ),
    (
        &["opentracing*", "otel_*", "opentelemetry*", "jaeger_*", "zipkin_*", "datadog_*"],
        "of a tracing module that is not built in: leave it out, or send spans from \
         \"log_by_lua_block\"",
    ),
    (
        &["auth_jwt*", "auth_ldap*", "auth_pam*", "oidc*"],
        "not built in: \"auth_request\" asks a service, \"access_by_lua_block\" a Lua library",
    ),
    (
        &["sticky*", "least_time", "queue", "ntlm", "zone_sync*"],
        "of nginx's commercial edition: \"hash $cookie_NAME consistent\" keeps clients with a peer, \
         \"least_conn\" evens out load",
    ),
    (
        &["lua_kong_*"],
        "of Kong's own modules: \"kong_admin\" and \"kong_gateway\" take the place of Kong's scripts",
    ),
    (
        &["srcache_*", "redis_*", "redis2_*", "drizzle_*", "postgres_*", "rds_*"],
        "of a module that is not built in: a Lua library does the same from \"content_by_lua_block\"",
    ),
    (
        &["encrypted_session_*", "set_form_input*", "array_*", "iconv_*", "xss_*", "upload_*"],
        "of a module that is not built in: \"set_by_lua_block\" computes values in its place",
    ),
    (
        &["google_perftools_profiles", "ssl_engine"],
        "nothing of the kind is linked in: leave it out",
    ),
];

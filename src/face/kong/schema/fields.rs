//! The entities' fields: upstreams, targets, services, routes.

use serde_json::{Value, json};

use super::{Field, Kind, healthchecks};
use crate::base::regex::{Flags, Regex};
use crate::face::kong::Preset;

/// An upstream: a name for targets, how one is chosen, how they are checked.
pub fn upstream(preset: Preset) -> Vec<Field> {
    let text = |name| Field::new(name, Kind::Text(header_line));
    let mut fields = stamps();
    fields.extend([
        Field::required("name", Kind::Text(upstream_name)),
        Field::with("algorithm", Kind::OneOf(ALGORITHMS), "round-robin"),
        Field::with("hash_on", Kind::OneOf(HASH_ON), "none"),
        Field::with("hash_fallback", Kind::OneOf(HASH_ON), "none"),
        Field::new("hash_on_header", Kind::Text(header_name)),
        Field::new("hash_fallback_header", Kind::Text(header_name)),
        text("hash_on_cookie"),
        Field::with("hash_on_cookie_path", Kind::Text(path), "/"),
        text("hash_on_query_arg"),
        text("hash_fallback_query_arg"),
        text("hash_on_uri_capture"),
        text("hash_fallback_uri_capture"),
        Field::with("slots", Kind::Integer(10, 65536), 10_000),
        healthchecks::field(preset),
        Field::new("host_header", Kind::Text(host_name)),
        Field::new("client_certificate", Kind::Foreign),
        Field::with("use_srv_name", Kind::Bool, false),
        tags(),
    ]);
    fields
}

/// One backend of an upstream.
pub fn target() -> Vec<Field> {
    vec![
        Field::new("id", Kind::Text(uuid)),
        Field::new("created_at", Kind::Stamp),
        Field::new("updated_at", Kind::Stamp),
        Field::new("upstream", Kind::Foreign),
        Field::required("target", Kind::Text(target_text)),
        Field::with("weight", Kind::Integer(0, 65535), 100),
        tags(),
    ]
}

/// What routes lead to.
pub fn service() -> Vec<Field> {
    let timeout = || Kind::Integer(1, 2_147_483_646);
    let mut fields = stamps();
    fields.extend([
        Field::new("name", Kind::Text(name)),
        Field::with("retries", Kind::Integer(0, 32767), 5),
        Field::with("protocol", Kind::OneOf(SERVICE_PROTOCOLS), "http"),
        Field::required("host", Kind::Text(host_name)),
        Field::with("port", Kind::Integer(0, 65535), 80),
        Field::new("path", Kind::Text(path)),
        Field::with("connect_timeout", timeout(), 60_000),
        Field::with("write_timeout", timeout(), 60_000),
        Field::with("read_timeout", timeout(), 60_000),
        Field::new("tls_verify", Kind::Bool),
        Field::new("tls_verify_depth", Kind::Integer(0, 64)),
        Field::new("client_certificate", Kind::Foreign),
        Field::new("ca_certificates", Kind::Array(Box::new(Kind::Text(uuid)))),
        Field::with("enabled", Kind::Bool, true),
        tags(),
    ]);
    fields
}

/// Which requests go to a service.
pub fn route() -> Vec<Field> {
    let set = |name, kind| Field::new(name, Kind::Set(Box::new(kind)));
    let mut fields = stamps();
    fields.extend([
        Field::new("name", Kind::Text(name)),
        Field {
            default: json!(["http", "https"]),
            required: true,
            ..set("protocols", Kind::OneOf(ROUTE_PROTOCOLS))
        },
        set("methods", Kind::Text(method)),
        set("hosts", Kind::Text(route_host)),
        Field::new("paths", Kind::Array(Box::new(Kind::Text(route_path)))),
        Field::new("headers", Kind::Map(Box::new(Kind::Array(Box::new(Kind::Text(header_line)))))),
        set("snis", Kind::Text(host_name)),
        Field {
            default: json!(426),
            required: true,
            ..Field::new("https_redirect_status_code", Kind::Integer(301, 426))
        },
        Field::with("regex_priority", Kind::Integer(0, 2_147_483_647), 0),
        Field::with("strip_path", Kind::Bool, true),
        Field::with("path_handling", Kind::OneOf(&["v0", "v1"]), "v0"),
        Field::with("preserve_host", Kind::Bool, false),
        Field::with("request_buffering", Kind::Bool, true),
        Field::with("response_buffering", Kind::Bool, true),
        Field::new("sources", Kind::Array(Box::new(Kind::Map(Box::new(Kind::Text(|_| None)))))),
        Field::new(
            "destinations",
            Kind::Array(Box::new(Kind::Map(Box::new(Kind::Text(|_| None))))),
        ),
        Field::new("service", Kind::Foreign),
        tags(),
    ]);
    fields
}

fn stamps() -> Vec<Field> {
    vec![
        Field::new("id", Kind::Text(uuid)),
        Field::new("created_at", Kind::Stamp),
        Field::new("updated_at", Kind::Stamp),
    ]
}

fn tags() -> Field {
    Field::new("tags", Kind::Set(Box::new(Kind::Text(tag))))
}

/// A path of requests or probes.
pub fn path(text: &str) -> Option<String> {
    if !text.starts_with('/') {
        return Some("should start with: /".into());
    }
    unprintable(text).then(|| "invalid path: control characters".into())
}

/// A host name or an address.
pub fn host_name(text: &str) -> Option<String> {
    let fault = || Some(format!("invalid value: {text}"));
    match split_host(text) {
        Some((_, None)) => None,
        // Kong takes a port here, and keeps it out of probes.
        Some((_, Some(_))) => None,
        None => fault(),
    }
}

/// A line of a header: nothing in it may end the line.
pub fn header_line(text: &str) -> Option<String> {
    unprintable(text).then(|| "invalid value: control characters".into())
}

/// Whether the text can be a host name, without a port.
pub fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=63).contains(&label.len()) && label.chars().all(word)
    };
    let text = text.strip_suffix('.').unwrap_or(text);
    text.len() <= 253 && !text.is_empty() && text.split('.').all(label)
}

/// Splits `host`, `host:port`, `[v6]:port`; `None` when it is none of them.
pub fn split_host(text: &str) -> Option<(String, Option<u16>)> {
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    if let Some(inner) = text.strip_prefix('[') {
        let (v6, rest) = inner.split_once(']')?;
        v6.parse::<std::net::Ipv6Addr>().ok()?;
        let host = format!("[{v6}]");
        return match rest.strip_prefix(':') {
            Some(digits) => Some((host, Some(port(digits)?))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return Some((format!("[{text}]"), None));
    }
    match text.split_once(':') {
        Some((host, digits)) => is_host_name(host).then_some((host.into(), Some(port(digits)?))),
        None => is_host_name(text).then(|| (text.into(), None)),
    }
}

fn upstream_name(text: &str) -> Option<String> {
    let valid = split_host(text).is_some_and(|(_, port)| port.is_none());
    (!valid).then(|| format!("Invalid name ('{text}'); must be a valid hostname"))
}

fn target_text(text: &str) -> Option<String> {
    let wrong = || "Invalid target ('{}'); not a valid hostname or ip address".replace("{}", text);
    split_host(text).is_none().then(wrong)
}

fn name(text: &str) -> Option<String> {
    let word = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '~');
    let wrong = || {
        format!(
            "invalid value '{text}': the only accepted ascii characters are \
             alphanumerics or ., -, _, and ~"
        )
    };
    (!text.chars().all(word)).then(wrong)
}

fn uuid(text: &str) -> Option<String> {
    (!is_uuid(text)).then(|| "expected a valid UUID".into())
}

/// Whether the text is written as a UUID.
pub fn is_uuid(text: &str) -> bool {
    let hyphen = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match hyphen(at) {
            true => byte == b'-',
            false => byte.is_ascii_hexdigit(),
        })
}

fn tag(text: &str) -> Option<String> {
    let wrong = text.contains([',', '/']) || unprintable(text);
    wrong.then(|| format!("invalid tag '{text}': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"))
}

fn header_name(text: &str) -> Option<String> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let wrong =
        || format!("bad header name '{text}', allowed characters are A-Z, a-z, 0-9, '_', and '-'");
    (!text.bytes().all(word)).then(wrong)
}

fn method(text: &str) -> Option<String> {
    let valid = text.bytes().all(|byte| byte.is_ascii_uppercase());
    (!valid).then(|| format!("invalid value: {text}"))
}

fn route_host(text: &str) -> Option<String> {
    let stars = text.matches('*').count();
    let bare = text.strip_prefix("*.").or_else(|| text.strip_suffix(".*")).unwrap_or(text);
    match stars {
        0 => host_name(text),
        1 if bare.len() < text.len() => host_name(bare),
        1 => Some("invalid wildcard: must be placed at leftmost or rightmost label".into()),
        _ => Some("invalid wildcard: must have at most one wildcard".into()),
    }
}

fn route_path(text: &str) -> Option<String> {
    if let Some(pattern) = text.strip_prefix('~') {
        return Regex::compile(pattern.as_bytes(), Flags::nginx(false))
            .err()
            .map(|error| format!("invalid regex: '{pattern}' ({error})"));
    }
    if !text.starts_with('/') {
        return Some("should start with: / (fixed path) or ~/ (regex path)".into());
    }
    unprintable(text).then(|| "invalid path: control characters".into())
}

fn unprintable(text: &str) -> bool {
    text.chars().any(|c| c.is_ascii_control())
}

/// What the form of a URL says: `url=http://host:8080/path` sets four fields at once.
pub fn spread_url(given: &mut serde_json::Map<String, Value>) -> Result<(), String> {
    let Some(url) = given.remove("url") else { return Ok(()) };
    let wrong = || "expected a valid url".to_string();
    let text = url.as_str().ok_or_else(wrong)?;
    let (protocol, rest) = text.split_once("://").ok_or_else(wrong)?;
    let (authority, path) = match rest.find('/') {
        Some(at) => (&rest[..at], Some(&rest[at..])),
        None => (rest, None),
    };
    let (host, port) = split_host(authority).ok_or_else(wrong)?;
    let usual = if matches!(protocol, "https" | "grpcs") { 443 } else { 80 };
    given.insert("protocol".into(), protocol.into());
    given.insert("host".into(), host.into());
    given.insert("port".into(), port.unwrap_or(usual).into());
    given.insert("path".into(), path.map_or(Value::Null, Into::into));
    Ok(())
}

/// `sticky-sessions` is not built in and refused by name.
const ALGORITHMS: &[&str] = &["consistent-hashing", "least-connections", "round-robin", "latency"];
pub const HASH_ON: &[&str] =
    &["none", "consumer", "ip", "header", "cookie", "path", "query_arg", "uri_capture"];
const SERVICE_PROTOCOLS: &[&str] = &["http", "https"];
const ROUTE_PROTOCOLS: &[&str] = &["http", "https"];

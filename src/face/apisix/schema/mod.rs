//! The schemas of what the Admin API takes, and judging a document by one.
//!
//! ```text
//!  schema/*.json ── "$ref" replaced ──▶ of(Kind) ──▶ rules::judge(schema, document)
//!                                          │                 └─▶ defaults filled in, or why not
//!                                          └─▶ /v1/schema
//! ```
//! The documents are in our words; what they accept and what is said of the rest is APISIX's.

mod rules;

use std::sync::LazyLock;

use serde_json::{Map, Value};

/// What a document describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Route,
    Service,
    Upstream,
    LimitCount,
    /// As the 2.x era had it.
    LimitCountV2,
}

/// The schema of a kind.
pub fn of(kind: Kind) -> &'static Value {
    let all = &*SCHEMAS;
    match kind {
        Kind::Route => &all.route,
        Kind::Service => &all.service,
        Kind::Upstream => &all.upstream,
        Kind::LimitCount => &all.limit_count,
        Kind::LimitCountV2 => &all.limit_count_v2,
    }
}

/// Checks a document and fills in the defaults of what is there; the error is APISIX's text.
pub fn check(kind: Kind, document: &mut Value) -> Result<(), String> {
    rules::judge(of(kind), document)
}

/// Everything, as the Control API shows it.
pub fn all() -> Value {
    let main = serde_json::json!({
        "route": of(Kind::Route),
        "service": of(Kind::Service),
        "upstream": of(Kind::Upstream),
        "upstream_hash_vars_schema": { "type": "string", "pattern": HASH_VARS },
        "upstream_hash_header_schema": { "type": "string", "pattern": HASH_HEADER },
    });
    let limit_count = serde_json::json!({
        "schema": of(Kind::LimitCount), "priority": 1002, "version": 0.5,
    });
    let plugins = serde_json::json!({ "limit-count": limit_count });
    serde_json::json!({ "main": main, "plugins": plugins, "stream_plugins": {} })
}

/// Checks the `key` of a consistent hash.
pub fn check_hash_key(hash_on: &str, key: &str) -> Result<(), String> {
    let pattern = match hash_on {
        "vars" => HASH_VARS,
        "header" | "cookie" => HASH_HEADER,
        _ => return Ok(()),
    };
    let schema = serde_json::json!({ "type": "string", "pattern": pattern });
    rules::judge(&schema, &mut Value::from(key))
}

struct Schemas {
    route: Value,
    service: Value,
    upstream: Value,
    limit_count: Value,
    limit_count_v2: Value,
}

static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| {
    let mut parts = match read(include_str!("parts.json")) {
        Value::Object(parts) => parts,
        _ => Map::new(),
    };
    parts.insert("checks".into(), read(include_str!("checks.json")));
    let with = |text: &str, parts: &Map<String, Value>| {
        let mut schema = read(text);
        resolve(&mut schema, parts);
        schema
    };
    let upstream = with(include_str!("upstream.json"), &parts);
    parts.insert("upstream".into(), upstream.clone());
    Schemas {
        route: with(include_str!("route.json"), &parts),
        service: with(include_str!("service.json"), &parts),
        upstream,
        limit_count: with(include_str!("limit_count.json"), &parts),
        limit_count_v2: with(include_str!("limit_count_v2.json"), &parts),
    }
});

fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("the schemas are part of the program and JSON")
}

/// Puts the parts in the place of their names.
fn resolve(schema: &mut Value, parts: &Map<String, Value>) {
    let part = schema.get("$ref").and_then(Value::as_str).and_then(|name| parts.get(name));
    if let Some(part) = part {
        *schema = part.clone();
        return resolve(schema, parts);
    }
    match schema {
        Value::Object(members) => members.values_mut().for_each(|v| resolve(v, parts)),
        Value::Array(items) => items.iter_mut().for_each(|v| resolve(v, parts)),
        _ => {}
    }
}

const HASH_VARS: &str = "^((uri|server_name|server_addr|request_uri|remote_port|remote_addr\
    |query_string|host|hostname|mqtt_client_id)|arg_[0-9a-zA-z_-]+)$";
const HASH_HEADER: &str = "^[a-zA-Z0-9-_]+$";

#[cfg(test)]
mod tests;

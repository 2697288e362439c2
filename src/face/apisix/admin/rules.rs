//! What a document must fulfil beyond its schema, with APISIX's messages.
//!
//! ```text
//!  check(collection, document, references?) ─▶ document with its defaults, or the text of a 400
//! ```
//! What this gateway does not do is refused here, so that nothing is silently without effect.

use serde_json::{Map, Value, json};

use super::{Version, plugins, read};
use crate::face::apisix::model::expr::Expr;
use crate::face::apisix::names::Collection;
use crate::face::apisix::schema;

/// Checks a document; the result has the defaults filled in. `exists` tells whether a document
/// that this one names is there.
pub fn check(
    version: Version,
    collection: Collection,
    document: &Value,
    exists: &dyn Fn(Collection, &str) -> bool,
) -> Result<Value, Value> {
    let text = |text: String| json!({ "error_msg": text });
    let Some(members) = document.as_object() else {
        return Err(text("invalid configuration: wrong type: expected object".into()));
    };
    for (one, many) in [("host", "hosts"), ("remote_addr", "remote_addrs")] {
        if members.contains_key(one) && members.contains_key(many) {
            return Err(text(format!("only one of {one} or {many} is allowed")));
        }
    }
    let mut full = document.clone();
    schema::check(collection.schema(), &mut full)
        .map_err(|why| text(format!("invalid configuration: {why}")))?;
    let inner = match collection {
        Collection::Upstreams => Some(&full),
        _ => full.get("upstream"),
    };
    if let Some(upstream) = inner {
        check_upstream(upstream).map_err(text)?;
    }
    references(members, exists).map_err(text)?;
    unsupported(members).map_err(text)?;
    if let Some(plugins) = full.get_mut("plugins").and_then(Value::as_object_mut) {
        plugins::check(version, plugins).map_err(text)?;
    }
    if let Some(vars) = full.get("vars") {
        Expr::parse(vars)
            .map_err(|why| text(format!("failed to validate the 'vars' expression: {why}")))?;
    }
    Ok(full)
}

fn check_upstream(upstream: &Value) -> Result<(), String> {
    let text = |name: &str| upstream.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("pass_host") == "rewrite" && text("upstream_host").is_empty() {
        return Err("`upstream_host` can't be empty when `pass_host` is `rewrite`".into());
    }
    let nodes = upstream.get("nodes").and_then(Value::as_array);
    let hosts = nodes.into_iter().flatten().filter_map(|node| node.get("host")?.as_str());
    if hosts.into_iter().any(|host| host.contains(':') && !host.starts_with('[')) {
        return Err("invalid configuration: IPv6 address must be enclosed with '[' and ']'".into());
    }
    if text("type") == "chash" && text("hash_on") != "consumer" {
        let Some(key) = upstream.get("key").and_then(Value::as_str) else {
            return Err("missing key".into());
        };
        schema::check_hash_key(text("hash_on"), key)
            .map_err(|why| format!("invalid configuration: {why}"))?;
    }
    if !matches!(text("scheme"), "" | "http" | "https" | "grpc" | "grpcs") {
        return Err(format!("upstream scheme [{}] is not supported", text("scheme")));
    }
    if upstream.get("service_name").is_some() {
        return Err(format!("discovery type [{}] is not supported", text("discovery_type")));
    }
    if upstream.get("tls").is_some_and(|tls| tls.get("client_cert_id").is_some()) {
        return Err("upstream tls.client_cert_id is not supported".into());
    }
    Ok(())
}

fn references(
    members: &Map<String, Value>,
    exists: &dyn Fn(Collection, &str) -> bool,
) -> Result<(), String> {
    let kinds = [("upstream", Collection::Upstreams), ("service", Collection::Services)];
    for (word, collection) in kinds {
        let Some(id) = members.get(&format!("{word}_id")).and_then(id_text) else { continue };
        if !exists(collection, &id) {
            let text = format!("failed to fetch {word} info by {word} id [{id}]");
            return Err(format!("{text}, response code: 404"));
        }
    }
    Ok(())
}

/// What a route of APISIX may say and this gateway cannot do.
fn unsupported(members: &Map<String, Value>) -> Result<(), String> {
    let words = ["filter_func", "script", "script_id", "plugin_config_id"];
    match words.into_iter().find(|word| members.contains_key(*word)) {
        Some(word) => Err(format!("{word} is not supported")),
        None => Ok(()),
    }
}

/// An id as text: strings and numbers name the same thing.
pub fn id_text(id: &Value) -> Option<String> {
    match id {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `?ttl=`
pub fn ttl(r: &std::rc::Rc<crate::http::Request>) -> Result<Option<u64>, String> {
    match read::argument(r, "ttl") {
        None => Ok(None),
        Some(text) => match text.parse() {
            Ok(seconds) if seconds > 0 => Ok(Some(seconds)),
            _ => Err("invalid argument ttl: should be a number".into()),
        },
    }
}

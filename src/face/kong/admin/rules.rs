//! Rules about a whole entity, which no single field can break.

use serde_json::{Map, Value, json};

use super::super::Preset;
use super::super::catalog::Sort;
use super::super::schema::fields::{HASH_ON, is_uuid, split_host, spread_url};
use super::super::schema::{self, Faults, Field};

/// Checks an entity: field by field, then as a whole. Returns it with every default.
pub fn check(
    sort: Sort,
    preset: Preset,
    given: &Map<String, Value>,
) -> Result<Map<String, Value>, Faults> {
    let mut made = schema::check(fields(sort, preset), given)?;
    match sort {
        Sort::Upstreams => upstream(&made)?,
        Sort::Targets => target(&mut made),
        Sort::Routes => route(&made)?,
        Sort::Services => service(&made)?,
    }
    Ok(made)
}

/// Short forms a client may use, written out.
pub fn spread(sort: Sort, given: &mut Map<String, Value>) -> Result<(), Faults> {
    match sort {
        Sort::Services => spread_url(given).map_err(|text| Faults::field("url", text)),
        _ => Ok(()),
    }
}

/// The fields of a collection.
pub fn fields(sort: Sort, preset: Preset) -> &'static [Field] {
    match (sort, preset) {
        (Sort::Upstreams, Preset::Kong) => &UPSTREAM,
        (Sort::Upstreams, Preset::Tse) => &UPSTREAM_TSE,
        (Sort::Targets, _) => &TARGET,
        (Sort::Services, _) => &SERVICE,
        (Sort::Routes, _) => &ROUTE,
    }
}

/// Each way to hash needs to know what by.
fn upstream(made: &Map<String, Value>) -> Result<(), Faults> {
    let mut faults = Faults::default();
    for side in ["hash_on", "hash_fallback"] {
        let needs = match made.get(side).and_then(Value::as_str) {
            Some("header") => format!("{side}_header"),
            Some("query_arg") => format!("{side}_query_arg"),
            Some("uri_capture") => format!("{side}_uri_capture"),
            Some("cookie") => "hash_on_cookie".to_string(),
            _ => continue,
        };
        if made.get(&needs).is_none_or(Value::is_null) {
            faults.join(Faults::entity(format!(
                "failed conditional validation given value of field '{side}'"
            )));
            faults.add(&needs, Faults::text("required field missing"));
        }
    }
    fallback(made, &mut faults);
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// What `hash_fallback` may be beside a `hash_on`: none where that always finds something, and
/// never the same.
fn fallback(made: &Map<String, Value>, faults: &mut Faults) {
    let word = |field: &str| made.get(field).and_then(Value::as_str).unwrap_or("none");
    let (on, fallback) = (word("hash_on"), word("hash_fallback"));
    let allowed: Vec<&str> = match on {
        "none" | "cookie" => vec!["none"],
        "consumer" | "ip" | "path" => HASH_ON.iter().copied().filter(|w| *w != on).collect(),
        _ => HASH_ON.to_vec(),
    };
    if !allowed.contains(&fallback) {
        faults.join(Faults::entity("failed conditional validation given value of field 'hash_on'"));
        let text = format!("expected one of: {}", allowed.join(", "));
        faults.add("hash_fallback", Faults::text(text));
    }
    for kind in ["header", "query_arg", "uri_capture"] {
        let (a, b) = (format!("hash_on_{kind}"), format!("hash_fallback_{kind}"));
        let told = made.get(&a).filter(|value| !value.is_null());
        if told.is_some() && told == made.get(&b) {
            let text = format!("values of these fields must be distinct: '{a}', '{b}'");
            faults.join(Faults::entity(text));
        }
    }
}

/// What is about TLS needs a protocol that has it.
fn service(made: &Map<String, Value>) -> Result<(), Faults> {
    let mut faults = Faults::default();
    if made.get("protocol").is_some_and(|protocol| protocol == "http") {
        let of_tls = ["client_certificate", "tls_verify", "tls_verify_depth", "ca_certificates"];
        for name in of_tls.iter().filter(|name| made.get(**name).is_some_and(|v| !v.is_null())) {
            let text = "failed conditional validation given value of field 'protocol'";
            faults.join(Faults::entity(text));
            faults.add(name, Faults::text("value must be null"));
        }
    }
    // There is no collection of authorities: whom to trust is the configuration's to say.
    if faults.is_empty()
        && let Some(Value::Array(ids)) = made.get("ca_certificates")
        && let Some(id) = ids.first().and_then(Value::as_str)
    {
        let text = format!("the CA certificate '{id}' does not exist");
        faults.add("ca_certificates", Faults::text(text));
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// A target is kept with its port.
fn target(made: &mut Map<String, Value>) {
    let text = made.get("target").and_then(Value::as_str).unwrap_or_default();
    if let Some(text) = target_text(text) {
        made.insert("target".into(), json!(text));
    }
}

/// A target as it is kept: with its port, 8000 when none is given.
pub fn target_text(text: &str) -> Option<String> {
    let (host, port) = split_host(text).filter(|_| !is_uuid(text))?;
    Some(format!("{host}:{}", port.unwrap_or(TARGET_PORT)))
}

/// Whether a key in a path is a target and not an id.
pub fn is_target(key: &str) -> bool {
    target_text(key).is_some()
}

fn route(made: &Map<String, Value>) -> Result<(), Faults> {
    let protocols = made.get("protocols").and_then(Value::as_array);
    let secure = protocols.is_some_and(|list| list.iter().any(|word| word == "https"));
    let filled = |name: &&str| match made.get(*name) {
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
        _ => false,
    };
    let mut faults = Faults::default();
    for name in ["sources", "destinations"] {
        if filled(&name) {
            let text = format!("cannot set '{name}' when 'protocols' is 'http' or 'https'");
            faults.add(name, Faults::text(text));
        }
    }
    if !secure && filled(&"snis") {
        let text = "'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or \
                    'tls_passthrough'";
        faults.add("snis", Faults::text(text));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let (names, word) = match secure {
        true => (&["methods", "hosts", "headers", "paths", "snis"][..], "https"),
        false => (&["methods", "hosts", "headers", "paths"][..], "http"),
    };
    if names.iter().any(filled) {
        return Ok(());
    }
    let list: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
    let text = format!("must set one of {} when 'protocols' is '{word}'", list.join(", "));
    Err(Faults::entity(text))
}

type Fields = std::sync::LazyLock<Vec<Field>>;
static UPSTREAM: Fields = Fields::new(|| schema::fields::upstream(Preset::Kong));
static UPSTREAM_TSE: Fields = Fields::new(|| schema::fields::upstream(Preset::Tse));
static TARGET: Fields = Fields::new(schema::fields::target);
static SERVICE: Fields = Fields::new(schema::fields::service);
static ROUTE: Fields = Fields::new(schema::fields::route);

const TARGET_PORT: u16 = 8000;

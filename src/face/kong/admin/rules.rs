//! Rules about a whole entity, which no single field can break.

use serde_json::{Map, Value, json};

use super::super::Preset;
use super::super::catalog::Sort;
use super::super::schema::fields::{is_uuid, split_host, spread_url};
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
        Sort::Services => {}
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
    let is = |field: &str, word: &str| made.get(field).is_some_and(|value| value == word);
    if !is("hash_fallback", "none") && (is("hash_on", "none") || is("hash_on", "cookie")) {
        faults.join(Faults::entity("failed conditional validation given value of field 'hash_on'"));
        faults.add("hash_fallback", Faults::text("expected one of: none"));
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

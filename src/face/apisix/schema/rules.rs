//! The part of JSON Schema that APISIX's documents use, with the messages of its validator.
//!
//! ```text
//!  property "a" validation failed: failed to validate item 2: expected 600 to be at most 599
//!  └──────── one for each level on the way down ───────────┘ └──────────── the leaf ─────────┘
//! ```
//! As in Lua, where one empty table stands for both, `{}` passes for an array and `[]` for an
//! object. Defaults are filled into objects that are present.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use serde_json::{Map, Value};

use crate::base::regex::{Flags, Regex};
use crate::net::addr;

/// Checks a value; fills in the defaults on the way.
pub fn judge(schema: &Value, value: &mut Value) -> Verdict {
    let Value::Object(rules) = schema else { return Ok(()) };
    kind(rules, value)?;
    properties(rules, value)?;
    items(rules, value)?;
    text(rules, value)?;
    number(rules, value)?;
    choice(rules, value)?;
    combined(rules, value)
}

type Verdict = Result<(), String>;

fn kind(rules: &Map<String, Value>, value: &Value) -> Verdict {
    let Some(expected) = rules.get("type").and_then(Value::as_str) else { return Ok(()) };
    let fits = match expected {
        "object" => value.is_object() || is_empty(value),
        "array" => value.is_array() || is_empty(value),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_f64().is_some_and(|n| n.fract() == 0.0),
        "number" => value.is_number(),
        _ => true,
    };
    if fits {
        return Ok(());
    }
    Err(format!("wrong type: expected {expected}, got {}", lua_type(value)))
}

fn properties(rules: &Map<String, Value>, value: &mut Value) -> Verdict {
    let known = rules.get("properties").and_then(Value::as_object);
    if is_empty(value) && value.is_array() && known.is_some() {
        // Defaults need an object to stand in.
        *value = Value::Object(Map::new());
    }
    let Value::Object(members) = value else { return Ok(()) };
    for (name, schema) in known.into_iter().flatten() {
        match members.get_mut(name) {
            Some(member) => judge(schema, member)
                .map_err(|why| format!("property \"{name}\" validation failed: {why}"))?,
            None if requires(rules, name) => {
                return Err(format!("property \"{name}\" is required"));
            }
            None => {
                if let Some(default) = schema.get("default") {
                    members.insert(name.clone(), default.clone());
                }
            }
        }
    }
    if let Some(missing) = strings(rules.get("required")).find(|name| !members.contains_key(*name))
    {
        return Err(format!("property \"{missing}\" is required"));
    }
    for (name, needed) in rules.get("dependencies").and_then(Value::as_object).into_iter().flatten()
    {
        let missing = strings(Some(needed)).find(|needed| !members.contains_key(*needed));
        if let Some(missing) = missing.filter(|_| members.contains_key(name)) {
            return Err(format!("property \"{missing}\" is required when \"{name}\" is set"));
        }
    }
    let patterns = rules.get("patternProperties").and_then(Value::as_object);
    for (pattern, schema) in patterns.into_iter().flatten() {
        for (name, member) in members.iter_mut().filter(|(name, _)| matches(pattern, name)) {
            judge(schema, member).map_err(|why| {
                format!("failed to validate {name} (matching \"{pattern}\"): {why}")
            })?;
        }
    }
    if rules.get("additionalProperties") == Some(&Value::Bool(false)) {
        let strange = members.keys().find(|name| !known.is_some_and(|k| k.contains_key(*name)));
        if let Some(strange) = strange {
            return Err(format!("additional properties forbidden, found {strange}"));
        }
    }
    Ok(())
}

fn items(rules: &Map<String, Value>, value: &mut Value) -> Verdict {
    let count = match value {
        Value::Array(items) => items.len(),
        Value::Object(members) if members.is_empty() => 0,
        _ => return Ok(()),
    };
    let least = rules.get("minItems").and_then(Value::as_u64).unwrap_or(0);
    if (count as u64) < least {
        return Err(format!("expect array to have at least {least} items"));
    }
    let Value::Array(items) = value else { return Ok(()) };
    if let Some(schema) = rules.get("items") {
        for (at, item) in items.iter_mut().enumerate() {
            judge(schema, item)
                .map_err(|why| format!("failed to validate item {}: {why}", at + 1))?;
        }
    }
    if rules.get("uniqueItems") == Some(&Value::Bool(true)) {
        for (at, item) in items.iter().enumerate() {
            if let Some(before) = items[..at].iter().position(|earlier| equal(earlier, item)) {
                let (first, second) = (before + 1, at + 1);
                return Err(format!(
                    "expected unique items but items {first} and {second} are equal"
                ));
            }
        }
    }
    Ok(())
}

fn text(rules: &Map<String, Value>, value: &Value) -> Verdict {
    let Some(text) = value.as_str() else { return Ok(()) };
    let length = text.chars().count() as u64;
    if let Some(least) = rules.get("minLength").and_then(Value::as_u64).filter(|n| length < *n) {
        return Err(format!("string too short, expected at least {least}, got {length}"));
    }
    if let Some(most) = rules.get("maxLength").and_then(Value::as_u64).filter(|n| length > *n) {
        return Err(format!("string too long, expected at most {most}, got {length}"));
    }
    if let Some(pattern) = rules.get("pattern").and_then(Value::as_str)
        && !matches(pattern, text)
    {
        return Err(format!("failed to match pattern {} with {}", quoted(pattern), quoted(text)));
    }
    let format = rules.get("format").and_then(Value::as_str);
    let fits = match format {
        Some("ipv4") => addr::parse_ipv4(text.as_bytes()).is_some(),
        Some("ipv6") => text.parse::<std::net::Ipv6Addr>().is_ok(),
        _ => true,
    };
    match format {
        Some(format) if !fits => Err(format!("expected {} to be {format}", quoted(text))),
        _ => Ok(()),
    }
}

fn number(rules: &Map<String, Value>, value: &Value) -> Verdict {
    let Some(n) = value.as_f64() else { return Ok(()) };
    let bound = |name: &str| rules.get(name).and_then(Value::as_f64);
    let complaint = |what: &str, bound: f64| {
        Err(format!("expected {} to be {what} {}", shown(n), shown(bound)))
    };
    if let Some(least) = bound("minimum").filter(|least| n < *least) {
        return complaint("at least", least);
    }
    if let Some(least) = bound("exclusiveMinimum").filter(|least| n <= *least) {
        return complaint("greater than", least);
    }
    if let Some(most) = bound("maximum").filter(|most| n > *most) {
        return complaint("at most", most);
    }
    Ok(())
}

fn choice(rules: &Map<String, Value>, value: &Value) -> Verdict {
    match rules.get("enum").and_then(Value::as_array) {
        Some(words) if !words.iter().any(|word| equal(word, value)) => {
            Err("matches none of the enum values".into())
        }
        _ => Ok(()),
    }
}

fn combined(rules: &Map<String, Value>, value: &mut Value) -> Verdict {
    let list = |name: &str| rules.get(name).and_then(Value::as_array);
    for (at, schema) in list("allOf").into_iter().flatten().enumerate() {
        judge(schema, value).map_err(|why| format!("allOf {} failed: {why}", at + 1))?;
    }
    if let Some(schemas) = list("anyOf")
        && !schemas.iter().any(|schema| passes(schema, value))
    {
        return Err(none_of(schemas));
    }
    if let Some(schemas) = list("oneOf") {
        let mut fitting = (1..).zip(schemas).filter(|(_, s)| judge(s, &mut value.clone()).is_ok());
        match (fitting.next(), fitting.next()) {
            (None, _) => {
                return Err("value should match only one schema, but matches none".into());
            }
            (Some((a, _)), Some((b, _))) => {
                let text = "value should match only one schema, but matches both schemas";
                return Err(format!("{text} {a} and {b}"));
            }
            (Some((_, schema)), None) => judge(schema, value)?,
        }
    }
    match rules.get("not") {
        Some(schema) if judge(schema, &mut value.clone()).is_ok() => {
            Err("value wasn't supposed to match schema".into())
        }
        _ => Ok(()),
    }
}

/// Tries a branch; its defaults stay when it fits.
fn passes(schema: &Value, value: &mut Value) -> bool {
    let mut tried = value.clone();
    let fits = judge(schema, &mut tried).is_ok();
    if fits {
        *value = tried;
    }
    fits
}

fn none_of(schemas: &[Value]) -> String {
    let lists: Option<Vec<String>> = schemas
        .iter()
        .map(|schema| schema.get("required").and_then(|list| serde_json::to_string(list).ok()))
        .collect();
    match lists {
        Some(lists) => format!("object matches none of the required: {}", lists.join(" or ")),
        None => "object matches none of the required".into(),
    }
}

fn requires(rules: &Map<String, Value>, name: &str) -> bool {
    strings(rules.get("required")).any(|required| required == name)
}

fn strings(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// Equality as Lua has it: 1 and 1.0 are one number.
fn equal(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

fn lua_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "userdata",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) | Value::Object(_) => "table",
    }
}

/// A number as Lua prints it.
fn shown(n: f64) -> String {
    if n.fract() == 0.0 && n.abs() < 1e14 { format!("{n:.0}") } else { n.to_string() }
}

/// Lua's `%q`.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Whether a pattern of a schema matches; each is compiled once a thread.
fn matches(pattern: &str, text: &str) -> bool {
    thread_local! {
        static COMPILED: RefCell<HashMap<String, Option<Rc<Regex>>>> = RefCell::default();
    }
    let compiled = COMPILED.with_borrow_mut(|all| {
        let compile = || Regex::compile(pattern.as_bytes(), Flags::default()).ok().map(Rc::new);
        all.entry(pattern.to_owned()).or_insert_with(compile).clone()
    });
    compiled.is_some_and(|regex| regex.is_match(text.as_bytes()).unwrap_or(false))
}

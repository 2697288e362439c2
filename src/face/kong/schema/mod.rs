//! What an entity may hold, as data; checking one, filling its defaults, wording what is wrong.
//!
//! ```text
//!  JSON or form ─▶ Field tables ─┬─▶ entity with every default filled in
//!                                └─▶ Faults: a tree of texts, as Kong nests them
//! ```

mod faults;
pub mod fields;
pub mod healthchecks;
mod leaf;

use serde_json::{Map, Value};

pub use self::faults::Faults;
pub use self::leaf::Check;

/// One field of a record.
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    /// What an absent field becomes.
    pub default: Value,
    /// Absent or null is a mistake when there is no default either.
    pub required: bool,
}

impl Field {
    /// A field that may be absent, and is null then.
    pub fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, default: Value::Null, required: false }
    }

    /// A field that must be given.
    pub fn required(name: &'static str, kind: Kind) -> Self {
        Self { required: true, ..Self::new(name, kind) }
    }

    /// A field with a value when none is given.
    pub fn with(name: &'static str, kind: Kind, default: impl Into<Value>) -> Self {
        Self { default: default.into(), required: true, ..Self::new(name, kind) }
    }

    /// A record whose absence means all its defaults.
    pub fn record(name: &'static str, fields: Vec<Self>) -> Self {
        Self { required: true, ..Self::new(name, Kind::Record(fields)) }
    }
}

/// The shape of a value.
pub enum Kind {
    Text(Check),
    Bool,
    /// Between these, both included.
    Integer(i64, i64),
    /// The same, or zero.
    ZeroOr(i64, i64),
    Number(f64, f64),
    /// Zero, or between these.
    ZeroOrNumber(f64, f64),
    OneOf(&'static [&'static str]),
    Array(Box<Kind>),
    /// An array without repetitions.
    Set(Box<Kind>),
    /// Names to values.
    Map(Box<Kind>),
    Record(Vec<Field>),
    /// Another entity: `{"id": …}`, by forms also `{"name": …}`.
    Foreign,
    /// Seconds since the epoch, written by the server; what a client sends is ignored.
    Stamp,
}

/// Checks an entity and fills its defaults.
pub fn check(fields: &[Field], given: &Map<String, Value>) -> Result<Map<String, Value>, Faults> {
    let (filled, faults) = record(fields, given);
    if faults.is_empty() { Ok(filled) } else { Err(faults) }
}

/// Turns what a form says into the types the fields want: forms know texts only.
pub fn infer(fields: &[Field], given: &mut Map<String, Value>) {
    for field in fields {
        if let Some(value) = given.get_mut(field.name) {
            leaf::infer(&field.kind, value);
        }
    }
}

/// What a PATCH leaves: records merge, everything else replaces, null takes the default again.
pub fn merge(fields: &[Field], old: &mut Map<String, Value>, new: Map<String, Value>) {
    for (name, value) in new {
        let field = fields.iter().find(|field| field.name == name);
        match (field.map(|field| &field.kind), old.get_mut(&name), value) {
            (Some(Kind::Record(inner)), Some(Value::Object(old)), Value::Object(new)) => {
                merge(inner, old, new);
            }
            (Some(_), _, Value::Null) => _ = old.remove(&name),
            (_, _, value) => _ = old.insert(name, value),
        }
    }
}

fn record(fields: &[Field], given: &Map<String, Value>) -> (Map<String, Value>, Faults) {
    let mut filled = Map::new();
    let mut faults = Faults::default();
    for name in given.keys().filter(|name| fields.iter().all(|f| f.name != name.as_str())) {
        faults.add(name, Faults::text("unknown field"));
    }
    for field in fields {
        match one(field, given.get(field.name)) {
            Ok(value) => _ = filled.insert(field.name.to_string(), value),
            Err(fault) => faults.add(field.name, fault),
        }
    }
    (filled, faults)
}

fn one(field: &Field, given: Option<&Value>) -> Result<Value, Faults> {
    match given {
        None if matches!(field.kind, Kind::Record(_)) && field.required => {
            leaf::value(&field.kind, &Value::Object(Map::new()))
        }
        None if !field.default.is_null() => Ok(field.default.clone()),
        None | Some(Value::Null) if field.required => Err(Faults::text("required field missing")),
        None | Some(Value::Null) => Ok(Value::Null),
        Some(value) => leaf::value(&field.kind, value),
    }
}

#[cfg(test)]
mod tests;

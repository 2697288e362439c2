//! What is wrong with an entity: a tree that follows the entity's own shape.
//!
//! ```text
//!  fields:  {"healthchecks":{"active":{"healthy":{"successes":"value should be …"}}}}
//!  message: schema violation (healthchecks.active.healthy.successes: value should be …)
//! ```

use serde_json::{Map, Value, json};

/// A text, or texts by field or place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults(Value);

impl Faults {
    pub fn text(text: impl Into<String>) -> Self {
        Self(Value::String(text.into()))
    }

    /// A complaint about the entity as a whole.
    pub fn entity(text: impl Into<String>) -> Self {
        Self(json!({ ENTITY: [text.into()] }))
    }

    /// A complaint about one field.
    pub fn field(name: &str, text: impl Into<String>) -> Self {
        let mut faults = Self::default();
        faults.add(name, Self::text(text));
        faults
    }

    /// Complaints about elements of an array, by place.
    pub fn elements(found: Vec<(usize, Self)>) -> Self {
        let mut list = Vec::new();
        for (at, fault) in found {
            list.resize(at, Value::Null);
            list.push(fault.0);
        }
        Self(Value::Array(list))
    }

    pub fn add(&mut self, name: &str, fault: Self) {
        if !self.0.is_object() {
            self.0 = Value::Object(Map::new());
        }
        if let Value::Object(map) = &mut self.0 {
            map.insert(name.to_string(), fault.0);
        }
    }

    /// Takes over all complaints of the other.
    pub fn join(&mut self, other: Self) {
        if let Value::Object(map) = other.0 {
            map.into_iter().for_each(|(name, fault)| self.add(&name, Self(fault)));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_null()
    }

    /// The body Kong answers with.
    pub fn body(&self) -> Value {
        let mut texts = Vec::new();
        flatten(&self.0, "", &mut texts);
        let all = texts.join("; ");
        let message = match texts.len() {
            1 => format!("schema violation ({all})"),
            count => format!("{count} schema violations ({all})"),
        };
        json!({ "code": 2, "name": "schema violation", "message": message, "fields": self.0 })
    }
}

/// One text for each leaf, the path before it.
fn flatten(value: &Value, path: &str, texts: &mut Vec<String>) {
    let below = |name: &str| match path {
        "" => name.to_string(),
        _ => format!("{path}.{name}"),
    };
    match value {
        Value::String(text) if path.is_empty() => texts.push(text.clone()),
        Value::String(text) => texts.push(format!("{path}: {text}")),
        Value::Array(list) => {
            let faulty = list.iter().enumerate().filter(|(_, fault)| !fault.is_null());
            faulty.for_each(|(at, fault)| flatten(fault, &below(&(at + 1).to_string()), texts));
        }
        Value::Object(map) => {
            if let Some(Value::Array(whole)) = map.get(ENTITY) {
                texts.extend(whole.iter().filter_map(Value::as_str).map(str::to_string));
            }
            let named = map.iter().filter(|(name, _)| *name != ENTITY);
            named.for_each(|(name, fault)| flatten(fault, &below(name), texts));
        }
        _ => {}
    }
}

const ENTITY: &str = "@entity";

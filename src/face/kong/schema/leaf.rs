//! Single values: what each kind accepts, in Kong's words.

use serde_json::{Map, Number, Value};

use super::faults::Faults;
use super::{Field, Kind, infer as infer_record};

/// A text's own rule: what is wrong with it, if anything.
pub type Check = fn(&str) -> Option<String>;

/// Checks one value; arrays, maps and records inside it too.
pub(super) fn value(kind: &Kind, given: &Value) -> Result<Value, Faults> {
    match kind {
        Kind::Text(check) => text(given, *check),
        Kind::Bool => match given {
            Value::Bool(_) => Ok(given.clone()),
            _ => Err(Faults::text("expected a boolean")),
        },
        Kind::Integer(low, high) => integer(given, *low, *high, false),
        Kind::ZeroOr(low, high) => integer(given, *low, *high, true),
        Kind::Number(low, high) => number(given, *low, *high, false),
        Kind::ZeroOrNumber(low, high) => number(given, *low, *high, true),
        Kind::OneOf(words) => match given.as_str() {
            Some(word) if words.contains(&word) => Ok(given.clone()),
            Some(_) => Err(Faults::text(format!("expected one of: {}", words.join(", ")))),
            None => Err(Faults::text("expected a string")),
        },
        Kind::Array(element) => array(element, given, "expected an array", false),
        Kind::Set(element) => array(element, given, "expected a set", true),
        Kind::Map(element) => map(element, given),
        Kind::Record(fields) => match given {
            Value::Object(given) => super::check(fields, given).map(Value::Object),
            _ => Err(Faults::text("expected a record")),
        },
        Kind::Foreign => foreign(given),
        Kind::Stamp if given.is_number() => Ok(given.clone()),
        Kind::Stamp => Err(Faults::text("expected a number")),
    }
}

/// What a form's text stands for.
pub(super) fn infer(kind: &Kind, value: &mut Value) {
    if value.as_str() == Some("") {
        *value = Value::Null;
        return;
    }
    match (kind, &mut *value) {
        (Kind::Bool, Value::String(text)) => match text.as_str() {
            "true" => *value = Value::Bool(true),
            "false" => *value = Value::Bool(false),
            _ => {}
        },
        (
            Kind::Integer(..)
            | Kind::ZeroOr(..)
            | Kind::Number(..)
            | Kind::ZeroOrNumber(..)
            | Kind::Stamp,
            Value::String(text),
        ) => {
            let whole = text.parse::<i64>().ok().map(Number::from);
            let real = || text.parse::<f64>().ok().and_then(Number::from_f64);
            if let Some(number) = whole.or_else(real) {
                *value = Value::Number(number);
            }
        }
        (Kind::Array(element) | Kind::Set(element), _) => {
            if !value.is_array() {
                *value = Value::Array(vec![value.take()]);
            }
            if let Value::Array(list) = value {
                list.iter_mut().for_each(|item| infer(element, item));
            }
        }
        (Kind::Map(element), Value::Object(map)) => {
            map.values_mut().for_each(|item| infer(element, item));
        }
        (Kind::Record(fields), Value::Object(map)) => infer_record(fields, map),
        _ => {}
    }
}

fn text(given: &Value, check: Check) -> Result<Value, Faults> {
    let Some(text) = given.as_str() else { return Err(Faults::text("expected a string")) };
    if text.is_empty() {
        return Err(Faults::text("length must be at least 1"));
    }
    match check(text) {
        None => Ok(given.clone()),
        Some(fault) => Err(Faults::text(fault)),
    }
}

fn integer(given: &Value, low: i64, high: i64, zero: bool) -> Result<Value, Faults> {
    if !given.is_number() {
        return Err(Faults::text("expected an integer"));
    }
    // `2.0` is an integer where numbers are doubles.
    let whole = given.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 9e15);
    let Some(whole) = whole.map(|number| number as i64) else {
        return Err(Faults::text("expected an integer"));
    };
    if (low..=high).contains(&whole) || zero && whole == 0 {
        return Ok(whole.into());
    }
    Err(Faults::text(format!("value should be between {low} and {high}")))
}

fn number(given: &Value, low: f64, high: f64, zero: bool) -> Result<Value, Faults> {
    let Some(number) = given.as_f64() else { return Err(Faults::text("expected a number")) };
    if number >= low && number <= high || zero && number == 0.0 {
        return Ok(given.clone());
    }
    Err(Faults::text(format!("value should be between {low} and {high}")))
}

fn array(element: &Kind, given: &Value, want: &str, distinct: bool) -> Result<Value, Faults> {
    let list = match given {
        Value::Array(list) => list,
        // An empty Lua table is written as an object.
        Value::Object(map) if map.is_empty() => return Ok(Value::Array(Vec::new())),
        _ => return Err(Faults::text(want)),
    };
    let mut checked = Vec::with_capacity(list.len());
    let mut faults = Vec::new();
    for (at, item) in list.iter().enumerate() {
        match value(element, item) {
            Ok(item) if distinct && checked.contains(&item) => {}
            Ok(item) => checked.push(item),
            Err(fault) => faults.push((at, fault)),
        }
    }
    if faults.is_empty() { Ok(Value::Array(checked)) } else { Err(Faults::elements(faults)) }
}

fn map(element: &Kind, given: &Value) -> Result<Value, Faults> {
    let entries = match given {
        Value::Object(map) => map,
        Value::Array(list) if list.is_empty() => return Ok(Value::Object(Map::new())),
        _ => return Err(Faults::text("expected a map")),
    };
    let mut checked = Map::new();
    let mut faults = Faults::default();
    for (name, item) in entries {
        match value(element, item) {
            Ok(item) => _ = checked.insert(name.clone(), item),
            Err(fault) => faults.add(name, fault),
        }
    }
    if faults.is_empty() { Ok(Value::Object(checked)) } else { Err(faults) }
}

fn foreign(given: &Value) -> Result<Value, Faults> {
    let fields = [Field::new("id", Kind::Text(|_| None)), Field::new("name", Kind::Text(|_| None))];
    match given {
        Value::Object(map) if map.contains_key("id") || map.contains_key("name") => {
            let mut checked = super::check(&fields, map)?;
            checked.retain(|_, value| !value.is_null());
            Ok(Value::Object(checked))
        }
        _ => Err(Faults::field("id", "missing primary key")),
    }
}

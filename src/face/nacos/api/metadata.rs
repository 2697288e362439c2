//! Metadata as calls carry it: a JSON object, or `k=v,k2=v2`.

use serde_json::Value;

use crate::face::nacos::fault::{Code, Fault};
use crate::face::nacos::naming::Metadata;

/// Reads metadata; none is an empty one.
pub fn parse(text: Option<&str>) -> Result<Metadata, Fault> {
    let Some(text) = text else { return Ok(Metadata::new()) };
    if let Ok(Value::Object(fields)) = serde_json::from_str(text) {
        return Ok(fields.into_iter().map(|(key, value)| (key, plain(value))).collect());
    }
    let wrong = || Fault::bad(Code::METADATA, format!("metadata format incorrect: {text}"));
    let pair = |pair: &str| match pair.split_once('=') {
        Some((key, value)) if !value.contains('=') => Ok((key.to_owned(), value.to_owned())),
        _ => Err(wrong()),
    };
    text.split(',').map(pair).collect()
}

/// Values are strings; others are written as JSON.
fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms() {
        let json = parse(Some(r#"{"a":"1","b":2,"c":true}"#)).expect("an object");
        assert_eq!(json.into_iter().map(|(k, v)| k + &v).collect::<String>(), "a1b2ctrue");
        let pairs = parse(Some("a=1,b=")).expect("pairs");
        assert_eq!(pairs.get("b").map(String::as_str), Some(""));
        for text in ["x", "a=1=2", "[1]", "a=1,"] {
            let error = parse(Some(text)).expect_err(text).to_string();
            assert_eq!(error, format!("metadata format incorrect: {text}"));
        }
    }
}

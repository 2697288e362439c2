//! Changing parts of a document: merging, and setting what stands at a path.
//!
//! ```text
//!  PATCH /routes/1            {"status":0,"desc":null}      objects merge, null deletes
//!  PATCH /routes/1/upstream/nodes   {"127.0.0.1:1":1}       the body is the new value there
//! ```

use serde_json::{Map, Value};

/// Merges `change` into `document`.
pub fn merge(document: &mut Value, change: Value) {
    let Value::Object(change) = change else {
        *document = change;
        return;
    };
    if !document.is_object() {
        *document = Value::Object(Map::new());
    }
    let Value::Object(members) = document else { return };
    for (name, value) in change {
        match value {
            Value::Null => drop(members.remove(&name)),
            // An empty object replaces: in Lua it is an empty array as well.
            Value::Object(inner) if !inner.is_empty() => {
                merge(members.entry(name).or_insert(Value::Null), Value::Object(inner));
            }
            value => drop(members.insert(name, value)),
        }
    }
}

/// Puts `value` at a path like `upstream/nodes`; the error is APISIX's text.
pub fn set(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let names: Vec<&str> = path.split('/').collect();
    let Some((last, way)) = names.split_last() else { return Ok(()) };
    let mut at = document;
    for (depth, name) in way.iter().enumerate() {
        let lost = || format!("invalid sub-path: /{}", names[..=depth].join("/"));
        let members = at.as_object_mut().ok_or_else(lost)?;
        at = members.entry(*name).or_insert_with(|| Value::Object(Map::new()));
        if !at.is_object() {
            return Err(lost());
        }
    }
    let members = at.as_object_mut().ok_or_else(|| format!("invalid sub-path: /{path}"))?;
    match value {
        Value::Null => drop(members.remove(*last)),
        value => drop(members.insert((*last).to_owned(), value)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_merge_null_deletes_the_rest_replaces() {
        let mut document = json!({ "a": { "b": 1, "c": 2 }, "list": [1, 2], "gone": 1 });
        let change = json!({ "a": { "b": 9 }, "list": [3], "gone": null, "new": { "x": 1 } });
        merge(&mut document, change);
        let merged = json!({ "a": { "b": 9, "c": 2 }, "list": [3], "new": { "x": 1 } });
        assert_eq!(document, merged);
        merge(&mut document, json!({ "a": {} }));
        assert_eq!(document["a"], json!({}));
    }

    #[test]
    fn a_path_is_made_or_complained_about() {
        let mut document = json!({ "upstream": { "nodes": { "a:1": 1 } }, "uri": "/x" });
        set(&mut document, "upstream/nodes", json!({ "b:1": 1 })).unwrap();
        set(&mut document, "labels/env", json!("x")).unwrap();
        assert_eq!(document["upstream"]["nodes"], json!({ "b:1": 1 }));
        assert_eq!(document["labels"], json!({ "env": "x" }));
        let lost = set(&mut document, "uri/x/y", json!(1)).unwrap_err();
        assert_eq!(lost, "invalid sub-path: /uri");
    }
}

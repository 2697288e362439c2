//! Bodies of forms: `name=svc&healthchecks.active.healthy.interval=2&tags[]=a` as a JSON object.
//!
//! ```text
//!  a.b.c=1   {"a":{"b":{"c":"1"}}}       a[]=1&a[]=2, a[1]=1&a[2]=2, a=1&a=2   {"a":["1","2"]}
//! ```

use serde_json::{Map, Value};

use crate::base::escape;

/// Reads an urlencoded body. Everything is text still: the schema knows the types.
pub fn read(body: &[u8]) -> Map<String, Value> {
    let mut object = Map::new();
    // Kong reads a thousand arguments of a form at most.
    let (pairs, _) = escape::decode_args(body, PAIRS_MAX);
    for (name, value) in pairs {
        let name = String::from_utf8_lossy(&name).into_owned();
        let value = String::from_utf8_lossy(&value.unwrap_or_default()).into_owned();
        let steps: Vec<&str> = name.split('.').take(DEPTH_MAX).collect();
        put(&mut object, &steps, Value::String(value));
    }
    object
}

fn put(object: &mut Map<String, Value>, steps: &[&str], value: Value) {
    let Some((step, rest)) = steps.split_first() else { return };
    let (name, listed) = match step.find('[') {
        Some(at) if step.ends_with(']') => (&step[..at], Some(&step[at + 1..step.len() - 1])),
        _ => (*step, None),
    };
    if !rest.is_empty() {
        let slot = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(inner) = slot {
            put(inner, rest, value);
        }
        return;
    }
    match (listed, object.get_mut(name)) {
        // `headers[X-Id]=1`: a name in the brackets is a key of a map.
        (Some(key), found) if !key.is_empty() && key.parse::<usize>().is_err() => match found {
            Some(Value::Object(map)) => _ = map.insert(key.into(), value),
            _ => {
                let map = Map::from_iter([(key.to_string(), value)]);
                object.insert(name.into(), Value::Object(map));
            }
        },
        (_, Some(Value::Array(list))) => list.push(value),
        (None, Some(first)) => *first = Value::Array(vec![first.take(), value]),
        (Some(_), Some(_) | None) => _ = object.insert(name.into(), Value::Array(vec![value])),
        (None, None) => _ = object.insert(name.into(), value),
    }
}

const PAIRS_MAX: usize = 1000;
const DEPTH_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_with_dots_and_brackets_are_structure() {
        let body = b"name=svc&healthchecks.active.healthy.interval=2&tags[]=a&tags[]=b\
            &paths=%2Fx&hosts=a&hosts=b&headers[X-Id]=1&http_statuses[1]=200&http_statuses[2]=302";
        let want = json!({
            "name": "svc", "healthchecks": {"active": {"healthy": {"interval": "2"}}},
            "tags": ["a", "b"], "paths": "/x", "hosts": ["a", "b"], "headers": {"X-Id": "1"},
            "http_statuses": ["200", "302"],
        });
        assert_eq!(Value::Object(read(body)), want);
    }

    #[test]
    fn nonsense_is_some_object_all_the_same() {
        for body in [&b"{"[..], b"=&.=1&a[=2&]=3&[]=4", b"a=1&a.b=2&a[]=3", b"\xff=%ff", b""] {
            read(body);
        }
    }
}

//! What the schemas accept, what they fill in, and what they say of the rest.

use serde_json::json;

use super::*;

fn upstream(document: Value) -> Result<Value, String> {
    let mut document = document;
    check(Kind::Upstream, &mut document).map(|()| document)
}

fn checks(checks: Value) -> Result<Value, String> {
    upstream(json!({ "nodes": { "127.0.0.1:1": 1 }, "checks": checks }))
}

fn active(member: &str, value: Value) -> String {
    checks(json!({ "active": { member: value } })).unwrap_err()
}

#[test]
fn defaults_go_into_objects_that_are_there() {
    let full = checks(json!({ "active": {} })).unwrap();
    let active = &full["checks"]["active"];
    assert_eq!(active["http_path"], "/");
    assert_eq!(active["concurrency"], 10);
    assert!(active.get("healthy").is_none());
    assert!(full["checks"].get("passive").is_none());
    let full = checks(json!({ "active": { "healthy": {} } })).unwrap();
    let healthy = json!({ "interval": 1, "http_statuses": [200, 302], "successes": 2 });
    assert_eq!(full["checks"]["active"]["healthy"], healthy);
    let full = upstream(json!({ "nodes": [{ "host": "a", "port": 1, "weight": 2 }] })).unwrap();
    assert_eq!(full["nodes"][0]["priority"], 0);
    assert_eq!(full["type"], "roundrobin");
}

#[test]
fn the_way_down_is_told() {
    let way = "property \"checks\" validation failed: property \"active\" validation failed: ";
    let healthy = format!("{way}property \"healthy\" validation failed: ");
    let cases = [
        (
            json!({ "successes": 255 }),
            "property \"successes\" validation failed: expected 255 to be at most 254",
        ),
        (
            json!({ "interval": 0 }),
            "property \"interval\" validation failed: expected 0 to be at least 1",
        ),
        (
            json!({ "interval": 3.1 }),
            "property \"interval\" validation failed: wrong type: expected integer, got number",
        ),
        (
            json!({ "http_statuses": [500, 600] }),
            "property \"http_statuses\" validation failed: failed to validate item 2: expected 600 to be at most 599",
        ),
        (
            json!({ "http_statuses": [200, 200] }),
            "property \"http_statuses\" validation failed: expected unique items but items 1 and 2 are equal",
        ),
        (
            json!({ "http_statuses": [] }),
            "property \"http_statuses\" validation failed: expect array to have at least 1 items",
        ),
    ];
    for (block, leaf) in cases {
        assert_eq!(active("healthy", block), format!("{healthy}{leaf}"));
    }
    let leaf = "property \"type\" validation failed: matches none of the enum values";
    assert_eq!(active("type", json!("udp")), format!("{way}{leaf}"));
    let leaf = "property \"req_headers\" validation failed: failed to validate item 2: \
        wrong type: expected string, got number";
    assert_eq!(active("req_headers", json!(["a", 2233])), format!("{way}{leaf}"));
    assert!(checks(json!({ "active": { "timeout": 1.01 } })).is_ok());
}

#[test]
fn combinations() {
    let none = "property \"checks\" validation failed: object matches none of the required: \
        [\"active\"] or [\"active\",\"passive\"]";
    assert_eq!(checks(json!({ "passive": {} })).unwrap_err(), none);
    assert_eq!(checks(json!({})).unwrap_err(), none);
    assert!(checks(json!({ "active": {}, "later": 1 })).is_ok(), "unknown keys are let through");
    let strange = upstream(json!({ "nodes": {}, "chekcs": {} })).unwrap_err();
    assert_eq!(strange, "additional properties forbidden, found chekcs");
    let mut route = json!({ "uri": "/x" });
    let none = check(Kind::Route, &mut route).unwrap_err();
    assert!(none.starts_with("object matches none of the required: [\"plugins\"] or "), "{none}");
    let mut route = json!({ "upstream": { "nodes": {} } });
    let none = check(Kind::Route, &mut route).unwrap_err();
    assert_eq!(none, "allOf 1 failed: value should match only one schema, but matches none");
    let retries = upstream(json!({ "nodes": [], "retries": -1 })).unwrap_err();
    assert_eq!(retries, "property \"retries\" validation failed: expected -1 to be at least 0");
}

#[test]
fn limit_count_says_what_is_missing() {
    let said = |document: Value| {
        let mut document = document;
        check(Kind::LimitCount, &mut document).unwrap_err()
    };
    // Either count and time_window, or rules.
    let neither = "value should match only one schema, but matches none";
    assert_eq!(said(json!({ "time_window": 1 })), neither);
    // A number, or a text with variables.
    let count = format!("property \"count\" validation failed: {neither}");
    assert_eq!(said(json!({ "count": -100, "time_window": 1 })), count);
}

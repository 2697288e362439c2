use serde_json::json;

use super::fields;
use super::*;
use crate::face::kong::Preset;

fn upstream(preset: Preset, given: Value) -> Result<Value, Value> {
    let Value::Object(given) = given else { return Err(Value::Null) };
    check(&fields::upstream(preset), &given).map(Value::Object).map_err(|f| f.body())
}

#[test]
fn a_name_alone_gets_all_defaults() {
    let made = upstream(Preset::Kong, json!({"name": "svc"})).expect("valid");
    assert_eq!(made["slots"], 10_000);
    assert_eq!(made["algorithm"], "round-robin");
    let checks = &made["healthchecks"];
    assert_eq!(checks["threshold"], 0);
    assert_eq!(checks["active"]["healthy"]["http_statuses"], json!([200, 302]));
    assert_eq!(checks["active"]["unhealthy"]["interval"], 0);
    assert_eq!(checks["passive"]["unhealthy"]["http_statuses"], json!([429, 500, 503]));
    assert_eq!(checks["active"]["https_sni"], Value::Null);
}

#[test]
fn ranges_and_words_are_those_of_kong() {
    let cases = [
        (
            json!({"active": {"healthy": {"successes": 256}}}),
            "healthchecks.active.healthy.successes: value should be between 0 and 255",
        ),
        (
            json!({"active": {"healthy": {"interval": 65536}}}),
            "healthchecks.active.healthy.interval: value should be between 0 and 65535",
        ),
        (
            json!({"active": {"healthy": {"http_statuses": [99]}}}),
            "healthchecks.active.healthy.http_statuses.1: value should be between 100 and 999",
        ),
        (json!({"threshold": 101}), "healthchecks.threshold: value should be between 0 and 100"),
        (
            json!({"active": {"concurrency": 0}}),
            "healthchecks.active.concurrency: value should be between 1 and 2147483648",
        ),
        (
            json!({"active": {"http_path": "status"}}),
            "healthchecks.active.http_path: should start with: /",
        ),
        (
            json!({"active": {"http_path": ""}}),
            "healthchecks.active.http_path: length must be at least 1",
        ),
        (
            json!({"active": {"type": "udp"}}),
            "healthchecks.active.type: expected one of: tcp, http, https, grpc, grpcs",
        ),
        (
            json!({"passive": {"healthy": {"successes": 1.5}}}),
            "healthchecks.passive.healthy.successes: expected an integer",
        ),
        (json!({"active": 1}), "healthchecks.active: expected a record"),
        (json!({"activ": {}}), "healthchecks.activ: unknown field"),
    ];
    for (checks, want) in cases {
        let fault = upstream(Preset::Kong, json!({"name": "u", "healthchecks": checks}));
        let message = fault.expect_err("invalid")["message"].clone();
        assert_eq!(message, format!("schema violation ({want})"));
    }
    let fault = upstream(Preset::Kong, json!({"name": "x y"})).expect_err("invalid");
    assert_eq!(fault["fields"]["name"], "Invalid name ('x y'); must be a valid hostname");
    let fault = upstream(Preset::Kong, json!({})).expect_err("invalid");
    assert_eq!(fault["fields"], json!({"name": "required field missing"}));
}

#[test]
fn the_gateway_of_tencent_is_narrower() {
    let interval =
        |n| json!({"name": "u", "healthchecks": {"active": {"healthy": {"interval": n}}}});
    for good in [0, 2, 300] {
        assert!(upstream(Preset::Tse, interval(good)).is_ok(), "{good}");
    }
    for bad in [1, 301] {
        let fault = upstream(Preset::Tse, interval(bad)).expect_err("invalid");
        let text = fault["fields"]["healthchecks"]["active"]["healthy"]["interval"].clone();
        assert_eq!(text, "value should be between 2 and 300");
    }
    let made = upstream(Preset::Tse, json!({"name": "u"})).expect("valid");
    let active = &made["healthchecks"]["active"];
    assert_eq!(active["healthy"]["successes"], 1);
    assert_eq!(active["unhealthy"]["http_failures"], 10);
    assert_eq!(active["unhealthy"]["http_statuses"], json!([500, 502, 503, 504]));
    assert_eq!(made["healthchecks"]["passive"]["unhealthy"]["timeouts"], 0);
}

#[test]
fn forms_are_given_types_and_patches_merge() {
    let fields = fields::upstream(Preset::Kong);
    let mut given = crate::face::kong::form::read(
        b"name=u&slots=100&healthchecks.active.healthy.interval=0.5&tags=a&host_header=",
    );
    infer(&fields, &mut given);
    let mut made = check(&fields, &given).expect("valid");
    assert_eq!(made["slots"], 100);
    assert_eq!(made["tags"], json!(["a"]));
    assert_eq!(made["host_header"], Value::Null);
    assert_eq!(made["healthchecks"]["active"]["healthy"]["interval"], 0.5);
    let patch = json!({"slots": null, "healthchecks": {"active": {"http_path": "/s"}}});
    let Value::Object(patch) = patch else { return };
    merge(&fields, &mut made, patch);
    let made = check(&fields, &made).expect("valid");
    assert_eq!((&made["slots"], &made["name"]), (&json!(10_000), &json!("u")));
    assert_eq!(made["healthchecks"]["active"]["http_path"], "/s");
    assert_eq!(made["healthchecks"]["active"]["healthy"]["interval"], 0.5);
}

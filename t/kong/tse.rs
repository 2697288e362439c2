//! Tencent's cloud API.

use serde_json::{Value, json};

use super::backend::Backend;
use super::scene::{NORMAL, Scene, dead, same, two};
use crate::harness::case::Check;
use crate::harness::server::Prefix;

pub const ROWS: &[(&str, Check)] = &[
    ("D17: a config is set, used and told", config),
    ("D18: a node's status by hand", status),
    ("views of a service and of the instance", views),
    ("targets as a whole", targets),
    ("mistakes in the cloud's words", mistakes),
    ("signed calls", signed),
    ("Kong's own preset has no cloud API", kong_only),
];

fn act(scene: &Scene, action: &str, body: &Value) -> Result<Value, String> {
    let headers = format!("Content-Type: application/json\nX-TC-Action: {action}");
    let answer = scene.send("POST", "/", &body.to_string(), &headers)?.has(200)?;
    answer["Response"]["RequestId"].as_str().ok_or("no RequestId")?;
    Ok(answer["Response"].clone())
}

fn result(scene: &Scene, action: &str, body: Value) -> Result<Value, String> {
    let response = act(scene, action, &body)?;
    match &response["Error"] {
        Value::Null => Ok(response["Result"].clone()),
        error => Err(format!("{action}: {error}")),
    }
}

fn error(scene: &Scene, action: &str, body: Value) -> Result<String, String> {
    let response = act(scene, action, &body)?;
    let code = response["Error"]["Code"].as_str();
    code.map(str::to_owned).ok_or_else(|| format!("{action} went well: {response}"))
}

fn enabled() -> Value {
    json!({
        "EnableActiveHealthCheck": true,
        "ActiveHealthCheck": {
            "HealthyInterval": 2, "UnHealthyInterval": 3, "HttpPath": "/ping", "Timeout": 1,
            "HostHeader": "a.org",
        },
        "EnablePassiveHealthCheck": true,
        "PassiveHealthCheck": { "Type": "http" },
        "Successes": 1, "Failures": 2, "Timeouts": 3,
        "HealthyHttpStatuses": NORMAL, "UnhealthyHttpStatuses": [500, 502, 503, 504],
        "IgnoreZeroWeightNodes": true, "ZeroWeightHeathCheck": false,
    })
}

fn set(scene: &Scene, config: Value) -> Result<Value, String> {
    let body = json!({ "GatewayId": "g", "Name": "svc", "HealthCheckConfig": config });
    result(scene, "UpdateUpstreamHealthCheckConfig", body)
}

fn config() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::tse()?);
    scene.serve(&[&up.text()])?;
    same(&set(&scene, enabled())?, &json!(true))?;
    let named = json!({ "GatewayId": "g", "Name": "svc" });
    same(&result(&scene, "DescribeUpstreamHealthCheckConfig", named)?, &enabled())?;
    let kong = scene.bare("GET", "/upstreams/svc")?.has(200)?;
    same(&kong["healthchecks"]["active"]["healthy"]["interval"], &json!(2))?;
    scene.health_is(&up.text(), "HEALTHY")?;
    up.wait_for("/ping", 2)?;
    let probe = "GET /ping HTTP/1.1\r\nHost: a.org\r\nConnection: close\r\n\r\n";
    up.heads().iter().try_for_each(|head| same(&json!(head), &json!(probe)))
}

fn status() -> Result<(), String> {
    let ((a, b), scene) = (two()?, Scene::tse()?);
    scene.serve(&[&a.text(), &b.text()])?;
    set(&scene, enabled())?;
    let body = |status: &str| {
        json!({ "GatewayId": "g", "ServiceName": "web", "Host": "127.0.0.1", "Port": a.port,
                "Status": status })
    };
    same(&result(&scene, "ModifyUpstreamNodeStatus", body("UNHEALTHY"))?, &json!(true))?;
    scene.health_is(&a.text(), "UNHEALTHY")?;
    for _ in 0..4 {
        same(&json!(scene.get("/")?.body_text()), &json!(b.port.to_string()))?;
    }
    same(&result(&scene, "ModifyUpstreamNodeStatus", body("HEALTHY"))?, &json!(true))?;
    scene.health_is(&a.text(), "HEALTHY")
}

fn views() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::tse()?);
    scene.serve(&[&up.text()])?;
    scene.call("POST", "/upstreams", &json!({ "name": "second" }))?.has(201)?;
    let ask = |body: Value| result(&scene, "DescribeCloudNativeAPIGatewayUpstream", body);
    let one = ask(json!({ "GatewayId": "g", "ServiceName": "web" }))?;
    let target = &one["UpstreamList"][0]["Target"][0];
    same(
        &json!([
            one["UpstreamList"][0]["Name"],
            target["Host"],
            target["Port"],
            target["Weight"],
            target["Health"]
        ]),
        &json!(["svc", "127.0.0.1", up.port, 100, "HEALTHCHECKS_OFF"]),
    )?;
    set(&scene, enabled())?;
    let all = ask(json!({ "GatewayId": "g" }))?;
    let list = all["UpstreamList"].as_array().cloned().unwrap_or_default();
    same(&json!(list.len()), &json!(2))?;
    let svc = list.iter().find(|row| row["Name"] == "svc").cloned().unwrap_or_default();
    same(&svc["Target"][0]["Health"], &json!("HEALTHY"))
}

fn targets() -> Result<(), String> {
    let ((a, b), scene) = (two()?, Scene::tse()?);
    scene.serve(&[&a.text(), &dead()])?;
    let wanted = json!([
        { "Host": "127.0.0.1", "Port": a.port, "Weight": 10 },
        { "Host": "127.0.0.1", "Port": b.port },
    ]);
    let body = json!({ "GatewayId": "g", "Name": "svc", "Targets": wanted });
    same(&result(&scene, "UpdateUpstreamTargets", body)?, &json!(true))?;
    let list = scene.bare("GET", "/upstreams/svc/targets")?.has(200)?;
    let mut rows: Vec<String> = list["data"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| format!("{} {}", row["target"].as_str().unwrap_or_default(), row["weight"]))
        .collect();
    rows.sort();
    let mut wanted = vec![format!("{} 10", a.text()), format!("{} 100", b.text())];
    wanted.sort();
    same(&json!(rows), &json!(wanted))
}

fn mistakes() -> Result<(), String> {
    let (up, scene) = (Backend::start()?, Scene::tse()?);
    scene.serve(&[&up.text()])?;
    let update = "UpdateUpstreamHealthCheckConfig";
    let with = |pointer: &str, value: Value| {
        let mut config = enabled();
        if let Some(slot) = config.pointer_mut(pointer) {
            *slot = value;
        }
        json!({ "GatewayId": "g", "Name": "svc", "HealthCheckConfig": config })
    };
    let node = |host: &str, status: &str| {
        json!({ "GatewayId": "g", "ServiceName": "web", "Host": host, "Port": up.port,
                "Status": status })
    };
    let wrong = "InvalidParameterValue";
    let rows = [
        (update, with("/ActiveHealthCheck/HealthyInterval", json!(1)), wrong),
        (update, with("/ActiveHealthCheck/UnHealthyInterval", json!(301)), wrong),
        (update, with("/Failures", json!(0)), wrong),
        (update, with("/Timeouts", json!(11)), wrong),
        (update, with("/HealthyHttpStatuses", json!([99])), wrong),
        (update, with("/ActiveHealthCheck/HttpPath", json!("status")), wrong),
        (update, json!({ "Name": "svc" }), "MissingParameter.MissParameter"),
        (update, json!({ "GatewayId": "g", "Name": "svc" }), "MissingParameter.MissParameter"),
        (
            "DescribeUpstreamHealthCheckConfig",
            json!({ "GatewayId": "g", "Name": "nope" }),
            "ResourceNotFound.ResourceNotFound",
        ),
        ("ModifyUpstreamNodeStatus", node("127.0.0.1", "UNHEALTHY"), wrong),
        ("ModifyUpstreamNodeStatus", node("127.0.0.1", "SICK"), wrong),
        (
            "ModifyUpstreamNodeStatus",
            node("10.9.9.9", "HEALTHY"),
            "ResourceNotFound.ResourceNotFound",
        ),
        ("Nonsense", json!({ "GatewayId": "g" }), "InvalidParameterValue.Action"),
    ];
    let before = scene.bare("GET", "/upstreams/svc")?.has(200)?;
    for (action, body, code) in rows {
        let shown = body.to_string();
        let got = error(&scene, action, body)?;
        same(&json!([shown, got]), &json!([shown, code]))?;
    }
    same(&scene.bare("GET", "/upstreams/svc")?.has(200)?, &before)?;
    let headers = "Content-Type: application/json\nX-TC-Action: UpdateUpstreamTargets";
    let answer = scene.send("POST", "/", "{", headers)?.has(200)?;
    let code = &answer["Response"]["Error"]["Code"];
    same(code, &json!("InvalidParameter.ParseJsonError"))
}

/// The example of a signature was made with the cloud's own SDK rules by hand of openssl.
fn signed() -> Result<(), String> {
    let scene = Scene::start_in(
        Prefix::new()?,
        &[
            ("# kong_preset tse;", "kong_preset tse;"),
            ("# kong_admin_key change-me;", "kong_tse_secret AKID some-secret-key;"),
        ],
    )?;
    scene.serve(&[])?;
    let body = r#"{"GatewayId":"g","Name":"svc"}"#;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_err(|e| e.to_string())?
        .as_secs();
    let send = |key: &str, time: u64| -> Result<Value, String> {
        let signature = openssl_signature(key, time, body)?;
        let headers = format!(
            "Host: tse.example\nContent-Type: application/json\n\
             X-TC-Action: DescribeUpstreamHealthCheckConfig\nX-TC-Timestamp: {time}\n\
             Authorization: TC3-HMAC-SHA256 Credential=AKID/{DAY}/tse/tc3_request, \
             SignedHeaders=content-type;host, Signature={signature}"
        );
        let answer = scene.send("POST", "/", body, &headers)?.has(200)?;
        Ok(answer["Response"]["Error"]["Code"].clone())
    };
    same(&send("some-secret-key", now)?, &Value::Null)?;
    same(&send("another-key", now)?, &json!("AuthFailure"))?;
    same(&send("some-secret-key", now - 1000)?, &json!("AuthFailure"))?;
    let unsigned = json!({ "GatewayId": "g", "Name": "svc" });
    let code = error(&scene, "DescribeUpstreamHealthCheckConfig", unsigned)?;
    same(&json!(code), &json!("AuthFailure"))?;
    match scene.error_log().contains("some-secret-key") {
        true => Err("the key is in the log".into()),
        false => Ok(()),
    }
}

/// Signs a call with openssl, step by step as the cloud's documents say.
fn openssl_signature(key: &str, time: u64, body: &str) -> Result<String, String> {
    let script = format!(
        r#"set -e
h() {{ printf '%s' "$1" | openssl dgst -sha256 -r | cut -d' ' -f1; }}
m() {{ printf '%s' "$2" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$1" -r | cut -d' ' -f1; }}
lines=$(printf 'content-type:application/json\nhost:tse.example\n.')
canonical=$(printf 'POST\n/\n\n%s\ncontent-type;host\n%s' "${{lines%.}}" "$(h '{body}')")
text=$(printf 'TC3-HMAC-SHA256\n{time}\n{DAY}/tse/tc3_request\n%s' "$(h "$canonical")")
hex=$(printf 'TC3{key}' | od -An -v -tx1 | tr -d ' \n')
m "$(m "$(m "$(m "$hex" '{DAY}')" tse)" tc3_request)" "$text""#
    );
    let output = std::process::Command::new("bash")
        .args(["-c", &script])
        .output()
        .map_err(|e| e.to_string())?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn kong_only() -> Result<(), String> {
    let scene = Scene::start()?;
    let headers = "Content-Type: application/json\nX-TC-Action: UpdateUpstreamTargets";
    scene.send("POST", "/", "{}", headers)?.says(405, "Method not allowed")
}

const DAY: &str = "2026-01-01";

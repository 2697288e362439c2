//! Calls that are refused.

use super::scene::{Scene, frame};
use crate::harness::case::Check;
use crate::harness::client;

pub const ROWS: &[(&str, Check)] = &[
    ("C15: a content type nobody takes", kind),
    ("C16: GET", method),
    ("C17, C18: messages that are none", messages),
    ("C19: Watch as JSON", watch),
    ("C20: a method that is none", unknown),
    ("C21: other versions, timeouts, groups", heads),
    ("Connect's statuses", connect),
    ("broken frames and protobuf", frames),
];

const JSON: &str = "application/json";

fn kind() -> Result<(), String> {
    let scene = Scene::start("")?;
    let answer = scene.post("Check", "text/plain", b"{}")?;
    let accepted = answer.header("Accept-Post").unwrap_or_default();
    let wanted = "application/grpc, application/grpc+json, application/grpc+json; charset=utf-8, \
                  application/grpc+proto, application/json, application/json; charset=utf-8, \
                  application/proto";
    if (answer.status, accepted.as_str(), answer.body.len()) == (415, wanted, 0) {
        return Ok(());
    }
    Err(answer.head.to_string())
}

fn method() -> Result<(), String> {
    let scene = Scene::start("")?;
    let answer = client::get(scene.port, "/grpc.health.v1.Health/Check")?;
    let allowed = answer.header("Allow").unwrap_or_default();
    if (answer.status, allowed.as_str()) == (405, "POST") { Ok(()) } else { Err(answer.head) }
}

fn messages() -> Result<(), String> {
    let scene = Scene::start("")?;
    let empty = "zero-length payload is not a valid JSON object";
    let unmarshal = "unmarshal into *triple_health.HealthCheckRequest: ";
    let rows: [(&[u8], &str); 6] = [
        (b"", empty),
        (br#"{"service":1}"#, unmarshal),
        (b"{", unmarshal),
        (br#"{"svc":"x"}"#, unmarshal),
        (b"{}x", unmarshal),
        (b"{\"service\":\"\xff\"}", unmarshal),
    ];
    for (body, wanted) in rows {
        refused(&scene, &format!("Content-Type: {JSON}"), body, 400, "invalid_argument", wanted)?;
    }
    let kind = "Content-Type: application/proto";
    refused(&scene, kind, b"\x0a\x12greet", 400, "invalid_argument", unmarshal)?;
    scene.stop()
}

fn watch() -> Result<(), String> {
    let scene = Scene::start("")?;
    let answer = scene.post("Watch", JSON, b"{}")?;
    let accepted = answer.header("Accept-Post").unwrap_or_default();
    let fits = accepted.contains("application/grpc+proto") && !accepted.contains("n/json");
    if answer.status == 415 && fits { Ok(()) } else { Err(answer.head) }
}

fn unknown() -> Result<(), String> {
    let scene = Scene::start("")?;
    let answer = scene.post("Nope", JSON, b"{}")?;
    if (answer.status, answer.body_text().as_str()) != (404, "404 page not found\n") {
        return Err(format!("{}\n{}", answer.head, answer.body_text()));
    }
    let text = raw(&scene, "Nope", "application/grpc", &frame(b""))?;
    if text.contains("grpc-status: 12\r\n") { Ok(()) } else { Err(text) }
}

fn heads() -> Result<(), String> {
    let scene = Scene::start("")?;
    let rows = [
        ("Triple-Protocol-Version: 9", 400, "invalid_argument"),
        ("Connect-Protocol-Version: 2", 400, "invalid_argument"),
        ("Triple-Timeout-Ms: 12345678901", 400, "invalid_argument"),
        ("Connect-Timeout-Ms: soon", 400, "invalid_argument"),
        ("tri-service-group: other", 404, "unimplemented"),
        ("tri-service-version: 2", 404, "unimplemented"),
    ];
    for (line, status, code) in rows {
        let headers = format!("Content-Type: {JSON}\n{line}");
        refused(&scene, &headers, b"{}", status, code, "")?;
    }
    let fine = format!(
        "Content-Type: {JSON}\nTriple-Protocol-Version: 0.1.0\nConnect-Protocol-Version: 1\n\
         Triple-Timeout-Ms: 60000"
    );
    let answer = scene.post_with("Check", &fine, b"{}")?;
    if answer.status == 200 { Ok(()) } else { Err(answer.head) }
}

fn connect() -> Result<(), String> {
    let scene = Scene::start("connect_status")?;
    let headers = format!("Content-Type: {JSON}\ntri-service-group: other");
    refused(&scene, &headers, b"{}", 501, "unimplemented", "")?;
    let triple = Scene::start("")?;
    refused(&triple, &headers, b"{}", 404, "unimplemented", "")
}

fn frames() -> Result<(), String> {
    let scene = Scene::start("")?;
    let broken: [(&[u8], &str); 6] = [
        (b"", "3"),
        (b"\0\0\0", "3"),
        (b"\0\0\0\0\x09\x0a", "3"),
        (b"\0\xff\xff\xff\xff\x0a", "3"),
        (b"\0\0\0\0\x02\x0a\x09", "3"),
        (b"\x01\0\0\0\0", "13"),
    ];
    for (body, status) in broken {
        for method in ["Check", "Watch"] {
            let text = raw(&scene, method, "application/grpc", body)?;
            if !text.contains(&format!("grpc-status: {status}\r\n")) {
                return Err(format!("{method} {body:?}: {text}"));
            }
        }
    }
    let text = raw(&scene, "Check", "application/grpc\ngrpc-encoding: snappy", &frame(b""))?;
    if !text.contains("grpc-status: 12\r\n") {
        return Err(text);
    }
    let name = "n".repeat(65_536);
    let body = format!("{{\"service\":\"{name}\"}}");
    let kind = format!("Content-Type: {JSON}");
    refused(&scene, &kind, body.as_bytes(), 404, "not_found", "unknown service")?;
    let answer = raw(&scene, "Check", "application/grpc+json", &frame(b"{}"))?;
    if !answer.contains("{\"status\":\"SERVING\"}") {
        return Err(answer);
    }
    scene.stop()
}

/// The whole response, trailers too.
fn raw(scene: &Scene, method: &str, kind: &str, body: &[u8]) -> Result<String, String> {
    let mut request = client::build(
        &format!("POST /grpc.health.v1.Health/{method}"),
        &format!("Content-Type: {kind}\nContent-Length: {}", body.len()),
        "close",
    );
    request.extend_from_slice(body);
    let bytes = client::exchange(scene.port, &request, crate::harness::wait::HANG)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn refused(
    scene: &Scene,
    headers: &str,
    body: &[u8],
    status: u16,
    code: &str,
    text: &str,
) -> Result<(), String> {
    let answer = scene.post_with("Check", headers, body)?;
    let got = answer.body_text();
    let begins = format!("{{\"code\":\"{code}\",\"message\":\"{text}");
    let fits = answer.status == status
        && got.starts_with(&begins)
        && answer.header("Content-Type").as_deref() == Some(JSON);
    if fits { Ok(()) } else { Err(format!("{headers}: {} {got}", answer.status)) }
}

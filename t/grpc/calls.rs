//! Calls that go well.

use super::scene::{Scene, UPSTREAM, frame, question};
use crate::harness::case::Check;
use std::process::Command;

pub const ROWS: &[(&str, Check)] = &[
    ("C1: the seed's request", seed),
    ("C2: the gateway itself", overall),
    ("C3: a method in lower case", lower),
    ("C4: protobuf", protobuf),
    ("C9: unknown services, and as Dubbo-go answers them", unknown),
    ("C10: List", list),
    ("C12: a charset", charset),
    ("C13: an upstream whose probes fail", probes),
    ("peers are services too, and thresholds count them", threshold),
    ("gzip", gzip),
];

const JSON: &str = "application/json";
const SERVING: &str = r#"{"status":"SERVING"}"#;
const NOT_SERVING: &str = r#"{"status":"NOT_SERVING"}"#;

fn seed() -> Result<(), String> {
    let scene = Scene::start("")?;
    let url = format!("http://127.0.0.1:{}/grpc.health.v1.Health/Check", scene.port);
    let curl = Command::new("curl")
        .args(["-s", "-H", "Content-Type: application/json", &url])
        .args(["-d", r#"{"service":"greet.GreetService"}"#])
        .output()
        .map_err(|e| format!("curl: {e}"))?;
    same(&String::from_utf8_lossy(&curl.stdout), SERVING)?;
    let answer = scene.post("Check", JSON, br#"{"service":"greet.GreetService"}"#)?;
    same(&answer.header("Content-Type").unwrap_or_default(), JSON)?;
    same(&answer.header("Accept-Encoding").unwrap_or_default(), "gzip")?;
    scene.stop()
}

fn overall() -> Result<(), String> {
    let scene = Scene::start("")?;
    for body in [&b"{}"[..], br#"{"service":""}"#, br#"{"service":null}"#] {
        same(&scene.post("Check", JSON, body)?.body_text(), SERVING)?;
    }
    Ok(())
}

fn lower() -> Result<(), String> {
    let scene = Scene::start("")?;
    same(&scene.post("check", JSON, b"{}")?.body_text(), SERVING)
}

fn protobuf() -> Result<(), String> {
    let scene = Scene::start("")?;
    let bytes = b"\x0a\x12\x67\x72\x65\x65\x74\x2e\x47\x72\x65\x65\x74\x53\x65\x72\x76\x69\x63\x65";
    let answer = scene.post("Check", "application/proto", bytes)?;
    if (answer.status, answer.body.as_slice()) != (200, b"\x08\x01") {
        return Err(format!("{} {:?}", answer.status, answer.body));
    }
    let answer = scene.post("Check", "application/proto", b"")?;
    if answer.body == b"\x08\x01" { Ok(()) } else { Err(format!("{:?}", answer.body)) }
}

fn unknown() -> Result<(), String> {
    let scene = Scene::start("")?;
    let answer = scene.post("Check", JSON, br#"{"service":"nope"}"#)?;
    same(&answer.body_text(), r#"{"code":"not_found","message":"unknown service"}"#)?;
    let framed = scene.post("Check", "application/grpc", &frame(&question("nope")))?;
    let (status, body) = (framed.status, framed.body.len());
    if (answer.status, status, body) != (404, 200, 0) {
        return Err(format!("{} {status} {body}", answer.status));
    }
    let compat = Scene::start("compat_code17")?;
    let answer = compat.post("Check", JSON, br#"{"service":"nope"}"#)?;
    let text =
        r#"{"code":"code_17","message":"rpc error: code = NotFound desc = unknown service"}"#;
    same(&answer.body_text(), text)?;
    if answer.status == 500 { Ok(()) } else { Err(format!("{}", answer.status)) }
}

fn list() -> Result<(), String> {
    let scene = Scene::start("")?;
    let wanted =
        r#"{"statuses":{"":{"status":"SERVING"},"greet.GreetService":{"status":"SERVING"}}}"#;
    same(&scene.post("List", JSON, b"{}")?.body_text(), wanted)?;
    let many: String =
        (0..100).map(|n| format!("upstream u{n} {{ server 127.0.0.1:1; }} ")).collect();
    let scene = Scene::start_with("", &many)?;
    let answer = scene.post("List", JSON, b"{}")?;
    let text = r#"{"code":"resource_exhausted","message":"server health list exceeds maximum capacity: 100"}"#;
    same(&answer.body_text(), text)
}

fn charset() -> Result<(), String> {
    let scene = Scene::start("")?;
    let answer = scene.post("Check", "application/json; charset=utf-8", b"{}")?;
    same(&answer.body_text(), SERVING)?;
    same(&answer.header("Content-Type").unwrap_or_default(), "application/json; charset=utf-8")
}

fn probes() -> Result<(), String> {
    let check = r#"
        lua_shared_dict healthcheck 1m;
        upstream dead { server 127.0.0.1:1; }
        init_worker_by_lua_block {
            assert(require("resty.upstream.healthcheck").spawn_checker {
                shm = "healthcheck", upstream = "dead", type = "http", interval = 50,
                http_req = "GET / HTTP/1.0\r\n\r\n", fall = 2,
            })
        }"#;
    let scene = Scene::start_with("", check)?;
    scene.wait_for("dead", "NOT_SERVING")?;
    same(&scene.check(UPSTREAM)?, SERVING)?;
    scene.turn(true)?;
    same(&scene.check(UPSTREAM)?, NOT_SERVING)?;
    scene.turn(false)?;
    same(&scene.check(UPSTREAM)?, SERVING)
}

fn threshold() -> Result<(), String> {
    let upstream = "upstream three { server 127.0.0.1:1; server 127.0.0.1:2 down;
                                     server 127.0.0.1:3 backup; }";
    let cases = [("", SERVING), ("threshold=66%", SERVING), ("threshold=67", NOT_SERVING)];
    for (options, wanted) in cases {
        let scene = Scene::start_with(options, upstream)?;
        same(&scene.check("three")?, wanted)?;
        same(&scene.check("three/127.0.0.1:1")?, SERVING)?;
        same(&scene.check("three/127.0.0.1:2")?, NOT_SERVING)?;
        let unknown = scene.check("three/127.0.0.1:4")?;
        same(&unknown, r#"{"code":"not_found","message":"unknown service"}"#)?;
    }
    Ok(())
}

fn gzip() -> Result<(), String> {
    let scene = Scene::start("")?;
    // gzip of {}
    let packed = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\xae\x05\0\x43\xbf\xa6\xa3\x02\0\0\0";
    let headers = "Content-Type: application/json\nContent-Encoding: gzip";
    let answer = scene.post_with("Check", headers, packed)?;
    same(&answer.body_text(), SERVING)?;
    let headers = "Content-Type: application/json\nContent-Encoding: br";
    let answer = scene.post_with("Check", headers, packed)?;
    let text = r#"{"code":"unimplemented","message":"unknown compression \"br\": supported encodings are gzip"}"#;
    same(&answer.body_text(), text)
}

fn same(got: &str, wanted: &str) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("{got}\nwanted {wanted}")) }
}

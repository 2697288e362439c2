//! Real clients: grpcio's stubs where they are installed, and curl.

use std::process::Command;

use super::scene::{Scene, UPSTREAM, frame, question};
use crate::harness::case::{Case, Check, Outcome};
use crate::harness::python;

pub fn cases() -> Vec<Case> {
    let real = |(name, run): &(&str, Check)| {
        let run = *run;
        Case::new(format!("grpc/{name}"), move || match python::missing("grpc_health") {
            Some(reason) => Outcome::Skipped(reason),
            None => Outcome::from(run()),
        })
    };
    STUBS.iter().map(real).chain(CURL.iter().map(plain)).collect()
}

const STUBS: &[(&str, Check)] = &[
    ("C5 to C8, C10, C11: the stubs of grpcio-health-checking", stubs),
    ("C5 to C8, C10: the same stubs over TLS", stubs_tls),
    ("what grpcio can send that nobody takes", bad),
];

const CURL: &[(&str, Check)] = &[
    ("curl: Triple's JSON over HTTP/1.1, HTTP/2 and TLS", curl_json),
    ("curl: bad calls over HTTP/2", curl_bad),
];

fn plain((name, run): &(&str, Check)) -> Case {
    Case::check(format!("grpc/{name}"), *run)
}

fn stubs() -> Result<(), String> {
    let scene = Scene::start("")?;
    python::run("t/grpc/stubs.py", &[&scene.port.to_string()])?;
    scene.stop()
}

fn stubs_tls() -> Result<(), String> {
    let (scene, tls, pair) = Scene::start_secure()?;
    let (port, tls) = (scene.port.to_string(), tls.to_string());
    python::run("t/grpc/stubs.py", &[&port, &tls, &pair.cert()])?;
    scene.stop()
}

fn bad() -> Result<(), String> {
    let scene = Scene::start("")?;
    python::run("t/grpc/bad.py", &[&scene.port.to_string()])?;
    scene.stop()
}

fn curl_json() -> Result<(), String> {
    let (scene, tls, pair) = Scene::start_secure()?;
    let clear = format!("http://127.0.0.1:{}", scene.port);
    let secure = format!("https://localhost:{tls}");
    let cert = pair.cert();
    let rows: [(&str, Vec<&str>); 4] = [
        (&clear, vec!["--http1.1"]),
        (&clear, vec!["--http2-prior-knowledge"]),
        (&secure, vec!["--http2", "--cacert", &cert]),
        (&secure, vec!["--http1.1", "--cacert", &cert]),
    ];
    for (base, how) in &rows {
        let url = format!("{base}/grpc.health.v1.Health/Check");
        let service = format!("{{\"service\":\"{UPSTREAM}\"}}");
        let json = ["-H", "Content-Type: application/json", "-d"];
        let got = curl(&[&how[..], &json, &[&service, &url]].concat(), b"")?;
        answered(&got, "200", "{\"status\":\"SERVING\"}")?;
        let unknown = [&how[..], &json, &["{\"service\":\"nope\"}", &url]].concat();
        let text = "{\"code\":\"not_found\",\"message\":\"unknown service\"}";
        answered(&curl(&unknown, b"")?, "404", text)?;
        // The overall check of Connect's and Triple's clients.
        let headers = ["-H", "Connect-Protocol-Version: 1", "-H", "Triple-Timeout-Ms: 60000"];
        let got = curl(&[&how[..], &headers, &json, &["{}", &url]].concat(), b"")?;
        answered(&got, "200", "{\"status\":\"SERVING\"}")?;
    }
    scene.stop()
}

/// Each with its gRPC status, or the status of HTTP where there is no gRPC.
fn curl_bad() -> Result<(), String> {
    let scene = Scene::start("")?;
    let grpc = "content-type: application/grpc";
    let long = format!("x-long: {}", "m".repeat(100_000));
    let name = frame(&question_of(65_536));
    let rows: [(&str, Vec<&str>, &[u8], &str); 10] = [
        ("no frame", vec![grpc], b"", "grpc-status: 3"),
        ("half a frame", vec![grpc], b"\0\0\0\0\x09\x0a", "grpc-status: 3"),
        ("truncated protobuf", vec![grpc], b"\0\0\0\0\x02\x0a\x09", "grpc-status: 3"),
        ("two messages", vec![grpc], b"\0\0\0\0\0\0\0\0\0\0", "grpc-status: 3"),
        ("flags nobody knows", vec![grpc], b"\x40\0\0\0\0", "grpc-status: 3"),
        ("zstd", vec![grpc, "grpc-encoding: zstd"], b"\0\0\0\0\0", "grpc-status: 12"),
        ("broken gzip", vec![grpc, "grpc-encoding: gzip"], b"\x01\0\0\0\x02xy", "grpc-status: 3"),
        ("a long name", vec![grpc], &name, "grpc-status: 5"),
        (
            "another charset",
            vec!["content-type: application/json; charset=utf-16"],
            b"{}",
            "HTTP/2 415",
        ),
        ("a bad timeout", vec![grpc, "grpc-timeout: soon"], b"\0\0\0\0\0", "grpc-status: 3"),
    ];
    for (what, headers, body, wanted) in &rows {
        let got = post(&scene, headers, body).map_err(|e| format!("{what}: {e}"))?;
        if !got.contains(wanted) {
            return Err(format!("{what}: {got}"));
        }
    }
    // Too long a head: the call ends, as a status or with the connection.
    if let Ok(got) = post(&scene, &[grpc, &long], b"\0\0\0\0\0")
        && got.contains("grpc-status: 0")
    {
        return Err(format!("100 KB of metadata: {got}"));
    }
    let got = post(&scene, &[grpc], b"\0\0\0\0\0")?;
    if !got.contains("grpc-status: 0") {
        return Err(got);
    }
    scene.stop()
}

fn question_of(length: usize) -> Vec<u8> {
    let short = question("");
    assert!(short.is_empty() && length == 65_536, "the varint below is of this length");
    [&b"\x0a\x80\x80\x04"[..], &vec![b'n'; length]].concat()
}

fn post(scene: &Scene, headers: &[&str], body: &[u8]) -> Result<String, String> {
    let url = format!("http://127.0.0.1:{}/grpc.health.v1.Health/Check", scene.port);
    let headers = headers.iter().flat_map(|line| ["-H", line]);
    let fixed = ["--http2-prior-knowledge", "--data-binary", "@-", &url];
    curl(&headers.chain(fixed).collect::<Vec<_>>(), body)
}

/// Head, body and trailers of curl's answer.
fn curl(args: &[&str], input: &[u8]) -> Result<String, String> {
    use std::io::Write;
    let mut child = Command::new("curl")
        .args(["-s", "-S", "-i", "--max-time", "10"])
        .args(args)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .map_err(|e| format!("curl: {e}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Who does not want a body may have left.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().map_err(|e| format!("curl: {e}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn answered(got: &str, status: &str, body: &str) -> Result<(), String> {
    let line = got.lines().next().unwrap_or_default();
    let fits = line.split(' ').nth(1) == Some(status) && got.ends_with(body);
    if fits { Ok(()) } else { Err(got.to_owned()) }
}

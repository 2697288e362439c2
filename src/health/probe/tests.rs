//! Probes against real sockets that behave and misbehave.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::health::dialect::Dialect;
use crate::health::spec::{RawProbe, TcpProbe, TlsSpec};
use crate::net::stream::Socket;
use crate::net::tls::{self, ClientSpec, ServerSpec, ServerTls};

const REQUEST: &str = "GET /status HTTP/1.0\r\nhOsT: foo.com\r\n\r\n";

fn spec(valid_statuses: Option<Vec<u64>>, scope: TimeoutScope) -> CheckSpec {
    let http = RawProbe { request: REQUEST.into(), valid_statuses, tls: None };
    CheckSpec {
        probe: ProbeSpec::Raw(http),
        // No busy machine takes so long; who is to time out is hasty.
        timeout_ms: 60_000,
        timeout_scope: scope,
        ..CheckSpec::new(Dialect::OpenResty, "foo")
    }
}

/// What a probe says of a server that does `serve` with its first connection.
async fn probed<F>(spec: &CheckSpec, serve: impl FnOnce(TcpStream) -> F) -> String
where
    F: Future<Output = ()>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = Addr::Inet(listener.local_addr().expect("bound"));
    let serving = async {
        let (stream, _) = listener.accept().await.expect("the probe connects");
        serve(stream).await;
    };
    let (outcome, ()) = tokio::join!(run(spec, &addr, None), serving);
    outcome.line()
}

fn old(valid: &[u64]) -> CheckSpec {
    spec(Some(valid.to_vec()), TimeoutScope::EachOperation)
}

async fn answer(mut stream: TcpStream, text: &str) {
    let mut request = vec![0; REQUEST.len()];
    stream.read_exact(&mut request).await.expect("the whole request");
    assert_eq!(request, REQUEST.as_bytes(), "sent byte for byte");
    stream.write_all(text.as_bytes()).await.expect("written");
}

#[tokio::test]
async fn answers() {
    for (text, expected) in [
        ("HTTP/1.1 200 OK\r\n\r\n", "L7OK 200 passed"),
        ("HTTP/1.0 302 x\n", "L7OK 302 passed"),
        ("HTTP/1.1 404 Not Found\r\n\r\n", "L7STS 404 bad status"),
        ("SSH-2.0-OpenSSH\r\n", "L7RSP bad status line: SSH-2.0-OpenSSH"),
        ("HTTP/1.1 200 OK", "L7RSP no response: closed"),
        ("", "L7RSP no response: closed"),
    ] {
        let said = probed(&old(&[200, 302]), |s| answer(s, text)).await;
        assert_eq!(said, expected, "{text:?}");
    }
}

#[tokio::test]
async fn without_statuses_any_line_passes() {
    let any = spec(None, TimeoutScope::EachOperation);
    assert_eq!(probed(&any, |s| answer(s, "HTTP/1.1 500 x\r\n")).await, "L7OK 500 passed");
    assert_eq!(probed(&any, |s| answer(s, "220 mail\r\n")).await, "L7OK passed");
}

#[tokio::test]
async fn refused_and_unix() {
    // Below the ports that are given away: nobody listens there by chance.
    let addr = Addr::literal(b"127.0.0.1:1").expect("an address");
    let outcome = run(&old(&[200]), &addr, None).await;
    assert_eq!(outcome.line(), "L4CON connect failed: connection refused");
    let outcome = run(&old(&[200]), &Addr::Unix("/nowhere.sock".into()), None).await;
    assert_eq!(outcome.line(), "L4CON connect failed: no such file or directory");
}

#[tokio::test]
async fn a_silent_peer_times_out() {
    let silent =
        |mut s: TcpStream| async move { while s.read(&mut [0; 512]).await.is_ok_and(|n| n > 0) {} };
    let hasty = CheckSpec { timeout_ms: 100, ..old(&[200]) };
    assert_eq!(probed(&hasty, silent).await, "L7TOUT response timed out: timeout");
}

/// Sends a status line byte by byte, each well within the timeout, all of them far beyond it.
async fn drip(mut stream: TcpStream) {
    for byte in b"HTTP/1.1 200 OK\r\n" {
        if stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn the_timeout_is_for_each_operation_or_for_all() {
    let each = CheckSpec { timeout_ms: 1000, ..old(&[200]) };
    assert_eq!(probed(&each, drip).await, "L7OK 200 passed");
    let whole = CheckSpec { timeout_scope: TimeoutScope::WholeProbe, ..each };
    assert_eq!(probed(&whole, drip).await, "L7TOUT response timed out: timeout");
}

#[tokio::test]
async fn an_endless_line_is_cut_off() {
    let endless = |mut s: TcpStream| async move {
        let junk = [b'x'; 4096];
        while s.write_all(&junk).await.is_ok() {}
    };
    let said = probed(&old(&[200]), endless).await;
    assert!(said.starts_with("L7RSP bad status line: xxx"), "{said}");
    assert!(said.len() < 300, "only the beginning is kept");
}

#[tokio::test]
async fn tcp_is_content_with_a_connection() {
    let tcp = CheckSpec { probe: ProbeSpec::Tcp(TcpProbe::default()), ..old(&[]) };
    assert_eq!(probed(&tcp, |s| async move { drop(s) }).await, "L4OK connected");
}

/// A folder with a self-signed certificate for `a.example`; `None` where there is no `openssl`.
fn certificate() -> Option<PathBuf> {
    let dir = std::env::temp_dir().join(format!("moonbeat-probe-{}", std::process::id()));
    std::fs::create_dir_all(&dir).ok()?;
    let script = "req -x509 -newkey rsa:2048 -nodes -keyout a.key -out a.crt -days 9 \
                  -subj /CN=a.example -addext subjectAltName=DNS:a.example";
    let made = Command::new("openssl").args(script.split(' ')).current_dir(&dir).output().ok()?;
    made.status.success().then_some(dir)
}

#[tokio::test]
async fn over_tls() {
    let Some(dir) = certificate() else { return };
    let pair = (dir.join("a.crt"), dir.join("a.key"));
    let server = ServerSpec { certificates: vec![pair], ..ServerSpec::default() };
    let server = ServerTls::build(&server).expect("a usable certificate");
    let trusted = ClientSpec { trusted: Some(dir.join("a.crt")), ..ClientSpec::default() };
    let (trusting, strange) = (trusted, ClientSpec::default());
    let self_signed = "L6RSP handshake failed: 18: self-signed certificate";
    let mismatch = "L6RSP handshake failed: certificate host mismatch";
    for (client, sni, verify, expected) in [
        (&trusting, Some("a.example"), true, "L7OK 200 passed"),
        (&trusting, None, true, "L7OK 200 passed"),
        (&trusting, Some("b.example"), true, mismatch),
        (&strange, Some("a.example"), true, self_signed),
        (&strange, Some("b.example"), false, "L7OK 200 passed"),
    ] {
        let spec = with_tls(TlsSpec { sni: sni.map(Into::into), verify, ..TlsSpec::default() });
        let client = ClientTls::build(client).expect("readable roots");
        let said = probed_over_tls(&spec, &client, &server).await;
        assert_eq!(said, expected, "{sni:?} {verify}");
    }
    let plain = with_tls(TlsSpec { sni: None, verify: false, ..TlsSpec::default() });
    let client = ClientTls::build(&strange).expect("no files");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = Addr::Inet(listener.local_addr().expect("bound"));
    let serving = async {
        let (mut stream, _) = listener.accept().await.expect("the probe connects");
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read(&mut [0; 512]).await;
    };
    let (outcome, ()) = tokio::join!(run(&plain, &addr, Some(&client)), serving);
    let said = outcome.line();
    assert!(
        said.starts_with("L6RSP handshake failed: handshake failed: SSL_do_handshake()"),
        "{said}"
    );
    let _ = std::fs::remove_dir_all(dir);
}

fn with_tls(tls: TlsSpec) -> CheckSpec {
    let mut spec = old(&[200]);
    let http =
        RawProbe { request: REQUEST.into(), valid_statuses: Some(vec![200]), tls: Some(tls) };
    spec.probe = ProbeSpec::Raw(http);
    spec
}

async fn probed_over_tls(spec: &CheckSpec, client: &ClientTls, server: &ServerTls) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = Addr::Inet(listener.local_addr().expect("bound"));
    let serving = async {
        let (stream, _) = listener.accept().await.expect("the probe connects");
        let choose = async |_: tls::Hello| Ok::<_, tls::Refusal>(server.clone());
        let Ok(mut stream) = tls::accept(Socket::Tcp(stream), choose).await else { return };
        let mut request = vec![0; REQUEST.len()];
        if stream.read_exact(&mut request).await.is_ok() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            let _ = stream.flush().await;
        }
    };
    let (outcome, ()) = tokio::join!(run(spec, &addr, Some(client)), serving);
    outcome.line()
}

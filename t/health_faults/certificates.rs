//! Faults of TLS: names, dates, alerts, silence.

use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use moonbeat::health::{CheckSpec, ProbeSpec, TlsSpec};
use moonbeat::net::tls::{ClientSpec, ClientTls};

use super::peer::{Peer, drain};
use super::scene::{Scene, hasty, spec};
use super::{loopback, silent};
use crate::harness::case::{Case, Outcome};
use crate::harness::server::free_port;
use crate::harness::wait::{self, HANG};

/// A case that needs the folder of certificates.
type Play = fn(&Path) -> Result<(), String>;

pub(super) fn cases() -> Vec<Case> {
    let table: [(&str, Play); 7] = [
        ("tls/a handshake is enough", handshake),
        ("tls/the wrong name", wrong_name),
        ("tls/an expired certificate", expired),
        ("tls/a stranger's certificate", stranger),
        ("tls/an alert", alert),
        ("tls/silence", silence),
        ("tls/plain text", plain_text),
    ];
    let case = |(name, run): (&str, Play)| {
        Case::new(format!("health/faults/{name}"), move || match folder() {
            Some(folder) => Outcome::from(run(folder)),
            None => Outcome::Skipped("openssl is not installed".into()),
        })
    };
    table.into_iter().map(case).collect()
}

fn handshake(folder: &Path) -> Result<(), String> {
    let server = TlsServer::start(folder, "good")?;
    scene(folder, "good", "a.example", server.port)?.passes("L6OK")
}

fn wrong_name(folder: &Path) -> Result<(), String> {
    let server = TlsServer::start(folder, "good")?;
    let scene = scene(folder, "good", "b.example", server.port)?;
    scene.goes_down("L6RSP handshake failed: certificate host mismatch")
}

fn expired(folder: &Path) -> Result<(), String> {
    let server = TlsServer::start(folder, "old")?;
    let scene = scene(folder, "old", "a.example", server.port)?;
    scene.goes_down("L6RSP handshake failed: 10: certificate has expired")
}

fn stranger(folder: &Path) -> Result<(), String> {
    let server = TlsServer::start(folder, "good")?;
    let scene = scene(folder, "old", "a.example", server.port)?;
    scene.goes_down("L6RSP handshake failed: 18: self-signed certificate")
}

fn alert(folder: &Path) -> Result<(), String> {
    let peer = Peer::start(|mut stream: TcpStream| {
        // A fatal alert, handshake failure.
        let _ = stream.write_all(b"\x15\x03\x03\x00\x02\x02\x28");
        drain(stream);
    })?;
    let scene =
        Scene::start_trusting(tls_spec("a.example"), Some(peer.addr()), trust(folder, "good")?)?;
    scene.goes_down(
        "L6RSP handshake failed: handshake failed: SSL_do_handshake() failed (SSL: error:0A000410",
    )
}

fn silence(folder: &Path) -> Result<(), String> {
    let peer = Peer::start(silent)?;
    let spec = hasty(tls_spec("a.example"));
    let scene = Scene::start_trusting(spec, Some(peer.addr()), trust(folder, "good")?)?;
    scene.goes_down("L6TOUT handshake timed out: timeout")
}

fn plain_text(folder: &Path) -> Result<(), String> {
    let peer = Peer::start(|mut stream: TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        drain(stream);
    })?;
    let scene =
        Scene::start_trusting(tls_spec("a.example"), Some(peer.addr()), trust(folder, "good")?)?;
    scene.goes_down("L6RSP handshake failed: handshake failed: SSL_do_handshake() failed")
}

fn scene(folder: &Path, trusted: &str, name: &str, port: u16) -> Result<Scene, String> {
    let tls = trust(folder, trusted)?;
    Scene::start_trusting(tls_spec(name), Some(loopback(port)), tls)
}

fn tls_spec(name: &str) -> CheckSpec {
    let probe =
        ProbeSpec::Tls(TlsSpec { sni: Some(name.into()), verify: true, ..TlsSpec::default() });
    spec(probe)
}

fn trust(folder: &Path, name: &str) -> Result<Option<ClientTls>, String> {
    let trusted = Some(folder.join(format!("{name}.crt")));
    let client = ClientTls::build(&ClientSpec { trusted, ..ClientSpec::default() });
    client.map(Some).map_err(|e| e.to_string())
}

/// `openssl s_server` with one of the certificates.
struct TlsServer {
    port: u16,
    child: Child,
}

impl TlsServer {
    fn start(folder: &Path, name: &str) -> Result<Self, String> {
        let port = free_port();
        let child = Command::new("openssl")
            .args(["s_server", "-quiet", "-accept", &port.to_string()])
            .args(["-cert", &format!("{name}.crt"), "-key", &format!("{name}.key")])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| e.to_string())?;
        let server = Self { port, child };
        wait::until(HANG, || TcpStream::connect(("127.0.0.1", port)))
            .map_err(|e| format!("openssl s_server does not start: {e}"))?;
        Ok(server)
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Certificates for a.example: a good one and one that is over.
fn folder() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(make).as_deref()
}

fn make() -> Option<PathBuf> {
    let folder = std::env::temp_dir().join(format!("moonbeat-faults-{}", std::process::id()));
    std::fs::create_dir_all(&folder).ok()?;
    std::fs::write(folder.join("names"), "subjectAltName=DNS:a.example\n").ok()?;
    for (name, days) in [("good", "9"), ("old", "-1")] {
        let request = format!(
            "req -new -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}.example"
        );
        let sign = format!(
            "x509 -req -in {name}.csr -signkey {name}.key -days {days} -extfile names -out {name}.crt"
        );
        for line in [request, sign] {
            let made = Command::new("openssl").args(line.split(' ')).current_dir(&folder).output();
            made.ok()?.status.success().then_some(())?;
        }
    }
    Some(folder)
}

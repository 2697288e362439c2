//! Handshakes over a pair of unix sockets, with certificates made by `openssl` for the purpose.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::*;
use crate::net::stream::Stream;

/// A folder with keys and certificates; removed when dropped.
struct Keys(PathBuf);

impl Keys {
    /// `None` where there is no `openssl` to make them.
    fn make(script: &str) -> Option<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("moonbeat-tls-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).ok()?;
        let keys = Self(dir);
        for line in script.lines().map(str::trim).filter(|l| !l.is_empty()) {
            let done =
                Command::new("openssl").args(line.split(' ')).current_dir(&keys.0).output().ok()?;
            assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
        }
        Some(keys)
    }

    fn pair(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.0.join(format!("{name}.crt")), self.0.join(format!("{name}.key")))
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const CA: &str = "\
    req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 9 -subj /CN=ca
    req -newkey rsa:2048 -nodes -keyout a.key -out a.csr -subj /CN=a.example
    x509 -req -in a.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out a.crt -days 9 -sha256
    ecparam -name prime256v1 -genkey -noout -out self.key
    req -x509 -new -key self.key -out self.crt -days 9 -subj /CN=self.example
";

async fn shake(
    server: &ServerTls,
    client: &ClientTls,
    name: &str,
) -> (Result<Stream, TlsError>, Result<Connected, TlsError>) {
    let (a, b) = UnixStream::pair().unwrap();
    let choose = async |_hello: Hello| Ok::<_, Refusal>(server.clone());
    tokio::join!(accept(Socket::Unix(a), choose), connect(Socket::Unix(b), client, Some(name)))
}

fn server(pair: (PathBuf, PathBuf)) -> ServerTls {
    ServerTls::build(&ServerSpec { certificates: vec![pair], ..Default::default() }).unwrap()
}

fn client(trusted: Option<&Path>) -> ClientTls {
    let trusted = trusted.map(Path::to_path_buf);
    ClientTls::build(&ClientSpec { trusted, ..Default::default() }).unwrap()
}

#[tokio::test]
async fn a_version_1_certificate_with_a_common_name_is_judged_as_openssl_does() {
    let Some(keys) = Keys::make(CA) else { return };
    let ca = keys.0.join("ca.crt");
    let server = server(keys.pair("a"));
    let (theirs, ours) = shake(&server, &client(Some(&ca)), "a.example").await;
    let (mut theirs, mut ours) = (theirs.unwrap(), ours.unwrap());
    let session = Session::of(&theirs).unwrap();
    assert_eq!(session.protocol, "TLSv1.3");
    assert_eq!(session.server_name.as_deref(), Some("a.example"));
    ours.stream.write_all(b"hi").await.unwrap();
    let mut buf = [0; 2];
    theirs.read_exact(&mut buf).await.unwrap();
    assert_eq!(&buf, b"hi");
    let tell = |verdict: Result<(), VerifyError>| verdict.map_err(|e| e.to_string());
    assert_eq!(tell(ours.verify(Some("b.example"))), Err("62: hostname mismatch".into()));

    let (_, ours) = shake(&server, &client(None), "a.example").await;
    let unknown = "20: unable to get local issuer certificate";
    assert_eq!(tell(ours.unwrap().verify(None)), Err(unknown.into()));
}

#[tokio::test]
async fn a_self_signed_certificate_is_trusted_only_as_its_own_anchor() {
    let Some(keys) = Keys::make(CA) else { return };
    let own = keys.0.join("self.crt");
    let server = server(keys.pair("self"));
    let (_, ours) = shake(&server, &client(Some(&own)), "self.example").await;
    assert_eq!(ours.unwrap().verify(Some("self.example")), Ok(()));
    let (_, ours) = shake(&server, &client(Some(&keys.0.join("ca.crt"))), "self.example").await;
    let verdict = ours.unwrap().verify(None).map_err(|e| e.to_string());
    assert_eq!(verdict, Err("18: self-signed certificate".into()));
}

#[tokio::test]
async fn clients_show_certificates_when_asked() {
    let Some(keys) = Keys::make(CA) else { return };
    let spec = ServerSpec {
        certificates: vec![keys.pair("a")],
        client_auth: ClientAuth::On,
        client_roots: Some(keys.0.join("ca.crt")),
        ..Default::default()
    };
    let server = ServerTls::build(&spec).unwrap();
    let spec = ClientSpec { certificate: Some(keys.pair("a")), ..Default::default() };
    let (theirs, _ours) = shake(&server, &ClientTls::build(&spec).unwrap(), "x").await;
    let session = Session::of(&theirs.unwrap()).unwrap();
    assert_eq!(server.verify_client(&session.peer_chain), Ok(()));
    let cert = Cert::parse(&session.peer_chain[0]).unwrap();
    assert_eq!(cert.subject_text(), "CN=a.example");
    assert_eq!(cert.issuer_text(), "CN=ca");

    let (theirs, _ours) = shake(&server, &client(None), "x").await;
    assert!(Session::of(&theirs.unwrap()).unwrap().peer_chain.is_empty(), "none is allowed");
}

#[tokio::test]
async fn nothing_in_common_is_told_in_openssl_words() {
    let Some(keys) = Keys::make(CA) else { return };
    let only12 = Protocols { tls12: true, tls13: false };
    let suites = Suites::parse("ECDHE-RSA-AES256-GCM-SHA384").unwrap();
    let spec = ServerSpec {
        certificates: vec![keys.pair("a")],
        protocols: only12,
        suites,
        ..Default::default()
    };
    let server = ServerTls::build(&spec).unwrap();
    let suites = Suites::parse("ECDHE-RSA-AES128-GCM-SHA256").unwrap();
    let spec = ClientSpec { suites, protocols: only12, ..Default::default() };
    let (theirs, _) = shake(&server, &ClientTls::build(&spec).unwrap(), "x").await;
    let text = theirs.unwrap_err().to_string();
    assert!(text.contains("no shared cipher"), "{text}");

    let old = Protocols { tls12: false, tls13: false };
    let spec = ClientSpec { protocols: old, ..Default::default() };
    let (_, ours) = shake(&server, &ClientTls::build(&spec).unwrap(), "x").await;
    let text = ours.unwrap_err().to_string();
    assert!(text.contains("SSL_do_handshake() failed (SSL: error:"), "{text}");
}

#[test]
fn files_that_cannot_be_had_are_told_in_openssl_words() {
    let Some(keys) = Keys::make(CA) else { return };
    let build = |cert: &str, key: &str| {
        let certificates = vec![(keys.0.join(cert), keys.0.join(key))];
        let spec = ServerSpec { certificates, ..Default::default() };
        let text = ServerTls::build(&spec).map(drop).map_err(|e| e.to_string());
        text.map_err(|t| t.replace(&format!("{}/", keys.0.display()), ""))
    };
    assert_eq!(build("a.crt", "a.key"), Ok(()));
    let missing = build("x.crt", "a.key").unwrap_err();
    assert!(missing.starts_with(
        "cannot load certificate \"x.crt\": BIO_new_file() failed (SSL: error:80000002:system \
         library::No such file or directory:calling fopen(x.crt, r)"
    ));
    let wrong = build("a.crt", "ca.key").unwrap_err();
    assert!(wrong.contains("key values mismatch"), "{wrong}");
    assert!(build("a.key", "a.key").unwrap_err().contains("no start line"));
}

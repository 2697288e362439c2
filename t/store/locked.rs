//! An etcd that wants to know who asks: TLS with certificates on both sides, users.
//!
//! ```text
//!   own authority ─ signs ─▶ server.pem, client.pem        wrong ones do not start, and say why
//! ```

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

use super::etcd::{gateway, route};
use super::member::Member;
use super::scene::{Scene, wait};
use crate::harness::case::Check;
use crate::harness::server::{Prefix, Program, free_port, run_to_end};

pub const ROWS: &[(&str, Check)] = &[
    ("etcd: TLS with certificates of both sides", tls),
    ("etcd: user and password", user),
    ("etcd: what cannot be is told by file and line", wrong),
];

fn tls() -> Result<(), String> {
    let prefix = Prefix::new()?;
    for (name, more) in [("ca", ""), ("other", ""), ("server", SERVER), ("client", CLIENT)] {
        certificate(prefix.path(), name, more)?;
    }
    let member = Member::start_tls(prefix)?;
    let file = |name: &str| member.folder().join(name).display().to_string();
    let own = format!("tls_cert={} tls_key={}", file("client.pem"), file("client.key"));
    let port = member.port;
    let start = |more: String| {
        let http = format!("store_etcd https://127.0.0.1:{port} timeout=60s {more};");
        Scene::start(Prefix::new()?, &http)
    };
    let scene = start(format!("{own} tls_ca={}", file("ca.pem")))?;
    scene.call("PUT", "routes/1", &route("/a", free_port()))?.has(201)?;
    let kept = member.value("/apisix/routes/1")?;
    let kept: Value = serde_json::from_str(&kept).map_err(|e| format!("{e}: {kept}"))?;
    if kept["uri"] != "/a" {
        return Err(format!("stored: {kept}"));
    }
    member.delete("/apisix/routes/1")?;
    scene.until("/a", 404)?;
    scene.stop()?;
    start(format!("{own} tls_verify=off"))?.stop()?;
    let refused = [
        (format!("{own} tls_ca={}", file("other.pem")), "is not trusted"),
        (format!("{own} tls_ca={} tls_sni=other", file("ca.pem")), "is not trusted"),
        (format!("tls_ca={}", file("ca.pem")), "etcd https://127.0.0.1:"),
    ];
    for (more, text) in refused {
        fails(start(more), text)?;
    }
    Ok(())
}

fn user() -> Result<(), String> {
    let mut member = Member::start()?;
    member.ctl(&["user", "add", "root:top"])?;
    member.ctl(&["user", "add", "moon:S3CRET-word"])?;
    member.ctl(&["role", "add", "gate"])?;
    member.ctl(&["role", "grant-permission", "gate", "--prefix=true", "readwrite", "/apisix/"])?;
    member.ctl(&["user", "grant-role", "moon", "gate"])?;
    member.ctl(&["user", "grant-role", "root", "root"])?;
    member.ctl(&["auth", "enable"])?;
    for more in ["user=moon password=S3CRET-wrong", ""] {
        fails(gateway(member.port, more).map(|(scene, _)| scene), "[emerg]")?;
    }
    let more = "user=moon password=S3CRET-word";
    let (scene, backend) = gateway(member.port, more)?;
    scene.call("PUT", "routes/1", &route("/a", backend))?.has(201)?;
    scene.until("/a", 200)?;
    // Tokens do not outlive the process that gave them.
    member.user = Some("root:top".into());
    member.kill();
    member.run()?;
    let put = || scene.call("PUT", "routes/2", &route("/b", backend))?.has(201).map(drop);
    wait(put)?;
    member.delete("/apisix/routes/1")?;
    scene.until("/a", 404)?;
    if scene.server.error_log().contains("S3CRET") {
        return Err("the password is in the log".into());
    }
    scene.stop().map(drop)
}

fn wrong() -> Result<(), String> {
    let prefix = Prefix::new()?;
    let rows = [
        ("store_etcd prefix=/a;", "\"store_etcd\" directive needs the URL of a member of etcd"),
        ("store_etcd ftp://a;", "invalid parameter \"ftp://a\""),
        ("store_etcd http://;", "invalid parameter \"http://\""),
        ("store_etcd http://a:99999;", "invalid parameter \"http://a:99999\""),
        ("store_etcd http://a prefix=x;", "invalid parameter \"prefix=x\""),
        ("store_etcd http://a timeout=0;", "invalid parameter \"timeout=0\""),
        ("store_etcd http://a user=x;", "needs both \"user=\" and \"password=\""),
        ("store_etcd http://a password=;", "invalid parameter \"password\""),
        ("store_etcd https://a;", "needs \"tls_ca=\" for https, or \"tls_verify=off\""),
        ("store_etcd https://a tls_verify=off tls_key=k;", "needs both \"tls_cert=\""),
        ("store_etcd http://a; store_etcd http://b;", "directive is duplicate"),
        ("store_path d; store_etcd http://b;", "is incompatible with \"store_path\""),
        ("store_etcd http://a; store_path d;", "is incompatible with \"store_etcd\""),
    ];
    for (line, text) in rows {
        let conf = format!("events {{ }}\nhttp {{\n    {line}\n}}\n");
        prefix.write("conf/nginx.conf", conf)?;
        let (fine, told) = run_to_end(Program::Ours, &prefix, &["-t"])?;
        let first = told.lines().next().unwrap_or_default();
        let placed = first.contains("[emerg]") && first.ends_with("conf/nginx.conf:3");
        if fine || !placed || !first.contains(text) {
            return Err(format!("{line}\n{told}\nwanted {text}"));
        }
    }
    // Whether etcd is there is no matter of the configuration.
    let conf = format!("events {{ }}\nhttp {{ store_etcd http://127.0.0.1:{}; }}\n", free_port());
    prefix.write("conf/nginx.conf", conf)?;
    let (fine, told) = run_to_end(Program::Ours, &prefix, &["-t"])?;
    if fine { Ok(()) } else { Err(told) }
}

/// It does not start, says so with this text, and tells no secret.
fn fails(started: Result<Scene, String>, text: &str) -> Result<(), String> {
    match started {
        Ok(_) => Err(format!("it started, wanted {text}")),
        Err(why) if why.contains(text) && why.contains("[emerg]") && !why.contains("S3CRET") => {
            Ok(())
        }
        Err(why) => Err(format!("{why}\nwanted {text}")),
    }
}

/// `NAME.pem` and `NAME.key`; signed by itself, or by `ca`.
fn certificate(folder: &Path, name: &str, more: &str) -> Result<(), String> {
    let mut command = Command::new("openssl");
    command
        .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2".split(' '))
        .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")])
        .args(["-subj", &format!("/CN={name}")])
        .args(more.split_whitespace())
        .current_dir(folder)
        .stdin(Stdio::null());
    let output = command.output().map_err(|e| format!("openssl: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// etcd's gateway shows the server's certificate to the server itself.
const SERVER: &str = "-CA ca.pem -CAkey ca.key -addext basicConstraints=critical,CA:FALSE \
    -addext subjectAltName=IP:127.0.0.1 -addext extendedKeyUsage=serverAuth,clientAuth";
const CLIENT: &str = "-CA ca.pem -CAkey ca.key -addext basicConstraints=critical,CA:FALSE \
    -addext extendedKeyUsage=clientAuth";

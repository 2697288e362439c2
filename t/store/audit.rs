//! Every write leaves a line, and no line holds a key.
//!
//! ```text
//!   write ─▶ face ─▶ [notice] … PUT "/apisix/admin/…" answered 201, client: …
//! ```

use crate::harness::case::Check;
use crate::harness::server::{Prefix, free_port};

use super::scene::{KEY, Line, Scene};

pub const ROWS: &[(&str, Check)] =
    &[("audit: a line for each write, taken or refused, and no key in any log", lines)];

fn lines() -> Result<(), String> {
    let naming = free_port();
    let http = format!(
        "error_log logs/error.log debug; \
         server {{ listen 127.0.0.1:{naming}; location /nacos/ {{ nacos_naming; }} }}"
    );
    let scene = Scene::start(Prefix::new()?, &http)?;
    let mut line = Line::open(scene.port)?;
    let wrong = "X-API-KEY: S3CRET-wrong\r\n";
    let calls = [
        ("PUT", "1", None, "{\"nodes\":{\"127.0.0.1:1\":1}}", 201),
        ("PUT", "2", None, "{", 400),
        ("DELETE", "1", Some(wrong), "", 401),
        ("DELETE", "1", None, "", 200),
    ];
    for (method, id, headers, body, status) in calls {
        let path = format!("/apisix/admin/upstreams/{id}");
        let reply = match headers {
            None => line.call(method, &path, body)?,
            Some(headers) => line.send(method, &path, headers, body)?,
        };
        let text =
            format!("apisix admin: {method} \"{path}\" answered {status}, client: 127.0.0.1");
        if reply.status != status {
            return Err(format!("{reply:?}, wanted {status}"));
        }
        scene.tells(&text)?;
    }
    let path = "/nacos/v1/ns/instance";
    let named = format!("{path}?serviceName=s&ip=10.0.0.1&port=1&accessToken=S3CRET");
    let reply = Line::open(naming)?.call("POST", &named, "")?;
    let text = format!("nacos: POST \"{path}\" answered 200, client: 127.0.0.1");
    if reply.status != 200 {
        return Err(format!("{reply:?}"));
    }
    scene.tells(&text)?;
    let prefix = scene.stop()?;
    for name in ["logs/error.log", "logs/stderr.log"] {
        let log = prefix.read(name);
        if log.contains(KEY) || log.contains("S3CRET") {
            return Err(format!("a key is in {name}"));
        }
    }
    Ok(())
}

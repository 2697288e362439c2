//! The store in etcd: followed, lost, found again, forgotten.
//!
//! ```text
//!   etcdctl ─▶ etcd ─▶ two gateways ─▶ traffic        Admin API ─▶ etcd ─▶ etcdctl
//! ```

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::member::{Member, Wire};
use super::scene::{Line, Scene, wait};
use crate::harness::case::Check;
use crate::harness::server::{Prefix, free_port};

pub const ROWS: &[(&str, Check)] = &[
    ("etcd: what etcdctl and the Admin API put is followed", followed),
    ("etcd: what others keep there is left alone, what is wrong is passed over", tolerant),
    ("etcd: away and back under load", away),
    ("etcd: compacted while nobody listened", compacted),
    ("etcd: emptied while nobody listened", emptied),
    ("etcd: another prefix, another member", elsewhere),
    ("etcd: guards and times hold", guards),
];

/// A gateway on this etcd that is its own backend.
pub fn gateway(port: u16, more: &str) -> Result<(Scene, u16), String> {
    let backend = free_port();
    let http = format!(
        "store_etcd http://127.0.0.1:{port} timeout=60s {more};\n    \
         server {{ listen 127.0.0.1:{backend}; location / {{ return 200 hello; }} }}"
    );
    Ok((Scene::start(Prefix::new()?, &http)?, backend))
}

pub fn route(uri: &str, backend: u16) -> Value {
    let node = format!("127.0.0.1:{backend}");
    json!({ "uri": uri, "upstream": { "type": "roundrobin", "nodes": { node: 1 } } })
}

/// A document as APISIX stores it.
fn stored(kind: &str, id: &str, mut document: Value) -> (String, String) {
    document["id"] = json!(id);
    document["create_time"] = json!(1_700_000_000);
    document["update_time"] = json!(1_700_000_000);
    (format!("/apisix/{kind}/{id}"), document.to_string())
}

fn followed() -> Result<(), String> {
    let member = Member::start()?;
    let ((one, backend), (two, _)) = (gateway(member.port, "")?, gateway(member.port, "")?);
    let (key, value) = stored("routes", "1", route("/ctl", backend));
    member.put(&key, &value)?;
    for scene in [&one, &two] {
        scene.until("/ctl", 200)?;
    }
    one.call("PUT", "routes/2", &route("/api", backend))?.has(201)?;
    // Where it was written it is in force when the write is answered.
    if one.get("/api")? != 200 {
        return Err("an acknowledged write is not in force".into());
    }
    two.until("/api", 200)?;
    let kept: Value = serde_json::from_str(&member.value("/apisix/routes/2")?)
        .map_err(|e| format!("not JSON: {e}"))?;
    let times = kept["create_time"].is_u64() && kept["update_time"].is_u64();
    if kept["id"] != "2" || kept["uri"] != "/api" || !times {
        return Err(format!("stored: {kept}"));
    }
    let shown = two.call("GET", "routes/2", &Value::Null)?.has(200)?;
    if shown["value"] != kept {
        return Err(format!("{shown}\nstored {kept}"));
    }
    two.call("DELETE", "routes/2", &Value::Null)?.has(200)?;
    member.delete("/apisix/routes/1")?;
    one.until("/api", 404)?;
    one.until("/ctl", 404)?;
    one.stop()?;
    two.stop().map(drop)
}

fn tolerant() -> Result<(), String> {
    let member = Member::start()?;
    let others = [
        ("/apisix/routes/", "init_dir"),
        ("/apisix/upstreams", "init_dir"),
        ("/apisix/ssls/1", "{\"cert\":\"-----\"}"),
        ("/apisix/data_plane/server_info/a", "{}"),
        ("/apisix/routes/torn", "{\"uri\":"),
        ("/apisixer/routes/1", "{}"),
    ];
    for (key, value) in others {
        member.put(key, value)?;
    }
    let (scene, backend) = gateway(member.port, "")?;
    scene.call("PUT", "routes/1", &route("/a", backend))?.has(201)?;
    scene.until("/a", 200)?;
    // The last good one stays.
    member.put("/apisix/routes/1", "no JSON")?;
    let (key, value) = stored("routes", "2", route("/b", backend));
    member.put(&key, &value)?;
    scene.until("/b", 200)?;
    if scene.get("/a")? != 200 {
        return Err("a broken document took the good one away".into());
    }
    for key in ["/apisix/routes/torn", "/apisix/routes/1"] {
        scene.tells(&format!("failed to check item data of [{key}]"))?;
    }
    for (key, value) in others {
        if member.value(key)? != value {
            return Err(format!("{key} was changed"));
        }
    }
    scene.stop().map(drop)
}

fn away() -> Result<(), String> {
    let long = std::env::var_os("T_LONG").is_some();
    let time = Duration::from_secs(if long { 30 } else { 2 });
    let mut member = Member::start()?;
    let ((one, backend), (two, _)) = (gateway(member.port, "")?, gateway(member.port, "")?);
    one.call("PUT", "routes/1", &route("/a", backend))?.has(201)?;
    two.until("/a", 200)?;
    let (done, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let (done, served) = (&done, &served);
        let load = [one.port, two.port].map(|port| scope.spawn(move || serve(port, done, served)));
        let under_load = || {
            wait(|| match served.load(Ordering::SeqCst) {
                few if few < 100 => Err(format!("{few} requests")),
                _ => Ok(()),
            })
        };
        let result = under_load().and_then(|_| lose(&mut member, time, backend, &one, &two));
        done.store(true, Ordering::SeqCst);
        for thread in load {
            thread.join().map_err(|_| "a client panicked")??;
        }
        result
    })?;
    for scene in [&one, &two] {
        scene.tells("etcd is back after")?;
        let log = scene.server.error_log();
        let told = log.matches("etcd is away").count();
        if told != 1 {
            return Err(format!("told {told} times that etcd is away:\n{log}"));
        }
    }
    one.stop()?;
    two.stop().map(drop)
}

/// Requests all the while; none may fail.
fn serve(port: u16, done: &AtomicBool, served: &AtomicUsize) -> Result<(), String> {
    let mut line = Line::open(port)?;
    while !done.load(Ordering::SeqCst) {
        let reply = line.call("GET", "/a", "")?;
        if reply.status != 200 || reply.text != "hello" {
            return Err(format!("{reply:?}"));
        }
        served.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn lose(
    member: &mut Member,
    time: Duration,
    backend: u16,
    one: &Scene,
    two: &Scene,
) -> Result<(), String> {
    member.kill();
    let refused = one.call("PUT", "routes/2", &route("/b", backend))?;
    if refused.status != 503 || !refused.text.contains("etcd: connect() failed") {
        return Err(format!("{refused:?}"));
    }
    one.call("GET", "routes/1", &Value::Null)?.has(200)?;
    one.metric("apisix_etcd_reachable 0")?;
    // How long it is away is what is tested.
    std::thread::sleep(time);
    let refused = two.call("DELETE", "routes/1", &Value::Null)?;
    if refused.status != 503 {
        return Err(format!("{refused:?}"));
    }
    member.run()?;
    let put = || one.call("PUT", "routes/2", &route("/b", backend))?.has(201).map(drop);
    let took = wait(put)?;
    one.metric("apisix_etcd_reachable 1")?;
    two.until("/b", 200)?;
    let (key, value) = stored("routes", "3", route("/c", backend));
    member.put(&key, &value)?;
    for scene in [one, two] {
        scene.until("/c", 200)?;
    }
    if std::env::var_os("T_LONG").is_some() {
        println!("etcd away for {time:?}: the first write was taken {took:?} after it was back");
    }
    Ok(())
}

fn compacted() -> Result<(), String> {
    let member = Member::start()?;
    let wire = Wire::to(member.port)?;
    let (scene, backend) = gateway(wire.port, "")?;
    for (id, uri) in [("1", "/a"), ("2", "/b")] {
        scene.call("PUT", &format!("routes/{id}"), &route(uri, backend))?.has(201)?;
    }
    for compacts in [false, true] {
        wire.cut();
        let (gone, there) = if compacts { ("/b", "/a") } else { ("/a", "/b") };
        let (id, other) = if compacts { ("2", "1") } else { ("1", "2") };
        member.delete(&format!("/apisix/routes/{id}"))?;
        let (key, value) = stored("routes", other, route(there, backend));
        member.put(&key, &value)?;
        let (key, value) = stored("routes", "9", route(&format!("/9{compacts}"), backend));
        member.put(&key, &value)?;
        if compacts {
            member.ctl(&["compaction", &member.revision()?.to_string()])?;
        }
        if scene.get(gone)? != 200 {
            return Err("it changed without etcd".into());
        }
        wire.mend();
        scene.until(&format!("/9{compacts}"), 200)?;
        if scene.get(gone)? != 404 || scene.get(there)? != 200 {
            return Err(format!("not converged, compacted: {compacts}"));
        }
        // And it goes on to follow.
        scene.call("PUT", &format!("routes/{id}"), &route(gone, backend))?.has(201)?;
        let (key, value) = stored("routes", "8", route(&format!("/8{compacts}"), backend));
        member.put(&key, &value)?;
        scene.until(&format!("/8{compacts}"), 200)?;
    }
    scene.stop().map(drop)
}

/// Another etcd in the place of the old one: behind it, or ahead of it, in its numbers.
fn emptied() -> Result<(), String> {
    for writes in [0, 60] {
        let mut member = Member::start()?;
        let wire = Wire::to(member.port)?;
        let (scene, backend) = gateway(wire.port, "")?;
        for id in 0..20 {
            let path = format!("routes/{id}");
            scene.call("PUT", &path, &route(&format!("/{id}"), backend))?.has(201)?;
        }
        wire.cut();
        member.kill();
        member.wipe()?;
        member.run()?;
        for _ in 0..writes {
            member.put("/other", "x")?;
        }
        let (key, value) = stored("routes", "3", route("/new", backend));
        member.put(&key, &value)?;
        wire.mend();
        scene.until("/new", 200)?;
        let left: Vec<usize> =
            (0..20).filter(|id| scene.get(&format!("/{id}")) != Ok(404)).collect();
        if !left.is_empty() {
            return Err(format!("{left:?} are still there, {writes} writes"));
        }
        scene.call("PUT", "routes/4", &route("/4", backend))?.has(201)?;
        if scene.get("/4")? != 200 {
            return Err("an acknowledged write is not in force".into());
        }
        member.delete("/apisix/routes/3")?;
        scene.until("/new", 404)?;
        scene.stop()?;
    }
    Ok(())
}

fn elsewhere() -> Result<(), String> {
    let member = Member::start()?;
    // The first member is not there.
    let (dead, port) = (free_port(), member.port);
    let (scene, backend) = gateway(dead, &format!("http://127.0.0.1:{port} prefix=/gate/ways/"))?;
    let (other, _) = gateway(member.port, "prefix=/apisix")?;
    scene.call("PUT", "routes/1", &route("/a", backend))?.has(201)?;
    if member.value("/gate/ways/routes/1")?.is_empty() || !member.value("/apisix/")?.is_empty() {
        return Err("not below its prefix".into());
    }
    if scene.get("/a")? != 200 || other.get("/a")? != 404 {
        return Err("prefixes are mixed up".into());
    }
    scene.stop()?;
    other.stop().map(drop)
}

fn guards() -> Result<(), String> {
    let member = Member::start()?;
    let ((one, backend), (two, _)) = (gateway(member.port, "")?, gateway(member.port, "")?);
    one.call("PUT", "routes/1", &route("/a", backend))?.has(201)?;
    two.until("/a", 200)?;
    // Both change it at once again and again: each change is made on what is there.
    std::thread::scope(|scope| -> Result<(), String> {
        let first = scope.spawn(|| relabel(&one, "one"));
        let second = scope.spawn(|| relabel(&two, "two"));
        first.join().map_err(|_| "panicked")??;
        second.join().map_err(|_| "panicked")?
    })?;
    let kept: Value = serde_json::from_str(&member.value("/apisix/routes/1")?)
        .map_err(|e| format!("not JSON: {e}"))?;
    if kept["labels"] != json!({ "one": "x", "two": "x" }) {
        return Err(format!("a change was lost: {kept}"));
    }
    let made = one.call("POST", "routes", &route("/posted", backend))?.has(201)?;
    let id = made["value"]["id"].as_str().unwrap_or_default();
    if id.len() != 20 || two.until("/posted", 200).is_err() {
        return Err(format!("posted: {made}"));
    }
    one.call("PUT", "routes/2?ttl=8", &route("/brief", backend))?.has(201)?;
    two.until("/brief", 200)?;
    // etcd looks at its leases when it pleases.
    for scene in [&one, &two] {
        scene.until("/brief", 404)?;
    }
    one.stop()?;
    two.stop().map(drop)
}

fn relabel(scene: &Scene, name: &str) -> Result<(), String> {
    for _ in 0..20 {
        let labels = json!({ "labels": { name: "x" } });
        let reply = scene.call("PATCH", "routes/1", &labels)?;
        if reply.status != 200 && reply.status != 503 {
            return Err(format!("{reply:?}"));
        }
    }
    Ok(())
}

//! Persistent instances, probed in real time.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::scene::Scene;
use crate::harness::case::Check;
use crate::harness::server::free_port;
use crate::health_table::Script;

pub const ROWS: &[(&str, Check)] = &[
    ("B15: an HTTP checker at the register port, 500", fatal),
    ("B15: 503 counts to three", counted),
    ("B16: a TCP checker", tcp),
    ("B17: the check port", check_port),
    ("a checker of type NONE, and back", none),
    ("probes go on after a restart", restart),
];

const LIST: &str = "serviceName=p";

fn register(scene: &Scene, port: u16) -> Result<(), String> {
    let form = format!("serviceName=p&ip=127.0.0.1&port={port}&ephemeral=false");
    scene.form("POST", "v1/ns/instance", &form)?.is(200, "ok")
}

/// Sets the checker of the cluster; the JSON is written with `'` for `"`.
fn checker(scene: &Scene, json: &str, own_port: bool, port: u16) -> Result<(), String> {
    let json: String = json.replace('\'', "\"").bytes().map(|b| format!("%{b:02X}")).collect();
    let form = format!(
        "serviceName=p&clusterName=DEFAULT&checkPort={port}&useInstancePort4Check={own_port}\
         &healthChecker={json}"
    );
    scene.form("PUT", "v1/ns/cluster", &form)?.is(200, "ok")
}

const HTTP: &str = "{'type':'HTTP','path':'/health','headers':'X-A:1|X-B: 2'}";

fn fatal() -> Result<(), String> {
    let peer = Script::start(&["200", "200", "200", "500"])?;
    let scene = Scene::start("")?;
    scene.form("POST", "v1/ns/service", "serviceName=p")?.is(200, "ok")?;
    checker(&scene, HTTP, true, 1)?;
    register(&scene, peer.port)?;
    scene.wait_for(LIST, &[false])?;
    if peer.count() < 4 {
        return Err(format!("unhealthy after {} probes", peer.count()));
    }
    let bytes = peer.probe(0)?.bytes;
    let (first, last) = ("GET /health HTTP/1.1\r\nHost: 127.0.0.1", "X-A: 1\r\nX-B: 2\r\n\r\n");
    if !bytes.starts_with(first) || !bytes.ends_with(last) {
        return Err(bytes);
    }
    let failed = peer.count();
    peer.goes_on("200");
    scene.wait_for(LIST, &[true])?;
    if peer.count() < failed + 3 {
        return Err(format!("healthy after {} probes", peer.count() - failed));
    }
    scene.stop().map(drop)
}

fn counted() -> Result<(), String> {
    let peer = Script::start(&["200", "503", "503", "200", "503", "302", "503"])?;
    let scene = Scene::start("")?;
    register(&scene, peer.port)?;
    checker(&scene, HTTP, true, 1)?;
    scene.wait_for(LIST, &[false])?;
    if peer.count() < 7 { Err(format!("after {} probes", peer.count())) } else { Ok(()) }
}

fn tcp() -> Result<(), String> {
    let port = free_port();
    let listen = || TcpListener::bind(("127.0.0.1", port)).map_err(|e| e.to_string());
    let listener = listen()?;
    let scene = Scene::start("")?;
    register(&scene, port)?;
    std::thread::sleep(Duration::from_millis(2500));
    scene.health_is(LIST, &[true])?;
    drop(listener);
    scene.wait_for(LIST, &[false])?;
    let begun = Instant::now();
    let listener = listen()?;
    scene.wait_for(LIST, &[true])?;
    let took = begun.elapsed();
    if took < Duration::from_millis(1900) {
        return Err(format!("healthy after {took:?}, which is less than three probes"));
    }
    drop(listener);
    scene.stop().map(drop)
}

fn check_port() -> Result<(), String> {
    let (peer, checked) = (Script::start(&["200"])?, Script::start(&["500"])?);
    let scene = Scene::start("")?;
    scene.form("POST", "v1/ns/service", "serviceName=p")?.is(200, "ok")?;
    checker(&scene, HTTP, false, checked.port)?;
    register(&scene, peer.port)?;
    scene.wait_for(LIST, &[false])?;
    if peer.count() > 0 { Err("the instance's own port was asked".into()) } else { Ok(()) }
}

fn none() -> Result<(), String> {
    let scene = Scene::start("")?;
    let port = free_port();
    register(&scene, port)?;
    scene.wait_for(LIST, &[false])?;
    checker(&scene, "{'type':'NONE'}", true, 80)?;
    let form = format!("serviceName=p&ip=127.0.0.1&port={port}&healthy=true");
    scene.form("PUT", "v1/ns/health/instance", &form)?.is(200, "ok")?;
    std::thread::sleep(Duration::from_millis(2500));
    scene.health_is(LIST, &[true])?;
    checker(&scene, "{'type':'TCP'}", true, 80)?;
    scene.wait_for(LIST, &[false])
}

fn restart() -> Result<(), String> {
    let peer = Script::start(&["200", "200", "200", "500"])?;
    let scene = Scene::start("")?;
    register(&scene, peer.port)?;
    checker(&scene, HTTP, true, 1)?;
    peer.wait_for_probes(1)?;
    let scene = Scene::start_in(scene.stop()?, "")?;
    scene.wait_for(LIST, &[false])?;
    let form = format!("serviceName=p&ip=127.0.0.1&port={}&ephemeral=false", peer.port);
    scene.form("DELETE", "v1/ns/instance", &form)?.is(200, "ok")?;
    // One may be on its way.
    let count = peer.count();
    std::thread::sleep(Duration::from_millis(2500));
    if peer.count() > count + 1 { Err("a removed instance is probed".into()) } else { Ok(()) }
}

//! Beats and their absence, in real time.

use std::time::{Duration, Instant};

use serde_json::json;

use super::scene::{ONE, Scene};
use crate::harness::case::Check;

pub const ROWS: &[(&str, Check)] = &[
    ("B13: without beats unhealthy, then gone", lapse),
    ("B14: with beats well", beats),
    ("beats of unknown instances", unknown),
    ("times in the metadata", overrides),
    ("what was told holds against beats", told),
];

const LIST: &str = "serviceName=nacos.test.1";

fn lapse() -> Result<(), String> {
    let scene = Scene::start("")?;
    // From before the only beat: what is seen late must not make the time look short.
    let begun = Instant::now();
    scene.register()?;
    for (wanted, least_s) in [(&[false][..], 15), (&[], 30)] {
        scene.wait_for(LIST, wanted)?;
        let took = begun.elapsed();
        if took < Duration::from_secs(least_s) {
            return Err(format!("{wanted:?} after {took:?}"));
        }
    }
    scene.stop().map(drop)
}

fn beats() -> Result<(), String> {
    let scene = Scene::start("")?;
    scene.register()?;
    let wanted = json!({ "clientBeatInterval": 5000, "code": 10200, "lightBeatEnabled": true });
    for _ in 0..5 {
        let beat = scene.form("PUT", "v1/ns/instance/beat", ONE)?.json()?;
        if beat != wanted {
            return Err(format!("{beat}"));
        }
        for _ in 0..5 {
            scene.health_is(LIST, &[true])?;
            std::thread::sleep(Duration::from_secs(1));
        }
    }
    Ok(())
}

fn unknown() -> Result<(), String> {
    let scene = Scene::start("")?;
    let light = scene.form("PUT", "v1/ns/instance/beat", ONE)?.json()?;
    if light["code"] != 20404 {
        return Err(format!("{light}"));
    }
    scene.health_is(LIST, &[])?;
    let beat = json!({
        "serviceName": "DEFAULT_GROUP@@nacos.test.1", "ip": "127.0.0.1", "port": 8080,
        "weight": 3, "ephemeral": true, "metadata": {"a": "b"}
    });
    let escaped: String = beat.to_string().bytes().map(|b| format!("%{b:02x}")).collect();
    let form = format!("serviceName=nacos.test.1&beat={escaped}");
    let full = scene.form("PUT", "v1/ns/instance/beat", &form)?.json()?;
    if full["code"] != 10200 {
        return Err(format!("{full}"));
    }
    let host = scene.list(LIST)?["hosts"][0].clone();
    if host["weight"] != 3.0 || host["metadata"] != json!({"a": "b"}) {
        return Err(format!("{host}"));
    }
    let v3 = "serviceName=nope&ip=127.0.0.1&port=1&heartBeat=true";
    let text = "instance 127.0.0.1:1 of DEFAULT_GROUP@@nope not found";
    scene.form("POST", "v3/client/ns/instance", v3)?.is_code(404, 21_003, text)?;
    let v3 = format!("{ONE}&heartBeat=true");
    let known = scene.form("POST", "v3/client/ns/instance", &v3)?;
    known.is(200, super::scene::SUCCESS)
}

fn overrides() -> Result<(), String> {
    let scene = Scene::start("")?;
    let metadata = "preserved.heart.beat.interval=1000,preserved.heart.beat.timeout=1000,\
                    preserved.ip.delete.timeout=7000";
    let form = format!("{ONE}&metadata={metadata}");
    scene.form("POST", "v1/ns/instance", &form)?.is(200, "ok")?;
    let beat = scene.form("PUT", "v1/ns/instance/beat", ONE)?.json()?;
    if beat["clientBeatInterval"] != 1000 {
        return Err(format!("{beat}"));
    }
    scene.wait_for(LIST, &[false])?;
    scene.wait_for(LIST, &[])
}

fn told() -> Result<(), String> {
    let scene = Scene::start("")?;
    scene.register()?;
    let form = format!("{ONE}&healthy=false");
    scene.form("PUT", "v1/ns/health", &form)?.is(200, "ok")?;
    scene.form("PUT", "v1/ns/instance/beat", ONE)?;
    scene.health_is(LIST, &[false])?;
    scene.register()?;
    scene.health_is(LIST, &[true])
}

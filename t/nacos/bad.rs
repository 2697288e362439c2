//! Calls that are refused, with Nacos' numbers and words.

use super::scene::{ONE, Scene};
use crate::harness::case::Check;

pub const ROWS: &[(&str, Check)] = &[
    ("B20, B21: parameters that are missing", missing),
    ("B22: healthy=maybe", maybe),
    ("B23: ports that are none", port),
    ("B24: characters that are no address", address),
    ("B25: a weight out of range", weight),
    ("B26: kinds do not mix", kinds),
    ("B27: a cluster of an unknown service", cluster),
    ("B28: wrong methods and paths", method),
    ("B29: metadata that is none", metadata),
    ("long names, wrong characters, broken beats", odd),
    ("bodies that are no form, or too much of one", bodies),
];

const HEALTH: &str = "v2/ns/health/instance";

fn missing() -> Result<(), String> {
    let scene = Scene::start("")?;
    scene.register()?;
    let text =
        |name: &str, kind: &str| format!("Required parameter '{name}' type {kind} is not present");
    let rows = [
        ("healthy", "Boolean", ONE),
        ("serviceName", "String", "ip=127.0.0.1&port=8080&healthy=true"),
        ("ip", "String", "serviceName=a&port=8080&healthy=true"),
        ("port", "Integer", "serviceName=a&ip=127.0.0.1&healthy=true"),
    ];
    for (name, kind, form) in rows {
        scene.form("PUT", HEALTH, form)?.is_code(400, 10_000, &text(name, kind))?;
        let v3 = scene.form("PUT", "v3/admin/ns/health/instance", form)?;
        v3.is_code(400, 10_000, &text(name, kind))?;
        let v1 = scene.form("PUT", "v1/ns/health/instance", form)?;
        v1.is(400, &format!("Param '{name}' is required."))?;
    }
    scene.health_is("serviceName=nacos.test.1", &[true])
}

fn maybe() -> Result<(), String> {
    let scene = Scene::start("")?;
    scene.register()?;
    let form = format!("{ONE}&healthy=maybe");
    let text = "Invalid boolean value [maybe] of parameter 'healthy'";
    scene.form("PUT", HEALTH, &form)?.is_code(400, 20_002, text)?;
    scene.health_is("serviceName=nacos.test.1", &[true])?;
    scene.form("PUT", "v1/ns/health", &form)?.is(200, "ok")?;
    scene.health_is("serviceName=nacos.test.1", &[false])
}

fn port() -> Result<(), String> {
    let scene = Scene::start("")?;
    let text = "Param 'port' is illegal, the value should be between 0 and 65535.";
    for path in ["v1/ns/health/instance", HEALTH, "v3/admin/ns/health/instance"] {
        for port in ["65536", "abc", "-1"] {
            let form = format!("serviceName=a&ip=127.0.0.1&healthy=true&port={port}");
            scene.form("PUT", path, &form)?.is(400, text)?;
        }
    }
    Ok(())
}

fn address() -> Result<(), String> {
    let scene = Scene::start("")?;
    let text = "Param 'ip' is illegal, illegal characters should not appear in the param.";
    let form = "serviceName=a&ip=127.0.0.1%3Bx&port=1&healthy=true";
    scene.form("PUT", HEALTH, form)?.is(400, text)?;
    scene.form("POST", "v1/ns/instance", form)?.is(400, text)
}

fn weight() -> Result<(), String> {
    let scene = Scene::start("")?;
    let text = "instance format invalid: The weights range from 0.0 to 10000.0";
    let form = format!("{ONE}&weight=10001");
    scene.form("POST", "v1/ns/instance", &form)?.is(400, text)?;
    let v2 = scene.form("POST", "v2/ns/instance", &form)?;
    v2.is_code(400, 21_001, text)?;
    if v2.json()?["message"] != "weight error" {
        return Err(v2.text);
    }
    let form = format!("{ONE}&weight=heavy");
    let v2 = scene.form("POST", "v2/ns/instance", &form)?;
    v2.is_code(400, 20_002, "For input string: \"heavy\"")
}

fn kinds() -> Result<(), String> {
    let scene = Scene::start("")?;
    scene.register()?;
    let text = "errCode: 400, errMsg: Current service DEFAULT_GROUP@@nacos.test.1 is ephemeral \
                service, can't register persistent instance. ";
    let form = format!("{ONE}&ephemeral=false");
    scene.form("POST", "v1/ns/instance", &form)?.is(400, text)?;
    scene.form("POST", "v2/ns/instance", &form)?.is_code(400, 30_000, text)?;
    scene.form("POST", "v1/ns/service", "serviceName=p")?.is(200, "ok")?;
    let text = "errCode: 400, errMsg: Current service DEFAULT_GROUP@@p is persistent service, \
                can't register ephemeral instance. ";
    scene.form("POST", "v1/ns/instance", "serviceName=p&ip=1.2.3.4&port=1")?.is(400, text)
}

fn cluster() -> Result<(), String> {
    let scene = Scene::start("")?;
    let form = "serviceName=nope&clusterName=DEFAULT&checkPort=80&useInstancePort4Check=true\
                &healthChecker=%7B%22type%22%3A%22TCP%22%7D";
    let text = "service not found groupName: DEFAULT_GROUP,serviceName: nope";
    scene.form("PUT", "v1/ns/cluster", form)?.is(400, text)?;
    scene.form("PUT", "v3/admin/ns/cluster", form)?.is_code(400, 30_000, text)?;
    let broken = form.replace("%22TCP%22%7D", "");
    scene.form("POST", "v1/ns/service", "serviceName=nope")?.is(200, "ok")?;
    let refused = scene.form("PUT", "v1/ns/cluster", &broken)?;
    if refused.status == 400 { Ok(()) } else { Err(refused.text) }
}

fn method() -> Result<(), String> {
    let scene = Scene::start("")?;
    let wrong = scene.call("GET", HEALTH)?;
    if (wrong.status, wrong.allow.as_deref()) != (405, Some("PUT")) {
        return Err(format!("{wrong:?}"));
    }
    let wrong = scene.form("PUT", "v3/ns/health/instance", ONE)?;
    if wrong.status == 404 { Ok(()) } else { Err(format!("{wrong:?}")) }
}

fn metadata() -> Result<(), String> {
    let scene = Scene::start("")?;
    let form = format!("{ONE}&metadata=x");
    scene.form("POST", "v1/ns/instance", &form)?.is(400, "metadata format incorrect: x")?;
    let v2 = scene.form("POST", "v2/ns/instance", &form)?;
    v2.is_code(400, 21_002, "metadata format incorrect: x")?;
    let long = format!("{ONE}&metadata=a={}", "x".repeat(1100));
    let text = "Param 'Metadata' is illegal, the param length should not exceed 1024.";
    scene.form("POST", "v1/ns/instance", &long)?.is(400, text)
}

fn odd() -> Result<(), String> {
    let scene = Scene::start("")?;
    let name = "n".repeat(65_536);
    let form = format!("serviceName={name}&ip=127.0.0.1&port=1");
    let text = "Param 'serviceName' is illegal, the param length should not exceed 512.";
    scene.form("POST", "v1/ns/instance", &form)?.is(400, text)?;
    let text = "Param 'serviceName' is illegal, illegal characters should not appear in the param.";
    for name in ["%ff%fe", "a%20b", "%E6%9C%8D"] {
        let form = format!("serviceName={name}&ip=127.0.0.1&port=1");
        scene.form("POST", "v1/ns/instance", &form)?.is(400, text)?;
    }
    for beat in ["%7B", "1", "%7B%22ip%22%3A1%7D", "%7B%22ip%22%3A%22%3B%22%2C%22port%22%3A1%7D"] {
        let form = format!("serviceName=a&beat={beat}");
        let refused = scene.form("PUT", "v1/ns/instance/beat", &form)?;
        if refused.status != 400 {
            return Err(format!("{beat}: {refused:?}"));
        }
    }
    let text = "Instance 'clusterName' should be characters with only 0-9a-zA-Z-. (current: a_b)";
    scene.form("POST", "v1/ns/instance", &format!("{ONE}&clusterName=a_b"))?.is(400, text)?;
    scene.stop().map(drop)
}

fn bodies() -> Result<(), String> {
    let scene = Scene::start("")?;
    let missing = "Param 'serviceName' is required.";
    let form = "Content-Type: application/x-www-form-urlencoded";
    // Bytes of a packed form are the name of a parameter nobody knows.
    let packed = format!("{form}\nContent-Encoding: gzip");
    let short = "POST /nacos/v1/ns/instance\n\u{1f}\u{8b}\u{8}";
    scene.send(short, &packed)?.is(400, missing)?;
    let json = "POST /nacos/v1/ns/instance\n{\"serviceName\":\"a\"}";
    scene.send(json, "Content-Type: application/json")?.is(400, missing)?;
    let text = "Param 'serviceName' is illegal, illegal characters should not appear in the param.";
    let latin = format!("{form}; charset=ISO-8859-1");
    let short = "POST /nacos/v1/ns/instance\nserviceName=%E9t%E9&ip=127.0.0.1&port=1";
    scene.send(short, &latin)?.is(400, text)?;
    let long = format!("{ONE}&x={}", "x".repeat(2 << 20));
    let refused = scene.form("POST", "v1/ns/instance", &long)?;
    if refused.status != 413 {
        return Err(format!("2 MB: {}", refused.status));
    }
    let many = format!("{}{ONE}", "a=b&".repeat(100_000));
    scene.form("POST", "v1/ns/instance", &many)?.is(400, missing)?;
    let text = "Param 'Metadata' is illegal, the param length should not exceed 1024.";
    let beat = format!(
        "{{\"serviceName\":\"a\",\"ip\":\"127.0.0.1\",\"port\":1,\"metadata\":{{\"a\":\"{}\"}}}}",
        "b".repeat(4000)
    );
    let form = format!("serviceName=a&beat={beat}");
    scene.form("PUT", "v1/ns/instance/beat", &form)?.is(400, text)?;
    scene.register()?;
    scene.stop().map(drop)
}

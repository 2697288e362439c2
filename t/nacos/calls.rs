//! Calls that go well.

use std::process::Command;

use serde_json::{Value, json};

use super::scene::{ONE, SUCCESS, Scene};
use crate::harness::case::Check;

pub const ROWS: &[(&str, Check)] = &[
    ("B1: the seed's curl turns an instance unhealthy", seed),
    ("B2: and healthy again", recover),
    ("B3: strict refuses", strict),
    ("B4: strict allows it where nobody checks", strict_none),
    ("B5 to B8: every version, the alias, and the query", versions),
    ("B9: groups are apart", groups),
    ("B10: the list of version 1", list),
    ("B10: lists of version 2 and 3", later_lists),
    ("B11: only healthy ones", only_healthy),
    ("B12: the protect threshold", threshold),
    ("B18: the types of checkers", checkers),
    ("update, patch, detail, statuses", update),
    ("services are made, configured, listed and removed", services),
    ("Python's None is no cluster", none_cluster),
    ("what is durable survives the process", durable),
    ("login, and calls that need one", login),
    ("metrics and readiness", metrics),
];

const LIST: &str = "serviceName=nacos.test.1";

fn set(scene: &Scene, healthy: bool) -> Result<(), String> {
    let form = format!("{ONE}&healthy={healthy}");
    scene.form("PUT", "v2/ns/health/instance", &form)?.is(200, SUCCESS)
}

fn seed() -> Result<(), String> {
    let scene = Scene::start("")?;
    scene.register()?;
    let url = format!("http://127.0.0.1:{}/nacos/v2/ns/health/instance", scene.port);
    let args = ["-d", "serviceName=nacos.test.1", "-d", "ip=127.0.0.1", "-d", "port=8080"];
    let curl = Command::new("curl")
        .arg("-s")
        .args(args)
        .args(["-d", "healthy=false", "-X", "PUT", &url])
        .output()
        .map_err(|e| format!("curl: {e}"))?;
    let text = String::from_utf8_lossy(&curl.stdout);
    if text != SUCCESS {
        return Err(format!("curl got {text}"));
    }
    scene.health_is(LIST, &[false])?;
    scene.stop().map(drop)
}

fn recover() -> Result<(), String> {
    let scene = Scene::start("")?;
    scene.register()?;
    set(&scene, false)?;
    scene.health_is(LIST, &[false])?;
    set(&scene, true)?;
    scene.health_is(LIST, &[true])
}

fn strict() -> Result<(), String> {
    let scene = Scene::start("strict")?;
    scene.register()?;
    let form = format!("{ONE}&healthy=false");
    let text = "health check is still working, service: DEFAULT_GROUP@@nacos.test.1, cluster: \
                DEFAULT";
    scene.form("PUT", "v2/ns/health/instance", &form)?.is_code(400, 30_000, text)?;
    scene.form("PUT", "v1/ns/health/instance", &form)?.is(400, text)?;
    scene.health_is(LIST, &[true])
}

fn strict_none() -> Result<(), String> {
    let scene = Scene::start("strict")?;
    let service = "serviceName=nacos.test.1&ephemeral=false";
    scene.form("POST", "v2/ns/service", service)?.is(200, SUCCESS)?;
    let cluster = "serviceName=nacos.test.1&clusterName=DEFAULT&checkPort=80\
                   &useInstancePort4Check=true&healthChecker=%7B%22type%22%3A%22NONE%22%7D";
    scene.form("PUT", "v1/ns/cluster", cluster)?.is(200, "ok")?;
    let one = format!("{ONE}&ephemeral=false");
    scene.form("POST", "v1/ns/instance", &one)?.is(200, "ok")?;
    set(&scene, false)?;
    scene.health_is(LIST, &[false])?;
    let unknown = "serviceName=nacos.test.1&ip=127.0.0.1&port=1&healthy=false";
    scene.form("PUT", "v2/ns/health/instance", unknown)?.is(200, SUCCESS)
}

fn versions() -> Result<(), String> {
    let scene = Scene::start("")?;
    scene.register()?;
    let rows = [
        ("v1/ns/health/instance", "ok"),
        ("v1/ns/health", "ok"),
        ("v2/ns/health", SUCCESS),
        ("v2/ns/health/instance", SUCCESS),
        ("v3/admin/ns/health/instance", SUCCESS),
    ];
    for (path, wanted) in rows {
        scene.form("PUT", path, &format!("{ONE}&healthy=false"))?.is(200, wanted)?;
        scene.health_is(LIST, &[false])?;
        scene.call("PUT", &format!("{path}?{ONE}&healthy=true"))?.is(200, wanted)?;
        scene.health_is(LIST, &[true])?;
    }
    scene.form("PUT", "v1/ns/health", &format!("{ONE}&valid=false"))?.is(200, "ok")?;
    scene.health_is(LIST, &[false])
}

fn groups() -> Result<(), String> {
    let scene = Scene::start("")?;
    scene.register()?;
    let other = format!("{ONE}&groupName=G");
    scene.form("POST", "v1/ns/instance", &other)?.is(200, "ok")?;
    let named = "serviceName=G@@nacos.test.1&ip=127.0.0.1&port=8080&healthy=false";
    scene.form("PUT", "v1/ns/health/instance", named)?.is(200, "ok")?;
    scene.health_is("serviceName=nacos.test.1&groupName=G", &[false])?;
    scene.health_is("serviceName=G@@nacos.test.1", &[false])?;
    scene.health_is(LIST, &[true])?;
    scene.health_is("serviceName=nacos.test.1&namespaceId=other", &[])
}

fn list() -> Result<(), String> {
    let scene = Scene::start("")?;
    let one = format!("{ONE}&weight=2.5&metadata=a=1,b=2");
    scene.form("POST", "v1/ns/instance", &one)?.is(200, "ok")?;
    let mut list = scene.list(LIST)?;
    if list["lastRefTime"].as_i64().is_none_or(|ms| ms < 1_600_000_000_000) {
        return Err(format!("lastRefTime in {list}"));
    }
    list["lastRefTime"] = json!(0);
    let wanted = json!({
        "name": "DEFAULT_GROUP@@nacos.test.1", "groupName": "DEFAULT_GROUP", "clusters": "",
        "cacheMillis": 10000,
        "hosts": [{
            "instanceId": "127.0.0.1#8080#DEFAULT#DEFAULT_GROUP@@nacos.test.1",
            "ip": "127.0.0.1", "port": 8080, "weight": 2.5, "healthy": true, "enabled": true,
            "ephemeral": true, "clusterName": "DEFAULT",
            "serviceName": "DEFAULT_GROUP@@nacos.test.1", "metadata": {"a": "1", "b": "2"},
            "instanceHeartBeatInterval": 5000, "instanceHeartBeatTimeOut": 15000,
            "ipDeleteTimeout": 30000, "instanceIdGenerator": "simple"
        }],
        "lastRefTime": 0, "checksum": "", "allIPs": false, "reachProtectionThreshold": false,
        "valid": true
    });
    same(&list, &wanted)
}

fn later_lists() -> Result<(), String> {
    let scene = Scene::start("")?;
    scene.form("POST", "v2/ns/instance", ONE)?.is(200, SUCCESS)?;
    let v2 = scene.call("GET", &format!("v2/ns/instance/list?{LIST}"))?.json()?;
    same(&v2["data"]["hosts"][0]["port"], &json!(8080))?;
    for path in ["v3/client/ns/instance/list", "v3/admin/ns/instance/list"] {
        let v3 = scene.call("GET", &format!("{path}?{LIST}"))?.json()?;
        same(&v3["data"][0]["port"], &json!(8080))?;
    }
    same(&scene.list("serviceName=nope")?["hosts"], &json!([]))
}

fn only_healthy() -> Result<(), String> {
    let scene = Scene::start("")?;
    scene.register()?;
    set(&scene, false)?;
    scene.health_is("serviceName=nacos.test.1&healthyOnly=true", &[])?;
    scene.health_is(LIST, &[false])
}

fn threshold() -> Result<(), String> {
    let scene = Scene::start("")?;
    scene.register()?;
    let two = "serviceName=nacos.test.1&ip=127.0.0.1&port=8081";
    scene.form("POST", "v1/ns/instance", two)?.is(200, "ok")?;
    let service = "serviceName=nacos.test.1&protectThreshold=0.8";
    scene.form("PUT", "v1/ns/service", service)?.is(200, "ok")?;
    set(&scene, false)?;
    scene.health_is(LIST, &[true, true])?;
    same(&scene.list(LIST)?["reachProtectionThreshold"], &json!(true))?;
    set(&scene, true)?;
    same(&scene.list(LIST)?["reachProtectionThreshold"], &json!(false))
}

fn checkers() -> Result<(), String> {
    let scene = Scene::start("")?;
    let wanted = r#"{"TCP":{"type":"TCP"},"HTTP":{"type":"HTTP","path":"","headers":"","expectedResponseCode":200},"MYSQL":{"type":"MYSQL","user":"","pwd":"","cmd":""},"NONE":{"type":"NONE"}}"#;
    scene.call("GET", "v1/ns/health/checkers")?.is(200, wanted)?;
    let v3 = scene.call("GET", "v3/admin/ns/health/checkers")?.json()?;
    same(&v3["data"]["HTTP"]["expectedResponseCode"], &json!(200))
}

fn update() -> Result<(), String> {
    let scene = Scene::start("")?;
    scene.register()?;
    let form = format!("{ONE}&weight=7&healthy=false&metadata=%7B%22k%22%3A%22v%22%7D");
    scene.form("PUT", "v1/ns/instance", &form)?.is(200, "ok")?;
    scene.health_is(LIST, &[true])?;
    let detail = scene.call("GET", &format!("v1/ns/instance?{ONE}"))?.json()?;
    same(&detail["weight"], &json!(7.0))?;
    same(&detail["metadata"], &json!({"k": "v"}))?;
    same(&detail["service"], &json!("DEFAULT_GROUP@@nacos.test.1"))?;
    scene.form("PATCH", "v2/ns/instance", &format!("{ONE}&weight=3"))?.is(200, SUCCESS)?;
    let partial = format!("{ONE}&enabled=false");
    scene.form("PUT", "v3/admin/ns/instance/partial", &partial)?.is(200, SUCCESS)?;
    scene.health_is(LIST, &[])?;
    let detail = scene.call("GET", &format!("v2/ns/instance?{ONE}"))?.json()?;
    same(&detail["data"]["weight"], &json!(3.0))?;
    same(&detail["data"]["serviceName"], &json!("DEFAULT_GROUP@@nacos.test.1"))?;
    let key = "v1/ns/instance/statuses?key=nacos.test.1";
    scene.call("GET", key)?.is(200, r#"{"ips":["127.0.0.1:8080_true"]}"#)?;
    scene.call("DELETE", &format!("v1/ns/instance?{ONE}"))?.is(200, "ok")?;
    scene.call("DELETE", &format!("v1/ns/instance?{ONE}"))?.is(200, "ok")?;
    let gone = scene.call("GET", &format!("v2/ns/instance?{ONE}"))?;
    let text = "no ips found for cluster DEFAULT in service DEFAULT_GROUP@@nacos.test.1";
    gone.is_code(404, 20_004, text)
}

fn services() -> Result<(), String> {
    let scene = Scene::start("")?;
    for name in ["a", "b", "c"] {
        let form = format!("serviceName={name}&protectThreshold=0.3&metadata=x=y");
        scene.form("POST", "v1/ns/service", &form)?.is(200, "ok")?;
    }
    let again = scene.form("POST", "v2/ns/service", "serviceName=a")?;
    again.is_code(400, 21_007, "specified service DEFAULT_GROUP@@a already exists!")?;
    let page = scene.call("GET", "v1/ns/service/list?pageNo=2&pageSize=2")?;
    page.is(200, r#"{"count":3,"doms":["c"]}"#)?;
    let detail = scene.call("GET", "v1/ns/service?serviceName=a")?.json()?;
    let wanted = json!({
        "namespaceId": "public", "groupName": "DEFAULT_GROUP", "name": "a",
        "protectThreshold": 0.3, "metadata": {"x": "y"}, "selector": {"type": "none"},
        "clusters": [{"name": "DEFAULT", "healthChecker": {"type": "TCP"}, "metadata": {}}]
    });
    same(&detail, &wanted)?;
    let detail = scene.call("GET", "v3/admin/ns/service?serviceName=a")?.json()?;
    let cluster = &detail["data"]["clusterMap"]["DEFAULT"];
    same(&cluster["healthyCheckPort"], &json!(80))?;
    same(&cluster["useInstancePortForCheck"], &json!(true))?;
    scene.call("DELETE", "v1/ns/service?serviceName=a")?.is(200, "ok")?;
    let gone = scene.call("GET", "v2/ns/service?serviceName=a")?;
    gone.is_code(400, 21_008, "service DEFAULT_GROUP@@a not found!")
}

fn none_cluster() -> Result<(), String> {
    let scene = Scene::start("")?;
    scene.form("POST", "v1/ns/instance", &format!("{ONE}&clusterName=None"))?.is(200, "ok")?;
    same(&scene.list(LIST)?["hosts"][0]["clusterName"], &json!("DEFAULT"))
}

fn durable() -> Result<(), String> {
    let scene = Scene::start("")?;
    scene.register()?;
    let kept = "serviceName=kept&ip=127.0.0.1&port=1&ephemeral=false&weight=5";
    scene.form("POST", "v1/ns/instance", kept)?.is(200, "ok")?;
    let gone = "serviceName=kept&ip=127.0.0.1&port=2&ephemeral=false";
    scene.form("POST", "v1/ns/instance", gone)?.is(200, "ok")?;
    scene.form("DELETE", "v1/ns/instance", gone)?.is(200, "ok")?;
    let cluster = "serviceName=kept&clusterName=DEFAULT&checkPort=81&useInstancePort4Check=false\
                   &healthChecker=%7B%22type%22%3A%22NONE%22%7D";
    scene.form("PUT", "v1/ns/cluster", cluster)?.is(200, "ok")?;
    let scene = Scene::start_in(scene.stop()?, "")?;
    scene.health_is(LIST, &[])?;
    let list = scene.list("serviceName=kept")?;
    same(&list["hosts"][0]["weight"], &json!(5.0))?;
    same(&json!(list["hosts"].as_array().map(Vec::len)), &json!(1))?;
    let detail = scene.call("GET", "v3/admin/ns/service?serviceName=kept")?.json()?;
    let cluster = &detail["data"]["clusterMap"]["DEFAULT"];
    same(&cluster["healthyCheckPort"], &json!(81))?;
    same(&cluster["healthChecker"], &json!({"type": "NONE"}))
}

fn login() -> Result<(), String> {
    let scene = Scene::start("auth=nacos:secret")?;
    let refused = scene.form("POST", "v2/ns/instance", ONE)?;
    refused.is_code(403, 10_001, "user not found!")?;
    let wrong = scene.form("POST", "v1/auth/login", "username=nacos&password=x")?;
    if wrong.status != 403 {
        return Err(format!("a wrong password gets {}", wrong.status));
    }
    for path in ["v1/auth/login", "v1/auth/users/login", "v3/auth/user/login"] {
        let token = scene.form("POST", path, "username=nacos&password=secret")?.json()?;
        let token = token["accessToken"].as_str().ok_or("no token")?.to_owned();
        let target = format!("v1/ns/instance?accessToken={token}");
        scene.form("POST", &target, ONE)?.is(200, "ok")?;
        let bearer = format!("Authorization: Bearer {token}");
        let list = scene.send(&format!("GET /nacos/v1/ns/instance/list?{LIST}"), &bearer)?;
        same(&list.json()?["hosts"][0]["port"], &json!(8080))?;
    }
    let open = Scene::start("")?;
    let token = open.form("POST", "v1/auth/login", "username=nacos&password=nacos")?.json()?;
    same(&token["tokenTtl"], &json!(18_000))
}

fn metrics() -> Result<(), String> {
    let scene = Scene::start("")?;
    scene.call("GET", "v1/ns/operator/metrics")?.is(200, r#"{"status":"UP"}"#)?;
    let all = scene.call("GET", "v3/admin/ns/ops/metrics?onlyStatus=false")?.json()?;
    same(&all["data"]["serviceCount"], &json!(0))?;
    scene.call("GET", "v1/console/health/readiness")?.is(200, "OK")
}

fn same(got: &Value, wanted: &Value) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("{got}\nwanted {wanted}")) }
}

//! The golden vectors of the counters, V1 to V13, driven through the Admin API: real probes and
//! requests against a backend that answers by script; and the golden bytes of probes.
//!
//! ```text
//!   probe 500  ->  wait until the Control API shows  mostly_healthy 0/1/0/0  ->  probe 200 ...
//! ```
//! V10 sets a status by hand, which APISIX has no call for: `t/health` has it.

use serde_json::{Value, json};

use super::backend::{Backend, Say};
use super::scene::{Node, Scene, active, eventually, route, same, two};
use crate::harness::case::Check;

pub const ROWS: &[(&str, Check)] =
    &[("V1 to V13: golden vectors", vectors), ("golden bytes of probes", bytes)];

/// One step: what happens to the node, and what is told of it then.
struct Step {
    event: Event,
    status: &'static str,
    counts: [u64; 4],
}

impl Step {
    fn is_late(&self) -> bool {
        let (Probe(say) | Request(say) | Retried(say)) = self.event;
        say == Say::Silence
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// The next probe is answered so.
    Probe(Say),
    /// A request is.
    Request(Say),
    /// A request for one of two nodes fails there, and is answered by the other.
    Retried(Say),
}

use Event::{Probe, Request, Retried};

/// Runs each vector on a route of its own, all at once.
fn vectors() -> Result<(), String> {
    let scene = Scene::start()?;
    let scene = &scene;
    std::thread::scope(|scope| {
        let run = |vector: &'static Vector| (vector.name, scope.spawn(|| vector.run(scene)));
        let running: Vec<_> = VECTORS.iter().map(run).collect();
        for (name, run) in running {
            let done = run.join().map_err(|_| format!("{name} panicked"))?;
            done.map_err(|why| format!("{name}: {why}"))?;
        }
        Ok(())
    })
}

struct Vector {
    name: &'static str,
    settings: Settings,
    steps: &'static [Step],
}

#[derive(Clone, Copy)]
enum Settings {
    Seed,
    Defaults,
    NoPassive,
    Slow,
}

impl Settings {
    fn checks(self, probes: bool, timeout_s: u64) -> Value {
        let healthy_s = if probes { 1 } else { 60 };
        let mut checks = active(&[("/active/healthy/interval", json!(healthy_s))]);
        checks["active"]["timeout"] = json!(timeout_s);
        match self {
            Self::Seed => {
                checks["passive"] = json!({
                    "healthy": { "http_statuses": [200, 201], "successes": 3 },
                    "unhealthy": { "http_statuses": [500], "http_failures": 3, "tcp_failures": 3 },
                });
            }
            Self::Defaults => {
                checks["active"]["healthy"] = json!({});
                checks["active"]["unhealthy"] = json!({});
            }
            Self::NoPassive => {
                checks["passive"] = json!({
                    "healthy": { "successes": 0 },
                    "unhealthy": { "http_failures": 0, "tcp_failures": 0, "timeouts": 0 },
                });
            }
            Self::Slow => {
                checks["active"]["healthy"]["successes"] = json!(3);
            }
        }
        checks
    }
}

impl Vector {
    fn run(&self, scene: &Scene) -> Result<(), String> {
        let (node, other) = two()?;
        // A status in neither list: what no step speaks of leaves no trace.
        node.says(STATUS, Say::Status(418));
        node.says(PATH, Say::Status(418));
        let probes = self.steps.iter().any(|step| matches!(step.event, Probe(_)));
        let retried = self.steps.iter().any(|step| matches!(step.event, Retried(_)));
        let nodes: &[&Backend] = if retried { &[&node, &other] } else { &[&node] };
        // Short only where somebody is expected to be too slow.
        let timeout_s = if self.steps.iter().any(Step::is_late) { 2 } else { 60 };
        let checks = self.settings.checks(probes, timeout_s);
        let mut document = route(&format!("/{}/*", self.name), nodes, checks);
        document["upstream"]["timeout"] = json!({ "connect": 60, "send": 60, "read": timeout_s });
        scene.put(&format!("/routes/{}", self.name), &document)?.has(201)?;
        let resource = format!("routes/{}", self.name);
        self.ask(scene, &node, None)?;
        for (at, step) in self.steps.iter().enumerate() {
            match step.event {
                Probe(say) => {
                    let before = node.count(STATUS);
                    node.once(STATUS, &[say]);
                    node.wait_for(STATUS, before + 1)?;
                }
                Request(say) | Retried(say) => self.ask(scene, &node, Some(say))?,
            }
            let wanted = Node::new(step.status, step.counts);
            let waited = scene.wait(&resource, node.port, &wanted);
            waited.map_err(|why| format!("step {} {:?}: {why}", at + 1, step.event))?;
        }
        Ok(())
    }

    /// Requests until the node has had one more.
    fn ask(&self, scene: &Scene, node: &Backend, say: Option<Say>) -> Result<(), String> {
        let path = format!("/{}/x", self.name);
        node.once(&path, &say.into_iter().collect::<Vec<_>>());
        let before = node.count(&path);
        eventually(|| {
            scene.get(&path)?;
            if node.count(&path) > before { Ok(()) } else { Err("the node is not asked".into()) }
        })
    }
}

const fn step(event: Event, status: &'static str, counts: [u64; 4]) -> Step {
    Step { event, status, counts }
}

const OK: Event = Probe(Say::Status(200));
const FAIL: Event = Probe(Say::Status(500));
const ODD: Event = Probe(Say::Status(418));
const BAD: Event = Probe(Say::Nonsense);
const TCP: Event = Probe(Say::Closed);
const LATE: Event = Probe(Say::Silence);
const STATUS: &str = "/status";
const PATH: &str = "/x";
const H: &str = "healthy";
const MH: &str = "mostly_healthy";
const MU: &str = "mostly_unhealthy";
const U: &str = "unhealthy";

const VECTORS: &[Vector] = &[
    Vector {
        name: "V1",
        settings: Settings::Seed,
        steps: &[
            step(OK, H, [0, 0, 0, 0]),
            step(FAIL, MH, [0, 1, 0, 0]),
            step(OK, H, [1, 0, 0, 0]),
            step(FAIL, MH, [0, 1, 0, 0]),
            step(FAIL, U, [0, 2, 0, 0]),
            step(FAIL, U, [0, 2, 0, 0]),
            step(OK, H, [1, 0, 0, 0]),
            step(OK, H, [1, 0, 0, 0]),
        ],
    },
    Vector {
        name: "V2",
        settings: Settings::Seed,
        steps: &[
            step(FAIL, MH, [0, 1, 0, 0]),
            step(TCP, MH, [0, 1, 1, 0]),
            step(LATE, MH, [0, 1, 1, 1]),
            step(LATE, MH, [0, 1, 1, 2]),
            step(TCP, U, [0, 1, 2, 2]),
        ],
    },
    Vector {
        name: "V3",
        settings: Settings::Seed,
        steps: &[
            step(ODD, H, [0, 0, 0, 0]),
            step(FAIL, MH, [0, 1, 0, 0]),
            step(ODD, MH, [0, 1, 0, 0]),
            step(FAIL, U, [0, 2, 0, 0]),
        ],
    },
    Vector {
        name: "V4",
        settings: Settings::Seed,
        steps: &[step(BAD, MH, [0, 1, 0, 0]), step(BAD, U, [0, 2, 0, 0])],
    },
    Vector {
        name: "V5",
        settings: Settings::Defaults,
        steps: &[
            step(TCP, MH, [0, 0, 1, 0]),
            step(TCP, U, [0, 0, 2, 0]),
            step(OK, MU, [1, 0, 0, 0]),
            step(FAIL, MU, [0, 1, 0, 0]),
            step(OK, MU, [1, 0, 0, 0]),
            step(OK, H, [2, 0, 0, 0]),
        ],
    },
    Vector {
        name: "V6",
        settings: Settings::Defaults,
        steps: &[
            step(FAIL, MH, [0, 1, 0, 0]),
            step(OK, MH, [1, 0, 0, 0]),
            step(OK, H, [2, 0, 0, 0]),
            step(OK, H, [2, 0, 0, 0]),
        ],
    },
    Vector {
        name: "V7",
        settings: Settings::Seed,
        steps: &[
            step(Request(Say::Status(500)), MH, [0, 1, 0, 0]),
            step(Request(Say::Status(500)), MH, [0, 2, 0, 0]),
            step(Request(Say::Status(500)), U, [0, 3, 0, 0]),
            step(Request(Say::Status(200)), MU, [1, 0, 0, 0]),
            step(OK, H, [2, 0, 0, 0]),
        ],
    },
    Vector {
        name: "V8",
        settings: Settings::Seed,
        steps: &[
            step(Request(Say::Status(500)), MH, [0, 1, 0, 0]),
            step(FAIL, U, [0, 2, 0, 0]),
            step(Request(Say::Status(500)), U, [0, 2, 0, 0]),
        ],
    },
    Vector {
        name: "V9",
        settings: Settings::Seed,
        steps: &[
            step(Retried(Say::Closed), MH, [0, 0, 1, 0]),
            step(Retried(Say::Closed), MH, [0, 0, 2, 0]),
            step(Retried(Say::Closed), U, [0, 0, 3, 0]),
        ],
    },
    Vector {
        name: "V11",
        settings: Settings::NoPassive,
        steps: &[
            step(Retried(Say::Closed), H, [0; 4]),
            step(Request(Say::Status(500)), H, [0; 4]),
            step(Retried(Say::Silence), H, [0; 4]),
            step(Request(Say::Status(200)), H, [0; 4]),
        ],
    },
    Vector {
        name: "V13",
        settings: Settings::Slow,
        steps: &[
            step(FAIL, MH, [0, 1, 0, 0]),
            step(FAIL, U, [0, 2, 0, 0]),
            step(OK, MU, [1, 0, 0, 0]),
            step(FAIL, MU, [0, 1, 0, 0]),
            step(FAIL, U, [0, 2, 0, 0]),
            step(OK, MU, [1, 0, 0, 0]),
            step(OK, MU, [2, 0, 0, 0]),
            step(OK, H, [3, 0, 0, 0]),
        ],
    },
];

/// What stands on the wire, for each of these `checks`.
fn bytes() -> Result<(), String> {
    let scene = Scene::start()?;
    let two_headers = json!(["User-Agent: x", "Accept: */*"]);
    let seed_header = json!(["User-Agent: curl/7.29.0"]);
    let cases = [
        (
            json!({ "http_path": "/status", "host": "foo.com", "req_headers": seed_header }),
            "GET /status HTTP/1.1\r\nConnection: close\r\nUser-Agent: curl/7.29.0\r\n\
             Host: foo.com\r\n\r\n",
        ),
        (json!({}), "GET / HTTP/1.1\r\nConnection: close\r\nHost: 127.0.0.1\r\n\r\n"),
        (
            json!({ "req_headers": two_headers }),
            "GET / HTTP/1.1\r\nConnection: close\r\nUser-Agent: x\r\nAccept: */*\r\n\
             Host: 127.0.0.1\r\n\r\n",
        ),
    ];
    let mut backends = Vec::new();
    for (id, (members, _)) in cases.iter().enumerate() {
        let backend = Backend::start()?;
        let mut checks = members.clone();
        checks["healthy"] = json!({ "interval": 1 });
        let uri = format!("/{id}");
        let document = route(&uri, &[&backend], json!({ "active": checks }));
        scene.put(&format!("/routes/{id}"), &document)?.has(201)?;
        scene.get(&uri)?;
        backends.push((backend, uri));
    }
    for ((backend, uri), (_, wanted)) in backends.iter().zip(cases) {
        let path = wanted.split(' ').nth(1).unwrap_or_default();
        backend.wait_for(path, 2)?;
        let probes: Vec<_> = backend.asked().into_iter().filter(|a| a.path != *uri).collect();
        for probe in probes {
            same(&json!(probe.bytes), &json!(wanted))?;
        }
    }
    rewritten(&scene)
}

/// The names of nodes and of the `Host` line: a domain, and one that is rewritten.
fn rewritten(scene: &Scene) -> Result<(), String> {
    let backend = Backend::start()?;
    let mut document = route(
        "/named",
        &[&backend],
        json!({ "active": {
        "host": "foo.com", "healthy": { "interval": 1 },
    } }),
    );
    document["upstream"]["nodes"][0]["host"] = json!("localhost");
    scene.put("/routes/named", &document)?.has(201)?;
    scene.get("/named")?;
    backend.wait_for("/", 1)?;
    let last = |backend: &Backend| {
        let asked = backend.asked();
        asked.iter().rfind(|a| a.path == "/").map(|a| a.bytes.clone()).unwrap_or_default()
    };
    let wanted = "GET / HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\n\r\n";
    same(&json!(last(&backend)), &json!(wanted))?;
    let view = scene.control("/v1/healthcheck/routes/named")?.has(200)?;
    let node = &view["nodes"][0];
    same(
        &json!([node["ip"], node["hostname"], node["hostheader"]]),
        &json!(["127.0.0.1", "foo.com", "localhost"]),
    )?;
    let patch = json!({ "upstream": { "pass_host": "rewrite", "upstream_host": "bar.com" } });
    scene.call("PATCH", "/routes/named", &patch)?.has(200)?;
    let wanted = wanted.replace("localhost", "bar.com");
    eventually(|| same(&json!(last(&backend)), &json!(wanted)))?;
    let patch = json!({ "upstream": { "pass_host": "pass", "checks": { "active": {
        "host": null, "http_method": "POST", "http_req_body": "ping",
    } } } });
    scene.call("PATCH", "/routes/named", &patch)?.has(200)?;
    let wanted = "POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 4\r\nHost: localhost\r\n\
                  \r\nping";
    eventually(|| same(&json!(last(&backend)), &json!(wanted)))?;
    let view = scene.control("/v1/healthcheck/routes/named")?.has(200)?;
    let node = &view["nodes"][0];
    same(&json!([node["hostname"], node["hostheader"]]), &json!(["127.0.0.1", "localhost"]))
}

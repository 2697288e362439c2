//! Our probes against a server with grpcio's own health service, which changes its mind.

use std::time::Duration;

use super::scene::Scene;
use crate::harness::case::{Case, Check, Outcome};
use crate::harness::certs::Pair;
use crate::harness::python::{self, Talk};
use crate::harness::server::{Prefix, free_port};

pub fn cases() -> Vec<Case> {
    let real = |(name, run): &(&str, Check)| {
        let run = *run;
        Case::new(format!("grpc/{name}"), move || match python::missing("grpc_health") {
            Some(reason) => Outcome::Skipped(reason),
            None => Outcome::from(run()),
        })
    };
    ROWS.iter().map(real).collect()
}

const ROWS: &[(&str, Check)] = &[
    ("probes follow a grpcio server that flips its status", flips),
    ("probes that watch follow it", watches),
    ("probes over TLS follow it too", secure),
    ("probes of a server that ends and comes back", back),
    ("a Watch is told what happens between two probes", watched),
    ("a Watch notices the end of its server at once", unwatched),
];

fn upstream(backend: u16, check: &str) -> String {
    paced(backend, check, "interval=50ms")
}

fn paced(backend: u16, check: &str, pace: &str) -> String {
    format!(
        "upstream orders {{ server 127.0.0.1:{backend};
             health_check {check} grpc_service=orders.v1 {pace}; }}"
    )
}

/// The server's words, and what the gateway then says of its upstream.
fn follow(scene: &Scene, server: &mut Talk) -> Result<(), String> {
    // A service the server does not know is not there.
    scene.wait_for("orders", "NOT_SERVING")?;
    for _ in 0..2 {
        for (word, status) in [
            ("SERVING", "SERVING"),
            ("NOT_SERVING", "NOT_SERVING"),
            ("SERVING", "SERVING"),
            ("UNKNOWN", "NOT_SERVING"),
        ] {
            server.say(&format!("{word} orders.v1"))?;
            scene.wait_for("orders", status)?;
            scene.wait_for(&format!("orders/{}", scene.backend), status)?;
        }
    }
    // Another service of the same server is none of this check's business.
    server.say("SERVING orders.v1")?;
    scene.wait_for("orders", "SERVING")?;
    server.say("NOT_SERVING other")?;
    std::thread::sleep(Duration::from_millis(200));
    scene.is("orders", "SERVING")
}

fn flips() -> Result<(), String> {
    let backend = free_port();
    let mut server = Talk::start("t/grpc/server.py", &[&backend.to_string()])?;
    let mut scene = Scene::start_with("", &upstream(backend, "type=grpc"))?;
    scene.backend = format!("127.0.0.1:{backend}");
    follow(&scene, &mut server)?;
    scene.stop()
}

/// One stream of Watch takes the place of a call each interval: a change is heard at once.
fn watches() -> Result<(), String> {
    let backend = free_port();
    let port = backend.to_string();
    let mut server = Talk::start("t/grpc/server.py", &[&port])?;
    let watching = |n: u32| {
        format!(
            "upstream orders{n} {{ server 127.0.0.1:{backend};
                 health_check type=grpc grpc_service=orders.v1 grpc_watch interval={n}s; }}"
        )
    };
    let scene = Scene::start_with("", &format!("{} {}", watching(1), watching(30)))?;
    for (word, status) in [
        ("SERVING", "SERVING"),
        ("NOT_SERVING", "NOT_SERVING"),
        ("SERVING", "SERVING"),
        ("UNKNOWN", "NOT_SERVING"),
        ("SERVING", "SERVING"),
    ] {
        server.say(&format!("{word} orders.v1"))?;
        for upstream in ["orders1", "orders30"] {
            scene.wait_for(upstream, status)?;
        }
    }
    // A server that ends takes its stream along, and is watched again when it is back.
    drop(server);
    scene.wait_for("orders1", "NOT_SERVING")?;
    let mut server = Talk::start("t/grpc/server.py", &[&port])?;
    server.say("SERVING orders.v1")?;
    scene.wait_for("orders1", "SERVING")?;
    scene.stop()
}

fn secure() -> Result<(), String> {
    let (backend, keys) = (free_port(), Prefix::new()?);
    let pair = Pair::make(&keys, "server")?;
    let port = backend.to_string();
    let mut server = Talk::start("t/grpc/server.py", &[&port, &pair.cert(), &pair.key()])?;
    let check = format!("type=grpcs sni=localhost ca={}", pair.cert());
    let other = Pair::make(&keys, "other")?;
    let more = format!(
        "{} upstream doubted {{ server 127.0.0.1:{backend};
             health_check type=grpcs sni=localhost ca={} grpc_service=orders.v1 interval=50ms; }}",
        upstream(backend, &check),
        other.cert()
    );
    let mut scene = Scene::start_with("", &more)?;
    scene.backend = format!("127.0.0.1:{backend}");
    follow(&scene, &mut server)?;
    scene.is("doubted", "NOT_SERVING")?;
    scene.stop()
}

fn back() -> Result<(), String> {
    let backend = free_port();
    let port = backend.to_string();
    let mut server = Talk::start("t/grpc/server.py", &[&port])?;
    server.say("SERVING orders.v1")?;
    let scene = Scene::start_with("", &upstream(backend, "type=grpc mandatory"))?;
    scene.wait_for("orders", "SERVING")?;
    drop(server);
    scene.wait_for("orders", "NOT_SERVING")?;
    let mut server = Talk::start("t/grpc/server.py", &[&port])?;
    server.say("SERVING orders.v1")?;
    scene.wait_for("orders", "SERVING")?;
    scene.stop()
}

fn watched() -> Result<(), String> {
    let backend = free_port();
    let mut server = Talk::start("t/grpc/server.py", &[&backend.to_string()])?;
    // No probe of the next minute helps.
    let more = paced(backend, "type=grpc grpc_watch", "interval=60s");
    let mut scene = Scene::start_with("", &more)?;
    scene.backend = format!("127.0.0.1:{backend}");
    follow(&scene, &mut server)?;
    scene.stop()
}

fn unwatched() -> Result<(), String> {
    let backend = free_port();
    let port = backend.to_string();
    let mut server = Talk::start("t/grpc/server.py", &[&port])?;
    server.say("SERVING orders.v1")?;
    let pace = "interval=60s downinter=50ms";
    let more = paced(backend, "type=grpc grpc_watch mandatory", pace);
    let scene = Scene::start_with("", &more)?;
    scene.wait_for("orders", "SERVING")?;
    drop(server);
    scene.wait_for("orders", "NOT_SERVING")?;
    let mut server = Talk::start("t/grpc/server.py", &[&port])?;
    server.say("SERVING orders.v1")?;
    scene.wait_for("orders", "SERVING")?;
    scene.stop()
}

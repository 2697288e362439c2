//! The engine with real backends: they die, come back, move; configurations come and go.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bstr::ByteSlice;

use super::*;
use crate::base::log::{Level, Sink};
use crate::health::dialect::Dialect;
use crate::health::report;
use crate::health::schedule::First;
use crate::health::spec::{MachineSpec, Pace, ProbeSpec, RawProbe, TimeoutScope};
use crate::net::addr::Addr;
use crate::shdict::Dict;
use crate::upstream::{Body, Server};

/// A backend that answers every connection with one status until it is dropped.
struct Backend {
    addr: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Backend {
    fn start(addr: &str, status: u16) -> Self {
        let listener = TcpListener::bind(addr).expect("a free port");
        let addr = listener.local_addr().expect("bound");
        listener.set_nonblocking(true).expect("a socket");
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let serve = move || {
            while !told.load(Ordering::Relaxed) {
                let Ok((mut stream, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(1));
                    continue;
                };
                let _ = stream.set_nonblocking(false);
                let _ = stream.read(&mut [0; 256]);
                let _ = stream.write_all(format!("HTTP/1.0 {status} x\r\n\r\n").as_bytes());
            }
        };
        Self { addr, stop, thread: Some(std::thread::spawn(serve)) }
    }

    fn name(&self) -> String {
        self.addr.to_string()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// One check of one upstream under a name of its own.
struct Scene {
    name: &'static str,
    dict: Dict,
    log: Arc<Mutex<Vec<String>>>,
    spec: CheckSpec,
}

impl Scene {
    fn new(name: &'static str) -> Self {
        let request = "GET /status HTTP/1.0\r\n\r\n".into();
        let http = RawProbe { request, valid_statuses: Some(vec![200]), tls: None };
        let spec = CheckSpec {
            probe: ProbeSpec::Raw(http),
            pace: Pace { first: First::AtOnce, ..Pace::every(20) },
            timeout_ms: 60_000,
            timeout_scope: TimeoutScope::EachOperation,
            concurrency: 1,
            machine: MachineSpec::RiseFall { rise: 2, fall: 3 },
            shm: Some("test".into()),
            ..CheckSpec::new(Dialect::OpenResty, name)
        };
        Self { name, dict: Dict::new(b"test", 1 << 20), log: Arc::default(), spec }
    }

    fn group(&self, peers: &[&str]) -> Arc<Group> {
        let server = |text: &&str| {
            let addr = Addr::literal(text.as_bytes()).expect("a literal address");
            Server::new((*text).into(), vec![addr])
        };
        let group = Group::named(self.name.into(), 0);
        let servers = peers.iter().map(server).collect();
        group.fill(Body { servers, explicit: true, ..Body::default() });
        Arc::new(group)
    }

    fn attach(&self, group: &Arc<Group>, generation: u64) -> Lease {
        self.attach_spec(self.spec.clone(), group, generation)
    }

    fn attach_spec(&self, spec: CheckSpec, group: &Arc<Group>, generation: u64) -> Lease {
        self.attach_and_wait(spec, group, generation, None)
    }

    /// Waits until a round of the check is over.
    fn round(&self, group: &Arc<Group>) {
        let (tell, told) = oneshot::channel();
        let _lease = self.attach_and_wait(self.spec.clone(), group, 1, Some(tell));
        told.blocking_recv().expect("a round ends");
    }

    fn attach_and_wait(
        &self,
        spec: CheckSpec,
        group: &Arc<Group>,
        generation: u64,
        after_round: Option<oneshot::Sender<()>>,
    ) -> Lease {
        let lines = self.log.clone();
        let keep = move |_: Level, line: &[u8]| {
            let text = line.to_str_lossy();
            let text = text.split_once("healthcheck: ").map_or("", |(_, rest)| rest);
            lines.lock().expect("no panic").push(text.trim_end().to_string());
        };
        let chain = Chain::new(vec![(Sink::Capture(Arc::new(keep)), Level::Debug)]);
        engine().expect("a thread").attach(Attach {
            spec,
            group: group.clone(),
            table: Some(Arc::new(self.dict.clone())),
            log: Arc::new(chain),
            debug: true,
            tls: None,
            generation,
            after_round,
        })
    }

    /// The lines that begin like this.
    fn lines(&self, start: &str) -> Vec<String> {
        let lines = self.log.lock().expect("no panic");
        lines.iter().filter(|l| l.contains(start)).cloned().collect()
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.dict.number(key.as_bytes())
    }
}

#[track_caller]
fn soon(what: &str, is_so: impl Fn() -> bool) {
    // For hangs only: machines that test may be slow.
    for _ in 0..12_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("never: {what}");
}

fn is_down(group: &Group, id: usize) -> bool {
    group.snapshot().primary.peers()[id].is_down()
}

#[test]
fn a_backend_dies_and_comes_back() {
    let scene = Scene::new("life");
    // An address of its own: while it is gone nobody else gets its port.
    let (a, b) = (Backend::start("127.0.0.1:0", 200), Backend::start("127.0.7.1:0", 200));
    let (a_name, b_name) = (a.name(), b.name());
    let group = scene.group(&[&a_name, &b_name]);
    let lease = scene.attach(&group, 1);
    scene.round(&group);
    assert!(!is_down(&group, 0) && !is_down(&group, 1));
    drop(b);
    soon("down", || is_down(&group, 1));
    let b = Backend::start(&b_name, 200);
    soon("up", || !is_down(&group, 1));
    soon("published", || scene.number("v:life") == Some(2.0));
    drop((lease, b));
    let down = format!("peer {b_name} is turned down after 3 failure(s), context: ngx.timer");
    let up = format!("peer {b_name} is turned up after 2 success(es), context: ngx.timer");
    assert_eq!(scene.lines("is turned"), [down, up]);
    // Errors are told only while the peer is not down.
    let refused = format!("failed to connect to {b_name}: connection refused, context: ngx.timer");
    // The first may have found the backend about to go.
    let told = scene.lines("failed to connect");
    assert!(matches!(told.len(), 2 | 3) && told.iter().all(|line| *line == refused), "{told:?}");
    assert_eq!(scene.lines("publishing").len(), 2);
    assert!(scene.number("ok:life:p0").is_some_and(|n| n >= 5.0));
    assert_eq!(scene.number("nok:life:p1"), Some(0.0));
    assert!(!scene.dict.is_true(b"d:life:p1"));
}

#[test]
fn the_last_lease_ends_the_check_and_lifts_its_verdicts() {
    let scene = Scene::new("leases");
    let group = scene.group(&["127.0.0.1:1"]);
    let leases = [scene.attach(&group, 1), scene.attach(&group, 1)];
    let engine = Engine::running().expect("it runs");
    assert!(engine.has_checker("leases".into(), 1) && !engine.has_checker("leases".into(), 2));
    soon("down", || is_down(&group, 0));
    assert_eq!(engine.rounds().iter().filter(|(s, _)| s.upstream == "leases").count(), 1);
    let [one, two] = leases;
    drop(one);
    assert!(engine.has_checker("leases".into(), 1));
    drop(two);
    assert!(!engine.has_checker("leases".into(), 1));
    soon("lifted", || !is_down(&group, 0));
}

#[test]
fn a_reload_finds_the_check_running_and_follows_moved_peers() {
    let scene = Scene::new("reload");
    let live = Backend::start("127.0.0.1:0", 200);
    let old = scene.group(&[&live.name(), "127.0.0.1:1", "127.0.0.1:2"]);
    let first = scene.attach(&old, 1);
    soon("down", || is_down(&old, 1) && is_down(&old, 2));
    soon("published", || scene.dict.is_true(b"d:reload:p2"));
    // The first server goes: the peer that was p1 is now p0, and stays down all the time.
    let new = scene.group(&["127.0.0.1:1", &live.name()]);
    new.adopt(&old);
    assert!(is_down(&new, 0) && !is_down(&new, 1));
    let _second = scene.attach(&new, 2);
    drop(first);
    soon("keys moved", || {
        scene.dict.is_true(b"d:reload:p0") && !scene.dict.is_true(b"d:reload:p1")
    });
    scene.round(&new);
    assert!(is_down(&new, 0) && !is_down(&new, 1));
    assert!(!scene.dict.is_true(b"d:reload:p2") && scene.number("ok:reload:p2").is_none());
    assert_eq!(scene.lines("is turned down").len(), 2, "nothing was turned twice");
    assert_eq!(scene.lines("is turned up").len(), 0);
}

#[test]
fn a_flushed_dictionary_and_a_reload_begin_anew() {
    let scene = Scene::new("flush");
    let old = scene.group(&["127.0.0.1:1"]);
    let first = scene.attach(&old, 1);
    soon("down", || is_down(&old, 0));
    let new = scene.group(&["127.0.0.1:1"]);
    new.adopt(&old);
    scene.dict.flush_all();
    let second = scene.attach(&new, 2);
    drop(first);
    soon("turned down again", || scene.lines("is turned down").len() == 2);
    drop(second);
}

#[test]
fn scripts_set_verdicts_through_the_keys() {
    let scene = Scene::new("keys");
    let live = Backend::start("127.0.0.1:0", 200);
    let group = scene.group(&[&live.name()]);
    scene.dict.set_true(b"d:keys:p0", None).expect("room");
    scene.dict.set_number(b"v:keys", 1.0).expect("room");
    let lease = scene.attach(&group, 1);
    soon("published", || scene.number("v:keys") == Some(2.0));
    drop(lease);
    assert_eq!(scene.lines("upgrading"), ["upgrading peers version to 1"]);
    assert_eq!(scene.lines("is turned up").len(), 1);
}

#[test]
fn several_checks_of_one_upstream_must_all_pass() {
    let scene = Scene::new("anded");
    let live = Backend::start("127.0.0.1:0", 200);
    let group = scene.group(&[&live.name()]);
    let _good = scene.attach(&group, 1);
    let picky = CheckSpec { port: Some(1), ..scene.spec.clone() };
    let bad = scene.attach_spec(picky, &group, 1);
    soon("down", || is_down(&group, 0));
    scene.round(&group);
    assert!(is_down(&group, 0));
    drop(bad);
    soon("up", || !is_down(&group, 0));
}

#[test]
fn live_changes_of_the_peer_list_are_followed() {
    let scene = Scene::new("live");
    let a = Backend::start("127.0.0.1:0", 200);
    let group = scene.group(&[&a.name()]);
    let _lease = scene.attach(&group, 1);
    scene.round(&group);
    let server = |text: &str| {
        Server::new(text.into(), vec![Addr::literal(text.as_bytes()).expect("an address")])
    };
    group.replace(&[server(&a.name()), server("127.0.0.1:1")]);
    soon("the new one is down", || is_down(&group, 1));
    assert!(!is_down(&group, 0));
    let model = report::model(&Engine::running().expect("it runs"));
    let check = model.iter().find(|c| c.upstream == "live").expect("it is listed");
    let (first, second) = (&check.peers[0], &check.peers[1]);
    assert!(first.state == "healthy" && first.probed && first.results.len() <= 10);
    assert_eq!((second.state, second.changes.len()), ("unhealthy", 1));
    assert_eq!(second.results[0].word, "L4CON");
    assert!(serde_json::to_string(&model).expect("plain data").contains("connection refused"));
}

#[test]
fn a_request_no_server_understands_is_named_once() {
    let scene = Scene::new("request");
    let group = scene.group(&["127.0.0.1:1"]);
    let mut spec = scene.spec.clone();
    let request = "GET / HTTP/1.1\r\n".into();
    spec.probe = ProbeSpec::Raw(RawProbe { request, valid_statuses: None, tls: None });
    let _lease = scene.attach_spec(spec, &group, 1);
    soon("two rounds", || scene.lines("run a check cycle").len() > 2);
    assert_eq!(
        scene.lines("http_req"),
        [
            "http_req of upstream \"request\" is HTTP/1.1 but has no Host header, \
             context: ngx.timer",
            "http_req of upstream \"request\" has no blank line after the headers: the server \
             will wait for more, context: ngx.timer",
        ]
    );
}

//! Probes over HTTP/2 against a server that does as it is told.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use h2::SendStream;
use h2::server::SendResponse;
use http::{HeaderMap, Response};
use tokio::net::{TcpListener, TcpStream};

use super::super::kept::Memory;
use super::super::{Aim, aimed};
use crate::health::dialect::Dialect;
use crate::health::spec::{CheckSpec, GrpcProbe, HttpProbe, Keepalive, ProbeSpec, Version};
use crate::health::target::Target;
use crate::net::addr::Addr;

/// How the server takes `Health/Watch`.
#[derive(Clone, Copy, PartialEq)]
enum Watch {
    /// Says SERVING and stays on the line.
    Stays,
    /// Says SERVING, and NOT_SERVING when the connection's next request comes.
    Changes,
    Unimplemented,
    /// Says SERVING and ends.
    Ends,
}

struct Server {
    addr: Addr,
    connections: Rc<Cell<usize>>,
    requests: Rc<Cell<usize>>,
}

impl Server {
    async fn start(watch: Watch) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = Addr::Inet(listener.local_addr().expect("bound"));
        let (connections, requests) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (made, asked) = (connections.clone(), requests.clone());
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                made.set(made.get() + 1);
                tokio::task::spawn_local(serve(stream, asked.clone(), watch));
            }
        });
        Self { addr, connections, requests }
    }

    fn target(&self) -> Target {
        Target::new(self.addr.to_string(), "", Some(self.addr.clone()))
    }

    async fn probe(&self, spec: &CheckSpec, memory: &mut Memory) -> String {
        aimed(spec, &Aim::at(&self.target(), spec, None), memory).await.line()
    }

    fn counts(&self) -> (usize, usize) {
        (self.connections.get(), self.requests.get())
    }
}

async fn serve(stream: TcpStream, asked: Rc<Cell<usize>>, watch: Watch) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    let mut held: Vec<SendStream<Bytes>> = Vec::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        asked.set(asked.get() + 1);
        let kept = match request.uri().path() {
            "/grpc.health.v1.Health/Watch" => watched(respond, watch),
            "/grpc.health.v1.Health/Check" => checked(respond),
            path => page(respond, path),
        };
        held.extend(kept);
        if watch == Watch::Changes && held.len() == 1 {
            // The first status and the second are two messages of one piece.
            let _ = held[0].send_data(message(2), false);
        }
    }
}

fn message(status: u8) -> Bytes {
    vec![0, 0, 0, 0, 2, 8, status].into()
}

fn trailers(status: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.parse().expect("digits"));
    trailers
}

fn watched(mut respond: SendResponse<Bytes>, watch: Watch) -> Option<SendStream<Bytes>> {
    if watch == Watch::Unimplemented {
        let only = Response::builder().header("grpc-status", "12").body(()).ok()?;
        respond.send_response(only, true).ok()?;
        return None;
    }
    let mut stream = respond.send_response(Response::new(()), false).ok()?;
    stream.send_data(message(1), false).ok()?;
    if watch == Watch::Ends {
        stream.send_trailers(trailers("0")).ok()?;
        return None;
    }
    Some(stream)
}

fn checked(mut respond: SendResponse<Bytes>) -> Option<SendStream<Bytes>> {
    let mut stream = respond.send_response(Response::new(()), false).ok()?;
    stream.send_data(message(1), false).ok()?;
    stream.send_trailers(trailers("0")).ok()?;
    None
}

fn page(mut respond: SendResponse<Bytes>, path: &str) -> Option<SendStream<Bytes>> {
    let status = if path == "/health" { 200 } else { 404 };
    let head = Response::builder().status(status).body(()).ok()?;
    let mut stream = respond.send_response(head, false).ok()?;
    stream.send_data(Bytes::from_static(b"fine"), true).ok()?;
    None
}

fn watching() -> CheckSpec {
    let grpc = GrpcProbe { watch: true, ..GrpcProbe::default() };
    CheckSpec { probe: ProbeSpec::Grpc(grpc), ..CheckSpec::new(Dialect::Native, "foo") }
}

fn page_spec(path: &str, keepalive: Option<Keepalive>) -> CheckSpec {
    let http = HttpProbe { path: path.into(), version: Version::V2, ..HttpProbe::default() };
    CheckSpec { probe: ProbeSpec::Http(http), keepalive, ..CheckSpec::new(Dialect::Native, "foo") }
}

async fn local<T>(test: impl Future<Output = T>) -> T {
    tokio::task::LocalSet::new().run_until(test).await
}

#[tokio::test]
async fn pages_with_prior_knowledge() {
    local(async {
        let forever = Keepalive { requests: u64::MAX, time_ms: u64::MAX };
        for (keepalive, counts) in [(None, (3, 3)), (Some(forever), (1, 3))] {
            let server = Server::start(Watch::Stays).await;
            let mut memory = Memory::default();
            for _ in 0..3 {
                let spec = page_spec("/health", keepalive.clone());
                assert_eq!(server.probe(&spec, &mut memory).await, "L7OK 200 passed");
            }
            assert_eq!(server.counts(), counts);
        }
        let server = Server::start(Watch::Stays).await;
        let said = server.probe(&page_spec("/", None), &mut Memory::default()).await;
        assert_eq!(said, "L7STS 404 bad status");
    })
    .await;
}

#[tokio::test]
async fn a_server_of_http1_is_no_server_of_http2() {
    local(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = Addr::Inet(listener.local_addr().expect("bound"));
        tokio::task::spawn_local(async move {
            let Ok((stream, _)) = listener.accept().await else { return };
            let _ = stream.writable().await;
            let _ = stream.try_write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            let _ = stream.readable().await;
        });
        let spec = page_spec("/", None);
        let target = Target::new(addr.to_string(), "", Some(addr));
        let aim = Aim::at(&target, &spec, None);
        let outcome = aimed(&spec, &aim, &mut Memory::default()).await;
        assert!(!outcome.is_pass() && outcome.seen().is_some(), "{}", outcome.line());
    })
    .await;
}

#[tokio::test]
async fn a_stream_serves_all_probes() {
    local(async {
        let server = Server::start(Watch::Stays).await;
        let mut memory = Memory::default();
        for _ in 0..4 {
            assert_eq!(server.probe(&watching(), &mut memory).await, "L7OK passed");
        }
        assert_eq!(server.counts(), (1, 1), "the others were PINGs");
    })
    .await;
}

#[tokio::test]
async fn news_is_what_the_next_probe_says() {
    local(async {
        let server = Server::start(Watch::Changes).await;
        let (mut memory, spec, target) = (Memory::default(), watching(), server.target());
        let rung = std::sync::Arc::new(tokio::sync::Notify::new());
        let ring = rung.clone();
        let bell: super::super::Bell = std::sync::Arc::new(move || ring.notify_one());
        let aim = Aim { bell: Some(bell), ..Aim::at(&target, &spec, None) };
        aimed(&spec, &aim, &mut memory).await;
        if !memory.has_news() {
            rung.notified().await;
        }
        let second = aimed(&spec, &aim, &mut memory).await.line();
        assert_eq!(second, "L7STS not serving: NOT_SERVING");
        assert!(!memory.has_news());
        assert_eq!(server.counts(), (1, 1));
    })
    .await;
}

#[tokio::test]
async fn without_watch_by_check() {
    local(async {
        let server = Server::start(Watch::Unimplemented).await;
        let mut memory = Memory::default();
        for _ in 0..3 {
            assert_eq!(server.probe(&watching(), &mut memory).await, "L7OK passed");
        }
        // One that asked in vain, then one a probe.
        assert_eq!(server.counts(), (4, 4));
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_ends_is_opened_again() {
    local(async {
        let server = Server::start(Watch::Ends).await;
        let mut memory = Memory::default();
        for _ in 0..3 {
            assert_eq!(server.probe(&watching(), &mut memory).await, "L7OK passed");
        }
        assert!(server.counts().0 >= 2);
    })
    .await;
}

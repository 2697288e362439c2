//! Probes on kept connections against a server that counts connections and requests.

use std::cell::Cell;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::{Aim, aimed};
use super::Memory;
use crate::health::dialect::Dialect;
use crate::health::matching::Match;
use crate::health::spec::{
    CheckSpec, HttpProbe, Keepalive, Pass, ProbeSpec, RawProbe, TimeoutScope,
};
use crate::health::target::Target;
use crate::net::addr::Addr;

const FOREVER: Keepalive = Keepalive { requests: u64::MAX, time_ms: u64::MAX };

/// What the server does with one request of a connection.
#[derive(Clone, Copy)]
enum Reply {
    Say(&'static str),
    /// Says it and closes.
    Last(&'static str),
    /// Closes without a word.
    Close,
}

/// Answers each request with the next reply; the last one again and again.
struct Server {
    addr: Addr,
    connections: Rc<Cell<usize>>,
    requests: Rc<Cell<usize>>,
}

impl Server {
    async fn start(replies: &'static [Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = Addr::Inet(listener.local_addr().expect("bound"));
        let (connections, requests) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (made, asked) = (connections.clone(), requests.clone());
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                made.set(made.get() + 1);
                tokio::task::spawn_local(serve(stream, asked.clone(), replies));
            }
        });
        Self { addr, connections, requests }
    }

    async fn probes(&self, spec: &CheckSpec, n: usize) -> Vec<String> {
        let target = Target::new(self.addr.to_string(), "", Some(self.addr.clone()));
        let mut memory = Memory::default();
        let mut said = Vec::new();
        for _ in 0..n {
            let aim = Aim::at(&target, spec, None);
            said.push(aimed(spec, &aim, &mut memory).await.line());
            // What the server did behind its answer arrives.
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        said
    }

    fn counts(&self) -> (usize, usize) {
        (self.connections.get(), self.requests.get())
    }
}

async fn serve(mut stream: TcpStream, asked: Rc<Cell<usize>>, replies: &[Reply]) {
    let mut buf = vec![0; 4096];
    let mut held = 0;
    while let Ok(n @ 1..) = stream.read(&mut buf[held..]).await {
        held += n;
        if !buf[..held].ends_with(b"\r\n\r\n") {
            continue;
        }
        held = 0;
        let reply = replies[asked.get().min(replies.len() - 1)];
        asked.set(asked.get() + 1);
        let (Reply::Say(text) | Reply::Last(text)) = reply else { return };
        if stream.write_all(text.as_bytes()).await.is_err() || matches!(reply, Reply::Last(_)) {
            return;
        }
    }
}

fn http(pass: Pass, keepalive: Keepalive) -> CheckSpec {
    CheckSpec {
        probe: ProbeSpec::Http(HttpProbe { pass, ..HttpProbe::default() }),
        keepalive: Some(keepalive),
        ..CheckSpec::new(Dialect::Native, "foo")
    }
}

fn statuses(keepalive: Keepalive) -> CheckSpec {
    http(HttpProbe::default().pass, keepalive)
}

async fn local<T>(test: impl Future<Output = T>) -> T {
    tokio::task::LocalSet::new().run_until(test).await
}

const OK: Reply = Reply::Say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
const BAD: Reply = Reply::Say("HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n");
const CHUNKS: Reply =
    Reply::Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");

#[tokio::test]
async fn one_connection_for_all() {
    local(async {
        for replies in [&[OK][..], &[CHUNKS], &[OK, BAD, CHUNKS]] {
            let replies: &'static [Reply] = replies.to_vec().leak();
            let server = Server::start(replies).await;
            server.probes(&statuses(FOREVER), 5).await;
            assert_eq!(server.counts(), (1, 5));
        }
    })
    .await;
}

#[tokio::test]
async fn a_bad_status_is_no_reason_to_part() {
    local(async {
        let server = Server::start(&[OK, BAD]).await;
        let said = server.probes(&statuses(FOREVER), 3).await;
        assert_eq!(said, ["L7OK 200 passed", "L7STS 503 bad status", "L7STS 503 bad status"]);
        assert_eq!(server.counts(), (1, 3));
    })
    .await;
}

#[tokio::test]
async fn a_dead_connection_does_not_count() {
    local(async {
        // Closed behind the answer, closed in place of one, and told so beforehand.
        let bye = Reply::Last("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        let old = Reply::Last("HTTP/1.0 200 OK\r\n\r\nold");
        for (second, counts) in [(Reply::Close, (2, 4)), (bye, (2, 3)), (old, (2, 3))] {
            let replies: &'static [Reply] = vec![OK, second, OK].leak();
            let server = Server::start(replies).await;
            let said = server.probes(&statuses(FOREVER), 3).await;
            assert_eq!(said, ["L7OK 200 passed"; 3]);
            assert_eq!(server.counts(), counts);
        }
        let hung_up = Server::start(&[Reply::Last("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")]);
        let server = hung_up.await;
        assert_eq!(server.probes(&statuses(FOREVER), 3).await, ["L7OK 200 passed"; 3]);
        assert_eq!(server.counts(), (3, 3), "no request is lost on a closed connection");
    })
    .await;
}

#[tokio::test]
async fn a_fresh_connection_that_dies_counts() {
    local(async {
        let server = Server::start(&[OK, Reply::Close]).await;
        let said = server.probes(&statuses(FOREVER), 2).await;
        assert_eq!(said[1], "L7RSP no response: closed");
        assert_eq!(server.counts(), (2, 3));
    })
    .await;
}

#[tokio::test]
async fn a_connection_has_its_turns_and_its_time() {
    local(async {
        let server = Server::start(&[OK]).await;
        server.probes(&statuses(Keepalive { requests: 2, ..FOREVER }), 5).await;
        assert_eq!(server.counts(), (3, 5));
        let server = Server::start(&[OK]).await;
        server.probes(&statuses(Keepalive { time_ms: 1, ..FOREVER }), 3).await;
        assert_eq!(server.counts(), (3, 3));
    })
    .await;
}

#[tokio::test]
async fn every_judge_reads_to_the_end() {
    local(async {
        let lists = Pass::TwoLists {
            healthy: crate::health::Statuses::of([200]),
            unhealthy: crate::health::Statuses::of([503]),
        };
        let raw = RawProbe {
            request: "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            valid_statuses: Some(vec![200]),
            tls: None,
        };
        let head = Reply::Say("HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n");
        let raw = CheckSpec {
            probe: ProbeSpec::Raw(raw),
            timeout_scope: TimeoutScope::EachOperation,
            ..statuses(FOREVER)
        };
        let body = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        for (spec, reply) in [
            (http(lists, FOREVER), OK),
            (http(Pass::Match(Match::default().into()), FOREVER), Reply::Say(body)),
            (raw, head),
        ] {
            let server = Server::start(vec![reply].leak()).await;
            assert_eq!(server.probes(&spec, 3).await, ["L7OK 200 passed"; 3]);
            assert_eq!(server.counts(), (1, 3), "{:?}", spec.probe);
        }
    })
    .await;
}

#[tokio::test]
async fn what_comes_unasked_ends_it() {
    local(async {
        let more = Reply::Say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more");
        let server = Server::start(vec![more].leak()).await;
        assert_eq!(server.probes(&statuses(FOREVER), 3).await, ["L7OK 200 passed"; 3]);
        assert_eq!(server.counts(), (3, 3));
    })
    .await;
}

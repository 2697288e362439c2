//! Many short probes over plain sockets, at the price of their system calls.
//!
//! ```text
//!  begin ─▶ socket, connect ─▶ writable: send ─▶ readable: head ─▶ close with a reset
//!     one queue of events for all of them ─ is itself one descriptor of the runtime ─┘
//! ```
//!
//! A probe that wants no more than a status over HTTP/1 without TLS needs no task, no timer and no
//! registration with the runtime of its own. What it finds, and the words for it, are those of the
//! long way (`talk`): where anything else is asked for, the probe goes that way.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bstr::BString;
use bytes::BytesMut;
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use socket2::{Domain, Socket, Type};
use tokio::io::unix::AsyncFd;
use tokio::sync::OwnedSemaphorePermit;

use super::answer::{self, HEADS_MAX_BYTES};
use super::{Aim, error_text, http, tcp};
use crate::base::clock;
use crate::health::board::SeatId;
use crate::health::outcome::{Kind, Outcome};
use crate::health::passive::kind_of;
use crate::health::spec::{CheckSpec, HttpProbe, Pass, ProbeSpec, TimeoutScope, Version};
use crate::health::target::Target;
use crate::net::addr::Addr;

/// The probes under way.
pub(in crate::health) struct Lean {
    queue: AsyncFd<Poll>,
    events: Events,
    talks: Slab<Talk>,
    /// Probes by the end of their time.
    limits: BTreeMap<u64, Vec<usize>>,
    /// What comes in is read here.
    buffer: Box<[u8]>,
}

/// A probe that is over.
pub(in crate::health) type Over = (SeatId, Outcome);

impl Lean {
    pub(in crate::health) fn new() -> io::Result<Self> {
        // The form that is not deprecated is unsafe, for descriptors that may change or go early.
        // That of a queue does neither.
        #[allow(deprecated)]
        let queue = AsyncFd::with_interest(Poll::new()?, tokio::io::Interest::READABLE)?;
        Ok(Self {
            queue,
            events: Events::with_capacity(EVENTS),
            talks: Slab::new(),
            limits: BTreeMap::new(),
            buffer: vec![0; BUFFER_BYTES].into(),
        })
    }

    /// True when a check's probes of a target can go this way.
    pub(in crate::health) fn suits(spec: &CheckSpec, target: &Target) -> bool {
        let ProbeSpec::Http(http) = &spec.probe else { return false };
        let plain = http.tls.is_none() && !spec.proxy_protocol && spec.keepalive.is_none();
        let version = matches!(http.version, Version::V10 | Version::V11);
        plain
            && version
            && matches!(http.pass, Pass::Statuses(_))
            && spec.timeout_scope == TimeoutScope::WholeProbe
            && matches!(target.addr, Some(Addr::Inet(_)))
    }

    /// Begins a probe; one that is over already is told at once.
    pub(in crate::health) fn begin(
        &mut self,
        seat: SeatId,
        spec: &Arc<CheckSpec>,
        target: &Target,
        permit: OwnedSemaphorePermit,
    ) -> Option<Over> {
        let (ProbeSpec::Http(http), Some(Addr::Inet(addr))) = (&spec.probe, &target.addr) else {
            return Some((seat, Outcome::new(Kind::NoSocket).detail("nothing to probe")));
        };
        let begun_at = clock::instant();
        let socket = match connect(addr) {
            Ok(socket) => socket,
            Err(error) => return Some((seat, tcp::connect_failed(&error))),
        };
        let host = Aim::at(target, spec, None).host(http.host.as_ref());
        let request = http::request(http, &host, http.version == Version::V10, false);
        let slot = self.talks.vacant_entry();
        let key = slot.key();
        // Rounded up to slots: a time limit is no reason to wake for each probe.
        let slot_ms = LIMIT_SLOT_MS.min(spec.timeout_ms / 10).max(1);
        let until_ms = (clock::fresh_mono_ms() + spec.timeout_ms).next_multiple_of(slot_ms);
        let mut talk = Talk {
            socket,
            seat,
            spec: spec.clone(),
            begun_at,
            until_ms,
            request,
            sent: 0,
            read: BytesMut::new(),
            got: 0,
            _permit: permit,
        };
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registry = self.queue.get_ref().registry();
        if let Err(error) = registry.register(&mut talk.socket, Token(key), interest) {
            return Some((seat, Outcome::new(Kind::NoSocket).detail(error_text(&error))));
        }
        slot.insert(talk);
        self.limits.entry(until_ms).or_default().push(key);
        None
    }

    /// When the time of the next probe is over, if it is still under way then.
    pub(in crate::health) fn next_limit_ms(&mut self) -> Option<u64> {
        let is_under_way = |at_ms: u64, key: &usize| {
            self.talks.get(*key).is_some_and(|talk| talk.until_ms == at_ms)
        };
        while let Some(slot) = self.limits.first_entry() {
            let at_ms = *slot.key();
            if slot.get().iter().any(|key| is_under_way(at_ms, key)) {
                return Some(at_ms);
            }
            slot.remove();
        }
        None
    }

    /// Ends the probes whose time is over.
    pub(in crate::health) fn expire(&mut self, now_ms: u64, over: &mut Vec<Over>) {
        while let Some(slot) = self.limits.first_entry().filter(|slot| *slot.key() <= now_ms) {
            let (at_ms, keys) = slot.remove_entry();
            for key in keys {
                if self.talks.get(key).is_some_and(|talk| talk.until_ms == at_ms) {
                    let talk = self.talks.remove(key);
                    let kind = talk.late();
                    over.push(talk.end(Outcome::new(kind).detail("timeout")));
                }
            }
        }
    }

    /// Waits for probes to end.
    pub(in crate::health) async fn wait(&mut self, over: &mut Vec<Over>) {
        while over.is_empty() {
            let Ok(mut guard) = self.queue.readable_mut().await else {
                // The runtime goes down.
                return std::future::pending().await;
            };
            let polled = guard.get_inner_mut().poll(&mut self.events, Some(Duration::ZERO));
            let count = self.events.iter().count();
            if polled.is_err() || count < EVENTS {
                guard.clear_ready();
            }
            for event in &self.events {
                let Token(key) = event.token();
                let Some(talk) = self.talks.get_mut(key) else { continue };
                if let Some(outcome) = talk.advance(event, &mut self.buffer) {
                    over.push(self.talks.remove(key).end(outcome));
                }
            }
        }
    }
}

/// One of them.
struct Talk {
    socket: TcpStream,
    seat: SeatId,
    spec: Arc<CheckSpec>,
    begun_at: Instant,
    until_ms: u64,
    request: BString,
    sent: usize,
    /// What came without being a whole head yet.
    read: BytesMut,
    got: usize,
    _permit: OwnedSemaphorePermit,
}

impl Talk {
    /// What it is late with.
    fn late(&self) -> Kind {
        match (self.sent, self.request.len()) {
            (0, _) => Kind::ConnectTimeout,
            (sent, all) if sent < all => Kind::SendTimeout,
            _ => Kind::ReceiveTimeout,
        }
    }

    fn end(self, mut outcome: Outcome) -> Over {
        outcome.took = clock::instant() - self.begun_at;
        (self.seat, outcome)
    }

    fn advance(&mut self, event: &Event, buf: &mut [u8]) -> Option<Outcome> {
        if self.sent < self.request.len() {
            if event.is_write_closed()
                && self.sent == 0
                && let Ok(Some(error)) = self.socket.take_error()
            {
                return Some(tcp::connect_failed(&error));
            }
            match self.send() {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) => return Some(failed(Kind::SendFailed, &error)),
            }
        }
        if !event.is_readable() {
            return None;
        }
        match self.hear(buf) {
            Ok(outcome) => outcome,
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => Some(failed(Kind::ReceiveFailed, &error)),
        }
    }

    fn send(&mut self) -> io::Result<()> {
        while self.sent < self.request.len() {
            self.sent += self.socket.write(&self.request[self.sent..])?;
        }
        Ok(())
    }

    fn hear(&mut self, buf: &mut [u8]) -> io::Result<Option<Outcome>> {
        loop {
            let n = self.socket.read(buf)?;
            self.got += n;
            self.read.extend_from_slice(&buf[..n]);
            match answer::final_head(&mut self.read) {
                Ok(Some(head)) => {
                    let ProbeSpec::Http(HttpProbe { pass, .. }) = &self.spec.probe else {
                        return Ok(None);
                    };
                    let outcome = Outcome::new(kind_of(pass, head.status));
                    return Ok(Some(outcome.status(head.status.into())));
                }
                Ok(None) if n == 0 => return Ok(Some(answer::closed())),
                Ok(None) if self.got > HEADS_MAX_BYTES => return Ok(Some(answer::too_many())),
                Ok(None) => {}
                Err(outcome) => return Ok(Some(outcome)),
            }
        }
    }
}

fn failed(kind: Kind, error: &io::Error) -> Outcome {
    Outcome::new(kind).detail(error_text(error))
}

/// Begins to connect, over a socket whose end will be a reset.
fn connect(addr: &SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(*addr), Type::STREAM.nonblocking(), None)?;
    socket.set_linger(Some(Duration::ZERO))?;
    match socket.connect(&(*addr).into()) {
        Ok(()) => {}
        Err(e) if e.raw_os_error() == Some(tcp::EINPROGRESS) => {}
        Err(e) => return Err(e),
    }
    Ok(TcpStream::from_std(socket.into()))
}

/// How many events are taken at a time.
const EVENTS: usize = 256;
const BUFFER_BYTES: usize = 4096;
/// Time limits are kept in slots.
const LIMIT_SLOT_MS: u64 = 50;

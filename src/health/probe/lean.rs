//! Many short probes over plain sockets, at the price of their system calls.
//!
//! ```text
//!  begin ─▶ socket, connect [▶ send] ─▶ writable: send ─▶ readable: head ─▶ close with a reset
//!     one queue of events for all of them ─ is itself one descriptor of the runtime ─┘
//! ```
//!
//! A probe that wants no more than a status over HTTP/1 without TLS needs no task, no timer and no
//! registration with the runtime of its own. What it finds, and the words for it, are those of the
//! long way (`talk`): where anything else is asked for, the probe goes that way, and a peer that
//! refuses a version of HTTP is asked the second time there.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bstr::{BString, ByteVec};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use socket2::{Domain, Socket, Type};
use tokio::io::unix::AsyncFd;
use tokio::sync::OwnedSemaphorePermit;

use super::answer::{self, HEADS_MAX_BYTES};
use super::{Aim, error_text, http, talk, tcp};
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
    haste: Haste,
    /// What comes in is read here.
    buffer: Box<[u8]>,
}

/// A probe that is over.
pub(in crate::health) struct Over {
    pub(in crate::health) seat: SeatId,
    pub(in crate::health) outcome: Outcome,
    /// The peer is to be asked once more, in another version of HTTP.
    pub(in crate::health) again: bool,
}

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
            haste: Haste::default(),
            buffer: vec![0; BUFFER_BYTES].into(),
        })
    }

    /// True when a check's probes of a target can go this way.
    pub(in crate::health) fn suits(spec: &CheckSpec, target: &Target) -> bool {
        let ProbeSpec::Http(http) = &spec.probe else { return false };
        http.tls.is_none()
            && spec.keepalive.is_none()
            && http.version != Version::V2
            && !matches!(http.pass, Pass::Match(_))
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
        let over = |outcome| Some(Over { seat, outcome, again: false });
        let (ProbeSpec::Http(http), Some(Addr::Inet(addr))) = (&spec.probe, &target.addr) else {
            return over(Outcome::new(Kind::NoSocket).detail("nothing to probe"));
        };
        let begun_at = clock::instant();
        let socket = match connect(addr) {
            Ok(socket) => socket,
            Err(error) => return over(tcp::connect_failed(&error)),
        };
        let aim = Aim::at(target, spec, None);
        let host = aim.host_text(http.host.as_ref());
        let mut request = http::request(http, host, http.version == Version::V10, false);
        if spec.proxy_protocol {
            let ends = socket.local_addr().ok().zip(Some(*addr));
            request.insert_str(0, tcp::proxy_line(ends));
        }
        let slot = self.talks.vacant_entry();
        let key = slot.key();
        let mut talk = Talk {
            socket,
            seat,
            spec: spec.clone(),
            begun_at,
            limit_ms: 0,
            queued_ms: 0,
            request,
            sent: 0,
            read: Vec::new(),
            _permit: permit,
        };
        if self.haste.tries() {
            let sent = talk.send();
            self.haste.learn(sent.as_ref().err());
            match sent {
                Ok(()) => {}
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => {}
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                        return over(failed(Kind::SendFailed, &error));
                    }
                    _ => return over(tcp::connect_failed(&error)),
                },
            }
        }
        let interest = match talk.sent == talk.request.len() {
            true => Interest::READABLE,
            false => Interest::READABLE | Interest::WRITABLE,
        };
        let registry = self.queue.get_ref().registry();
        if let Err(error) = registry.register(&mut talk.socket, Token(key), interest) {
            return over(Outcome::new(Kind::NoSocket).detail(error_text(&error)));
        }
        talk.limit();
        talk.queued_ms = talk.limit_ms;
        self.limits.entry(talk.queued_ms).or_default().push(key);
        slot.insert(talk);
        None
    }

    /// When the time of the next probe is over, if it is still under way then.
    pub(in crate::health) fn next_limit_ms(&mut self) -> Option<u64> {
        loop {
            let slot = self.limits.first_entry()?;
            let at_ms = *slot.key();
            let is_late =
                |key: &usize| self.talks.get(*key).is_some_and(|talk| talk.limit_ms == at_ms);
            if slot.get().iter().any(is_late) {
                return Some(at_ms);
            }
            let keys = slot.remove();
            self.put_off(at_ms, keys);
        }
    }

    /// Ends the probes whose time is over.
    pub(in crate::health) fn expire(&mut self, now_ms: u64, over: &mut Vec<Over>) {
        while let Some(slot) = self.limits.first_entry().filter(|slot| *slot.key() <= now_ms) {
            let (at_ms, mut keys) = slot.remove_entry();
            keys.retain(|key| {
                let is_late = self.talks.get(*key).is_some_and(|talk| talk.limit_ms == at_ms);
                if is_late {
                    let talk = self.talks.remove(*key);
                    let kind = talk.late();
                    over.push(talk.end(Outcome::new(kind).detail("timeout")));
                }
                !is_late
            });
            self.put_off(at_ms, keys);
        }
    }

    /// Queues those again that have got more time since they were put there.
    fn put_off(&mut self, at_ms: u64, keys: Vec<usize>) {
        for key in keys {
            if let Some(talk) = self.talks.get_mut(key)
                && talk.queued_ms == at_ms
                && talk.limit_ms > at_ms
            {
                talk.queued_ms = talk.limit_ms;
                self.limits.entry(talk.limit_ms).or_default().push(key);
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

/// Whether to send without waiting for the word that the connection stands. On one host it stands
/// as soon as it was asked for: that spares an event a probe.
#[derive(Debug, Default)]
struct Haste {
    /// Probes to go before the next attempt.
    pause: u32,
}

impl Haste {
    fn tries(&mut self) -> bool {
        self.pause = self.pause.saturating_sub(1);
        self.pause == 0
    }

    fn learn(&mut self, error: Option<&io::Error>) {
        if error.is_some_and(|error| error.kind() == ErrorKind::WouldBlock) {
            self.pause = HASTE_PAUSE;
        }
    }
}

/// One of them.
struct Talk {
    socket: TcpStream,
    seat: SeatId,
    spec: Arc<CheckSpec>,
    begun_at: Instant,
    /// When its time is over, and when that is looked at next.
    limit_ms: u64,
    queued_ms: u64,
    request: BString,
    sent: usize,
    /// What came without being a whole head yet.
    read: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl Talk {
    /// Its time begins: that of the probe, or that of the next operation.
    fn limit(&mut self) {
        let time_ms = self.spec.timeout_ms;
        // Rounded up to slots: a time limit is no reason to wake for each probe.
        let slot_ms = LIMIT_SLOT_MS.min(time_ms / 10).max(1);
        self.limit_ms = (clock::fresh_mono_ms() + time_ms).next_multiple_of(slot_ms);
    }

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
        let again = match &self.spec.probe {
            ProbeSpec::Http(spec) => http::is_refused(spec, &outcome, false),
            _ => false,
        };
        Over { seat: self.seat, outcome, again }
    }

    fn advance(&mut self, event: &Event, buf: &mut [u8]) -> Option<Outcome> {
        if self.spec.timeout_scope == TimeoutScope::EachOperation {
            self.limit();
        }
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
            // Most answers come as a whole.
            let judged = match self.read.is_empty() {
                true => self.judge(&buf[..n]),
                false => {
                    self.read.extend_from_slice(&buf[..n]);
                    self.judge(&self.read)
                }
            };
            match judged {
                Ok(None) if n == 0 => return Ok(Some(answer::closed())),
                Ok(None) if self.read.is_empty() => self.read.extend_from_slice(&buf[..n]),
                Ok(None) => {}
                Ok(outcome) => return Ok(outcome),
                Err(outcome) => return Ok(Some(outcome)),
            }
        }
    }

    /// The verdict on what was read, once it is enough for one.
    fn judge(&self, read: &[u8]) -> Result<Option<Outcome>, Outcome> {
        let ProbeSpec::Http(HttpProbe { pass, .. }) = &self.spec.probe else { return Ok(None) };
        if !matches!(pass, Pass::Statuses(_)) {
            let line = answer::first_line(read, 0)?;
            return Ok(line.map(|line| talk::judge_line(pass, &line)));
        }
        match answer::final_status(read)? {
            Some(status) => Ok(Some(Outcome::new(kind_of(pass, status)).status(status.into()))),
            None if read.len() > HEADS_MAX_BYTES => Err(answer::too_many()),
            None => Ok(None),
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
/// After a peer that is not near.
const HASTE_PAUSE: u32 = 256;
/// Time limits are kept in slots.
const LIMIT_SLOT_MS: u64 = 50;

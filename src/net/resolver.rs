//! The `resolver` directive: names to addresses while requests run, never blocking a worker.
//!
//! ```text
//!  resolve(name) ─ cached? ─▶ addresses
//!        └ asked already? wait with the others ─ else ask: A and AAAA, server after server
//!                                                  UDP, over TCP when the answer is cut off
//! ```
//!
//! One [`Resolver`] per worker thread and directive; the cache lives as long as the configuration.

mod service;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::timeout;

pub use self::service::{Service, Target};
use super::dns::{Answer, Kind, question};
use crate::base::clock;
use crate::base::errno::Errno;
use crate::base::log::{Level, emit};

/// What the directive says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolverSpec {
    pub servers: Vec<SocketAddr>,
    /// `valid=`: overrides the time to live of answers.
    pub valid_s: Option<u64>,
    pub ipv4: bool,
    pub ipv6: bool,
}

/// Resolves names on one worker thread.
pub struct Resolver {
    spec: Arc<ResolverSpec>,
    known: RefCell<HashMap<String, Found>>,
    asking: RefCell<HashMap<String, Rc<Asking>>>,
    /// Where the next question goes; a server that stays silent is passed over.
    next_server: Cell<usize>,
    /// Turns the order of addresses, as nginx does to spread load.
    turn: Cell<usize>,
    random: RandomState,
    asked: Cell<u64>,
}

impl Resolver {
    /// The resolver of a directive on this thread.
    pub fn of(spec: &Arc<ResolverSpec>) -> Rc<Self> {
        RESOLVERS.with_borrow_mut(|all| {
            all.retain(|(known, _)| known.strong_count() > 0);
            let found = all.iter().find(|(known, _)| known.as_ptr() == Arc::as_ptr(spec));
            if let Some((_, resolver)) = found {
                return resolver.clone();
            }
            // The entry must not keep the configuration alive, so the resolver has its own copy.
            let resolver = Rc::new(Self::new(ResolverSpec::clone(spec)));
            all.push((Arc::downgrade(spec), resolver.clone()));
            resolver
        })
    }

    pub fn new(spec: ResolverSpec) -> Self {
        Self {
            spec: Arc::new(spec),
            known: RefCell::default(),
            asking: RefCell::default(),
            next_server: Cell::new(0),
            turn: Cell::new(0),
            random: RandomState::new(),
            asked: Cell::new(0),
        }
    }

    /// The addresses of a name, within `limit`. A literal address is its own answer.
    pub async fn resolve(
        self: &Rc<Self>,
        name: &str,
        limit: Duration,
    ) -> Result<Vec<IpAddr>, ResolveError> {
        self.find(name, limit).await.map(|found| self.turned(found.addrs))
    }

    /// The addresses of a name in the order of the answer, and until when they hold.
    pub async fn find(self: &Rc<Self>, name: &str, limit: Duration) -> Result<Found, ResolveError> {
        if let Ok(ip) = name.parse() {
            return Ok(Found { addrs: vec![ip], until_ms: u64::MAX });
        }
        let name = name.to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        if let Some(found) = self.cached(name) {
            return Ok(found);
        }
        let waiting = Waiting::new(self, name);
        match timeout(limit, waiting.asking.answer()).await {
            Ok(answer) => answer,
            Err(_) => Err(ResolveError::TimedOut),
        }
    }

    /// Until when an answer holds that says that there is nothing.
    pub fn nothing_until_ms(&self) -> u64 {
        self.until_ms(NOTHING_VALID_S)
    }

    fn until_ms(&self, ttl_s: u32) -> u64 {
        let valid_s = self.spec.valid_s.unwrap_or(ttl_s.into());
        clock::mono_ms().saturating_add(valid_s.saturating_mul(1000))
    }

    fn cached(&self, name: &str) -> Option<Found> {
        let known = self.known.borrow();
        known.get(name).filter(|k| clock::mono_ms() < k.until_ms).cloned()
    }

    fn turned(&self, mut addrs: Vec<IpAddr>) -> Vec<IpAddr> {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        if !addrs.is_empty() {
            let by = turn % addrs.len();
            addrs.rotate_left(by);
        }
        addrs
    }

    /// The question under way for this name; a new one if there is none.
    fn ask(self: &Rc<Self>, name: &str) -> Rc<Asking> {
        if let Some(asking) = self.asking.borrow().get(name) {
            return asking.clone();
        }
        let asking = Rc::new(Asking::default());
        self.asking.borrow_mut().insert(name.to_string(), asking.clone());
        let (this, name, shared) = (self.clone(), name.to_string(), asking.clone());
        // Goes on without the one who asked first: others may have joined.
        let task = tokio::task::spawn_local(async move {
            let answer = timeout(ASK_LIMIT, this.look_up(&name)).await;
            let answer = answer.unwrap_or(Err(ResolveError::TimedOut));
            this.asking.borrow_mut().remove(&name);
            shared.tell(this.remember(&name, answer));
        });
        *asking.task.borrow_mut() = Some(task.abort_handle());
        asking
    }

    fn remember(&self, name: &str, answer: Result<(Vec<IpAddr>, u32), ResolveError>) -> Verdict {
        let (addrs, ttl_s) = answer?;
        let found = Found { addrs, until_ms: self.until_ms(ttl_s) };
        let now = clock::mono_ms();
        if found.until_ms > now {
            let mut known = self.known.borrow_mut();
            if known.len() >= KNOWN_MAX {
                known.retain(|_, k| k.until_ms > now);
            }
            known.insert(name.to_string(), found.clone());
        }
        Ok(found)
    }

    /// Asks for a name and, as long as no address is found, for the names it is an alias of.
    async fn look_up(&self, name: &str) -> Result<(Vec<IpAddr>, u32), ResolveError> {
        let mut name = name.to_string();
        let mut ttl = u32::MAX;
        for _ in 0..ALIASES_MAX {
            let (v4, v6) = tokio::join!(
                self.one_family(self.spec.ipv4, &name, Kind::A),
                self.one_family(self.spec.ipv6, &name, Kind::Aaaa)
            );
            let mut addrs = Vec::new();
            let (mut alias, mut failed) = (None, ResolveError::NotFound);
            for answer in [v4, v6].into_iter().flatten() {
                match answer {
                    Ok(answer) => {
                        ttl = ttl.min(answer.ttl);
                        addrs.extend(answer.addrs);
                        alias = alias.or(answer.alias);
                    }
                    // A real failure says more than "no such name of this family".
                    Err(e) if failed == ResolveError::NotFound => failed = e,
                    Err(_) => {}
                }
            }
            if !addrs.is_empty() {
                return Ok((addrs, ttl));
            }
            name = alias.ok_or(failed)?;
        }
        Err(ResolveError::NotFound)
    }

    async fn one_family(
        &self,
        wanted: bool,
        name: &str,
        kind: Kind,
    ) -> Option<Result<Answer, ResolveError>> {
        if !wanted {
            return None;
        }
        Some(self.ask_servers(name, kind).await)
    }

    /// One question; an answer that tells of a failure is an error.
    async fn ask_servers(&self, name: &str, kind: Kind) -> Result<Answer, ResolveError> {
        match self.exchange(name, kind).await {
            Ok(answer) if answer.rcode != 0 => Err(ResolveError::from_rcode(answer.rcode)),
            other => other,
        }
    }

    /// One question, sent again to the next server as long as nobody answers.
    async fn exchange(&self, name: &str, kind: Kind) -> Result<Answer, ResolveError> {
        let id = self.random_id();
        let asked = question(id, name, kind).ok_or(ResolveError::Format)?;
        let count = self.spec.servers.len();
        loop {
            let server = self.spec.servers[self.next_server.get() % count];
            let tried = clock::instant();
            match timeout(RESEND, over_udp(server, &asked, kind)).await {
                Ok(Ok(answer)) if answer.truncated => {
                    if let Ok(Ok(whole)) = timeout(RESEND, over_tcp(server, &asked, kind)).await {
                        return Ok(whole);
                    }
                }
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(trouble)) => trouble.log(server),
                Err(_) => {}
            }
            self.next_server.set(self.next_server.get().wrapping_add(1));
            // A server that refuses at once must not be asked in a tight loop.
            if count == 1 || self.next_server.get().is_multiple_of(count) {
                let spent = clock::instant().duration_since(tried);
                tokio::time::sleep(RESEND.saturating_sub(spent)).await;
            }
        }
    }

    fn random_id(&self) -> u16 {
        let mut hasher = self.random.build_hasher();
        self.asked.set(self.asked.get() + 1);
        hasher.write_u64(self.asked.get());
        hasher.finish() as u16
    }
}

/// Why a name has no address; numbers and words are nginx's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    #[error("1: Format error")]
    Format,
    #[error("2: Server failure")]
    Server,
    #[error("3: Host not found")]
    NotFound,
    #[error("4: Unimplemented")]
    Unimplemented,
    #[error("5: Operation refused")]
    Refused,
    #[error("110: Operation timed out")]
    TimedOut,
    #[error("{0}: Unknown error")]
    Unknown(u8),
}

impl ResolveError {
    fn from_rcode(rcode: u8) -> Self {
        match rcode {
            1 => Self::Format,
            2 => Self::Server,
            3 => Self::NotFound,
            4 => Self::Unimplemented,
            5 => Self::Refused,
            other => Self::Unknown(other),
        }
    }

    /// `x could not be resolved (3: Host not found)`
    pub fn about(self, name: &str) -> String {
        format!("{name} could not be resolved ({self})")
    }
}

/// The addresses of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub addrs: Vec<IpAddr>,
    /// By the monotonic clock.
    pub until_ms: u64,
}

type Verdict = Result<Found, ResolveError>;

/// A question under way and those who wait for it.
#[derive(Default)]
struct Asking {
    verdict: RefCell<Option<Verdict>>,
    told: Notify,
    waiting: Cell<usize>,
    task: RefCell<Option<AbortHandle>>,
}

/// One who waits for an answer. With the last of them the question is dropped: who comes later asks
/// anew, and hears what is wrong.
struct Waiting<'a> {
    resolver: &'a Rc<Resolver>,
    name: &'a str,
    asking: Rc<Asking>,
}

impl<'a> Waiting<'a> {
    fn new(resolver: &'a Rc<Resolver>, name: &'a str) -> Self {
        let asking = resolver.ask(name);
        asking.waiting.set(asking.waiting.get() + 1);
        Self { resolver, name, asking }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let left = self.asking.waiting.get() - 1;
        self.asking.waiting.set(left);
        if left > 0 || self.asking.verdict.borrow().is_some() {
            return;
        }
        self.resolver.asking.borrow_mut().remove(self.name);
        if let Some(task) = self.asking.task.take() {
            task.abort();
        }
    }
}

impl Asking {
    fn tell(&self, verdict: Verdict) {
        *self.verdict.borrow_mut() = Some(verdict);
        self.told.notify_waiters();
    }

    async fn answer(&self) -> Verdict {
        loop {
            let told = self.told.notified();
            if let Some(verdict) = &*self.verdict.borrow() {
                return verdict.clone();
            }
            told.await;
        }
    }
}

/// A question that did not get through.
struct Trouble {
    call: &'static str,
    error: io::Error,
}

impl Trouble {
    fn of(call: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self { call, error }
    }

    /// What is usual between machines is an error, all else is worse.
    fn log(&self, server: SocketAddr) {
        use io::ErrorKind::{
            ConnectionRefused, ConnectionReset, HostUnreachable, NetworkDown, NetworkUnreachable,
        };
        let level = match self.error.kind() {
            ConnectionRefused | ConnectionReset | HostUnreachable | NetworkDown
            | NetworkUnreachable => Level::Error,
            _ => Level::Alert,
        };
        let (call, errno) = (self.call, Errno(&self.error));
        emit(level, format_args!("{call}() failed {errno} while resolving, resolver: {server}"));
    }
}

async fn over_udp(server: SocketAddr, asked: &[u8], kind: Kind) -> Result<Answer, Trouble> {
    // A socket a question: its port is as hard to guess as its number.
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await.map_err(Trouble::of("bind"))?;
    socket.connect(server).await.map_err(Trouble::of("connect"))?;
    socket.send(asked).await.map_err(Trouble::of("send"))?;
    let mut buf = vec![0; DATAGRAM_MAX_BYTES];
    loop {
        let count = socket.recv(&mut buf).await.map_err(Trouble::of("recv"))?;
        if let Some(answer) = Answer::parse(&buf[..count], asked, kind) {
            return Ok(answer);
        }
    }
}

async fn over_tcp(server: SocketAddr, asked: &[u8], kind: Kind) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(server).await?;
    let mut framed = (asked.len() as u16).to_be_bytes().to_vec();
    framed.extend_from_slice(asked);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await?;
    Answer::parse(&bytes, asked, kind).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

thread_local! {
    static RESOLVERS: RefCell<Vec<(Weak<ResolverSpec>, Rc<Resolver>)>> = RefCell::default();
}

/// nginx sends a question again after five seconds.
const RESEND: Duration = Duration::from_secs(5);
/// Nobody waits longer than the default `resolver_timeout`.
const ASK_LIMIT: Duration = Duration::from_secs(30);
const ALIASES_MAX: usize = 50;
/// As in nginx, when `valid=` does not say.
const NOTHING_VALID_S: u32 = 10;
const KNOWN_MAX: usize = 10_000;
const DATAGRAM_MAX_BYTES: usize = 4096;

#[cfg(test)]
mod tests;

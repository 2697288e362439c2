//! Connections to upstreams: dialed, or taken from those a group keeps.
//!
//! ```text
//!  take(group, key) ─▶ idle and quiet? ─▶ Link      else dial ─▶ Link
//!  after a complete response ─▶ keep(group, link) ─▶ idle until used, expired or closed
//! ```

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt, io,
    os::fd::AsRawFd,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;

use crate::{
    base::clock,
    http::deadline::Deadline,
    net::{addr::Addr, stream::Stream},
    upstream::{Group, Idle, KeepaliveConf},
};

/// What a connection was opened for: it is kept for the same only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub addr: Addr,
    /// The name shown in the TLS handshake, where a script chose the peer; nginx's own groups do
    /// not tell names apart.
    pub name: Option<Bytes>,
    /// The address of ours a script asked for.
    pub local: Option<Addr>,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = bstr::BStr::new(self.name.as_deref().unwrap_or_default());
        write!(f, "host: {}, name: {name}", self.addr)
    }
}

/// A connection to a peer.
pub struct Link {
    pub stream: Stream,
    pub key: Key,
    /// Requests it has served, the present one included.
    pub requests: u64,
    opened_ms: u64,
    /// It served a request before this one.
    pub reused: bool,
    /// Bytes of the present request.
    pub sent: u64,
    /// Of the step under way. It moves with each, its timer seldom does.
    pub deadline: Deadline,
    /// What HTTP/2 needs to know of the connection.
    pub peer: Option<Box<super::h2::peer::Peer>>,
}

impl Link {
    pub fn new(stream: Stream, key: Key) -> Self {
        let opened_ms = clock::mono_ms();
        Self {
            stream,
            key,
            requests: 1,
            opened_ms,
            reused: false,
            sent: 0,
            deadline: Deadline::default(),
            peer: None,
        }
    }

    /// Takes an idle connection of the group.
    pub fn take(group: &Arc<Group>, key: &Key, tls: bool, http2: bool) -> Option<Self> {
        POOLS.with_borrow_mut(|pools| {
            let idle = &mut pools.get_mut(&place(group))?.idle;
            while let Some(mut link) = idle.take(key, clock::mono_ms()) {
                let fits = link.stream.is_tls() == tls && link.peer.is_some() == http2;
                if fits && link.is_quiet() {
                    link.requests += 1;
                    link.reused = true;
                    link.sent = 0;
                    return Some(link);
                }
            }
            None
        })
    }

    /// Keeps the connection for later requests, if the limits allow it; gives back the oldest kept
    /// one when there are too many.
    pub fn keep(self, group: &Arc<Group>, conf: &KeepaliveConf) -> Kept {
        let now_ms = clock::mono_ms();
        if !conf.keeps(self.requests, now_ms.saturating_sub(self.opened_ms)) || !self.is_quiet() {
            return Kept::No;
        }
        POOLS.with_borrow_mut(|pools| {
            let pool = pools.entry(place(group)).or_insert_with(|| {
                tokio::task::spawn_local(sweep(place(group)));
                Pool { _group: group.clone(), idle: Idle::default() }
            });
            let key = self.key.clone();
            match pool.idle.put(conf, key, self, now_ms).1 {
                None => Kept::Yes,
                Some(oldest) => Kept::Instead(oldest.number()),
            }
        })
    }

    /// Tells the connection from others in debug lines.
    pub fn number(&self) -> i32 {
        self.stream.socket().as_raw_fd()
    }

    /// True while the peer has neither closed nor sent anything: what it says unasked is no answer.
    fn is_quiet(&self) -> bool {
        if let Stream::Plain(_) = &self.stream {
            // Asks the kernel only when an event said that there is something.
            let unasked = self.stream.try_read(&mut [0]);
            return unasked.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock);
        }
        let mut cx = Context::from_waker(Waker::noop());
        match self.stream.socket().poll_read_ready(&mut cx) {
            Poll::Pending => true,
            Poll::Ready(Err(_)) => false,
            // Session tickets may come at any time.
            Poll::Ready(Ok(())) => !self.stream.peer_closed(),
        }
    }
}

/// Whether a connection was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    Yes,
    /// In place of the oldest one, which was closed.
    Instead(i32),
    No,
}

/// The idle connections of one group on this thread.
struct Pool {
    /// Keeps the address that is the pool's key from being used again.
    _group: Arc<Group>,
    idle: Idle<Key, Link>,
}

/// Closes what the peers have closed or what has been idle for too long, until the pool is empty.
async fn sweep(place: usize) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        clock::update();
        let empty = POOLS.with_borrow_mut(|pools| {
            let Some(pool) = pools.get_mut(&place) else { return true };
            pool.idle.expire(clock::mono_ms());
            pool.idle.retain(Link::is_quiet);
            let empty = pool.idle.is_empty();
            if empty {
                pools.remove(&place);
            }
            empty
        });
        if empty {
            return;
        }
    }
}

fn place(group: &Arc<Group>) -> usize {
    Arc::as_ptr(group).addr()
}

thread_local! {
    static POOLS: RefCell<BTreeMap<usize, Pool>> = RefCell::default();
}

const SWEEP_EVERY: Duration = Duration::from_secs(1);

//! Connections to upstreams: dialed, or taken from those a group keeps.
//!
//! ```text
//!  take(group, addr) ─▶ idle and quiet? ─▶ Link      else dial ─▶ Link
//!  after a complete response ─▶ keep(group, link) ─▶ idle until used, expired or closed
//! ```

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use crate::{
    base::clock,
    http::deadline::Deadline,
    net::{addr::Addr, stream::Stream},
    upstream::{Group, Idle, KeepaliveConf},
};

/// A connection to a peer.
pub struct Link {
    pub stream: Stream,
    pub addr: Addr,
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
    pub fn new(stream: Stream, addr: Addr) -> Self {
        let opened_ms = clock::mono_ms();
        Self {
            stream,
            addr,
            requests: 1,
            opened_ms,
            reused: false,
            sent: 0,
            deadline: Deadline::default(),
            peer: None,
        }
    }

    /// Takes an idle connection of the group to `addr`.
    pub fn take(group: &Arc<Group>, addr: &Addr, tls: bool, http2: bool) -> Option<Self> {
        POOLS.with_borrow_mut(|pools| {
            let idle = &mut pools.get_mut(&key(group))?.idle;
            while let Some(mut link) = idle.take(addr, clock::mono_ms()) {
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

    /// Keeps the connection for later requests, if the limits allow it.
    pub fn keep(self, group: &Arc<Group>, conf: &KeepaliveConf) {
        let now_ms = clock::mono_ms();
        if !conf.keeps(self.requests, now_ms.saturating_sub(self.opened_ms)) || !self.is_quiet() {
            return;
        }
        POOLS.with_borrow_mut(|pools| {
            let pool = pools.entry(key(group)).or_insert_with(|| {
                tokio::task::spawn_local(sweep(key(group)));
                Pool { _group: group.clone(), idle: Idle::default() }
            });
            let addr = self.addr.clone();
            pool.idle.put(conf, &addr, self, now_ms);
        });
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

/// The idle connections of one group on this thread.
struct Pool {
    /// Keeps the address that is the pool's key from being used again.
    _group: Arc<Group>,
    idle: Idle<Link>,
}

/// Closes what the peers have closed or what has been idle for too long, until the pool is empty.
async fn sweep(key: usize) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        clock::update();
        let empty = POOLS.with_borrow_mut(|pools| {
            let Some(pool) = pools.get_mut(&key) else { return true };
            pool.idle.expire(clock::mono_ms());
            pool.idle.retain(Link::is_quiet);
            let empty = pool.idle.is_empty();
            if empty {
                pools.remove(&key);
            }
            empty
        });
        if empty {
            return;
        }
    }
}

fn key(group: &Arc<Group>) -> usize {
    Arc::as_ptr(group).addr()
}

thread_local! {
    static POOLS: RefCell<BTreeMap<usize, Pool>> = RefCell::default();
}

const SWEEP_EVERY: Duration = Duration::from_secs(1);

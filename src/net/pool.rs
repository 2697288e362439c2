//! Idle connections of one worker thread, by key: cosocket pools and the like.
//!
//! ```text
//!  done ──put(key, size, idle time)──▶ [newest … oldest] ──take(key)──▶ next user
//!                                           └▶ closed by the peer, idle too long ─▶ gone
//! ```

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::task::{AbortHandle, spawn_local};

use super::stream::Stream;

/// A connection on its way into or out of a pool.
#[derive(Debug)]
pub struct Pooled<T> {
    pub stream: Stream,
    /// How often it has come out of a pool: `getreusedtimes`.
    pub reused: u64,
    /// What belongs to the connection: bytes read ahead, the TLS name.
    pub extra: T,
}

/// Pools of idle connections.
pub struct Pools<T> {
    pools: RefCell<HashMap<Vec<u8>, VecDeque<Idle<T>>>>,
    next_id: Cell<u64>,
}

impl<T> Default for Pools<T> {
    fn default() -> Self {
        Self { pools: RefCell::default(), next_id: Cell::new(0) }
    }
}

impl<T: 'static> Pools<T> {
    /// Keeps a connection; the longest idle one goes when there are more than `size`.
    /// `idle_limit` of zero keeps it until the peer closes it.
    pub fn put(self: &Rc<Self>, key: &[u8], conn: Pooled<T>, size: usize, idle_limit: Duration) {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        let conn = Rc::new(RefCell::new(Some(conn)));
        let watch = self.watch(key, id, conn.clone(), idle_limit);
        let mut pools = self.pools.borrow_mut();
        let pool = pools.entry(key.to_vec()).or_default();
        pool.push_front(Idle { id, conn, watch });
        pool.truncate(size.max(1));
    }

    /// The connection that became idle last. One the peer has closed meanwhile is not handed out.
    pub fn take(&self, key: &[u8]) -> Option<Pooled<T>> {
        let mut pools = self.pools.borrow_mut();
        let pool = pools.get_mut(key)?;
        let mut alive = std::iter::from_fn(|| pool.pop_front())
            .filter_map(|idle| idle.conn.take())
            .filter(|conn| !conn.stream.peer_closed());
        let found = alive.next();
        if pool.is_empty() {
            pools.remove(key);
        }
        found.map(|conn| Pooled { reused: conn.reused + 1, ..conn })
    }

    /// How many connections are idle under this key.
    pub fn count(&self, key: &[u8]) -> usize {
        self.pools.borrow().get(key).map_or(0, VecDeque::len)
    }

    /// Closes everything, as a worker does when it shuts down.
    pub fn clear(&self) {
        self.pools.borrow_mut().clear();
    }

    fn watch(
        self: &Rc<Self>,
        key: &[u8],
        id: u64,
        conn: Slot<T>,
        idle_limit: Duration,
    ) -> AbortHandle {
        let (this, key) = (Rc::downgrade(self), key.to_vec());
        // A byte nobody asked for makes the connection as useless as its end does.
        let over = std::future::poll_fn(move |cx| match &*conn.borrow() {
            Some(conn) => conn.stream.socket().poll_peek(cx).map(drop),
            None => Poll::Ready(()),
        });
        let watched = async move {
            match idle_limit.is_zero() {
                true => over.await,
                // Either way it is over: the connection goes.
                false => drop(tokio::time::timeout(idle_limit, over).await),
            }
            if let Some(pools) = this.upgrade() {
                pools.remove(&key, id);
            }
        };
        spawn_local(watched).abort_handle()
    }

    fn remove(&self, key: &[u8], id: u64) {
        let mut pools = self.pools.borrow_mut();
        let Some(pool) = pools.get_mut(key) else { return };
        pool.retain(|idle| idle.id != id);
        if pool.is_empty() {
            pools.remove(key);
        }
    }
}

/// Shared by the pool and the one who watches; empty once the connection was taken.
type Slot<T> = Rc<RefCell<Option<Pooled<T>>>>;

struct Idle<T> {
    id: u64,
    conn: Slot<T>,
    watch: AbortHandle,
}

impl<T> Drop for Idle<T> {
    fn drop(&mut self) {
        self.watch.abort();
        // The task is freed later; the connection must not wait for that.
        self.conn.take();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixStream;
    use tokio::task::LocalSet;

    use super::*;

    fn pooled() -> (Pooled<u32>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Pooled { stream: ours.into(), reused: 0, extra: 1 }, theirs)
    }

    async fn settle() {
        for _ in 0..5 {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    #[tokio::test]
    async fn newest_first_and_no_more_than_asked_for() {
        let local = LocalSet::new();
        let test = async {
            let pools = Rc::new(Pools::default());
            let (mut a, _a) = pooled();
            a.extra = 7;
            let ((b, _b), (c, _c)) = (pooled(), pooled());
            pools.put(b"k", a, 2, Duration::ZERO);
            pools.put(b"k", b, 2, Duration::ZERO);
            pools.put(b"k", c, 2, Duration::ZERO);
            assert_eq!(pools.count(b"k"), 2);
            let first = pools.take(b"k").unwrap();
            assert_eq!((first.extra, first.reused), (1, 1));
            assert!(pools.take(b"k").is_some() && pools.take(b"k").is_none());
            assert!(pools.take(b"other").is_none());
        };
        local.run_until(test).await;
    }

    #[tokio::test]
    async fn closed_late_and_talkative_ones_go() {
        let local = LocalSet::new();
        let test = async {
            let pools = Rc::new(Pools::default());
            let ((a, a_end), (b, mut b_end), (c, _c)) = (pooled(), pooled(), pooled());
            pools.put(b"k", a, 9, Duration::ZERO);
            pools.put(b"k", b, 9, Duration::ZERO);
            pools.put(b"k", c, 9, Duration::from_millis(1));
            drop(a_end);
            b_end.write_all(b"x").await.unwrap();
            settle().await;
            assert_eq!(pools.count(b"k"), 0);
        };
        local.run_until(test).await;
    }
}

//! Idle connections of one group in one worker: the `keepalive` directive.
//!
//! ```text
//!   request done ──put──▶ [newest … oldest] ──take(key)──▶ next request of its kind
//!                             └──▶ evicted when more than `keepalive N`, expired by timeout
//! ```
//!
//! Generic over the connection and over what it is good for: whoever puts it in watches it and
//! calls [`Idle::remove`] when the peer closes it.

use std::collections::VecDeque;

/// The `keepalive*` directives of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeepaliveConf {
    /// `keepalive N`: idle connections of one worker, for all peers together.
    pub max_idle: usize,
    /// `keepalive_requests`.
    pub max_requests: u64,
    /// `keepalive_time`: a connection older than this is not kept.
    pub max_age_ms: u64,
    /// `keepalive_timeout`: how long a connection stays idle.
    pub idle_timeout_ms: u64,
}

impl KeepaliveConf {
    /// The limits nginx has when only `keepalive N` is given.
    pub fn with_max_idle(max_idle: usize) -> Self {
        Self { max_idle, max_requests: 1000, max_age_ms: 3_600_000, idle_timeout_ms: 60_000 }
    }

    /// True when a connection that served `requests` and is `age_ms` old may be kept.
    pub fn keeps(&self, requests: u64, age_ms: u64) -> bool {
        requests < self.max_requests && age_ms <= self.max_age_ms
    }
}

/// The idle connections, newest first.
pub struct Idle<K, T> {
    items: VecDeque<Item<K, T>>,
    next_id: u64,
}

impl<K: PartialEq, T> Idle<K, T> {
    /// Keeps `conn`; gives back the oldest connection when there are too many.
    /// The number names the connection for [`Idle::remove`].
    pub fn put(&mut self, conf: &KeepaliveConf, key: K, conn: T, now_ms: u64) -> (u64, Option<T>) {
        self.next_id += 1;
        let id = self.next_id;
        let expires_at_ms = now_ms + conf.idle_timeout_ms;
        self.items.push_front(Item { id, key, expires_at_ms, conn });
        let evicted = if self.items.len() > conf.max_idle { self.items.pop_back() } else { None };
        (id, evicted.map(|i| i.conn))
    }

    /// Takes the newest idle connection for `key`.
    pub fn take(&mut self, key: &K, now_ms: u64) -> Option<T> {
        let fits = |i: &Item<K, T>| i.expires_at_ms > now_ms && i.key == *key;
        let at = self.items.iter().position(fits)?;
        self.items.remove(at).map(|i| i.conn)
    }

    /// Takes a connection out because its peer closed it or its time is over.
    pub fn remove(&mut self, id: u64) -> Option<T> {
        let at = self.items.iter().position(|i| i.id == id)?;
        self.items.remove(at).map(|i| i.conn)
    }

    /// Drops what has been idle for too long; returns when to look again.
    pub fn expire(&mut self, now_ms: u64) -> Option<u64> {
        self.items.retain(|i| i.expires_at_ms > now_ms);
        self.items.iter().map(|i| i.expires_at_ms).min()
    }

    /// Drops the connections `keep` says no to.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.items.retain(|i| keep(&i.conn));
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

impl<K, T> Default for Idle<K, T> {
    fn default() -> Self {
        Self { items: VecDeque::new(), next_id: 0 }
    }
}

struct Item<K, T> {
    id: u64,
    key: K,
    expires_at_ms: u64,
    conn: T,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_of_its_kind_comes_first_and_the_oldest_goes() {
        let conf = KeepaliveConf::with_max_idle(2);
        let mut idle = Idle::default();
        assert_eq!(idle.put(&conf, 0, "a1", 0).1, None);
        assert_eq!(idle.put(&conf, 0, "a2", 1).1, None);
        assert_eq!(idle.put(&conf, 1, "b1", 2).1, Some("a1"));
        assert_eq!(idle.take(&0, 3), Some("a2"));
        assert_eq!(idle.take(&0, 3), None);
        assert_eq!(idle.len(), 1);
    }

    #[test]
    fn idle_time_ends() {
        let conf = KeepaliveConf { idle_timeout_ms: 10, ..KeepaliveConf::with_max_idle(2) };
        let mut idle = Idle::default();
        let (id, _) = idle.put(&conf, 0, 1, 0);
        assert_eq!(idle.expire(5), Some(10));
        assert_eq!(idle.take(&0, 10), None);
        assert_eq!(idle.expire(10), None);
        assert_eq!(idle.remove(id), None);
    }

    #[test]
    fn limits() {
        let conf = KeepaliveConf::with_max_idle(1);
        assert!(conf.keeps(999, 3_600_000) && !conf.keeps(1000, 0) && !conf.keeps(1, 3_600_001));
    }
}

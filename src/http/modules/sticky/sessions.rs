//! `sticky learn`: which peer serves a session, for all workers and over reloads.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

use bstr::{BStr, BString};
use bytes::Bytes;

/// The sessions of a zone.
pub(super) struct Sessions {
    most: usize,
    by_name: Mutex<HashMap<Bytes, Session>>,
    timeout_ms: u64,
}

struct Session {
    sid: BString,
    used_ms: u64,
}

impl Sessions {
    /// Those of a zone; the same as before a reload when its size and time are.
    pub(super) fn of_zone(name: &BStr, bytes: usize, timeout_ms: u64) -> Arc<Self> {
        let most = bytes / SESSION_BYTES;
        let mut zones = ZONES.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |old: &&Arc<Self>| old.most == most && old.timeout_ms == timeout_ms;
        if let Some(known) = zones.get(name).filter(same) {
            return known.clone();
        }
        let new = Arc::new(Self { most, by_name: Mutex::default(), timeout_ms });
        zones.insert(name.to_owned(), new.clone());
        new
    }

    pub(super) fn find(&self, name: &Bytes, now_ms: u64) -> Option<BString> {
        let known = self.by_name();
        let session = known.get(name).filter(|session| self.lives(session, now_ms))?;
        Some(session.sid.clone())
    }

    /// Notes who serves a session; one that is not known only when it may be created.
    pub(super) fn keep(&self, name: &Bytes, sid: &[u8], now_ms: u64, create: bool) {
        let mut known = self.by_name();
        let is_known = known.get(name).is_some_and(|session| self.lives(session, now_ms));
        if !is_known && !create {
            return;
        }
        if !is_known && known.len() >= self.most {
            known.retain(|_, session| self.lives(session, now_ms));
            let oldest = known.iter().min_by_key(|(_, session)| session.used_ms);
            if let (true, Some((name, _))) = (known.len() >= self.most, oldest) {
                let name = name.clone();
                known.remove(&name);
            }
        }
        // The name is a piece of a request's buffer, which must not live as long as the session.
        let own = Bytes::copy_from_slice(name);
        known.insert(own, Session { sid: sid.into(), used_ms: now_ms });
    }

    fn lives(&self, session: &Session, now_ms: u64) -> bool {
        now_ms.saturating_sub(session.used_ms) < self.timeout_ms
    }

    fn by_name(&self) -> MutexGuard<'_, HashMap<Bytes, Session>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

static ZONES: LazyLock<Mutex<HashMap<BString, Arc<Sessions>>>> = LazyLock::new(Mutex::default);

/// What nginx's sessions take: some 8000 to a megabyte.
const SESSION_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_end_and_the_oldest_makes_room() {
        let sessions = Sessions { most: 2, by_name: Mutex::default(), timeout_ms: 100 };
        let (a, b, c) = (Bytes::from("a"), Bytes::from("b"), Bytes::from("c"));
        sessions.keep(&a, b"1", 0, false);
        assert_eq!(sessions.find(&a, 0), None, "only created ones are kept");
        sessions.keep(&a, b"1", 0, true);
        sessions.keep(&b, b"2", 10, true);
        sessions.keep(&c, b"3", 20, true);
        assert_eq!(sessions.find(&a, 20), None);
        assert_eq!(sessions.find(&b, 20), Some("2".into()));
        sessions.keep(&b, b"3", 50, false);
        assert_eq!(sessions.find(&b, 149), Some("3".into()));
        assert_eq!(sessions.find(&b, 150), None);
    }
}

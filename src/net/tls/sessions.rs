//! Sessions in the hands of scripts: on the server's side of one handshake, and on the client's.
//!
//! ```text
//!  ssl_session_fetch_by_lua ─▶ Sessions.fetched ─▶ get
//!                                                  put ─▶ Sessions.made ─▶ store
//!  sock:sslhandshake(session) ─▶ ClientSession ◀─▶ the library ─▶ sock:getsslsession()
//! ```

use std::mem;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use rustls::server::StoresServerSessions;

/// The sessions of one handshake of a server.
#[derive(Debug, Default)]
pub struct Sessions {
    fetched: Mutex<Option<Vec<u8>>>,
    made: Mutex<Vec<(Vec<u8>, Vec<u8>)>>,
    /// What the configuration says would have been asked.
    behind: OnceLock<Arc<dyn StoresServerSessions>>,
}

impl Sessions {
    /// Offers a session a script has found.
    pub fn offer(&self, session: Vec<u8>) {
        *lock(&self.fetched) = Some(session);
    }

    /// The sessions made by now: their names and contents.
    pub fn take_made(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        mem::take(&mut lock(&self.made))
    }

    pub(super) fn stand_before(&self, behind: &Arc<dyn StoresServerSessions>) {
        let _ = self.behind.set(behind.clone());
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        if let Some(behind) = self.behind.get() {
            behind.put(key.clone(), value.clone());
        }
        lock(&self.made).push((key, value));
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let fetched = lock(&self.fetched).clone();
        fetched.or_else(|| self.behind.get()?.get(key))
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let fetched = lock(&self.fetched).take();
        fetched.or_else(|| self.behind.get()?.take(key))
    }

    fn can_cache(&self) -> bool {
        true
    }
}

/// The session of a connection as a client, and of those that went on with it.
#[derive(Debug, Default)]
pub struct ClientSession(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    group: Option<NamedGroup>,
    tls12: Option<Tls12ClientSessionValue>,
    /// Each may be used once; every connection brings new ones.
    tls13: Vec<Tls13ClientSessionValue>,
}

impl ClientSessionStore for ClientSession {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        lock(&self.0).group = Some(group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        lock(&self.0).group
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        lock(&self.0).tls12 = Some(value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        lock(&self.0).tls12.clone()
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        lock(&self.0).tls12 = None;
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        let tickets = &mut lock(&self.0).tls13;
        tickets.truncate(TICKETS_MAX - 1);
        tickets.insert(0, value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let tickets = &mut lock(&self.0).tls13;
        (!tickets.is_empty()).then(|| tickets.remove(0))
    }
}

/// Nobody panics while holding one of these; what is inside stays good in any case.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const TICKETS_MAX: usize = 8;

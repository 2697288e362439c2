//! All groups of a configuration in order of first mention, and the ones that are live.
//!
//! ```text
//!   load:    upstream foo {}  proxy_pass http://foo  ──▶ Groups (of the new configuration)
//!   start:   go_live(generation) ── same names adopt peer states ──▶ live()
//! ```

use std::cell::RefCell;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bstr::{BStr, BString, ByteSlice};

use super::group::{Group, Realm};
use crate::conf::Place;
use crate::net::addr::Addr;

/// The groups of one configuration.
#[derive(Clone, Default)]
pub struct Groups {
    list: Vec<Entry>,
}

impl Groups {
    /// The groups of http, in order of first mention.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.of(Realm::Http)
    }

    /// The groups of one realm.
    pub fn of(&self, realm: Realm) -> impl Iterator<Item = &Arc<Group>> {
        self.all().filter(move |group| group.realm() == realm)
    }

    /// All groups.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.list.iter().map(|e| &e.group)
    }

    /// The `upstream {}` blocks, and where they stand.
    pub fn explicit_ones(&self) -> impl Iterator<Item = (&Arc<Group>, Option<Place>)> {
        self.list.iter().filter(|e| e.explicit).map(|e| (&e.group, e.place))
    }

    /// Finds a group as `ngx.upstream` does: by its whole name, else by host and port.
    pub fn find(&self, name: &BStr) -> Option<&Arc<Group>> {
        if let Some(group) = self.iter().find(|g| g.host() == name) {
            return Some(group);
        }
        let at = name.find_byte(b':')?;
        let port: u16 = name[at + 1..].to_str().ok()?.parse().ok().filter(|p| *p > 0)?;
        let host: &BStr = name[..at].into();
        self.iter().find(|g| g.port() == port && g.host() == host)
    }

    /// Finds the `upstream {}` of this name; names compare without case.
    pub fn explicit(&self, host: &BStr) -> Option<&Arc<Group>> {
        self.explicit_in(Realm::Http, host)
    }

    /// The same in one realm.
    pub fn explicit_in(&self, realm: Realm, host: &BStr) -> Option<&Arc<Group>> {
        let found = |e: &&Entry| e.explicit && e.is(realm, host);
        self.list.iter().find(found).map(|e| &e.group)
    }

    /// Adds an `upstream {}` block, or completes the group an earlier `proxy_pass` named.
    pub fn declare(
        &mut self,
        realm: Realm,
        host: &BStr,
        place: Option<Place>,
    ) -> Result<Arc<Group>, GroupError> {
        for e in &mut self.list {
            if !e.is(realm, host) {
                continue;
            }
            if e.explicit {
                return Err(GroupError::Duplicate(host.to_owned()));
            }
            e.explicit = true;
            if !e.no_port {
                let (name, port) = (host.to_owned(), e.group.port());
                return Err(GroupError::DeclaredPort(name, port, e.place));
            }
            // The earlier mention filled in its scheme's default port; a block has none.
            e.group.drop_port();
            e.place = place;
            return Ok(e.group.clone());
        }
        let group = Arc::new(Group::in_realm(realm, host, 0));
        let entry =
            Entry { group: group.clone(), explicit: true, no_port: true, addr: None, place };
        self.list.push(entry);
        Ok(group)
    }

    /// The group of an address that `proxy_pass` names; made when it is new.
    pub fn mention(&mut self, host: &BStr, named: Mention) -> Result<Arc<Group>, GroupError> {
        for e in &self.list {
            if !e.is(named.realm, host) {
                continue;
            }
            if e.explicit && !named.no_port {
                return Err(GroupError::Port(host.to_owned(), named.port));
            }
            if e.group.port() != 0 && named.port != 0 && e.group.port() != named.port {
                continue;
            }
            return Ok(e.group.clone());
        }
        let group = Arc::new(Group::in_realm(named.realm, host, named.port));
        self.list.push(Entry {
            group: group.clone(),
            explicit: false,
            no_port: named.no_port,
            addr: named.addr,
            place: named.place,
        });
        Ok(group)
    }

    /// The implicit groups that have no servers yet, with what their first mention said of them.
    pub(super) fn unfilled(&self) -> impl Iterator<Item = &Entry> {
        self.list.iter().filter(|e| !e.explicit && !e.group.is_filled())
    }

    /// Makes the groups of a configuration the live ones: peers that were live before keep their
    /// states. Each worker thread calls this; the first one does it.
    pub fn go_live(&self, generation: u64) -> Arc<Self> {
        let mut live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
        if live.0 < generation {
            for group in self.all() {
                let same =
                    |old: &&Arc<Group>| old.host() == group.host() && old.port() == group.port();
                if let Some(old) = live.1.of(group.realm()).find(same) {
                    group.adopt(old);
                }
            }
            *live = (generation, Arc::new(self.clone()));
        }
        // A thread of an older configuration, started again, keeps to its own groups.
        if live.0 == generation { live.1.clone() } else { Arc::new(self.clone()) }
    }
}

/// The groups of the configuration that started last.
pub fn live() -> Arc<Groups> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
}

/// The number of the configuration that started last.
pub fn live_generation() -> u64 {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner).0
}

/// The group a request is being passed to, if any; kept in the request by who passes it.
#[derive(Default)]
pub struct Current(RefCell<Option<Arc<Group>>>);

impl Current {
    pub fn set(&self, group: Arc<Group>) {
        self.0.replace(Some(group));
    }

    pub fn group(&self) -> Option<Arc<Group>> {
        self.0.borrow().clone()
    }
}

/// How `proxy_pass` and its kind name a group.
#[derive(Clone, Debug, Default)]
pub struct Mention {
    pub realm: Realm,
    /// The port written, or the default of the scheme.
    pub port: u16,
    /// No port was written.
    pub no_port: bool,
    /// The address, when the host is a literal one.
    pub addr: Option<Addr>,
    pub place: Option<Place>,
}

/// Two mentions that do not go together; the words are nginx's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    #[error("duplicate upstream \"{0}\"")]
    Duplicate(BString),
    #[error("upstream \"{0}\" may not have port {1}")]
    Port(BString, u16),
    /// The complaint belongs to the place of the earlier mention.
    #[error("upstream \"{0}\" may not have port {1}")]
    DeclaredPort(BString, u16, Option<Place>),
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) group: Arc<Group>,
    pub(super) addr: Option<Addr>,
    pub(super) place: Option<Place>,
    explicit: bool,
    no_port: bool,
}

impl Entry {
    fn is(&self, realm: Realm, host: &BStr) -> bool {
        self.group.realm() == realm && same(self.group.host(), host)
    }
}

fn same(a: &BStr, b: &BStr) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// The newest generation and its groups.
static LIVE: LazyLock<Mutex<(u64, Arc<Groups>)>> = LazyLock::new(Mutex::default);

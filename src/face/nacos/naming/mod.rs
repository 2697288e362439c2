//! The naming table of this process: services, their instances, and who is told about changes.
//!
//! ```text
//!  HTTP face ── register, beat, tell, configure ──▶ Naming (shards, one lock each)
//!  sweep ────── lapsed and forgotten ones ────────▶    │
//!  probes ───── verdicts ─────────────────────────▶    ├─▶ revision: watch channel
//!                                                      └─▶ lists, sources of peers
//! ```
//!
//! One table serves all worker threads and outlives reloads. A lock is held for a few
//! instructions, never over an await.

mod checker;
mod instance;
mod key;
mod lease;
mod service;
mod sweep;

pub use self::checker::Checker;
pub use self::instance::{Instance, InstanceKey, Metadata};
pub use self::key::{DEFAULT_CLUSTER, DEFAULT_GROUP, DEFAULT_NAMESPACE, ServiceKey};
pub use self::lease::Lease;
pub use self::service::{Cluster, ListKey, Service, ServiceMeta};
pub use self::sweep::SWEEP_MS;

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::base::clock;

/// The table.
pub struct Naming {
    shards: [Mutex<Shard>; SHARDS],
    revision: watch::Sender<u64>,
}

type Shard = HashMap<ServiceKey, Service>;

/// Why the table refuses something.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamingError {
    /// The words are Nacos', the blank at the end too.
    #[error(
        "errCode: 400, errMsg: Current service {} is {} service, can't register {} instance. ",
        .service, kind(!.asked_ephemeral), kind(*.asked_ephemeral)
    )]
    Kind { service: String, asked_ephemeral: bool },
    #[error("specified service {0} already exists!")]
    Exists(String),
    #[error("service {0} not found!")]
    Unknown(String),
    #[error("service {0} is not empty, can't be delete. Please unregister instance first")]
    NotEmpty(String),
}

impl Naming {
    /// Takes an instance in, in the place of an earlier one at the same address.
    pub fn register(&self, key: &ServiceKey, mut instance: Instance) -> Result<(), NamingError> {
        let ephemeral = instance.ephemeral;
        instance.beat_at_ms = clock::fresh_mono_ms();
        let mut shard = self.shard(key);
        let service =
            shard.entry(key.clone()).or_insert_with(|| Service::new(key.clone(), ephemeral));
        if service.ephemeral != ephemeral {
            let error = NamingError::Kind { service: key.grouped(), asked_ephemeral: ephemeral };
            return Err(error);
        }
        service.instances.insert(instance.key(), instance);
        service.empty_since_ms = None;
        self.changed(service);
        Ok(())
    }

    /// Takes an instance out; tells whether it was there.
    pub fn deregister(&self, key: &ServiceKey, at: &InstanceKey) -> bool {
        let mut shard = self.shard(key);
        let Some(service) = shard.get_mut(key) else { return false };
        let was_there = service.instances.remove(at).is_some();
        if was_there {
            if service.instances.is_empty() {
                service.empty_since_ms = Some(clock::fresh_mono_ms());
            }
            self.changed(service);
        }
        was_there
    }

    /// Changes one instance; `None` when it is not there. `change` tells whether it did.
    pub fn change(
        &self,
        key: &ServiceKey,
        at: &InstanceKey,
        change: impl FnOnce(&mut Instance) -> bool,
    ) -> Option<()> {
        let mut shard = self.shard(key);
        let service = shard.get_mut(key)?;
        if change(service.instances.get_mut(at)?) {
            self.changed(service);
        }
        Some(())
    }

    /// A beat of an ephemeral instance: its lease begins anew, and it is well again unless
    /// somebody said otherwise. False when it is not there.
    pub fn beat(&self, key: &ServiceKey, at: &InstanceKey) -> Option<Lease> {
        let now_ms = clock::fresh_mono_ms();
        let mut lease = None;
        self.change(key, at, |instance| {
            instance.beat_at_ms = now_ms;
            lease = Some(instance.lease());
            let revives = !instance.healthy && !instance.told_down && instance.ephemeral;
            instance.healthy |= revives;
            revives
        })?;
        lease
    }

    /// Reads a service.
    pub fn read<T>(&self, key: &ServiceKey, read: impl FnOnce(&Service) -> T) -> Option<T> {
        self.shard(key).get(key).map(read)
    }

    /// Works on a service without its readers seeing a change: for what is kept with it.
    pub fn visit<T>(&self, key: &ServiceKey, visit: impl FnOnce(&mut Service) -> T) -> Option<T> {
        self.shard(key).get_mut(key).map(visit)
    }

    /// Makes a service that nobody has registered at yet.
    pub fn create(
        &self,
        key: &ServiceKey,
        ephemeral: bool,
        meta: ServiceMeta,
    ) -> Result<(), NamingError> {
        let mut shard = self.shard(key);
        if shard.contains_key(key) {
            return Err(NamingError::Exists(key.grouped()));
        }
        let mut service = Service::new(key.clone(), ephemeral);
        service.meta = Some(meta);
        self.changed(&mut service);
        shard.insert(key.clone(), service);
        Ok(())
    }

    /// Changes what is known of a service as such.
    pub fn configure(
        &self,
        key: &ServiceKey,
        change: impl FnOnce(&mut Service),
    ) -> Result<(), NamingError> {
        let mut shard = self.shard(key);
        let unknown = || NamingError::Unknown(key.grouped());
        let service = shard.get_mut(key).ok_or_else(unknown)?;
        change(service);
        self.changed(service);
        Ok(())
    }

    /// Forgets a service without instances.
    pub fn remove(&self, key: &ServiceKey) -> Result<(), NamingError> {
        let mut shard = self.shard(key);
        match shard.get(key) {
            None => return Err(NamingError::Unknown(key.grouped())),
            Some(service) if !service.instances.is_empty() => {
                return Err(NamingError::NotEmpty(key.grouped()));
            }
            Some(_) => _ = shard.remove(key),
        }
        self.bump();
        Ok(())
    }

    /// Puts back a service as it was kept.
    pub fn restore(&self, mut service: Service) {
        let key = service.key.clone();
        self.changed(&mut service);
        self.shard(&key).entry(key).or_insert(service);
    }

    /// Names of services of a namespace, and of a group if one is named, in order.
    pub fn names(&self, namespace: &str, group: Option<&str>) -> Vec<ServiceKey> {
        let wanted = |key: &&ServiceKey| {
            key.namespace == namespace && group.is_none_or(|group| key.group == group)
        };
        let mut names = Vec::new();
        for shard in &self.shards {
            names.extend(lock(shard).keys().filter(wanted).cloned());
        }
        names.sort();
        names
    }

    /// Services whose instances do not beat.
    pub fn persistent(&self) -> Vec<ServiceKey> {
        let shards = self.shards.iter().map(lock);
        let keys = |shard: MutexGuard<'_, Shard>| -> Vec<ServiceKey> {
            shard.values().filter(|s| !s.ephemeral).map(|s| s.key.clone()).collect()
        };
        shards.flat_map(keys).collect()
    }

    /// How many services and instances there are.
    pub fn counts(&self) -> (usize, usize) {
        self.shards.iter().map(lock).fold((0, 0), |(services, instances), shard| {
            let here: usize = shard.values().map(|s| s.instances.len()).sum();
            (services + shard.len(), instances + here)
        })
    }

    /// Tells about every change.
    #[allow(dead_code, reason = "for groups whose peers come from here")]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    fn changed(&self, service: &mut Service) {
        service.changed_at_ms = clock::fresh_wall().as_ms();
        service.rendered.clear();
        self.bump();
    }

    fn bump(&self) {
        self.revision.send_modify(|revision| *revision += 1);
    }

    fn shard(&self, key: &ServiceKey) -> MutexGuard<'_, Shard> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        lock(&self.shards[hash as usize % SHARDS])
    }
}

impl Default for Naming {
    fn default() -> Self {
        Self { shards: Default::default(), revision: watch::Sender::new(0) }
    }
}

/// The table of this process.
pub fn naming() -> &'static Naming {
    static NAMING: LazyLock<Naming> = LazyLock::new(Naming::default);
    &NAMING
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // A panic of another thread leaves a service between two of its own states at worst.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kind(ephemeral: bool) -> &'static str {
    if ephemeral { "ephemeral" } else { "persistent" }
}

const SHARDS: usize = 16;

#[cfg(test)]
mod tests;

//! What is durable: services as such, their clusters, and persistent instances.
//!
//! ```text
//!  act ─ touched ─▶ keep ─▶ /nacos/service/NAMESPACE/GROUP/NAME                   ─┐ start of the
//!                           /nacos/instance/NAMESPACE/GROUP/NAME/CLUSTER/IP:PORT  ─┴─▶ table
//! ```

use std::collections::BTreeMap;

use arc_swap::ArcSwapOption;
use serde::{Deserialize, Serialize};

use crate::base::log::{Level, emit};
use crate::store::{Store, StoreError, Txn};

use super::call::Touched;
use super::fault::{Code, Fault};
use super::naming::{
    Cluster, Instance, InstanceKey, Naming, Service, ServiceKey, ServiceMeta, naming,
};

/// Where things are kept from now on.
pub fn keep_in(store: Store) {
    STORE.store(Some(store.into()));
}

/// Keeps what a call has changed; the call is answered afterwards.
pub async fn keep(touched: &[Touched]) -> Result<(), Fault> {
    let Some(store) = STORE.load_full() else { return Ok(()) };
    let mut txn = Txn::new();
    let mut writes = false;
    for what in touched {
        let (key, value) = record(naming(), what);
        match value {
            Some(value) => txn = txn.put(&key, value),
            None if store.get(&key).is_none() => continue,
            None => txn = txn.delete(&key),
        }
        writes = true;
    }
    if writes {
        store.commit(txn).await.map_err(|error| refused(&error))?;
    }
    Ok(())
}

/// Fills the table with what an earlier process kept.
pub fn restore(store: &Store, table: &Naming) {
    let mut services: BTreeMap<ServiceKey, Service> = BTreeMap::new();
    for entry in store.range(SERVICES).entries {
        match serde_json::from_slice::<KeptService>(&entry.value) {
            Ok(kept) => {
                let key = kept.name.key();
                let mut service = Service::new(key.clone(), kept.ephemeral);
                (service.meta, service.clusters) = (kept.meta, kept.clusters);
                services.insert(key, service);
            }
            Err(e) => unreadable(&entry.key, &e),
        }
    }
    for entry in store.range(INSTANCES).entries {
        match serde_json::from_slice::<KeptInstance>(&entry.value) {
            Ok(kept) => {
                let key = kept.name.key();
                let service = services
                    .entry(key.clone())
                    .or_insert_with(|| Service::new(key, kept.instance.ephemeral));
                service.instances.insert(kept.instance.key(), kept.instance);
            }
            Err(e) => unreadable(&entry.key, &e),
        }
    }
    services.into_values().for_each(|service| table.restore(service));
}

fn unreadable(key: &str, error: &serde_json::Error) {
    emit(Level::Error, format_args!("nacos: \"{key}\" cannot be read: {error}"));
}

fn refused(error: &StoreError) -> Fault {
    let status = if matches!(error, StoreError::Unavailable(_)) { 503 } else { 500 };
    Fault::Api { status, code: Code::SERVER, text: error.to_string() }
}

/// The key of something, and its value as it is now; none when it is gone or not durable.
fn record(table: &Naming, what: &Touched) -> (String, Option<Vec<u8>>) {
    match what {
        Touched::Service(key) => {
            let kept = table.read(key, |service| KeptService {
                name: Name::of(key),
                ephemeral: service.ephemeral,
                meta: service.meta.clone(),
                clusters: service.clusters.clone(),
            });
            let value = kept.and_then(|kept| serde_json::to_vec(&kept).ok());
            (format!("{SERVICES}{}", path(key)), value)
        }
        Touched::Instance(key, at) => {
            let durable = |i: &&Instance| !i.ephemeral;
            let found = table.read(key, |s| s.instances.get(at).filter(durable).cloned());
            let kept = found.flatten().map(|i| KeptInstance { name: Name::of(key), instance: i });
            let value = kept.and_then(|kept| serde_json::to_vec(&kept).ok());
            (format!("{INSTANCES}{}/{}", path(key), place(at)), value)
        }
    }
}

fn path(key: &ServiceKey) -> String {
    format!("{}/{}/{}", part(&key.namespace), part(&key.group), part(&key.name))
}

fn place(at: &InstanceKey) -> String {
    format!("{}/{}:{}", part(&at.cluster), part(&at.ip), at.port)
}

/// A name as one part of a path.
fn part(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F")
}

#[derive(Serialize, Deserialize)]
struct KeptService {
    #[serde(flatten)]
    name: Name,
    ephemeral: bool,
    meta: Option<ServiceMeta>,
    clusters: BTreeMap<String, Cluster>,
}

#[derive(Serialize, Deserialize)]
struct KeptInstance {
    #[serde(flatten)]
    name: Name,
    instance: Instance,
}

#[derive(Serialize, Deserialize)]
struct Name {
    namespace: String,
    group: String,
    name: String,
}

impl Name {
    fn of(key: &ServiceKey) -> Self {
        let ServiceKey { namespace, group, name } = key.clone();
        Self { namespace, group, name }
    }

    fn key(self) -> ServiceKey {
        ServiceKey { namespace: self.namespace, group: self.group, name: self.name }
    }
}

static STORE: ArcSwapOption<Store> = ArcSwapOption::const_empty();
/// Where everything of ours stands in the store.
pub const ROOT: &str = "/nacos/";
const SERVICES: &str = "/nacos/service/";
const INSTANCES: &str = "/nacos/instance/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_comes_back() {
        let (before, after) = (Naming::default(), Naming::default());
        let store = Store::memory().expect("a thread can be started");
        let key = ServiceKey::new("public", "G", "a/b");
        before.create(&key, false, ServiceMeta::default()).expect("a new service");
        let mut instance = Instance::new("10.0.0.1", 80, "C");
        instance.ephemeral = false;
        before.register(&key, instance.clone()).expect("of its kind");
        let touched =
            [Touched::Service(key.clone()), Touched::Instance(key.clone(), instance.key())];
        let mut txn = Txn::new();
        for what in &touched {
            let (name, value) = record(&before, what);
            txn = txn.put(&name, value.expect("it is there"));
        }
        store.commit_blocking(txn).expect("nothing is in the way");
        restore(&store, &after);
        let read =
            |table: &Naming| table.read(&key, |s| (s.ephemeral, s.meta.clone(), s.instances.len()));
        assert_eq!(read(&after), Some((false, Some(ServiceMeta::default()), 1)));
        assert_eq!(read(&after), read(&before));
    }
}

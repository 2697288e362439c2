//! What is durable: services as such, their clusters, and persistent instances.
//!
//! ```text
//!  act ─ touched ─▶ keep ─▶ /nacos/service/NAMESPACE/GROUP/NAME                   ─┐ start of the
//!                    │      /nacos/instance/NAMESPACE/GROUP/NAME/CLUSTER/IP:PORT  ─┤ table
//!                    └────────────── align ◀─── follow ◀── what others write ──────┘
//! ```
//! The store is right: when it refuses a change the table takes it back, and when others change
//! it, as other processes on one etcd do, the table follows. Health is each process' own verdict,
//! unless somebody sets it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use serde::{Deserialize, Serialize};

use crate::base::log::{Level, emit};
use crate::store::{Change, Entry, Store, StoreError, Txn, Watch};

use super::call::Touched;
use super::fault::{Code, Fault};
use super::naming::{
    Cluster, Instance, InstanceKey, Naming, Service, ServiceKey, ServiceMeta, naming,
};
use super::probe;

/// Where things are kept from now on: what is there is taken over, what others write followed.
pub fn keep_in(store: &Store) -> std::io::Result<()> {
    if is_current(store) {
        return Ok(());
    }
    let (range, watch) = store.watch(ROOT);
    restore(&range.entries, naming());
    STORE.store(Some(store.clone().into()));
    naming().persistent().iter().for_each(probe::sync);
    let store = store.clone();
    let body = move || follow(&store, watch);
    std::thread::Builder::new().name("nacos".into()).spawn(body).map(drop)
}

/// Keeps what a call has changed; the call is answered afterwards.
pub async fn keep(touched: &[Touched]) -> Result<(), Fault> {
    let Some(store) = STORE.load_full() else { return Ok(()) };
    let mut txn = Txn::new();
    let mut keys = Vec::new();
    for what in touched {
        let (key, value) = record(naming(), what);
        match value {
            Some(value) => txn = txn.put(&key, value),
            None if store.get(&key).is_none() => continue,
            None => txn = txn.delete(&key),
        }
        keys.push((key, what));
    }
    if keys.is_empty() {
        return Ok(());
    }
    keys.iter().for_each(|(key, _)| own().entry(key.clone()).or_default().under_way += 1);
    let done = store.commit(txn).await;
    let revision = done.as_ref().map_or(0, |done| done.revision);
    for (key, what) in &keys {
        if ends(key, revision) {
            // Somebody else may have been quicker, or the store has refused.
            let health = if done.is_ok() { Health::Own } else { Health::Kept };
            take(what, store.get(key).as_deref(), health);
        }
    }
    done.map(drop).map_err(|error| refused(&error))
}

/// Takes over what others write.
fn follow(store: &Store, mut watch: Watch) {
    while let Some(event) = watch.next_blocking() {
        if !is_current(store) {
            return;
        }
        for change in &event.changes {
            if is_own(change.key(), event.revision) {
                continue;
            }
            let Some(what) = touched_by(change) else { continue };
            let health = if tells_health(change) { Health::Kept } else { Health::Own };
            take(&what, change.after.as_deref(), health);
            probe::sync(what.service());
        }
    }
}

/// Aligns the table of the process, and the check of an instance whose health was set.
fn take(what: &Touched, kept: Option<&Entry>, health: Health) {
    let healthy = || match what {
        Touched::Instance(key, at) => {
            naming().read(key, |s| Some(s.instances.get(at)?.healthy)).flatten()
        }
        Touched::Service(_) => None,
    };
    let before = healthy();
    align(naming(), what, kept, health);
    if let (Touched::Instance(key, at), Some(now)) = (what, healthy())
        && before.is_some_and(|before| before != now)
    {
        probe::told(key, at, now);
    }
}

/// Whose word on the health of an instance counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    /// This process' verdict.
    Own,
    /// What is kept.
    Kept,
}

/// Makes the table say of one thing what the store says.
fn align(table: &Naming, what: &Touched, kept: Option<&Entry>, health: Health) {
    match what {
        Touched::Service(key) => match kept.map(parse::<KeptService>) {
            None => forget(table, key),
            Some(Some(kept)) => align_service(table, key, kept),
            Some(None) => {}
        },
        Touched::Instance(key, at) => match kept.map(parse::<KeptInstance>) {
            None => {
                let durable = |s: &Service| s.instances.get(at).is_some_and(|i| !i.ephemeral);
                if table.read(key, durable) == Some(true) {
                    table.deregister(key, at);
                }
            }
            Some(Some(kept)) => align_instance(table, key, at, kept.instance, health),
            Some(None) => {}
        },
    }
}

fn align_service(table: &Naming, key: &ServiceKey, kept: KeptService) {
    let same = table.read(key, |s| s.meta == kept.meta && s.clusters == kept.clusters);
    if same == Some(true) {
        return;
    }
    if same.is_none() {
        // Somebody may be quicker; then it is there, which is all that is wanted.
        let _ = table.create(key, kept.ephemeral, ServiceMeta::default());
    }
    let _ = table.configure(key, |s| (s.meta, s.clusters) = (kept.meta, kept.clusters));
}

fn align_instance(
    table: &Naming,
    key: &ServiceKey,
    at: &InstanceKey,
    mut instance: Instance,
    health: Health,
) {
    let there = table.read(key, |s| s.instances.get(at).cloned()).flatten();
    if let Some(there) = &there {
        if health == Health::Own {
            instance.healthy = there.healthy;
        }
        (instance.beat_at_ms, instance.told_down) = (there.beat_at_ms, there.told_down);
    }
    if there.as_ref() != Some(&instance)
        && let Err(error) = table.register(key, instance)
    {
        emit(Level::Error, format_args!("nacos: what is kept cannot be: {error}"));
    }
}

/// A service of which nothing is kept any more; instances that beat hold it.
fn forget(table: &Naming, key: &ServiceKey) {
    if table.remove(key).is_err() {
        let _ = table.configure(key, |s| {
            s.meta = None;
            s.clusters.clear();
        });
    }
}

/// What a change in the store is about; none for what is not ours.
fn touched_by(change: &Change) -> Option<Touched> {
    let entry = change.after.as_deref().or(change.before.as_deref())?;
    if entry.key.starts_with(SERVICES) {
        return parse::<KeptService>(entry).map(|kept| Touched::Service(kept.name.key()));
    }
    let kept = Some(entry).filter(|entry| entry.key.starts_with(INSTANCES));
    let kept = kept.and_then(parse::<KeptInstance>)?;
    Some(Touched::Instance(kept.name.key(), kept.instance.key()))
}

/// Whether somebody set the health, and not only something else.
fn tells_health(change: &Change) -> bool {
    let healthy =
        |entry: &Arc<Entry>| parse::<KeptInstance>(entry).map(|kept| kept.instance.healthy);
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => healthy(before) != healthy(after),
        _ => true,
    }
}

/// What this process has written to a key.
#[derive(Default)]
struct Own {
    under_way: usize,
    /// The revision of the last one, until the watch has told it back.
    revision: u64,
    /// What the watch has told meanwhile.
    told: u64,
}

/// Counts a write of ours down; true when none is left under way for this key.
fn ends(key: &str, revision: u64) -> bool {
    let mut all = own();
    let Some(of_key) = all.get_mut(key) else { return true };
    of_key.under_way -= 1;
    of_key.revision = of_key.revision.max(revision);
    let (last, told) = (of_key.under_way == 0, of_key.told >= of_key.revision);
    if last && told {
        all.remove(key);
    }
    last
}

/// Whether the table has what this change says, or something newer, from a write of our own.
fn is_own(key: &str, revision: u64) -> bool {
    let mut all = own();
    let Some(of_key) = all.get_mut(key) else { return false };
    if of_key.under_way > 0 {
        // It looks at the store when it is done.
        of_key.told = of_key.told.max(revision);
        return true;
    }
    let known = revision <= of_key.revision;
    if revision >= of_key.revision {
        all.remove(key);
    }
    known
}

fn own() -> MutexGuard<'static, HashMap<String, Own>> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_current(store: &Store) -> bool {
    STORE.load().as_ref().is_some_and(|current| current.is_same(store))
}

/// Fills the table with what an earlier process kept.
fn restore(entries: &[Arc<Entry>], table: &Naming) {
    let mut services: BTreeMap<ServiceKey, Service> = BTreeMap::new();
    let below = |prefix: &'static str| entries.iter().filter(move |e| e.key.starts_with(prefix));
    for kept in below(SERVICES).filter_map(|entry| parse::<KeptService>(entry)) {
        let key = kept.name.key();
        let mut service = Service::new(key.clone(), kept.ephemeral);
        (service.meta, service.clusters) = (kept.meta, kept.clusters);
        services.insert(key, service);
    }
    for kept in below(INSTANCES).filter_map(|entry| parse::<KeptInstance>(entry)) {
        let key = kept.name.key();
        let service = services
            .entry(key.clone())
            .or_insert_with(|| Service::new(key, kept.instance.ephemeral));
        service.instances.insert(kept.instance.key(), kept.instance);
    }
    services.into_values().for_each(|service| table.restore(service));
}

/// What an entry says; none, and a line in the log, when it cannot be read.
fn parse<'a, T: Deserialize<'a>>(entry: &'a Entry) -> Option<T> {
    let read = serde_json::from_slice(&entry.value);
    read.inspect_err(|error| unreadable(&entry.key, error)).ok()
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
static OWN: LazyLock<Mutex<HashMap<String, Own>>> = LazyLock::new(Mutex::default);
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
        restore(&store.range(ROOT).entries, &after);
        let read =
            |table: &Naming| table.read(&key, |s| (s.ephemeral, s.meta.clone(), s.instances.len()));
        assert_eq!(read(&after), Some((false, Some(ServiceMeta::default()), 1)));
        assert_eq!(read(&after), read(&before));
    }

    #[test]
    fn the_table_follows_the_store() {
        let (table, other) = (Naming::default(), Naming::default());
        let key = ServiceKey::new("public", "G", "s");
        let mut instance = Instance::new("10.0.0.1", 80, "C");
        instance.ephemeral = false;
        other.register(&key, instance.clone()).expect("of its kind");
        let what = Touched::Instance(key.clone(), instance.key());
        let entry = |value: Vec<u8>| Entry {
            key: "/nacos/instance/x".into(),
            value: value.into(),
            created: 1,
            modified: 1,
            version: 1,
            expires_at_ms: None,
        };
        let kept = |table: &Naming| entry(record(table, &what).1.expect("it is there"));
        let shown = |table: &Naming| {
            table.read(&key, |s| s.instances.values().map(|i| (i.weight, i.healthy)).next())
        };
        align(&table, &what, Some(&kept(&other)), Health::Kept);
        assert_eq!(shown(&table), Some(Some((1.0, true))));
        // Our own verdict stands while others change something else.
        table.change(&key, &instance.key(), |i| {
            i.healthy = false;
            true
        });
        other.change(&key, &instance.key(), |i| {
            i.weight = 3.0;
            true
        });
        align(&table, &what, Some(&kept(&other)), Health::Own);
        assert_eq!(shown(&table), Some(Some((3.0, false))));
        align(&table, &what, Some(&kept(&other)), Health::Kept);
        assert_eq!(shown(&table), Some(Some((3.0, true))));
        align(&table, &what, None, Health::Own);
        assert_eq!(shown(&table), Some(None));
        align(&table, &Touched::Service(key.clone()), None, Health::Own);
        assert_eq!(shown(&table), None);
    }
}

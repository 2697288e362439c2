//! What the catalog means for traffic: routes compiled, groups filled, checks running.
//!
//! ```text
//!  store ─ watch ─▶ own thread ─┐
//!  Admin API after a write ─────┴▶ refresh ─▶ Catalog ─▶ Tables { router, upstreams }
//!                                                          └ read by every worker, no lock
//! ```
//!
//! One for the whole process: worker threads and configurations share it.

pub mod health;
mod names;
mod thread;
pub mod trust;
pub mod upstream;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::names::Names;
use self::trust::Trust;
pub use self::upstream::Upstream;

use super::Preset;
use super::catalog::{Catalog, Entity, ROOT, Sort};
use super::entity::{Route, Service, TargetConf, UpstreamConf};
use super::router::Router;
use crate::base::log::{Level, emit};
use crate::store::Store;

/// The gateway's state.
pub struct Live {
    pub store: Store,
    pub options: Options,
    /// Tells the processes of a fleet apart.
    pub node_id: String,
    pub names: Names,
    pub trust: Trust,
    catalog: ArcSwap<Catalog>,
    tables: ArcSwap<Tables>,
    /// Held while the catalog is read and the tables are made of it.
    refreshing: Mutex<()>,
    /// Held by the Admin API from looking to writing.
    pub writing: tokio::sync::Mutex<()>,
}

/// What the configuration says about Kong as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    pub preset: Preset,
    /// `threshold_exclusive`: limits are to be exceeded.
    pub exclusive: bool,
    /// `kong_trusted_certificate`
    pub trusted: Option<PathBuf>,
}

/// What traffic needs.
#[derive(Default)]
pub struct Tables {
    pub router: Arc<Router>,
    /// By name.
    pub upstreams: HashMap<String, Arc<Upstream>>,
    /// Services that name a host instead of an upstream, by host and port.
    pub hosts: HashMap<(String, u16), Arc<Upstream>>,
    /// The revisions of the routes and services the router was made of.
    routed: Vec<(String, u64)>,
}

impl Live {
    /// The state of this process, if a configuration asks for Kong.
    pub fn current() -> Option<Arc<Self>> {
        LIVE.load_full()
    }

    /// Makes the state for a configuration; one that is there already goes on if it fits.
    pub fn start(store: Store, options: Options) -> Result<Arc<Self>, String> {
        let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |live: &&Arc<Self>| live.store.is_same(&store) && live.options == options;
        if let Some(live) = LIVE.load().as_ref().filter(fits) {
            return Ok(live.clone());
        }
        let live = Arc::new(Self {
            node_id: new_id(),
            names: Names::default(),
            trust: Trust::new(options.trusted.clone()),
            catalog: ArcSwap::default(),
            tables: ArcSwap::default(),
            refreshing: Mutex::default(),
            writing: tokio::sync::Mutex::new(()),
            store,
            options,
        });
        live.refresh();
        thread::spawn(&live).map_err(|error| format!("kong: no thread: {error}"))?;
        LIVE.store(Some(live.clone()));
        Ok(live)
    }

    /// No configuration asks for Kong any more.
    pub fn stop() {
        LIVE.store(None);
    }

    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    pub fn tables(&self) -> Arc<Tables> {
        self.tables.load_full()
    }

    /// An upstream by its name.
    pub fn upstream(&self, name: &str) -> Option<Arc<Upstream>> {
        self.tables.load().upstreams.get(name).cloned()
    }

    /// Follows the store. When it returns, traffic sees everything written before it was called.
    pub fn refresh(&self) {
        let _refreshing = self.refreshing();
        let old = self.catalog.load_full();
        if self.store.revision() == old.revision && old.revision > 0 {
            return;
        }
        let catalog = Arc::new(Catalog::read(&self.store.range(ROOT), &old));
        self.rebuild(&catalog);
        self.catalog.store(catalog);
    }

    /// Makes the tables anew, because a name has other addresses now.
    fn readdress(&self) {
        let _refreshing = self.refreshing();
        self.rebuild(&self.catalog.load_full());
    }

    fn rebuild(&self, catalog: &Catalog) {
        let old = self.tables.load_full();
        let upstreams = self.build_upstreams(catalog, &old);
        let services = collect::<Service>(catalog, Sort::Services);
        let hosts = self.build_hosts(&services, &upstreams, &old);
        let routed = revisions(catalog);
        let router = if routed == old.routed {
            old.router.clone()
        } else {
            let routes = collect::<Route>(catalog, Sort::Routes);
            let find = |id: &str| services.get(id).filter(|service| service.enabled).cloned();
            Arc::new(Router::build(routes.into_values(), find))
        };
        self.names.keep(|name| {
            let mut all = upstreams.values().chain(hosts.values());
            all.any(|upstream| upstream.targets.iter().any(|target| target.host == name))
        });
        self.tables.store(Arc::new(Tables { router, upstreams, hosts, routed }));
    }

    fn build_upstreams(&self, catalog: &Catalog, old: &Tables) -> HashMap<String, Arc<Upstream>> {
        let mut targets: HashMap<String, Vec<TargetConf>> = HashMap::new();
        for entity in catalog.all(Sort::Targets) {
            if let Some(target) = typed::<TargetConf>(entity) {
                targets.entry(target.upstream.id.clone()).or_default().push(target);
            }
        }
        let mut upstreams = HashMap::new();
        for entity in catalog.all(Sort::Upstreams) {
            let Some(conf) = typed::<UpstreamConf>(entity) else { continue };
            let mut own = targets.remove(&conf.id).unwrap_or_default();
            own.sort_by(|a, b| a.created_at.total_cmp(&b.created_at).then(a.id.cmp(&b.id)));
            let before = old.upstreams.get(&conf.name);
            let upstream = Upstream::build(conf, &own, before, self);
            upstreams.insert(upstream.conf.name.clone(), upstream);
        }
        upstreams
    }

    fn build_hosts(
        &self,
        services: &HashMap<String, Arc<Service>>,
        upstreams: &HashMap<String, Arc<Upstream>>,
        old: &Tables,
    ) -> HashMap<(String, u16), Arc<Upstream>> {
        let mut hosts = HashMap::new();
        for service in services.values().filter(|s| !upstreams.contains_key(&s.host)) {
            let key = (service.host.clone(), service.port);
            let before = old.hosts.get(&key);
            hosts
                .entry(key)
                .or_insert_with_key(|(host, port)| Upstream::of_host(host, *port, before, self));
        }
        hosts
    }

    fn refreshing(&self) -> MutexGuard<'_, ()> {
        // The lock guards no data of its own.
        self.refreshing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A new random id in the form of a UUID, version 4.
pub fn new_id() -> String {
    let mut hex = crate::http::vars_core::random_hex(16).to_vec();
    hex[12] = b'4';
    hex[16] = b"89ab"[usize::from(hex[16] % 4)];
    let text = String::from_utf8_lossy(&hex);
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}

fn collect<T: DeserializeOwned>(catalog: &Catalog, sort: Sort) -> HashMap<String, Arc<T>> {
    let all = catalog.all(sort);
    all.filter_map(|entity| Some((entity.id.clone(), Arc::new(typed(entity)?)))).collect()
}

/// What others wrote into the store may not be what we would have let in.
fn typed<T: DeserializeOwned>(entity: &Entity) -> Option<T> {
    match serde_json::from_value(Value::Object(entity.value.clone())) {
        Ok(value) => Some(value),
        Err(error) => {
            let id = &entity.id;
            emit(Level::Error, format_args!("kong: entity {id} in the store is invalid: {error}"));
            None
        }
    }
}

fn revisions(catalog: &Catalog) -> Vec<(String, u64)> {
    let routes = catalog.all(Sort::Routes).chain(catalog.all(Sort::Services));
    routes.map(|entity| (entity.id.clone(), entity.modified)).collect()
}

static LIVE: ArcSwapOption<Live> = ArcSwapOption::const_empty();
/// Held while the state is made.
static STARTING: Mutex<()> = Mutex::new(());

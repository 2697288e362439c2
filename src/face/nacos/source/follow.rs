//! Keeps the groups of the running configuration filled.
//!
//! ```text
//!  use_sources (each configuration) ─▶ SOURCES ─▶ follow: one task of the naming thread
//!                                        table changed, or a round of questions is due
//! ```

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Notify;

use crate::base::log::{Level, emit};
use crate::face::nacos::naming::{ServiceKey, naming};
use crate::upstream::{Group, Groups, Server};

use super::conf::{ServerConf, SourceConf};
use super::peers::{self, Found};
use super::remote::Remote;

/// The upstreams of a configuration that is about to serve take the place of those before; they
/// are filled from what is known already. True when there are any.
pub fn use_sources(groups: &Groups, servers: &ServerConf) -> bool {
    let found: Vec<Source> = groups.iter().filter_map(|group| Source::of(group, servers)).collect();
    found.iter().for_each(Source::fill);
    let any = !found.is_empty();
    let mut state = state();
    for (old, new) in pairs(&state.sources, &found) {
        new.group.adopt(&old.group);
    }
    // Every worker thread comes by with the same groups.
    let known = |new: &Source| state.sources.iter().any(|s| Arc::ptr_eq(&s.group, &new.group));
    if !found.iter().all(known) || found.len() != state.sources.len() {
        state.sources = found.into_iter().map(Arc::new).collect();
        CHANGED.notify_one();
    }
    any
}

/// Follows all sources for good.
pub async fn follow() {
    tokio::join!(follow_table(), follow_servers());
}

/// An upstream and where its peers come from.
struct Source {
    group: Arc<Group>,
    key: ServiceKey,
    clusters: String,
    metadata: Vec<(String, String)>,
    remote: Option<Remote>,
}

impl Source {
    fn of(group: &Arc<Group>, servers: &ServerConf) -> Option<Self> {
        let scope = group.scope()?;
        let conf = scope.find::<SourceConf>()?;
        let own = scope.find::<ServerConf>().filter(|own| !own.servers.is_empty());
        let servers = own.unwrap_or(servers);
        let remote = (!servers.servers.is_empty()).then(|| Remote::new(servers.clone()));
        let (key, clusters) = (conf.service.clone()?, conf.clusters.clone());
        let metadata = conf.metadata.clone();
        Some(Self { group: group.clone(), key, clusters, metadata, remote })
    }

    /// Takes over what is known without asking.
    fn fill(&self) {
        let known = match &self.remote {
            None => self.look(),
            Some(remote) => state().lists.get(&self.list_key(remote)).cloned(),
        };
        self.apply(&known.unwrap_or_default());
    }

    fn look(&self) -> Option<Vec<Found>> {
        naming().read(&self.key, |service| peers::of_service(service, &self.clusters))
    }

    /// Gives the group these peers, and those its block lists, if that changes anything.
    fn apply(&self, list: &[Found]) {
        let mut servers = peers::servers(list, &self.metadata);
        servers.extend(self.group.servers_now());
        let facts = |s: &Server| (s.name.clone(), s.weight, s.backup);
        let snapshot = self.group.snapshot();
        let now: Vec<_> = snapshot
            .lists()
            .flat_map(|(backup, set)| set.peers().iter().map(move |p| (backup, p)))
            .map(|(backup, p)| (p.conf.server.clone(), p.conf.weight, backup))
            .collect();
        let mut wanted: Vec<_> = servers.iter().map(facts).collect();
        wanted.sort_by_key(|(_, _, backup)| *backup);
        if now != wanted {
            self.group.replace(&servers);
        }
    }

    /// Asks the servers; without an answer the peers stay as they are.
    async fn ask(&self) {
        let Some(remote) = &self.remote else { return };
        let key = self.list_key(remote);
        match remote.list(&self.key, &self.clusters).await {
            Ok(list) => {
                self.apply(&list);
                let mut state = state();
                if state.away.remove(&key).is_some() {
                    emit(Level::Notice, format_args!("nacos: {} is answered again", self.key));
                }
                state.lists.insert(key, list);
            }
            Err((host, why)) => {
                if state().away.insert(key, ()).is_none() {
                    let kept = "the peers stay as they are";
                    let text = format_args!("nacos: {host} on {}: {why}; {kept}", self.key);
                    emit(Level::Error, text);
                }
            }
        }
    }

    fn list_key(&self, remote: &Remote) -> ListKey {
        (remote.conf.clone(), self.key.clone(), self.clusters.clone())
    }
}

async fn follow_table() {
    let mut revision = naming().watch();
    loop {
        for source in local() {
            let list = source.look().unwrap_or_default();
            source.apply(&list);
        }
        // The table lives as long as the process.
        let _ = revision.changed().await;
        tokio::time::sleep(BURST).await;
        revision.mark_unchanged();
    }
}

async fn follow_servers() {
    loop {
        let sources = remote();
        join_all(sources.iter().map(|source| source.ask())).await;
        let interval = |source: &Arc<Source>| source.remote.as_ref()?.conf.interval_ms;
        let pause_ms = sources.iter().filter_map(interval).min().unwrap_or(INTERVAL_MS);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(pause_ms)) => {}
            () = CHANGED.notified() => {}
        }
    }
}

/// Sources of the configuration before and of the new one, for upstreams of the same name.
fn pairs<'a>(
    before: &'a [Arc<Source>],
    now: &'a [Source],
) -> impl Iterator<Item = (&'a Arc<Source>, &'a Source)> {
    let same = |old: &&Arc<Source>, new: &Source| {
        old.group.host() == new.group.host() && !Arc::ptr_eq(&old.group, &new.group)
    };
    now.iter().filter_map(move |new| Some((before.iter().find(|old| same(old, new))?, new)))
}

fn local() -> Vec<Arc<Source>> {
    state().sources.iter().filter(|source| source.remote.is_none()).cloned().collect()
}

fn remote() -> Vec<Arc<Source>> {
    state().sources.iter().filter(|source| source.remote.is_some()).cloned().collect()
}

/// What is known of all sources.
#[derive(Default)]
struct State {
    sources: Vec<Arc<Source>>,
    /// The last good list of each question.
    lists: HashMap<ListKey, Vec<Found>>,
    /// Questions without an answer now.
    away: HashMap<ListKey, ()>,
}

type ListKey = (ServerConf, ServiceKey, String);

fn state() -> MutexGuard<'static, State> {
    // What is half done here is done again with the next change.
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

static STATE: LazyLock<Mutex<State>> = LazyLock::new(Mutex::default);
static CHANGED: Notify = Notify::const_new();
/// Changes within this time make one list.
const BURST: Duration = Duration::from_millis(5);
const INTERVAL_MS: u64 = 2000;

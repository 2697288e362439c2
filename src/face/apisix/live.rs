//! The table that serves, kept up with what is stored.
//!
//! ```text
//!  Store ─ watch ─▶ thread "apisix" ─ put, remove, index ─▶ Table ─ swap ─▶ requests
//!                                                            └▶ caught_up(revision)
//! ```
//! One a source for the whole process; it lives on over reloads, and with it the checks.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use super::model::{Item, Table};
use super::names::{Collection, PREFIX};
use super::standalone::Follower;
use crate::base::errno::Errno;
use crate::store::{Change, Entry, Event, Range, Store, Watch};

/// What the gateway goes by.
pub struct Live {
    table: ArcSwap<Table>,
    /// The file it follows, or the store.
    path: Option<PathBuf>,
    store: Option<Store>,
    revision: watch::Sender<u64>,
}

impl Live {
    /// Follows a store; the same one is followed once.
    pub fn of_store(store: &Store) -> Result<Arc<Self>, String> {
        Self::once(None, Some(store.clone()), |live| {
            let (range, watch) = store.watch(PREFIX);
            live.start(&range);
            let followed = live.clone();
            spawn(move || followed.follow(watch))
        })
    }

    /// Follows a file; the same file is followed once.
    pub fn of_file(path: &Path) -> Result<Arc<Self>, String> {
        Self::once(Some(path.to_owned()), None, |live| {
            let mut follower = Follower::new(path, live.clone());
            follower.look();
            spawn(move || follower.run())
        })
    }

    fn once(
        path: Option<PathBuf>,
        store: Option<Store>,
        start: impl FnOnce(&Arc<Self>) -> Result<(), String>,
    ) -> Result<Arc<Self>, String> {
        let mut all = LIVES.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |live: &&Arc<Self>| match (&live.store, &store) {
            (Some(of), Some(store)) => of.is_same(store),
            (None, None) => live.path == path,
            _ => false,
        };
        if let Some(live) = all.iter().find(same) {
            return Ok(live.clone());
        }
        let (revision, _) = watch::channel(0);
        let live = Arc::new(Self { table: ArcSwap::default(), path, store, revision });
        start(&live)?;
        all.push(live.clone());
        Ok(live)
    }

    pub fn table(&self) -> Guard<Arc<Table>> {
        self.table.load()
    }

    /// Where writes go; none when a file is followed.
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// Waits until requests see this revision.
    pub async fn caught_up(&self, revision: u64) {
        let mut seen = self.revision.subscribe();
        let reached = seen.wait_for(|seen| *seen >= revision);
        // The follower never takes long; a write that is durable is acknowledged in any case.
        let _ = tokio::time::timeout(CATCH_UP_MOST, reached).await;
    }

    /// Puts a table in the place of the one that serves.
    pub fn replace(&self, table: Table, revision: u64) {
        self.table.store(Arc::new(table));
        self.revision.send_replace(revision);
    }

    fn start(&self, range: &Range) {
        let mut table = Table::default();
        range.entries.iter().filter_map(|entry| item(entry)).for_each(|item| {
            table.put(item);
        });
        table.index();
        self.replace(table, range.revision);
    }

    fn follow(&self, mut watch: Watch) {
        while let Some(event) = watch.next_blocking() {
            let mut table = Table::clone(&self.table.load());
            let mut next = Some(event);
            let mut revision = 0;
            // What has come meanwhile shares one new table.
            while let Some(Event { revision: seen, changes }) = next {
                revision = seen;
                changes.iter().for_each(|change| apply(&mut table, change));
                next = watch.next_now();
            }
            table.index();
            self.replace(table, revision);
        }
    }
}

fn apply(table: &mut Table, change: &Change) {
    match &change.after {
        Some(entry) => {
            if let Some(item) = item(entry) {
                table.put(item);
            }
        }
        None => {
            if let Some((collection, id)) = Collection::split(PREFIX, change.key()) {
                table.remove(collection, id);
            }
        }
    }
}

/// The document of an entry; none for entries of other kinds.
fn item(entry: &Entry) -> Option<Item> {
    let (collection, id) = Collection::split(PREFIX, &entry.key)?;
    Some(Item {
        collection,
        id: id.into(),
        key: entry.key.clone(),
        text: entry.value.clone(),
        created: entry.created,
        modified: entry.modified,
    })
}

fn spawn(body: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let started = std::thread::Builder::new().name("apisix".into()).spawn(body);
    started.map(drop).map_err(|e| format!("thread could not be started {}", Errno(&e)))
}

static LIVES: Mutex<Vec<Arc<Live>>> = Mutex::new(Vec::new());
const CATCH_UP_MOST: Duration = Duration::from_secs(2);

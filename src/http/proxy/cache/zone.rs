//! What is known of a cache's files without looking at them, shared by all threads and by reloads.
//!
//! ```text
//!  key ─▶ Node { uses, size, used, updating }      housekeeping: inactive? too much? ─▶ removed
//! ```

use std::{
    collections::HashMap,
    fmt::Write as _,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bstr::BString;
use tokio::sync::Notify;

use crate::{base::clock, conf::Scope};

/// MD5 of a cache key.
pub type Key = [u8; 16];

/// What `proxy_cache_path` says.
pub struct ZoneSpec {
    pub name: BString,
    pub path: PathBuf,
    pub levels: Vec<usize>,
    pub use_temp_path: bool,
    pub inactive_s: u64,
    /// 0 for no limit.
    pub max_bytes: u64,
    pub min_free: u64,
    /// Keys remembered at most.
    pub most: usize,
}

impl ZoneSpec {
    pub fn new(path: PathBuf) -> Self {
        Self {
            name: BString::default(),
            path,
            levels: Vec::new(),
            use_temp_path: true,
            inactive_s: 600,
            max_bytes: 0,
            min_free: 0,
            most: usize::MAX,
        }
    }
}

/// One cache.
pub struct Zone {
    pub spec: ZoneSpec,
    table: Arc<Table>,
}

/// What survives a reload.
#[derive(Default)]
struct Table {
    nodes: Mutex<HashMap<Key, Node>>,
    released: Notify,
    looked_ms: AtomicU64,
    loaded: std::sync::atomic::AtomicBool,
}

#[derive(Clone, Copy, Default)]
struct Node {
    uses: u64,
    /// 0 while there is no file.
    bytes: u64,
    used_s: i64,
    /// Since when somebody asks the upstream.
    updating_ms: Option<u64>,
    /// A status answered by a page of ours, and until when.
    refused: Option<(u16, i64)>,
}

/// Who asks the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Mine,
    Taken,
}

/// The zone of that name and path, with what an earlier configuration knew of it.
pub fn registered(spec: ZoneSpec) -> Arc<Zone> {
    static ALL: Mutex<Vec<(BString, PathBuf, Arc<Table>)>> = Mutex::new(Vec::new());
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    let known = all.iter().find(|(name, path, _)| *name == spec.name && *path == spec.path);
    let table = match known {
        Some((_, _, table)) => table.clone(),
        None => {
            let table = Arc::<Table>::default();
            all.push((spec.name.clone(), spec.path.clone(), table.clone()));
            table
        }
    };
    Arc::new(Zone { spec, table })
}

impl Zone {
    /// Where the file of a key lies: `c/29/b7f54b2df7773722d382f4809d65029c`.
    pub fn file(&self, key: &Key) -> PathBuf {
        let mut name = String::with_capacity(32);
        for byte in key {
            // Writing into a string cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        let mut path = self.spec.path.clone();
        let mut end = name.len();
        for level in &self.spec.levels {
            path.push(&name[end - level..end]);
            end -= level;
        }
        path.push(name);
        path
    }

    /// Counts a use.
    pub fn touch(&self, key: &Key) -> u64 {
        let mut nodes = self.nodes();
        if nodes.len() >= self.spec.most && !nodes.contains_key(key) {
            let oldest = nodes.iter().min_by_key(|(_, node)| node.used_s).map(|(key, _)| *key);
            let dropped = oldest.and_then(|oldest| Some((oldest, nodes.remove(&oldest)?)));
            if let Some((oldest, Node { bytes: 1.., .. })) = dropped {
                // A file that is gone already is as good as removed.
                let _ = std::fs::remove_file(self.file(&oldest));
            }
        }
        let node = nodes.entry(*key).or_default();
        node.uses += 1;
        node.used_s = clock::wall().secs;
        node.uses
    }

    /// Takes the turn to ask the upstream, unless somebody else has had it for less than `age_ms`.
    pub fn begin_update(&self, key: &Key, age_ms: u64) -> Turn {
        let now_ms = clock::mono_ms();
        let mut nodes = self.nodes();
        let node = nodes.entry(*key).or_default();
        match node.updating_ms {
            Some(since_ms) if now_ms.saturating_sub(since_ms) < age_ms => Turn::Taken,
            _ => {
                node.updating_ms = Some(now_ms);
                Turn::Mine
            }
        }
    }

    pub fn end_update(&self, key: &Key) {
        if let Some(node) = self.nodes().get_mut(key) {
            node.updating_ms = None;
        }
        self.table.released.notify_waiters();
    }

    /// Waits until some turn has ended.
    pub async fn released(&self) {
        self.table.released.notified().await;
    }

    /// Remembers that the answer is a page of ours.
    pub fn refuse(&self, key: &Key, status: u16, valid_s: i64) {
        self.nodes().entry(*key).or_default().refused = Some((status, valid_s));
    }

    pub fn refused(&self, key: &Key) -> Option<u16> {
        let (status, valid_s) = self.nodes().get(key)?.refused?;
        (valid_s >= clock::wall().secs).then_some(status)
    }

    /// A file has come into its place.
    pub fn stored(&self, key: &Key, bytes: u64) {
        let mut nodes = self.nodes();
        let node = nodes.entry(*key).or_default();
        node.bytes = bytes.max(1);
        node.used_s = clock::wall().secs;
        node.refused = None;
    }

    fn nodes(&self) -> MutexGuard<'_, HashMap<Key, Node>> {
        self.table.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes what nobody asked for in a while, and the least used of what is too much.
    fn clean(&self) {
        if !self.table.loaded.swap(true, Relaxed) {
            self.load();
        }
        let now_s = clock::wall().secs;
        let inactive_s = self.spec.inactive_s as i64;
        let mut gone = Vec::new();
        let mut nodes = self.nodes();
        nodes.retain(|key, node| {
            let old = node.updating_ms.is_none() && now_s - node.used_s >= inactive_s;
            if old && node.bytes > 0 {
                gone.push(*key);
            }
            !old
        });
        let total: u64 = nodes.values().map(|node| node.bytes).sum();
        let mut over = match self.spec.max_bytes {
            0 => 0,
            most => total.saturating_sub(most),
        };
        if self.spec.min_free > 0 && free_bytes(&self.spec.path) < self.spec.min_free {
            over = over.max(self.spec.min_free - free_bytes(&self.spec.path));
        }
        if over > 0 {
            let mut by_use: Vec<_> = nodes
                .iter()
                .filter(|(_, node)| node.bytes > 0 && node.updating_ms.is_none())
                .map(|(key, node)| (node.used_s, *key, node.bytes))
                .collect();
            by_use.sort_unstable();
            for (_, key, bytes) in by_use {
                if over == 0 {
                    break;
                }
                over = over.saturating_sub(bytes);
                nodes.remove(&key);
                gone.push(key);
            }
        }
        drop(nodes);
        for key in gone {
            // A file that is gone already is as good as removed.
            let _ = std::fs::remove_file(self.file(&key));
        }
    }

    /// Notes the files that are there from before.
    fn load(&self) {
        let mut folders = vec![self.spec.path.clone()];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let Ok(facts) = entry.metadata() else { continue };
                if facts.is_dir() {
                    folders.push(entry.path());
                    continue;
                }
                let name = entry.file_name();
                let Some(key) = name.to_str().and_then(key_of) else { continue };
                let mut nodes = self.nodes();
                let node = nodes.entry(key).or_insert(Node {
                    used_s: clock::wall().secs,
                    uses: 1,
                    ..Node::default()
                });
                node.bytes = facts.len().max(1);
            }
        }
    }
}

fn key_of(name: &str) -> Option<Key> {
    if name.len() != 32 || !name.is_ascii() {
        return None;
    }
    let mut key = [0; 16];
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&name[at * 2..at * 2 + 2], 16).ok()?;
    }
    Some(key)
}

/// Free bytes of the file system a folder lies on; a folder that cannot be asked has enough.
fn free_bytes(path: &std::path::Path) -> u64 {
    crate::net::fd::free_bytes(path).unwrap_or(u64::MAX)
}

/// Keeps the caches of a configuration clean; every thread runs it, one at a time does the work.
pub async fn keep_house(http: Arc<crate::http::build::HttpConf>) {
    let zones = super::conf::zones(scope(&http));
    while !zones.is_empty() {
        tokio::time::sleep(LOOK_EVERY).await;
        clock::update();
        for zone in &zones {
            let now_ms = clock::mono_ms();
            let last_ms = zone.table.looked_ms.load(Relaxed);
            let due = now_ms.saturating_sub(last_ms) >= LOOK_EVERY.as_millis() as u64 / 2;
            let swapped = zone.table.looked_ms.compare_exchange(last_ms, now_ms, Relaxed, Relaxed);
            if due && swapped.is_ok() {
                let zone = zone.clone();
                // A panic in there ends this round only.
                let _ = tokio::task::spawn_blocking(move || zone.clean()).await;
            }
        }
    }
}

fn scope(http: &crate::http::build::HttpConf) -> &Scope {
    &http.scope
}

const LOOK_EVERY: Duration = Duration::from_millis(1000);

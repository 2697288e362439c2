//! The map in memory and those who watch it.
//!
//! ```text
//!  apply(revision, changes) ─▶ map ─▶ each watcher whose prefix is touched
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::entry::{Change, Entry, Event, Range};

/// All entries, at one revision.
#[derive(Default)]
pub struct State {
    map: BTreeMap<Arc<str>, Arc<Entry>>,
    /// Keys that go by themselves, with their time.
    expiring: BTreeSet<(u64, Arc<str>)>,
    revision: u64,
    watchers: Vec<Watcher>,
    /// What lies behind cannot be asked right now.
    away: bool,
}

impl State {
    pub fn get(&self, key: &str) -> Option<Arc<Entry>> {
        self.map.get(key).cloned()
    }

    pub fn range(&self, prefix: &str) -> Range {
        let from = self.map.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let entries = from.take_while(|(key, _)| key.starts_with(prefix));
        Range { revision: self.revision, entries: entries.map(|(_, e)| e.clone()).collect() }
    }

    pub fn is_away(&self) -> bool {
        self.away
    }

    pub fn set_away(&mut self, away: bool) {
        self.away = away;
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.map.values()
    }

    /// The keys whose time is over.
    pub fn expired(&self, now_ms: u64) -> impl Iterator<Item = Arc<str>> {
        self.expiring.iter().take_while(move |(at, _)| *at <= now_ms).map(|(_, key)| key.clone())
    }

    pub fn watch(&mut self, prefix: &str) -> (Range, Watch) {
        let (sender, receiver) = unbounded_channel();
        self.watchers.push(Watcher { prefix: prefix.into(), sender });
        (self.range(prefix), Watch(receiver))
    }

    /// Takes changes over and tells them on.
    pub fn apply(&mut self, revision: u64, changes: &[Change]) {
        self.revision = revision;
        for change in changes {
            let gone = match (&change.before, &change.after) {
                (_, Some(after)) => self.map.insert(after.key.clone(), after.clone()),
                (Some(before), None) => self.map.remove(&before.key),
                (None, None) => None,
            };
            if let Some(gone) = gone.and_then(due) {
                self.expiring.remove(&gone);
            }
            self.expiring.extend(change.after.clone().and_then(due));
        }
        self.watchers.retain(|watcher| watcher.tell(revision, changes));
    }
}

/// The events below a prefix, in order. Ends when the store does.
pub struct Watch(UnboundedReceiver<Event>);

impl Watch {
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }

    /// [`Watch::next`] for threads without a runtime.
    pub fn next_blocking(&mut self) -> Option<Event> {
        self.0.blocking_recv()
    }

    /// The next event, if it has happened already.
    pub fn next_now(&mut self) -> Option<Event> {
        self.0.try_recv().ok()
    }
}

fn due(entry: Arc<Entry>) -> Option<(u64, Arc<str>)> {
    entry.expires_at_ms.map(|at| (at, entry.key.clone()))
}

struct Watcher {
    prefix: Box<str>,
    sender: UnboundedSender<Event>,
}

impl Watcher {
    /// False when nobody listens any more.
    fn tell(&self, revision: u64, changes: &[Change]) -> bool {
        let mine = |change: &&Change| change.key().starts_with(&*self.prefix);
        let changes: Vec<Change> = changes.iter().filter(mine).cloned().collect();
        if changes.is_empty() {
            return !self.sender.is_closed();
        }
        self.sender.send(Event { revision, changes }).is_ok()
    }
}

//! The copy in memory, kept up with etcd.
//!
//! ```text
//!  list ─▶ State ◀─ watch from the next revision ◀──────────────────┐
//!           ▲           └ broken ─ wait ─▶ does etcd remember us? ──┤ yes
//!           └──────── list, the differences ◀───────────────────────┘ no, or compacted
//! ```
//! "Remember" is: the entry we saw change last is what etcd says it was at our revision. An etcd
//! that was emptied, or set back to an older copy, does not.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::client::{Client, Fault, Kind, Lines};
use super::spec::Names;
use super::wire::{Kv, Range, RangeAnswer, WatchAnswer, WatchEvent, WatchLine, raw};
use crate::base::clock;
use crate::base::log::{Level, emit};
use crate::store::state::State;
use crate::store::{Change, Entry};

/// Follows one prefix.
pub struct Follower {
    client: Rc<Client>,
    names: Rc<Names>,
    state: Arc<Mutex<State>>,
    seen: watch::Sender<u64>,
    /// Nothing of ours happened up to here.
    quiet_until: u64,
    /// When it was lost, if it is.
    lost_ms: Option<u64>,
}

impl Follower {
    pub fn new(client: Rc<Client>, names: Rc<Names>, state: Arc<Mutex<State>>) -> Self {
        let (seen, _) = watch::channel(0);
        Self { client, names, state, seen, quiet_until: 0, lost_ms: None }
    }

    /// The revision readers see.
    pub fn seen(&self) -> watch::Receiver<u64> {
        self.seen.subscribe()
    }

    /// Takes the first copy.
    pub async fn begin(&mut self) -> Result<(), Fault> {
        self.list().await
    }

    /// Follows for ever.
    pub async fn run(mut self) {
        let mut wait = WAIT_LEAST;
        let mut sure = true;
        loop {
            let result = self.session(sure).await;
            // After a watch that was only silent nothing can have been lost.
            sure = result.is_ok();
            match result {
                Ok(()) => wait = WAIT_LEAST,
                Err(fault) => {
                    if self.lost(&fault) {
                        wait = WAIT_LEAST;
                    }
                    sleep(spread(wait)).await;
                    wait = (wait * 2).min(WAIT_MOST);
                }
            }
        }
    }

    /// One watch, as long as it works. Ends well when it is only silent.
    async fn session(&mut self, sure: bool) -> Result<(), Fault> {
        if !sure && !self.remembered().await? {
            self.list().await?;
        }
        let mut lines = self.watch().await?;
        loop {
            let Ok(line) = timeout(SILENCE_MOST, lines.next()).await else { return Ok(()) };
            let line: WatchLine = serde_json::from_slice(&line?)?;
            match line {
                WatchLine { error: Some(error), .. } => {
                    let text = error["message"].as_str().or(error["error"].as_str());
                    return Err(Fault::Http(text.unwrap_or("the watch was refused").to_owned()));
                }
                WatchLine { result: Some(answer), .. } => {
                    if !self.take(answer).await? {
                        lines = self.watch().await?;
                    }
                }
                WatchLine { .. } => {}
            }
        }
    }

    async fn watch(&self) -> Result<Lines, Fault> {
        let (from, end) = self.names.range();
        let next = self.state().revision().max(self.quiet_until) + 1;
        let question = json!({ "create_request": {
            "key": raw(&from), "range_end": raw(&end), "start_revision": next.to_string(),
            "progress_notify": true,
        }});
        self.client.stream("/v3/watch", &question).await
    }

    /// Takes an answer of the watch over. False when another watch is to be made.
    async fn take(&mut self, answer: WatchAnswer) -> Result<bool, Fault> {
        if answer.created && !answer.canceled {
            self.found();
        }
        if answer.compact_revision.0 > 0 {
            // What we would have to hear is forgotten.
            self.list().await?;
            return Ok(false);
        }
        if answer.canceled {
            return Err(Fault::Http(format!("the watch was ended: {}", answer.cancel_reason)));
        }
        if answer.events.is_empty() {
            if !answer.created {
                self.quiet_until = self.quiet_until.max(answer.header.revision.0);
            }
            return Ok(true);
        }
        self.apply(answer.events);
        Ok(true)
    }

    /// Events of one revision belong together.
    fn apply(&self, events: Vec<WatchEvent>) {
        let mut state = self.state();
        let mut changes: Vec<Change> = Vec::new();
        let mut revision = 0;
        for WatchEvent { kind, kv } in events {
            let at = kv.mod_revision.0;
            if at <= state.revision() {
                continue;
            }
            if at != revision && !changes.is_empty() {
                state.apply(revision, &std::mem::take(&mut changes));
            }
            revision = at;
            let Some(entry) = kv.entry(&self.names) else { continue };
            let before = state.get(&entry.key);
            match kind.as_str() {
                "DELETE" if before.is_none() => {}
                "DELETE" => changes.push(Change { before, after: None }),
                _ => changes.push(Change { before, after: Some(entry) }),
            }
        }
        if revision > 0 {
            state.apply(revision, &changes);
        }
        self.seen.send_replace(state.revision());
    }

    /// Makes the copy what etcd has now; readers hear of the differences.
    async fn list(&mut self) -> Result<(), Fault> {
        let (from, end) = self.names.range();
        let mut question = Range {
            key: raw(&from),
            range_end: raw(&end),
            limit: PAGE_ENTRIES,
            ..Range::default()
        };
        let mut found: Vec<Arc<Entry>> = Vec::new();
        loop {
            let answer: RangeAnswer =
                self.client.call(Kind::Read, "/v3/kv/range", &question).await?;
            if question.revision == 0 {
                question.revision = answer.header.revision.0;
            }
            if let Some(last) = answer.kvs.last() {
                question.key = raw(&[&last.key.0[..], &[0]].concat());
            }
            found.extend(answer.kvs.into_iter().filter_map(|kv| kv.entry(&self.names)));
            if !answer.more {
                break;
            }
        }
        self.replace(found, question.revision);
        self.found();
        Ok(())
    }

    fn replace(&mut self, found: Vec<Arc<Entry>>, revision: u64) {
        let mut state = self.state();
        let mut before: HashMap<Arc<str>, Arc<Entry>> =
            state.entries().map(|entry| (entry.key.clone(), entry.clone())).collect();
        let mut changes = Vec::new();
        for entry in found {
            match before.remove(&entry.key) {
                Some(old) if old == entry => {}
                old => changes.push(Change { before: old, after: Some(entry) }),
            }
        }
        let gone = before.into_values().map(|old| Change { before: Some(old), after: None });
        changes.extend(gone);
        state.apply(revision, &changes);
        drop(state);
        self.seen.send_replace(revision);
        self.quiet_until = 0;
    }

    /// Whether etcd has the history that we have.
    async fn remembered(&self) -> Result<bool, Fault> {
        let (last, revision) = {
            let state = self.state();
            (state.entries().max_by_key(|entry| entry.modified).cloned(), state.revision())
        };
        let key = last.as_ref().and_then(|entry| self.names.foreign(&entry.key));
        let (Some(last), Some(key)) = (last, key) else { return Ok(false) };
        let question = Range { key: raw(&key), revision, ..Range::default() };
        let answer: Result<RangeAnswer, Fault> =
            self.client.call(Kind::Read, "/v3/kv/range", &question).await;
        match answer {
            Err(fault) if fault.is_out_of_range() => Ok(false),
            Err(fault) => Err(fault),
            Ok(answer) => {
                let same = |kv: Kv| kv.entry(&self.names).is_some_and(|entry| entry == last);
                Ok(answer.kvs.into_iter().next().is_some_and(same))
            }
        }
    }

    /// Says so once; true when it was there until now.
    fn lost(&mut self, fault: &Fault) -> bool {
        self.client.turn();
        if self.lost_ms.is_some() {
            return false;
        }
        self.lost_ms = Some(clock::fresh_mono_ms());
        self.state().set_away(true);
        emit(
            Level::Error,
            format_args!("etcd is away ({fault}): what is known stays in force until it is back"),
        );
        true
    }

    fn found(&mut self) {
        if let Some(since) = self.lost_ms.take() {
            self.state().set_away(false);
            let away_ms = clock::fresh_mono_ms().saturating_sub(since);
            emit(Level::Notice, format_args!("etcd is back after {away_ms} ms"));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fleet that lost etcd at one moment does not come back at one moment.
fn spread(wait: Duration) -> Duration {
    let part = (clock::fresh_wall().as_ms().unsigned_abs() ^ u64::from(std::process::id())) % 100;
    wait.mul_f64(0.75 + part as f64 / 200.0)
}

const WAIT_LEAST: Duration = Duration::from_millis(50);
const WAIT_MOST: Duration = Duration::from_secs(1);
/// A watch without a word for so long is made anew: its connection may be dead.
const SILENCE_MOST: Duration = Duration::from_secs(30);
const PAGE_ENTRIES: u64 = 5000;

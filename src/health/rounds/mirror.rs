//! Mirrors a check into the shared dictionary, under the keys the Lua library used.
//!
//! ```text
//!   round opens:  v:foo newer than ours? ──▶ take over d:foo:p0 …     scripts may have set them
//!   result:       ok:foo:p0 += 1 | nok:foo:p0 += 1
//!   verdict:      d:foo:p0 = true | removed
//!   round closes: v:foo += 1, when a verdict changed
//! ```
//!
//! The check itself decides by its own machines; the keys are there for scripts that read them,
//! and `d:`/`v:` for scripts that write them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bstr::{BString, ByteSlice};

use super::core::Core;
use crate::health::dialect::openresty::{self as words, Voice};
use crate::health::watch::Watch;
use crate::shdict::{Dict, Incr, Item, Store, Value};

/// What the mirror needs from a shared dictionary.
pub trait Table: Send + Sync {
    /// The number under a key; anything else counts as absent.
    fn number(&self, key: &[u8]) -> Option<f64>;
    /// True when something that Lua takes for true stands under the key.
    fn is_true(&self, key: &[u8]) -> bool;
    fn set_number(&self, key: &[u8], value: f64) -> Result<(), String>;
    fn set_true(&self, key: &[u8], ttl: Option<Duration>) -> Result<(), String>;
    fn remove(&self, key: &[u8]);
    /// Adds to a number, which is created at `init` first.
    fn incr(&self, key: &[u8], by: f64, init: f64) -> Result<f64, String>;
}

impl Table for Dict {
    fn number(&self, key: &[u8]) -> Option<f64> {
        self.with(key, |found| match found {
            Ok(Some(Item { value: Value::Number(n), .. })) => Some(n),
            _ => None,
        })
    }

    fn is_true(&self, key: &[u8]) -> bool {
        self.with(key, |found| match found {
            Ok(Some(item)) => item.value != Value::Bool(false),
            // Lua finds an error here, and no value.
            Ok(None) | Err(_) => false,
        })
    }

    fn set_number(&self, key: &[u8], value: f64) -> Result<(), String> {
        self.set(key, Value::Number(value)).map_err(|e| e.to_string())
    }

    fn set_true(&self, key: &[u8], ttl: Option<Duration>) -> Result<(), String> {
        let ttl_ms = ttl.map_or(0, |t| t.as_millis() as i64);
        let done = self.store(Store::Set, key, Some(Value::Bool(true)), ttl_ms, 0);
        done.result.map_err(|e| e.to_string())
    }

    fn remove(&self, key: &[u8]) {
        self.delete(key);
    }

    fn incr(&self, key: &[u8], by: f64, init: f64) -> Result<f64, String> {
        let incr = Incr { by, init: Some((init, 0)) };
        Dict::incr(self, key, incr).result.map_err(|e| e.to_string())
    }
}

/// The mirror of one check.
pub(in crate::health) struct Mirror {
    table: Arc<dyn Table>,
    upstream: BString,
    /// Shared by the checks of one upstream, so that none takes another's publication for a
    /// script's.
    version: Arc<AtomicU64>,
    /// The first check of an upstream owns the counters and follows the keys scripts write.
    owner: bool,
    changed: bool,
}

impl Mirror {
    pub(in crate::health) fn new(
        table: Arc<dyn Table>,
        upstream: BString,
        version: Arc<AtomicU64>,
        owner: bool,
    ) -> Self {
        Self { table, upstream, version, owner, changed: false }
    }

    /// Opens a round: reads the version and tells which verdicts to take over, as places and up.
    pub(in crate::health) fn open(
        &mut self,
        core: &Core,
        lock: Duration,
        voice: &Voice<'_>,
    ) -> Vec<(usize, bool)> {
        if !self.owner {
            return Vec::new();
        }
        let taken = self.newer(core, voice);
        let key = words::lock_key(self.upstream.as_bstr());
        // Nobody else probes, so the lock is only shown: a full dictionary does no harm.
        let _ = self.table.set_true(&key, Some(lock));
        taken
    }

    /// Counts one result.
    pub(in crate::health) fn result(&self, watch: &Watch, pass: bool, voice: &Voice<'_>) {
        if !self.owner {
            return;
        }
        let (counted, other) = if pass { ("ok", "nok") } else { ("nok", "ok") };
        let key = |name: &str| self.key(&format!("{name}:"), watch);
        match self.table.incr(&key(counted), 1.0, 0.0) {
            Ok(1.0) => {
                let other_key = key(other);
                if self.table.number(&other_key).is_some_and(|n| n != 0.0)
                    && let Err(e) = self.table.set_number(&other_key, 0.0)
                {
                    voice.error(format_args!("failed to set peer {other} key: {e}"));
                }
            }
            Ok(_) => {}
            Err(e) => voice.error(format_args!("failed to set peer {counted} key: {e}")),
        }
    }

    /// Shows whether a peer is down.
    pub(in crate::health) fn verdict(&mut self, watch: &Watch, down: bool, voice: &Voice<'_>) {
        self.changed = true;
        let key = self.key("d:", watch);
        if !down {
            self.table.remove(&key);
        } else if let Err(e) = self.table.set_true(&key, None) {
            voice.error(format_args!("failed to set peer down state: {e}"));
        }
    }

    /// Closes a round: publishes a new version when something changed.
    pub(in crate::health) fn close(&mut self, voice: &Voice<'_>) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        voice.debug(format_args!("publishing peers version {}", self.version.load(Relaxed) + 1));
        let key = words::version_key(self.upstream.as_bstr());
        match self.table.incr(&key, 1.0, 0.0) {
            Ok(version) => self.version.store(version as u64, Relaxed),
            Err(e) => voice.error(format_args!("failed to publish new peers version: {e}")),
        }
    }

    /// True when a script has flushed the dictionary since the last round.
    pub(in crate::health) fn is_flushed(&self, core: &Core) -> bool {
        let key = words::version_key(self.upstream.as_bstr());
        if self.version.load(Relaxed) > 0 && self.table.number(&key).is_none() {
            return true;
        }
        let less = |name: &str, watch: &Watch, count: u64| {
            self.table.number(&self.key(name, watch)).unwrap_or(0.0) < count as f64
        };
        self.owner
            && core.watches().iter().any(|w| {
                let (ok, nok) = w.machine.counts();
                (ok > 0 && less("ok:", w, ok)) || (nok > 0 && less("nok:", w, nok))
            })
    }

    /// Goes on in the dictionary of a newer configuration.
    pub(in crate::health) fn move_to(&mut self, table: Arc<dyn Table>) {
        self.table = table;
    }

    /// Begins anew with version 0, as a worker that has just started.
    pub(in crate::health) fn restart(&mut self) {
        self.version.store(0, Relaxed);
        self.changed = false;
    }

    /// Removes the keys of a peer that is gone from the end of its list.
    pub(in crate::health) fn forget(&mut self, target: &crate::health::target::Target) {
        if self.owner {
            for prefix in ["ok:", "nok:", "d:"] {
                self.table.remove(&words::peer_key(prefix, self.upstream.as_bstr(), target));
            }
        }
    }

    /// Writes all keys of a peer anew, after its place in the list changed.
    pub(in crate::health) fn rewrite(&mut self, watch: &Watch, down: bool, voice: &Voice<'_>) {
        if self.owner {
            let (ok, nok) = watch.machine.counts();
            let _ = self.table.set_number(&self.key("ok:", watch), ok as f64);
            let _ = self.table.set_number(&self.key("nok:", watch), nok as f64);
            self.verdict(watch, down, voice);
        }
    }

    fn newer(&mut self, core: &Core, voice: &Voice<'_>) -> Vec<(usize, bool)> {
        let known = self.version.load(Relaxed);
        let key = words::version_key(self.upstream.as_bstr());
        match self.table.number(&key) {
            None => {
                // Flushed: what we know is published again at the end of the round.
                self.changed |= known > 0;
                Vec::new()
            }
            Some(version) if version > known as f64 => {
                voice.debug(format_args!("upgrading peers version to {version}"));
                self.version.store(version as u64, Relaxed);
                let up = |w: &Watch| !self.table.is_true(&self.key("d:", w));
                let watches = core.watches().iter().enumerate();
                let differing = watches.filter(|(_, w)| up(w) == w.is_down());
                differing.map(|(at, w)| (at, up(w))).collect()
            }
            Some(_) => Vec::new(),
        }
    }

    fn key(&self, prefix: &str, watch: &Watch) -> BString {
        words::peer_key(prefix, self.upstream.as_bstr(), &watch.target)
    }
}

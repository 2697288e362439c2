//! What of a book stands in the shared dictionary, under the keys the library used.
//!
//! ```text
//!   P<name>:target_list                     the list
//!   P<name>:state:<ip>:<port>:<hostname>    1 healthy, 2 unhealthy, 3 mostly_healthy, 4 …
//!   P<name>:counter:<ip>:<port>:<hostname>  four lanes in one number
//! ```

use bstr::{BString, ByteVec};

use super::list::{self, Entry};
use crate::health::machine::State;
use crate::shdict::{Dict, Store, Value};

/// The keys of one book.
#[derive(Debug)]
pub struct Keys {
    prefix: BString,
}

impl Keys {
    pub fn new(name: &[u8]) -> Self {
        Self { prefix: bstr::concat([PREFIX, name, b":"]).into() }
    }

    /// Writes the list; the error is the library's.
    pub fn write_list(&self, dict: &Dict, entries: &[Entry]) -> Result<(), String> {
        let done = dict.set(&self.key(b"target_list"), Value::String(&list::encode(entries)));
        done.map_err(|e| format!("failed to store target_list in shm: {e}"))
    }

    /// Writes state and lanes of a target. A full dictionary does no harm: nobody decides by it.
    pub fn write_target(&self, dict: &Dict, target: &[u8], state: State, packed: u32) {
        let _ = dict.set(&self.of_target(b"state:", target), Value::Number(number(state)));
        let counter = Value::Number(f64::from(packed));
        let _ = dict.set(&self.of_target(b"counter:", target), counter);
    }

    pub fn forget_target(&self, dict: &Dict, target: &[u8]) {
        dict.delete(&self.of_target(b"state:", target));
        dict.delete(&self.of_target(b"counter:", target));
    }

    fn key(&self, word: &[u8]) -> Vec<u8> {
        bstr::concat([self.prefix.as_slice(), word])
    }

    fn of_target(&self, word: &[u8], target: &[u8]) -> Vec<u8> {
        let mut key = self.key(word);
        key.push_str(target);
        key
    }
}

/// Shows which process probes, for as long as the library's workers would hold the lock.
pub fn show_prober(dict: &Dict, pid: u32) {
    let value = Some(Value::Number(f64::from(pid)));
    let _ = dict.store(Store::Set, PERIOD_LOCK, value, PERIOD_LOCK_MS, 0);
}

pub fn hide_prober(dict: &Dict) {
    dict.delete(PERIOD_LOCK);
}

fn number(state: State) -> f64 {
    match state {
        State::Healthy => 1.0,
        State::Unhealthy => 2.0,
        State::MostlyHealthy => 3.0,
        State::MostlyUnhealthy => 4.0,
    }
}

const PREFIX: &[u8] = b"lua-resty-healthcheck:";
const PERIOD_LOCK: &[u8] = b"lua-resty-healthcheck::period_lock:";
const PERIOD_LOCK_MS: i64 = 1500;

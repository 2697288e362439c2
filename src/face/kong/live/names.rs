//! Targets that are names: their addresses, looked up apart from traffic and kept fresh.
//!
//! ```text
//!  build ─ addresses(name) ─▶ known? the last answer      the thread ─ due ─▶ lookup ─ learn ─┐
//!                └▶ new: asked for, none yet                            changed? rebuild ◀─┘
//! ```

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::base::clock;

/// The names in use.
#[derive(Default)]
pub struct Names {
    known: Mutex<HashMap<String, Name>>,
    /// Told when a name was asked for that nobody looked up yet.
    pub asked: Notify,
}

#[derive(Clone, Debug)]
struct Name {
    /// The last answer, or why there is none.
    answer: Result<Vec<IpAddr>, String>,
    due_at_ms: u64,
}

impl Names {
    /// The addresses of a host: its own, when it is one, or those last heard of.
    pub fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = bare.parse() {
            return Ok(vec![ip]);
        }
        let mut known = self.known();
        if let Some(name) = known.get(host) {
            return name.answer.clone();
        }
        let answer = Err("dns server error: not resolved yet".to_string());
        known.insert(host.into(), Name { answer: answer.clone(), due_at_ms: 0 });
        self.asked.notify_one();
        answer
    }

    /// Forgets the names nobody uses.
    pub fn keep(&self, used: impl Fn(&str) -> bool) {
        self.known().retain(|name, _| used(name));
    }

    /// The names to look up now, and for how long there will be none after that.
    pub fn due(&self) -> (Vec<String>, u64) {
        let now_ms = clock::fresh_mono_ms();
        let known = self.known();
        let due = known.iter().filter(|(_, name)| name.due_at_ms <= now_ms);
        let next_ms = known.values().map(|name| name.due_at_ms.saturating_sub(now_ms)).min();
        (due.map(|(name, _)| name.clone()).collect(), next_ms.unwrap_or(REFRESH_MS))
    }

    /// Takes an answer; true when it changed something. A failure keeps what was known.
    pub fn learn(&self, name: &str, answer: Result<Vec<IpAddr>, String>) -> bool {
        let mut known = self.known();
        let Some(entry) = known.get_mut(name) else { return false };
        let after_ms = if answer.is_ok() { REFRESH_MS } else { RETRY_MS };
        entry.due_at_ms = clock::fresh_mono_ms() + after_ms;
        if entry.answer == answer || answer.is_err() && entry.answer.is_ok() {
            return false;
        }
        entry.answer = answer;
        true
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Name>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The system's resolver does not tell for how long its answers hold.
const REFRESH_MS: u64 = 5000;
const RETRY_MS: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_the_last_answer() {
        let names = Names::default();
        assert_eq!(names.addresses("[::1]"), Ok(vec!["::1".parse().expect("an address")]));
        assert!(names.addresses("a.test").is_err());
        assert_eq!(names.due().0, ["a.test"]);
        let ip: IpAddr = "127.0.0.9".parse().expect("an address");
        assert!(names.learn("a.test", Ok(vec![ip])));
        assert!(!names.learn("a.test", Err("gone".into())));
        assert_eq!(names.addresses("a.test"), Ok(vec![ip]));
        assert!(names.due().0.is_empty());
        names.keep(|_| false);
        assert!(!names.learn("a.test", Ok(vec![ip])));
    }
}

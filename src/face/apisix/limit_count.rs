//! The plugin `limit-count` with its local policy: so many requests of a key in a window of time.
//!
//! ```text
//!  (setting, key) ─▶ Window { began, count, before } ─▶ let through with headers, or refused
//! ```
//! Counters are the process's, whichever worker thread a request comes to.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use serde_json::json;

use super::admin::answer_json;
use super::model::{Limit, WindowKey, WindowType};
use crate::base::clock;
use crate::http::{Flow, Request};

/// Counts a request; a refused one is answered.
pub fn check(r: &Rc<Request>, limit: &Limit) -> Option<Flow> {
    let key = key(r, limit);
    let state = count(limit, key, clock::mono_ms());
    if limit.show_limit_quota_header {
        let mut out = r.headers_out.borrow_mut();
        let reset = state.reset_ms as f64 / 1000.0;
        out.list.set("X-RateLimit-Limit", limit.count.to_string());
        out.list.set("X-RateLimit-Remaining", state.remaining.to_string());
        out.list.set("X-RateLimit-Reset", ((reset * 100.0).round() / 100.0).to_string());
    }
    if state.allowed {
        return None;
    }
    Some(match &limit.rejected_msg {
        Some(text) => answer_json(r, limit.rejected_code, &json!({ "error_msg": text })),
        None => Flow::Status(limit.rejected_code),
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    allowed: bool,
    remaining: u64,
    /// Until the window ends.
    reset_ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    began_ms: u64,
    ends_ms: u64,
    count: u64,
    /// What the window before it had, for sliding ones.
    before: u64,
}

fn count(limit: &Limit, key: Bytes, now_ms: u64) -> State {
    let mut windows = WINDOWS.lock().unwrap_or_else(PoisonError::into_inner);
    if windows.len() >= SWEEP_AT && windows.len().is_power_of_two() {
        let alive = |window: &Window| window.ends_ms + (window.ends_ms - window.began_ms) > now_ms;
        windows.retain(|_, window| alive(window));
    }
    let span_ms = limit.time_window.saturating_mul(1000);
    let fresh = Window { began_ms: now_ms, ends_ms: now_ms + span_ms, count: 0, before: 0 };
    let window = windows.entry((limit.counter, key)).or_insert(fresh);
    if now_ms >= window.ends_ms {
        *window = match limit.window_type {
            WindowType::Sliding if now_ms < window.ends_ms + span_ms => Window {
                began_ms: window.ends_ms,
                ends_ms: window.ends_ms + span_ms,
                count: 0,
                before: window.count,
            },
            _ => fresh,
        };
    }
    let left_ms = window.ends_ms.saturating_sub(now_ms);
    // The part of the window before that still lies within the last span.
    let carried = (window.before as f64 * left_ms as f64 / span_ms.max(1) as f64) as u64;
    let used = window.count + carried;
    let allowed = used < limit.count;
    if allowed {
        window.count += 1;
    }
    let remaining = limit.count.saturating_sub(used + u64::from(allowed));
    State { allowed, remaining, reset_ms: left_ms }
}

/// What requests are told apart by; the client's address when that is empty.
fn key(r: &Rc<Request>, limit: &Limit) -> Bytes {
    let key = match limit.key_type {
        WindowKey::Constant => Bytes::copy_from_slice(limit.key.as_bytes()),
        WindowKey::Var => r.var_by_name(limit.key.as_bytes()).unwrap_or_default(),
        WindowKey::VarCombination => combine(&limit.key, |name| r.var_by_name(name.as_bytes())),
    };
    if key.is_empty() { r.conn.remote_text.borrow().clone() } else { key }
}

/// Fills `$name` and `${name}` in; empty when none of them has a value.
pub fn combine(text: &str, read: impl Fn(&str) -> Option<Bytes>) -> Bytes {
    let mut out = Vec::new();
    let mut any = false;
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.extend_from_slice(before.as_bytes());
        let (name, behind) = match after.strip_prefix('{').and_then(|t| t.split_once('}')) {
            Some(split) => split,
            None => {
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len()))
            }
        };
        if let Some(value) = read(name).filter(|value| !value.is_empty()) {
            any = true;
            out.extend_from_slice(&value);
        }
        rest = behind;
    }
    out.extend_from_slice(rest.as_bytes());
    if any { out.into() } else { Bytes::new() }
}

type Windows = HashMap<(u64, Bytes), Window>;

static WINDOWS: LazyLock<Mutex<Windows>> = LazyLock::new(Mutex::default);
/// With so many keys, and at each doubling, those whose time is over are dropped.
const SWEEP_AT: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(counter: u64, window_type: WindowType) -> Limit {
        Limit {
            count: 2,
            time_window: 60,
            window_type,
            key: "remote_addr".into(),
            key_type: WindowKey::Var,
            rejected_code: 503,
            rejected_msg: None,
            show_limit_quota_header: true,
            group: None,
            counter,
        }
    }

    fn run(limit: &Limit, at_ms: &[u64]) -> Vec<(bool, u64)> {
        let one = |now_ms: &u64| {
            let state = count(limit, Bytes::from_static(b"k"), *now_ms);
            (state.allowed, state.remaining)
        };
        at_ms.iter().map(one).collect()
    }

    #[test]
    fn a_fixed_window_opens_with_the_first_request() {
        let limit = limit(1, WindowType::Fixed);
        let seen = run(&limit, &[1000, 2000, 3000, 60_999, 61_000]);
        assert_eq!(seen, [(true, 1), (true, 0), (false, 0), (false, 0), (true, 1)]);
    }

    #[test]
    fn a_sliding_window_remembers_the_one_before() {
        let limit = limit(2, WindowType::Sliding);
        let seen = run(&limit, &[0, 1, 60_000, 91_000, 200_000]);
        assert_eq!(seen, [(true, 1), (true, 0), (false, 0), (true, 1), (true, 1)]);
    }

    #[test]
    fn variables_are_filled_in() {
        let read = |name: &str| (name == "a").then(|| Bytes::from_static(b"1"));
        assert_eq!(combine("$a x${a}y $b", read), "1 x1y ");
        assert_eq!(combine("$b-$c", read), "");
    }
}

//! The plugin `limit-count` with its local policy: so many requests of a key in a window of time.
//!
//! ```text
//!  rules with their numbers ─▶ (setting, key) ─▶ Window ─▶ let through with headers, or refused
//! ```
//! Counters are the process's, whichever worker thread a request comes to.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use serde_json::json;

use super::model::{Amount, Limit, Rule, WindowKey, WindowType};
use crate::base::clock;
use crate::base::log::Level;
use crate::http::{Flow, Request};

/// Counts a request by all rules; a refused one is answered.
pub fn check(r: &Rc<Request>, limit: &Limit) -> Option<Flow> {
    let told = match active(r, limit) {
        Ok(rules) if !rules.is_empty() => {
            return rules.into_iter().find_map(|rule| apply(r, limit, rule));
        }
        Ok(_) => "nil".to_owned(),
        Err(why) => why,
    };
    r.log(Level::Error, format_args!("failed to get rate limit rules: {told}"));
    (!limit.answers.allow_degradation).then_some(Flow::Status(500))
}

/// A rule whose numbers and key are known.
struct Active<'a> {
    rule: &'a Rule,
    count: u64,
    window_s: u64,
    key: Bytes,
}

fn active<'a>(r: &Rc<Request>, limit: &'a Limit) -> Result<Vec<Active<'a>>, String> {
    let mut all = Vec::with_capacity(limit.rules.len());
    for rule in &limit.rules {
        let key = key(r, rule);
        // A rule of a list that asks for what a request has not does not apply to it.
        if limit.listed && key.is_none() {
            continue;
        }
        let key = key.unwrap_or_else(|| r.conn.remote_text.borrow().clone());
        let (count, window_s) = (number(r, &rule.count)?, number(r, &rule.time_window)?);
        all.push(Active { rule, count, window_s, key });
    }
    Ok(all)
}

fn apply(r: &Rc<Request>, limit: &Limit, rule: Active<'_>) -> Option<Flow> {
    let span = Span { most: rule.count, span_ms: rule.window_s.saturating_mul(1000) };
    let now_ms = match limit.answers.window_type {
        WindowType::Fixed => clock::mono_ms(),
        WindowType::Sliding => clock::wall().as_ms().unsigned_abs(),
    };
    let state = count((limit.counter, rule.key), span, limit.answers.window_type, now_ms);
    if limit.answers.show_limit_quota_header {
        let prefix = rule.rule.prefix.as_ref().map(|prefix| format!("{prefix}-"));
        let prefix = prefix.unwrap_or_default();
        let reset = (state.reset_ms / 10) as f64 / 100.0;
        let mut out = r.headers_out.borrow_mut();
        let mut set = |name: &str, value: String| {
            out.list.set(format!("X-{prefix}RateLimit-{name}"), value);
        };
        set("Limit", rule.count.to_string());
        set("Remaining", state.remaining.to_string());
        set("Reset", reset.to_string());
    }
    if state.allowed {
        return None;
    }
    let status = limit.answers.rejected_code as u16;
    Some(match &limit.answers.rejected_msg {
        Some(text) => {
            let text = format!("{}\n", json!({ "error_msg": text }));
            let kind = Bytes::from_static(b"text/plain; charset=utf-8");
            r.answer(status, Some(kind), text.into())
        }
        None => Flow::Status(status),
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    allowed: bool,
    remaining: u64,
    /// Until the window ends.
    reset_ms: u64,
}

#[derive(Clone, Copy)]
struct Span {
    most: u64,
    span_ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    ends_ms: u64,
    span_ms: u64,
    count: u64,
    /// What the window before it had, for sliding ones.
    before: u64,
}

fn count(key: (u64, Bytes), span: Span, kind: WindowType, now_ms: u64) -> State {
    let mut windows = WINDOWS.lock().unwrap_or_else(PoisonError::into_inner);
    if windows.len() >= SWEEP_AT && windows.len().is_power_of_two() {
        windows.retain(|_, window| window.ends_ms + window.span_ms > now_ms);
    }
    let span_ms = span.span_ms;
    // A fixed window opens with the first request, sliding ones stand on a grid.
    let ends_ms = match kind {
        WindowType::Fixed => now_ms + span_ms,
        WindowType::Sliding => now_ms - now_ms % span_ms + span_ms,
    };
    let fresh = Window { ends_ms, span_ms, count: 0, before: 0 };
    let window = windows.entry(key).or_insert(fresh);
    if now_ms >= window.ends_ms {
        let follows = kind == WindowType::Sliding && window.ends_ms + span_ms == ends_ms;
        let before = if follows { window.count.min(span.most) } else { 0 };
        *window = Window { before, ..fresh };
    }
    let left_ms = window.ends_ms - now_ms;
    // The part of the window before that still lies within the last span.
    let carried = window.before as f64 * left_ms as f64 / span_ms as f64;
    let used = window.count as f64 + carried;
    if used < span.most as f64 {
        window.count += 1;
        let remaining = (span.most as f64 - used - 1.0).floor().max(0.0) as u64;
        return State { allowed: true, remaining, reset_ms: left_ms };
    }
    let reset_ms = match window.count < span.most {
        // So long until enough of the window before has passed.
        true => {
            let free = (span.most - window.count) as f64 * span_ms as f64 / window.before as f64;
            (left_ms as f64 - free).max(0.0) as u64
        }
        false => left_ms,
    };
    State { allowed: false, remaining: 0, reset_ms }
}

/// What requests are told apart by; none when a request has no value for it.
fn key(r: &Rc<Request>, rule: &Rule) -> Option<Bytes> {
    let key = match rule.key_type {
        WindowKey::Constant => Bytes::copy_from_slice(rule.key.as_bytes()),
        WindowKey::Var => r.var_by_name(rule.key.as_bytes()).unwrap_or_default(),
        WindowKey::VarCombination => combine(&rule.key, |name| r.var_by_name(name.as_bytes())),
    };
    Some(key).filter(|key| !key.is_empty())
}

/// The number an amount stands for with this request.
fn number(r: &Rc<Request>, amount: &Amount) -> Result<u64, String> {
    let text = match amount {
        Amount::Number(number) => return Ok(*number as u64),
        Amount::Text(text) => text,
    };
    let filled = match text.contains('$') {
        true => combine(text, |name| r.var_by_name(name.as_bytes())),
        false => Bytes::copy_from_slice(text.as_bytes()),
    };
    whole(&filled)
}

fn whole(text: &[u8]) -> Result<u64, String> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.trim().parse::<f64>().ok());
    let number = number.ok_or("resolved value is not a number")?;
    let wrong = |what: &str| Err(format!("resolved value {what}, got: {number}"));
    if number <= 0.0 {
        return wrong("must be a positive number");
    }
    if number.fract() != 0.0 {
        return wrong("must be an integer");
    }
    if number > MOST {
        return wrong("exceeds safe integer range (2^53-1)");
    }
    Ok(number as u64)
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

/// 2^53 - 1
const MOST: f64 = 9_007_199_254_740_991.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn run(counter: u64, kind: WindowType, at_ms: &[u64]) -> Vec<(bool, u64, u64)> {
        let span = Span { most: 2, span_ms: 60_000 };
        let one = |now_ms: &u64| {
            let state = count((counter, Bytes::from_static(b"k")), span, kind, *now_ms);
            (state.allowed, state.remaining, state.reset_ms)
        };
        at_ms.iter().map(one).collect()
    }

    #[test]
    fn a_fixed_window_opens_with_the_first_request() {
        let seen = run(1, WindowType::Fixed, &[1000, 2000, 3000, 60_999, 61_000]);
        let wanted = [
            (true, 1, 60_000),
            (true, 0, 59_000),
            (false, 0, 58_000),
            (false, 0, 1),
            (true, 1, 60_000),
        ];
        assert_eq!(seen, wanted);
    }

    #[test]
    fn a_sliding_window_remembers_the_one_before() {
        let seen = run(2, WindowType::Sliding, &[0, 1, 2, 60_000, 90_000, 91_000, 300_000]);
        let wanted = [
            (true, 1, 60_000),
            (true, 0, 59_999),
            (false, 0, 59_998),
            // Both of the window before still count, until the next moment.
            (false, 0, 0),
            // One of them still counts.
            (true, 0, 30_000),
            // 0.97 of it, and the one before it.
            (true, 0, 29_000),
            (true, 1, 60_000),
        ];
        assert_eq!(seen, wanted);
    }

    #[test]
    fn variables_are_filled_in() {
        let read = |name: &str| (name == "a").then(|| Bytes::from_static(b"1"));
        assert_eq!(combine("$a x${a}y $b", read), "1 x1y ");
        assert_eq!(combine("$b-$c", read), "");
    }

    #[test]
    fn amounts_are_whole_and_positive() {
        assert_eq!(whole(b"5"), Ok(5));
        assert_eq!(whole(b"x"), Err("resolved value is not a number".into()));
        let wrong = "resolved value must be a positive number, got: -1";
        assert_eq!(whole(b"-1"), Err(wrong.into()));
        assert_eq!(whole(b"1.5"), Err("resolved value must be an integer, got: 1.5".into()));
    }
}

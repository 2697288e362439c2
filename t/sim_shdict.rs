//! Runs the shared table against a naive model: seeded operations, the same answers.
//!
//! ```text
//!   seed -> operations -> Table and Model -> compare each answer; a failure prints seed and step
//! ```
//!
//! The zone is large enough that nothing is evicted: the table's own tests are about eviction.

use std::collections::{HashMap, VecDeque};

use moonbeat::shdict::{Error, Incr, OwnedValue, Side, Store, Table, Value};

use crate::fuzz_http1::Random;
use crate::harness::case::Case;

pub fn cases() -> Vec<Case> {
    vec![
        Case::check("shdict/sim/answers", || (1..200).try_for_each(simulate)),
        Case::check("shdict/sim/memory comes back", || (1..50).try_for_each(churn)),
    ]
}

/// Compares answers over a few thousand operations.
fn simulate(seed: u64) -> Result<(), String> {
    let mut random = seeded(seed);
    let mut table = Table::new(b"sim", 4 << 20);
    let mut model = Model::default();
    let mut now = 1_000;
    for step in 0..2_000 {
        now += random.below(20) as u64;
        let key = format!("key{}", random.below(12)).into_bytes();
        let (ours, expected) = one_step(&mut table, &mut model, &mut random, &key, now);
        if ours != expected {
            return Err(format!("seed {seed}, step {step}: {ours} instead of {expected}"));
        }
    }
    Ok(())
}

fn one_step(
    table: &mut Table,
    model: &mut Model,
    random: &mut Random,
    key: &[u8],
    now: u64,
) -> (String, String) {
    let ttl = [0, 0, 10, 100, 1000][random.below(5)];
    let value = random_value(random);
    let side = if random.below(2) == 0 { Side::Left } else { Side::Right };
    let modes = [Store::Set, Store::SafeSet, Store::Add, Store::SafeAdd, Store::Replace];
    match random.below(12) {
        0..=2 => {
            let found = table.get(key, now);
            let ours = found.map(|f| f.map(|item| (OwnedValue::from(item.value), item.flags)));
            (format!("get {ours:?}"), format!("get {:?}", model.get(key, now)))
        }
        3..=5 => {
            let mode = modes[random.below(5)];
            let value = (random.below(8) > 0).then_some(value);
            let flags = random.below(3) as u32;
            let borrowed = value.as_ref().map(OwnedValue::borrow);
            let ours = table.store(mode, key, borrowed, ttl, flags, now).result;
            let expected = model.store(mode, key, value, ttl, flags, now);
            (format!("{mode:?} {ours:?}"), format!("{mode:?} {expected:?}"))
        }
        6 => {
            let incr = Incr { by: 1.5, init: (random.below(2) == 0).then_some((2.0, ttl)) };
            let ours = table.incr(key, incr, now).result;
            (format!("incr {ours:?}"), format!("incr {:?}", model.incr(key, incr, now)))
        }
        7 => {
            let ours = table.push(key, value.borrow(), side, now);
            let expected = model.push(key, value, side, now);
            (format!("push {ours:?}"), format!("push {expected:?}"))
        }
        8 => {
            let ours = table.pop(key, side, now);
            (format!("pop {ours:?}"), format!("pop {:?}", model.pop(key, side, now)))
        }
        9 => {
            let mut ours = table.keys(0, now);
            ours.sort();
            (format!("keys {ours:?}"), format!("keys {:?}", model.keys(now)))
        }
        10 => {
            let ours = table.llen(key, now);
            (format!("llen {ours:?}"), format!("llen {:?}", model.llen(key, now)))
        }
        // An expired entry may be gone already or not: only living ones are compared.
        _ if model.live(key, now).is_some() => {
            let ours = (table.ttl(key, now), table.expire(key, ttl, now));
            (format!("ttl {ours:?}"), format!("ttl {:?}", model.renew(key, ttl, now)))
        }
        _ => (String::new(), String::new()),
    }
}

/// Fills and empties a small zone in random ways; at the end all pages are free again.
fn churn(seed: u64) -> Result<(), String> {
    let mut random = seeded(seed);
    let mut table = Table::new(b"churn", 64 << 10);
    let empty = table.free_space();
    for now in 0..3_000 {
        let key = format!("{}", random.below(60)).into_bytes();
        let text = vec![b'x'; random.below(6_000)];
        match random.below(5) {
            0..=2 => _ = table.store(Store::Set, &key, Some(Value::String(&text)), 50, 0, now),
            3 => _ = table.push(&key, Value::String(&text), Side::Left, now),
            _ => _ = table.pop(&key, Side::Right, now),
        }
    }
    table.flush_all(3_000);
    table.flush_expired(0, 3_000);
    match (table.len(), table.free_space()) {
        (0, free) if free == empty => Ok(()),
        (len, free) => Err(format!("seed {seed}: {len} left, {free} free instead of {empty}")),
    }
}

fn random_value(random: &mut Random) -> OwnedValue {
    match random.below(3) {
        0 => OwnedValue::Number(random.below(100) as f64),
        1 => OwnedValue::Bool(random.below(2) == 0),
        _ => OwnedValue::String(vec![b'v'; random.below(40)].into()),
    }
}

fn seeded(seed: u64) -> Random {
    Random::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// What the documentation says, in the shortest code; nothing is dropped before its time.
#[derive(Default)]
struct Model {
    entries: HashMap<Vec<u8>, Entry>,
}

struct Entry {
    content: Content,
    flags: u32,
    expires: u64,
}

enum Content {
    One(OwnedValue),
    List(VecDeque<OwnedValue>),
}

impl Model {
    fn live(&mut self, key: &[u8], now: u64) -> Option<&mut Entry> {
        self.entries.get_mut(key).filter(|e| e.expires == 0 || e.expires > now)
    }

    fn get(&mut self, key: &[u8], now: u64) -> Result<Option<(OwnedValue, u32)>, Error> {
        match self.live(key, now) {
            None => Ok(None),
            Some(Entry { content: Content::One(value), flags, .. }) => {
                Ok(Some((value.clone(), *flags)))
            }
            Some(_) => Err(Error::IsAList),
        }
    }

    fn store(
        &mut self,
        mode: Store,
        key: &[u8],
        value: Option<OwnedValue>,
        ttl: i64,
        flags: u32,
        now: u64,
    ) -> Result<(), Error> {
        let there = self.live(key, now).is_some();
        let Some(value) = value else {
            if !matches!(mode, Store::Set | Store::SafeSet) {
                return Err(Error::NilValue);
            }
            self.entries.remove(key);
            return Ok(());
        };
        match mode {
            Store::Replace if !there => return Err(Error::NotFound),
            Store::Add | Store::SafeAdd if there => return Err(Error::Exists),
            _ => {}
        }
        let expires = if ttl > 0 { now + ttl as u64 } else { 0 };
        self.entries.insert(key.into(), Entry { content: Content::One(value), flags, expires });
        Ok(())
    }

    fn incr(&mut self, key: &[u8], incr: Incr, now: u64) -> Result<f64, Error> {
        if let Some(entry) = self.live(key, now) {
            let Content::One(OwnedValue::Number(number)) = &mut entry.content else {
                return Err(Error::NotANumber);
            };
            *number += incr.by;
            return Ok(*number);
        }
        let (init, ttl) = incr.init.ok_or(Error::NotFound)?;
        let sum = init + incr.by;
        self.store(Store::Set, key, Some(OwnedValue::Number(sum)), ttl, 0, now).map(|()| sum)
    }

    fn list(&mut self, key: &[u8], now: u64) -> Result<Option<&mut VecDeque<OwnedValue>>, Error> {
        match self.live(key, now) {
            None => Ok(None),
            Some(Entry { content: Content::List(list), .. }) => Ok(Some(list)),
            Some(_) => Err(Error::NotAList),
        }
    }

    fn push(
        &mut self,
        key: &[u8],
        value: OwnedValue,
        side: Side,
        now: u64,
    ) -> Result<usize, Error> {
        if self.list(key, now)?.is_none() {
            let content = Content::List(VecDeque::new());
            self.entries.insert(key.into(), Entry { content, flags: 0, expires: 0 });
        }
        let list = self.list(key, now)?.ok_or(Error::NotAList)?;
        match side {
            Side::Left => list.push_front(value),
            Side::Right => list.push_back(value),
        }
        Ok(list.len())
    }

    fn pop(&mut self, key: &[u8], side: Side, now: u64) -> Result<Option<OwnedValue>, Error> {
        let Some(list) = self.list(key, now)? else { return Ok(None) };
        let value = match side {
            Side::Left => list.pop_front(),
            Side::Right => list.pop_back(),
        };
        if list.is_empty() {
            self.entries.remove(key);
        }
        Ok(value)
    }

    fn llen(&mut self, key: &[u8], now: u64) -> Result<usize, Error> {
        Ok(self.list(key, now)?.map_or(0, |list| list.len()))
    }

    fn keys(&self, now: u64) -> Vec<Box<[u8]>> {
        let live = self.entries.iter().filter(|(_, e)| e.expires == 0 || e.expires > now);
        let mut keys: Vec<Box<[u8]>> = live.map(|(key, _)| key.as_slice().into()).collect();
        keys.sort();
        keys
    }

    fn renew(&mut self, key: &[u8], ttl: i64, now: u64) -> (Result<i64, Error>, Result<(), Error>) {
        let Some(entry) = self.live(key, now) else {
            return (Err(Error::NotFound), Err(Error::NotFound));
        };
        let left = if entry.expires == 0 { 0 } else { (entry.expires - now) as i64 };
        entry.expires = if ttl > 0 { now + ttl as u64 } else { 0 };
        (Ok(left), Ok(()))
    }
}

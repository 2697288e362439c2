use super::*;

const NOW: u64 = 1_000_000;

fn table() -> Table {
    Table::new(b"cats", 16 * 1024)
}

fn set(table: &mut Table, key: &str, value: &str) -> Outcome<()> {
    table.store(Store::Set, key.as_bytes(), Some(Value::String(value.as_bytes())), 0, 0, NOW)
}

fn number(table: &mut Table, key: &str, value: f64, ttl_ms: i64) {
    let stored =
        table.store(Store::Set, key.as_bytes(), Some(Value::Number(value)), ttl_ms, 0, NOW);
    assert_eq!(stored, Outcome { result: Ok(()), forcible: false });
}

fn get(table: &mut Table, key: &str, now_ms: u64) -> Option<OwnedValue> {
    table.get(key.as_bytes(), now_ms).unwrap().map(|item| item.value.into())
}

#[test]
fn memory_is_counted_as_in_nginx() {
    let mut t = table();
    assert_eq!(t.free_space(), 4096);
    for i in 1..=63 {
        let stored = set(&mut t, &format!("key{i:05}"), &format!("val{i:05}"));
        assert_eq!(stored, Outcome { result: Ok(()), forcible: false }, "{i}");
        assert_eq!(t.free_space(), if i <= 31 { 4096 } else { 0 }, "{i}");
    }
    assert!(set(&mut t, "key00064", "val00064").forcible);
    assert_eq!(get(&mut t, "key00001", NOW), None);
    assert!(get(&mut t, "key00002", NOW).is_some());
    let safe = t.store(Store::SafeSet, b"new", Some(Value::Bool(true)), 0, 0, NOW);
    assert_eq!(safe, Outcome { result: Err(Error::NoMemory), forcible: false });
}

#[test]
fn a_value_too_large_drops_everything_for_nothing() {
    let mut t = table();
    set(&mut t, "a", "1");
    let stored = set(&mut t, "big", &"x".repeat(20_000));
    assert_eq!(stored, Outcome { result: Err(Error::NoMemory), forcible: true });
    assert!(t.is_empty());
}

#[test]
fn add_and_replace() {
    let mut t = table();
    let add = |t: &mut Table, mode, now| {
        t.store(mode, b"k", Some(Value::Number(1.0)), 100, 7, now).result
    };
    assert_eq!(add(&mut t, Store::Replace, NOW), Err(Error::NotFound));
    assert_eq!(add(&mut t, Store::Add, NOW), Ok(()));
    assert_eq!(add(&mut t, Store::Add, NOW + 99), Err(Error::Exists));
    assert_eq!(add(&mut t, Store::SafeAdd, NOW + 100), Ok(()));
    assert_eq!(add(&mut t, Store::Replace, NOW + 150), Ok(()));
    assert_eq!(t.get(b"k", NOW + 150).unwrap().unwrap().flags, 7);
    let nil = t.store(Store::Add, b"k", None, 0, 0, NOW).result;
    assert_eq!(nil, Err(Error::NilValue));
    let long = vec![b'k'; 65_536];
    assert_eq!(t.store(Store::Set, &long, None, 0, 0, NOW).result, Err(Error::KeyTooLong));
}

#[test]
fn time_to_live() {
    let mut t = table();
    number(&mut t, "k", 1.0, 50);
    number(&mut t, "newer", 1.0, 0);
    assert_eq!(t.ttl(b"k", NOW + 20), Ok(30));
    assert_eq!(t.ttl(b"none", NOW), Err(Error::NotFound));
    assert!(t.stale(b"k", NOW + 50).unwrap().unwrap().1);
    assert_eq!(t.ttl(b"k", NOW + 60), Ok(-10));
    t.expire(b"k", 500, NOW + 60).unwrap();
    assert!(get(&mut t, "k", NOW + 60).is_some());
    t.expire(b"k", 0, NOW + 60).unwrap();
    assert_eq!(t.ttl(b"k", NOW + 60), Ok(0));
}

#[test]
fn counting() {
    let mut t = table();
    let by = |by, init| Incr { by, init };
    assert_eq!(t.incr(b"k", by(1.0, None), NOW).result, Err(Error::NotFound));
    assert_eq!(t.incr(b"k", by(1.5, Some((10.0, 40))), NOW).result, Ok(11.5));
    assert_eq!(t.incr(b"k", by(1.0, Some((0.0, 0))), NOW).result, Ok(12.5));
    assert_eq!(t.ttl(b"k", NOW), Ok(40));
    assert_eq!(t.incr(b"k", by(1.0, Some((0.0, 0))), NOW + 40).result, Ok(1.0));
    set(&mut t, "s", "text");
    assert_eq!(t.incr(b"s", by(1.0, None), NOW).result, Err(Error::NotANumber));
}

#[test]
fn lists() {
    let mut t = table();
    let text = |t: &'static str| Value::String(t.as_bytes());
    assert_eq!(t.push(b"l", text("b"), Side::Left, NOW), Ok(1));
    assert_eq!(t.push(b"l", text("a"), Side::Left, NOW), Ok(2));
    assert_eq!(t.push(b"l", Value::Number(3.0), Side::Right, NOW), Ok(3));
    assert_eq!(t.llen(b"l", NOW), Ok(3));
    assert_eq!(t.get(b"l", NOW), Err(Error::IsAList));
    assert_eq!(t.pop(b"l", Side::Right, NOW), Ok(Some(OwnedValue::Number(3.0))));
    assert_eq!(t.pop(b"l", Side::Left, NOW), Ok(Some(text("a").into())));
    assert_eq!(t.pop(b"l", Side::Left, NOW), Ok(Some(text("b").into())));
    assert_eq!((t.pop(b"l", Side::Left, NOW), t.llen(b"l", NOW)), (Ok(None), Ok(0)));
    assert!(t.is_empty());
    number(&mut t, "n", 1.0, 0);
    assert_eq!(t.push(b"n", text("x"), Side::Left, NOW), Err(Error::NotAList));
    assert_eq!(t.llen(b"n", NOW), Err(Error::NotAList));
    t.push(b"l", text("old"), Side::Left, NOW).unwrap();
    t.expire(b"l", 10, NOW).unwrap();
    number(&mut t, "n", 1.0, 0);
    t.push(b"young", text("x"), Side::Left, NOW).unwrap();
    assert_eq!(t.llen(b"l", NOW + 10), Ok(0));
}

#[test]
fn flushing_and_keys() {
    let mut t = table();
    for key in ["a", "b", "c", "d", "e"] {
        number(&mut t, key, 1.0, 0);
    }
    get(&mut t, "a", NOW);
    let keys = |t: &Table, max| t.keys(max, NOW).concat();
    assert_eq!(keys(&t, 0), b"bcdea");
    assert_eq!(keys(&t, 2), b"bc");
    t.flush_all(NOW);
    assert_eq!(keys(&t, 0), b"");
    assert_eq!(t.len(), 2);
    assert_eq!(t.flush_expired(1, NOW), 1);
    assert_eq!(t.flush_expired(0, NOW), 1);
    assert_eq!(t.free_space(), 4096);
}

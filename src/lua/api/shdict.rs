//! `ngx.shared.DICT`.
//!
//! ```text
//!   get, set and its kin, incr ─▶ hot.rs, by FFI      the rest ─▶ natives here
//! ```

mod hot;

use std::cell::RefCell;
use std::ffi::c_int;

use super::Topic;
use crate::conf::{Builder, Diag, Directive, Part};
use crate::http::HttpConf;
use crate::lua::phase::ANY;
use crate::lua::raw::{Call, Kind, Light, Op, Raise};
use crate::lua::vm::Worker;
use crate::shdict::{Dict, Error, OwnedValue, Side, Value, zones};

pub const TOPIC: Topic = Topic { ops: OPS, ffi: hot::ROWS };

const OPS: &[Op] = &[
    Op { name: "shdict.find", phases: ANY, run: find },
    Op { name: "shdict.names", phases: ANY, run: names },
    // For a table that has nothing but the handle.
    Op { name: "shdict.number", phases: ANY, run: |c| c.ret(c.to_light(1) as usize as f64) },
    Op { name: "shdict.lpush", phases: ANY, run: |c| push(c, Side::Left) },
    Op { name: "shdict.rpush", phases: ANY, run: |c| push(c, Side::Right) },
    Op { name: "shdict.lpop", phases: ANY, run: |c| pop(c, Side::Left) },
    Op { name: "shdict.rpop", phases: ANY, run: |c| pop(c, Side::Right) },
    Op { name: "shdict.llen", phases: ANY, run: llen },
    Op { name: "shdict.flush_expired", phases: ANY, run: flush_expired },
    Op { name: "shdict.get_keys", phases: ANY, run: keys },
    Op { name: "shdict.capacity", phases: ANY, run: |c| c.ret(dict(c)?.capacity()) },
    Op { name: "shdict.free_space", phases: ANY, run: |c| c.ret(dict(c)?.free_space()) },
];

/// The dictionaries of a configuration.
#[derive(Default)]
pub struct Declared(Vec<(Vec<u8>, usize, Dict)>);

impl Part for Declared {
    fn inherit(&mut self, _parent: &Self) {}
}

/// The dictionaries of a VM; scripts hold the index.
#[derive(Default)]
struct Open(RefCell<Vec<Dict>>);

/// The `lua_shared_dict` row.
pub fn declare(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let name = d.arg(1).to_owned();
    if name.is_empty() {
        return Err(Diag::emerg("invalid lua shared dict name \"\""));
    }
    let size = d.size(2).ok().filter(|size| *size >= zones::SIZE_MIN_BYTES);
    let Some(size) = size else {
        let text = format!("invalid lua shared dict size \"{}\"", d.arg(2));
        return Err(d.wrong_arg(2, text));
    };
    if b.part::<Declared>().0.iter().any(|(known, ..)| *known == *name) {
        return Err(Diag::emerg(format!(
            "lua_shared_dict \"{name}\" is already defined as \"{name}\""
        )));
    }
    let zone = zones::acquire(&name, size);
    b.part::<Declared>().0.push((name.to_vec(), size, zone.dict));
    Ok(())
}

/// Makes the dictionaries of a configuration known to the VMs of a worker.
pub fn open(worker: &Worker, http: &HttpConf) {
    let declared = &http.scope.part::<Declared>().0;
    let dicts: Vec<Dict> = declared.iter().map(|(.., d)| d.clone()).collect();
    hot::open(&dicts);
    *worker.part::<Open>().0.borrow_mut() = dicts;
}

fn dict(c: &Call<'_>) -> Result<Dict, Raise> {
    let index = (c.to_light(1) as usize).wrapping_sub(1);
    let worker = crate::lua::ctx::worker().ok_or(Raise::text("no worker"))?;
    let open = worker.part::<Open>();
    let known = open.0.borrow().get(index).cloned();
    known.ok_or(Raise::text("bad \"zone\" argument"))
}

/// The index of a dictionary by its name.
fn find(c: &Call<'_>) -> Result<c_int, Raise> {
    let name = c.bytes(1)?;
    let Some(worker) = crate::lua::ctx::worker() else { return c.ret(()) };
    let open = worker.part::<Open>();
    let at = open.0.borrow().iter().position(|d| d.name() == name);
    match at {
        // A script sees userdata, as in OpenResty, and cannot make one of its own.
        Some(at) => c.ret(Light(at + 1)),
        None => c.ret(()),
    }
}

fn names(c: &Call<'_>) -> Result<c_int, Raise> {
    c.push_table(0, 0);
    if let Some(worker) = crate::lua::ctx::worker() {
        for (n, d) in worker.part::<Open>().0.borrow().iter().enumerate() {
            c.push(d.name());
            c.put_item(n + 1);
        }
    }
    Ok(1)
}

fn key<'a>(c: &Call<'a>) -> Result<&'a [u8], Raise> {
    c.bytes(2)
}

/// The value argument; `Err` is the refusal a script gets.
fn value<'a>(c: &Call<'a>, index: c_int) -> Result<Value<'a>, Raise> {
    Ok(match c.kind(index) {
        Kind::Str => Value::String(c.bytes(index)?),
        Kind::Num => Value::Number(c.num(index)?),
        Kind::Bool => Value::Bool(c.truthy(index)),
        _ => return Err(Raise::text("bad value type")),
    })
}

fn error(c: &Call<'_>, e: Error) -> Result<c_int, Raise> {
    c.fail(e.to_string())
}

fn push(c: &Call<'_>, side: Side) -> Result<c_int, Raise> {
    match dict(c)?.push(key(c)?, value(c, 3)?, side) {
        Ok(length) => c.ret(length),
        Err(e) => error(c, e),
    }
}

fn pop(c: &Call<'_>, side: Side) -> Result<c_int, Raise> {
    match dict(c)?.pop(key(c)?, side) {
        Ok(Some(OwnedValue::String(text))) => c.ret(&*text),
        Ok(Some(OwnedValue::Number(number))) => c.ret(number),
        Ok(Some(OwnedValue::Bool(flag))) => c.ret(flag),
        Ok(None) => c.ret(()),
        Err(e) => error(c, e),
    }
}

fn llen(c: &Call<'_>) -> Result<c_int, Raise> {
    match dict(c)?.llen(key(c)?) {
        Ok(length) => c.ret(length),
        Err(e) => error(c, e),
    }
}

/// Milliseconds.
fn flush_expired(c: &Call<'_>) -> Result<c_int, Raise> {
    let max = c.opt_int(2)?.unwrap_or(0).max(0) as usize;
    c.ret(dict(c)?.flush_expired(max))
}

fn keys(c: &Call<'_>) -> Result<c_int, Raise> {
    let max = c.opt_int(2)?.unwrap_or(1024).max(0) as usize;
    let keys = dict(c)?.keys(max);
    c.push_table(keys.len(), 0);
    for (n, key) in keys.iter().enumerate() {
        c.push(&**key);
        c.put_item(n + 1);
    }
    Ok(1)
}

//! Reading, writing and counting by FFI, so that loops around them compile.
//!
//! ```text
//!   d:get(key) ─▶ F.shdict_get(number of d, key, length, out) ─▶ what kind, and the value in `out`
//! ```

use std::cell::RefCell;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use crate::lua::raw::ffi::{Ffi, FfiAddr, In, Out};
use crate::shdict::{Dict, Error, Incr, Store, Value};

pub const ROWS: &[Ffi] = &[
    Ffi {
        name: "shdict_get",
        ctype: "int (*)(int, const char *, size_t, void *)",
        addr: FfiAddr(get as *const ()),
    },
    Ffi {
        name: "shdict_store",
        ctype: "int (*)(int, int, const char *, size_t, int, const char *, size_t, double, \
                double, double)",
        addr: FfiAddr(store as *const ()),
    },
    Ffi {
        name: "shdict_incr",
        ctype: "int (*)(int, const char *, size_t, double, int, double, double, \
                void *)",
        addr: FfiAddr(incr as *const ()),
    },
];

/// What comes back; the prelude declares the same.
#[derive(Clone, Copy)]
#[repr(C)]
struct Found {
    /// The number, or 1 for true.
    number: f64,
    flags: f64,
    /// The text, which stays where it is until the next call of this thread.
    text: *const u8,
    len: usize,
}

thread_local! {
    /// The dictionaries of this thread's configuration; scripts hold numbers from 1.
    static DICTS: RefCell<Vec<Dict>> = const { RefCell::new(Vec::new()) };
    /// The text that was read last.
    static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Makes dictionaries known to the VMs of this thread.
pub fn open(dicts: &[Dict]) {
    DICTS.set(dicts.to_vec());
}

extern "C" fn get(at: c_int, key: In<u8>, len: usize, out: Out<Found>) -> c_int {
    with(at, |dict| {
        dict.with(key.slice(len), |found| {
            let item = match found {
                Ok(Some(item)) => item,
                Ok(None) => return NIL,
                Err(error) => return code(error),
            };
            let mut answer =
                Found { number: 0.0, flags: item.flags.into(), text: ptr::null(), len: 0 };
            let kind = match item.value {
                Value::String(text) => {
                    (answer.text, answer.len) = keep(text);
                    STRING
                }
                Value::Number(number) => {
                    answer.number = number;
                    NUMBER
                }
                Value::Bool(flag) => {
                    answer.number = f64::from(u8::from(flag));
                    BOOL
                }
            };
            out.set(answer);
            kind
        })
    })
}

/// A copy that outlives the lock.
fn keep(text: &[u8]) -> (*const u8, usize) {
    TEXT.with_borrow_mut(|kept| {
        kept.clear();
        kept.extend_from_slice(text);
        (kept.as_ptr(), kept.len())
    })
}

/// 0, or the code of an error; `FORCIBLE` is added when other entries had to go.
extern "C" fn store(
    at: c_int,
    how: c_int,
    key: In<u8>,
    key_len: usize,
    kind: c_int,
    text: In<u8>,
    len: usize,
    number: f64,
    ttl_ms: f64,
    flags: f64,
) -> c_int {
    with(at, |dict| {
        let how = match how {
            0 => Store::Set,
            1 => Store::SafeSet,
            2 => Store::Add,
            3 => Store::SafeAdd,
            _ => Store::Replace,
        };
        let value = match kind {
            STRING => Some(Value::String(text.slice(len))),
            NUMBER => Some(Value::Number(number)),
            BOOL => Some(Value::Bool(number != 0.0)),
            _ => None,
        };
        let flags = flags as i64 as u32;
        let done = dict.store(how, key.slice(key_len), value, ttl_ms as i64, flags);
        done.result.map_or_else(code, |()| 0) + if done.forcible { FORCIBLE } else { 0 }
    })
}

/// As `store`; the sum is in `out`.
extern "C" fn incr(
    at: c_int,
    key: In<u8>,
    len: usize,
    by: f64,
    has_init: c_int,
    init: f64,
    init_ttl_ms: f64,
    out: Out<Found>,
) -> c_int {
    with(at, |dict| {
        let init = (has_init != 0).then_some((init, init_ttl_ms as i64));
        let done = dict.incr(key.slice(len), Incr { by, init });
        let forcible = if done.forcible { FORCIBLE } else { 0 };
        forcible
            + match done.result {
                Ok(number) => {
                    out.set(Found { number, flags: 0.0, text: ptr::null(), len: 0 });
                    0
                }
                Err(error) => code(error),
            }
    })
}

fn with(at: c_int, f: impl FnOnce(&Dict) -> c_int) -> c_int {
    let body = AssertUnwindSafe(|| {
        DICTS.with_borrow(|dicts| match dicts.get((at as usize).wrapping_sub(1)) {
            Some(dict) => f(dict),
            None => NO_ZONE,
        })
    });
    catch_unwind(body).unwrap_or(NO_ZONE)
}

/// Negative, in the order the prelude has the words in.
fn code(error: Error) -> c_int {
    match error {
        Error::KeyTooLong => -1,
        Error::NotFound => -2,
        Error::Exists => -3,
        Error::NoMemory => -4,
        Error::NotANumber => -5,
        Error::IsAList => -6,
        Error::NotAList => -7,
        Error::NilValue => -8,
    }
}

const NIL: c_int = 0;
const STRING: c_int = 1;
const NUMBER: c_int = 2;
const BOOL: c_int = 3;
const NO_ZONE: c_int = -9;
const FORCIBLE: c_int = 256;

//! Reading, writing and counting by FFI, so that loops around them compile.
//!
//! ```text
//!   d:get(key) ─▶ F.shdict_get(number of d, key, length, out) ─▶ what kind, and the value in `out`
//! ```
//!
//! Making a Lua string costs more than finding the entry. So a VM keeps strings it has read, with
//! the versions they had, and takes its own as long as the dictionary has that version.

use std::cell::RefCell;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use crate::lua::raw::ffi::{Ffi, FfiAddr, In, Out};
use crate::shdict::{Dict, Error, Incr, Store, Value};

pub const ROWS: &[Ffi] = &[
    Ffi {
        name: "shdict_get",
        ctype: "int (*)(int, const char *, size_t, void *, const double *)",
        addr: FfiAddr(get as *const ()),
    },
    Ffi {
        name: "shdict_get_stale",
        ctype: "int (*)(int, const char *, size_t, void *)",
        addr: FfiAddr(get_stale as *const ()),
    },
    Ffi {
        name: "shdict_ttl",
        ctype: "int (*)(int, const char *, size_t, void *)",
        addr: FfiAddr(ttl as *const ()),
    },
    Ffi {
        name: "shdict_expire",
        ctype: "int (*)(int, const char *, size_t, double)",
        addr: FfiAddr(expire as *const ()),
    },
    Ffi { name: "shdict_flush_all", ctype: "int (*)(int)", addr: FfiAddr(flush_all as *const ()) },
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
    /// The version of the text, 0 when it is too long to be kept, and where a VM keeps it.
    version: f64,
    place: i32,
}

impl Found {
    /// Takes the value in; gives its kind.
    #[inline(always)]
    fn hold(&mut self, value: Value<'_>) -> c_int {
        match value {
            Value::String(text) => {
                (self.text, self.len) = keep(text);
                STRING
            }
            Value::Number(number) => {
                self.number = number;
                NUMBER
            }
            Value::Bool(flag) => {
                self.number = f64::from(u8::from(flag));
                BOOL
            }
        }
    }
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

/// `seen` has the versions of the texts that the VM keeps, by place.
extern "C" fn get(at: c_int, key: In<u8>, len: usize, out: Out<Found>, seen: In<f64>) -> c_int {
    with(at, |dict| {
        dict.with(key.slice(len), |found| {
            let item = match found {
                Ok(Some(item)) => item,
                Ok(None) => return NIL,
                Err(error) => return code(error),
            };
            let mut answer = Found { flags: item.flags.into(), ..NOTHING };
            if let Value::String(text) = item.value {
                let place = item.stamp.at as usize % PLACES;
                let version = item.stamp.version as f64;
                answer.place = place as i32;
                if seen.slice(PLACES).get(place) == Some(&version) {
                    out.set(answer);
                    return KEPT;
                }
                answer.version = if text.len() <= KEPT_MAX_BYTES { version } else { 0.0 };
            }
            let kind = answer.hold(item.value);
            out.set(answer);
            kind
        })
    })
}

/// As `get`, of entries that may be expired: `STALE` is added for those.
extern "C" fn get_stale(at: c_int, key: In<u8>, len: usize, out: Out<Found>) -> c_int {
    with(at, |dict| {
        dict.with_stale(key.slice(len), |found| {
            let (item, is_stale) = match found {
                Ok(Some(found)) => found,
                Ok(None) => return NIL,
                Err(error) => return code(error),
            };
            let mut answer = Found { flags: item.flags.into(), ..NOTHING };
            let kind = answer.hold(item.value);
            out.set(answer);
            kind + if is_stale { STALE } else { 0 }
        })
    })
}

/// 0 and the milliseconds in `out`, or the code of an error.
extern "C" fn ttl(at: c_int, key: In<u8>, len: usize, out: Out<Found>) -> c_int {
    with(at, |dict| match dict.ttl(key.slice(len)) {
        Ok(ttl_ms) => {
            out.set(Found { number: ttl_ms as f64, ..NOTHING });
            0
        }
        Err(error) => code(error),
    })
}

/// 0, or the code of an error.
extern "C" fn expire(at: c_int, key: In<u8>, len: usize, ttl_ms: f64) -> c_int {
    with(at, |dict| dict.expire(key.slice(len), ttl_ms as i64).map_or_else(code, |()| 0))
}

extern "C" fn flush_all(at: c_int) -> c_int {
    with(at, |dict| {
        dict.flush_all();
        0
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
                    out.set(Found { number, ..NOTHING });
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
/// A text that the VM has kept.
const KEPT: c_int = 4;
const NO_ZONE: c_int = -9;
const STALE: c_int = 16;
const FORCIBLE: c_int = 256;
/// How many texts of a dictionary a VM keeps, and how long they may be.
const PLACES: usize = 128;
const KEPT_MAX_BYTES: usize = 2048;
const NOTHING: Found =
    Found { number: 0.0, flags: 0.0, text: ptr::null(), len: 0, version: 0.0, place: 0 };

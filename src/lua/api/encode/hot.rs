//! Text in, text out by FFI, so that loops around these functions compile.
//!
//! ```text
//!   ngx.md5(s) ─▶ F.encode(MD5, s, #s, 0, out) ─▶ length, and in `out` where the text stands
//! ```

use std::cell::RefCell;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

use base64::Engine;
use md5::{Digest, Md5};
use sha1::Sha1;

use super::{LENIENT, PADDED, PLAIN};
use crate::base::escape::{self, Set};
use crate::lua::raw::ffi::{Ffi, FfiAddr, In, Out};

pub const ROWS: &[Ffi] = &[Ffi {
    name: "encode",
    ctype: "int (*)(int, const char *, size_t, int, const char **)",
    addr: FfiAddr(encode as *const ()),
}];

thread_local! {
    /// What came out last; it stays until the next call of this thread.
    static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The length of what came out, -1 for nil. The numbers of functions are those of the prelude.
extern "C" fn encode(
    what: c_int,
    text: In<u8>,
    len: usize,
    option: c_int,
    out: Out<*const u8>,
) -> c_int {
    let body = AssertUnwindSafe(|| {
        TEXT.with_borrow_mut(|kept| {
            kept.clear();
            if !append(kept, what, text.slice(len), option) {
                return -1;
            }
            out.set(kept.as_ptr());
            c_int::try_from(kept.len()).unwrap_or(-1)
        })
    });
    catch_unwind(body).unwrap_or(-1)
}

fn append(out: &mut Vec<u8>, what: c_int, text: &[u8], option: c_int) -> bool {
    match what {
        1 => match Set::of_lua_type(option.into()) {
            Some(set) => escape::append_uri(out, text, set),
            None => return false,
        },
        2 => *out = escape::lua_unescape(text),
        3 => append_hex(out, &Md5::digest(text)),
        4 => out.extend_from_slice(&Md5::digest(text)),
        5 => out.extend_from_slice(&Sha1::digest(text)),
        6 => {
            let engine = if option == 0 { &PADDED } else { &PLAIN };
            out.resize(base64::encoded_len(text.len(), option == 0).unwrap_or_default(), 0);
            return engine.encode_slice(text, out).is_ok();
        }
        // nginx stops at the first padding character and does not ask for padding.
        7 => {
            let end = memchr::memchr(b'=', text).unwrap_or(text.len());
            return LENIENT.decode_vec(&text[..end], out).is_ok();
        }
        _ => return false,
    }
    true
}

fn append_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

//! Text in, text out by FFI, so that loops around these functions compile.
//!
//! ```text
//!   ngx.md5(s) ──▶ F.encode_into(MD5, s, #s, 0, room, size) ─▶ length; the text is in `room`
//!        └ too long ─▶ F.encode(MD5, s, #s, 0, out) ─▶ length, and in `out` where the text stands
//! ```

use std::cell::RefCell;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use md5::Md5;
use sha1::{Digest, Sha1};

use super::LENIENT;
use crate::base::escape::{self, Set};
use crate::lua::raw::ffi::{Ffi, FfiAddr, In, Out};

pub const ROWS: &[Ffi] = &[
    Ffi {
        name: "encode",
        ctype: "int (*)(int, const char *, size_t, int, const char **)",
        addr: FfiAddr(encode as *const ()),
    },
    Ffi {
        name: "encode_into",
        ctype: "int (*)(int, const char *, size_t, int, char *, size_t)",
        addr: FfiAddr(encode_into as *const ()),
    },
    Ffi {
        name: "base64",
        ctype: "int (*)(const char *, size_t, bool, char *, size_t)",
        addr: FfiAddr(base64 as *const ()),
    },
];

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
        // nginx stops at the first padding character and does not ask for padding.
        7 => {
            let end = memchr::memchr(b'=', text).unwrap_or(text.len());
            return LENIENT.decode_vec(&text[..end], out).is_ok();
        }
        // Whatever there is beside these has a size that is known before.
        _ => {
            out.resize(text.len().div_ceil(3).saturating_mul(4).max(LONGEST_DIGEST), 0);
            let Some(len) = write(out, what, text, option) else { return false };
            out.truncate(len);
        }
    }
    true
}

/// As `encode`, into the room of the caller; -2 when it does not fit or is not written so.
extern "C" fn encode_into(
    what: c_int,
    text: In<u8>,
    len: usize,
    option: c_int,
    out: Out<u8>,
    room: usize,
) -> c_int {
    let body = || {
        let written = write(out.slice(room), what, text.slice(len), option);
        written.map_or(-2, |len| c_int::try_from(len).unwrap_or(-2))
    };
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(-1)
}

/// What `encode_into` does for base64, the short way.
extern "C" fn base64(text: In<u8>, len: usize, padded: bool, out: Out<u8>, room: usize) -> c_int {
    let body = || put_base64(out.slice(room), text.slice(len), padded).map_or(-2, |n| n as c_int);
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(-1)
}

fn write(out: &mut [u8], what: c_int, text: &[u8], option: c_int) -> Option<usize> {
    match what {
        3 => put_hex(out, &Md5::digest(text)),
        4 => put(out, &Md5::digest(text)),
        5 => put(out, &Sha1::digest(text)),
        6 => put_base64(out, text, option == 0),
        _ => None,
    }
}

fn put(out: &mut [u8], bytes: &[u8]) -> Option<usize> {
    out.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(bytes.len())
}

fn put_hex(out: &mut [u8], bytes: &[u8]) -> Option<usize> {
    let out = out.get_mut(..bytes.len() * 2)?;
    for (pair, byte) in out.as_chunks_mut().0.iter_mut().zip(bytes) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
    Some(out.len())
}

fn put_base64(out: &mut [u8], text: &[u8], is_padded: bool) -> Option<usize> {
    let engine = if is_padded { &STANDARD } else { &STANDARD_NO_PAD };
    engine.encode_slice(text, out).ok()
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";
/// In hexadecimal digits.
const LONGEST_DIGEST: usize = 32;

//! Symbols of nginx that Lua libraries reach through `ffi.C`. [unsafe: they are called from Lua]
//!
//! ```text
//!   resty.string ── ffi.C.ngx_hex_dump ──▶ the executable's dynamic symbols ──▶ here
//! ```

use std::ffi::{CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::slice;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::net::listen;

/// The arguments of the process, which nginx keeps in a global.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static ngx_argv: AtomicPtr<*const c_char> = AtomicPtr::new(std::ptr::null_mut());

/// A number written in decimal digits, or -1.
///
/// # Safety
///
/// `line` must point to `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_atoi(line: *const u8, len: usize) -> isize {
    if line.is_null() || len == 0 {
        return -1;
    }
    // SAFETY: by the contract above.
    let digits = unsafe { slice::from_raw_parts(line, len) };
    let number = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit));
    number.and_then(|text| text.parse().ok()).unwrap_or(-1)
}

/// Writes each byte as two hexadecimal digits and returns the end of what was written.
///
/// # Safety
///
/// `from` must point to `len` bytes, `to` to room for twice as many.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_hex_dump(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    if to.is_null() || from.is_null() || len == 0 {
        return to;
    }
    // SAFETY: by the contract above.
    let (from, out) =
        unsafe { (slice::from_raw_parts(from, len), slice::from_raw_parts_mut(to, 2 * len)) };
    for (byte, pair) in from.iter().zip(out.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    // SAFETY: the end of the buffer.
    unsafe { to.add(2 * len) }
}

/// nginx's string: a length and bytes.
#[repr(C)]
pub struct NgxStr {
    len: usize,
    data: *const u8,
}

/// The running worker stops accepting on a unix socket (`unix:/path`); what the nginx module of
/// lua-resty-events gives to all workers but the one that hands events on.
///
/// # Safety
///
/// `name` must point to a string of nginx.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_lua_ffi_disable_listening_unix_socket(name: *const NgxStr) -> c_int {
    // SAFETY: by the contract above.
    let Some(name) = (unsafe { name.as_ref() }).filter(|name| !name.data.is_null()) else {
        return NGX_ERROR;
    };
    // SAFETY: by the contract above.
    let text = unsafe { slice::from_raw_parts(name.data, name.len) };
    let known = listen::mute(text.strip_prefix(b"unix:").unwrap_or(text));
    if known { NGX_OK } else { NGX_ERROR }
}

/// Fills `ngx_argv`, once in the life of the process.
pub fn keep_argv() {
    if !ngx_argv.load(Ordering::Acquire).is_null() {
        return;
    }
    let args = std::env::args_os().filter_map(|arg| CString::new(arg.as_bytes()).ok());
    let mut list: Vec<*const c_char> = args.map(|arg| arg.into_raw().cast_const()).collect();
    list.push(std::ptr::null());
    let list = Box::leak(list.into_boxed_slice()).as_mut_ptr();
    ngx_argv.store(list, Ordering::Release);
}

/// What keeps the functions in the executable, where nothing else calls them.
#[used]
static KEEP: [Address; 3] = [
    Address(ngx_atoi as *const c_void),
    Address(ngx_hex_dump as *const c_void),
    Address(ngx_lua_ffi_disable_listening_unix_socket as *const c_void),
];

pub(super) struct Address(#[allow(dead_code)] pub(super) *const c_void);

// SAFETY: the address of a function, never used.
unsafe impl Sync for Address {}

const NGX_OK: c_int = 0;
const NGX_ERROR: c_int = -1;
const DIGITS: &[u8; 16] = b"0123456789abcdef";

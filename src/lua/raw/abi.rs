//! Functions of lua-nginx-module that libraries declare and call by name. [unsafe: called from Lua]
//!
//! ```text
//!   ffi.C.ngx_http_lua_ffi_parse_pem_cert ──▶ the executable's dynamic symbols ──▶ here ─▶ api/ssl
//! ```
//!
//! OpenResty's own library is one with the runtime here, so this is only what others use of it.
//! The request is the running one, whatever pointer is passed for it.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::rc::Rc;
use std::slice;

use super::symbols::Address;
use crate::http::balancer;
use crate::lua::api::socket;
use crate::lua::api::ssl::handles::{self, Item};
use crate::lua::api::ssl::{self, Done};
use crate::lua::ctx;
use crate::net::tls::{self, Chain, Key};
use crate::shdict::{self, Value};

/// Where a function tells why it failed: a C string that lives for ever.
type Errors = *mut *const c_char;

/// # Safety
///
/// `err` must be null or point to a pointer.
unsafe fn fail(err: Errors, text: &'static CStr) {
    if !err.is_null() {
        // SAFETY: by the contract above.
        unsafe { err.write(text.as_ptr()) };
    }
}

/// # Safety
///
/// `data` must be null or point to `len` bytes that nobody changes meanwhile.
unsafe fn bytes<'a>(data: *const u8, len: usize) -> &'a [u8] {
    if data.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: by the contract above.
    unsafe { slice::from_raw_parts(data, len) }
}

fn pointer(handle: f64) -> *mut c_void {
    // Not an address of anything: a number in a table of handles.
    std::ptr::without_provenance_mut(handle as usize)
}

fn handle(pointer: *mut c_void) -> Option<f64> {
    (!pointer.is_null()).then(|| pointer.addr() as f64)
}

macro_rules! parsers {
    ($($name:ident = $parse:path => $item:ident, $kind:ty, $failed:literal;)*) => {$(
        /// # Safety
        ///
        /// `data` must point to `len` bytes, `err` to a pointer.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(data: *const u8, len: usize, err: Errors) -> *mut c_void {
            // SAFETY: by the contract above.
            let parsed: Option<$kind> = $parse(unsafe { bytes(data, len) });
            match parsed {
                Some(parsed) => pointer(handles::keep(Item::$item(Rc::new(parsed)))),
                None => {
                    // SAFETY: by the contract above.
                    unsafe { fail(err, $failed) };
                    std::ptr::null_mut()
                }
            }
        }
    )*};
}

parsers! {
    ngx_http_lua_ffi_parse_pem_cert = tls::certs_of
        => Chain, Chain, c"PEM_read_bio_X509_AUX() failed";
    ngx_http_lua_ffi_parse_der_cert = tls::certs_of_der
        => Chain, Chain, c"d2i_X509_bio() failed";
    ngx_http_lua_ffi_parse_pem_priv_key = tls::key_of
        => Key, Key, c"PEM_read_bio_PrivateKey() failed";
    ngx_http_lua_ffi_parse_der_priv_key = tls::key_of_der
        => Key, Key, c"d2i_PrivateKey_bio() failed";
}

#[unsafe(no_mangle)]
pub extern "C" fn ngx_http_lua_ffi_free_cert(cert: *mut c_void) {
    if let Some(cert) = handle(cert) {
        handles::free(cert);
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn ngx_http_lua_ffi_free_priv_key(key: *mut c_void) {
    if let Some(key) = handle(key) {
        handles::free(key);
    }
}

/// # Safety
///
/// `err` must point to a pointer.
unsafe fn told(done: Done, err: Errors) -> c_int {
    let Err(reason) = done else { return OK };
    let text = REASONS.iter().find(|text| text.to_bytes() == reason.as_bytes());
    // SAFETY: by the contract above.
    unsafe { fail(err, text.unwrap_or(&c"failed")) };
    ERROR
}

/// # Safety
///
/// `err` must point to a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_clear_certs(_r: *mut c_void, err: Errors) -> c_int {
    let done = ssl::change(ctx::current().as_ref(), false, |draft| {
        draft.clear();
        Ok(())
    });
    // SAFETY: by the contract above.
    unsafe { told(done, err) }
}

/// # Safety
///
/// `err` must point to a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_http_lua_ffi_set_cert(
    _r: *mut c_void,
    cert: *mut c_void,
    err: Errors,
) -> c_int {
    let chain = handle(cert).and_then(handles::chain).ok_or(ssl::BAD_CHAIN);
    let done = ssl::change(ctx::current().as_ref(), false, |draft| {
        ssl::set_chain(draft, Chain::clone(&*chain?))
    });
    // SAFETY: by the contract above.
    unsafe { told(done, err) }
}

/// # Safety
///
/// `err` must point to a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_http_lua_ffi_set_priv_key(
    _r: *mut c_void,
    key: *mut c_void,
    err: Errors,
) -> c_int {
    let key = handle(key).and_then(handles::key).ok_or(ssl::BAD_KEY);
    let done =
        ssl::change(ctx::current().as_ref(), false, |draft| ssl::set_key(draft, key?.clone_key()));
    // SAFETY: by the contract above.
    unsafe { told(done, err) }
}

/// # Safety
///
/// `err` must point to a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_verify_client(
    _r: *mut c_void,
    authorities: *mut c_void,
    trusted: *mut c_void,
    depth: c_int,
    err: Errors,
) -> c_int {
    let ctx = ctx::current();
    let depth = u32::try_from(depth).ok();
    let done = ssl::ask_client(ctx.as_ref(), handle(authorities), depth, handle(trusted));
    // SAFETY: by the contract above.
    unsafe { told(done, err) }
}

/// The suites both the client and this server know.
///
/// # Safety
///
/// `count` must point to the room there is in `out`, `err` to a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_http_lua_ffi_req_shared_ssl_ciphers(
    r: *mut c_void,
    out: *mut u16,
    count: *mut u16,
    _filter_grease: c_int,
    err: Errors,
) -> c_int {
    let shaking = ssl::shaking_of(ctx::current().as_ref(), u32::MAX);
    let (Ok(shaking), false) = (shaking, r.is_null() || out.is_null() || count.is_null()) else {
        // SAFETY: by the contract above.
        unsafe { fail(err, c"bad request") };
        return ERROR;
    };
    let shared = shaking.tls.borrow().shared_suites(&shaking.hello);
    // SAFETY: by the contract above.
    unsafe {
        let room = usize::from(*count).min(shared.len());
        slice::from_raw_parts_mut(out, room).copy_from_slice(&shared[..room]);
        *count = room as u16;
    }
    OK
}

/// Trusts what is in an OpenSSL store, in the handshake to come.
///
/// # Safety
///
/// `socket` must be a socket of the prelude, `store` null or an `X509_STORE` of the libcrypto
/// that is loaded, `err` must point to a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_http_lua_ffi_socket_tcp_settrustedstore(
    _r: *mut c_void,
    socket: *const f64,
    store: *mut c_void,
    err: Errors,
) -> c_int {
    // SAFETY: by the contract above.
    let (id, trusted) = unsafe { (*socket, super::openssl::certificates_of(store)) };
    match socket::tls::trust(id, trusted) {
        Ok(()) => OK,
        Err(reason) => {
            // SAFETY: by the contract above.
            unsafe { fail(err, reason) };
            ERROR
        }
    }
}

/// # Safety
///
/// `err` must point to a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_http_lua_ffi_balancer_set_upstream_tls(
    _r: *mut c_void,
    on: c_int,
    err: Errors,
) -> c_int {
    let ctx = ctx::current();
    let turn = ctx.as_ref().and_then(|ctx| balancer::turn(ctx.request.as_ref()?));
    let Some(turn) = turn else {
        // SAFETY: by the contract above.
        unsafe { fail(err, c"no upstream found") };
        return ERROR;
    };
    turn.tls.set(Some(on != 0));
    OK
}

/// The zone of a shared dictionary; null if there is none of that name.
///
/// # Safety
///
/// `name` must point to `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_http_lua_find_zone(name: *const u8, len: usize) -> *mut c_void {
    // SAFETY: by the contract above.
    let name = unsafe { bytes(name, len) };
    match shdict::zones::find(name) {
        Some(dict) => pointer(handles::keep_dict(dict)),
        None => std::ptr::null_mut(),
    }
}

/// A value as lua-nginx-module's C API has it.
#[repr(C)]
pub struct CValue {
    kind: u8,
    value: CUnion,
}

#[repr(C)]
union CUnion {
    boolean: c_int,
    number: f64,
    string: CString,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct CString {
    len: usize,
    data: *mut u8,
}

/// Reads a value of a shared dictionary.
///
/// # Safety
///
/// `key` must point to `len` bytes, `out` to a value whose string is the room for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_http_lua_shared_dict_get(
    zone: *mut c_void,
    key: *const u8,
    len: usize,
    out: *mut CValue,
) -> isize {
    // SAFETY: by the contract above.
    let (key, out) = unsafe { (bytes(key, len), out.as_mut()) };
    let (Some(dict), Some(out)) = (handle(zone).and_then(handles::dict), out) else {
        return ERROR as isize;
    };
    dict.with(key, |found| {
        let Ok(Some(item)) = found else { return DECLINED };
        match item.value {
            Value::Bool(value) => {
                out.kind = 1;
                out.value.boolean = c_int::from(value);
            }
            Value::Number(value) => {
                out.kind = 3;
                out.value.number = value;
            }
            Value::String(text) => {
                // SAFETY: the caller has put its room there.
                let mut room = unsafe { out.value.string };
                if room.data.is_null() {
                    return ERROR as isize;
                }
                room.len = room.len.min(text.len());
                // SAFETY: by the contract above.
                unsafe { room.data.copy_from_nonoverlapping(text.as_ptr(), room.len) };
                out.kind = 4;
                out.value.string = room;
            }
        }
        OK as isize
    })
}

/// What keeps the functions in the executable, where nothing else calls them.
#[used]
static KEEP: [Address; 14] = [
    Address(ngx_http_lua_ffi_parse_pem_cert as *const c_void),
    Address(ngx_http_lua_ffi_parse_der_cert as *const c_void),
    Address(ngx_http_lua_ffi_parse_pem_priv_key as *const c_void),
    Address(ngx_http_lua_ffi_parse_der_priv_key as *const c_void),
    Address(ngx_http_lua_ffi_free_cert as *const c_void),
    Address(ngx_http_lua_ffi_free_priv_key as *const c_void),
    Address(ngx_http_lua_ffi_ssl_clear_certs as *const c_void),
    Address(ngx_http_lua_ffi_set_cert as *const c_void),
    Address(ngx_http_lua_ffi_set_priv_key as *const c_void),
    Address(ngx_http_lua_ffi_ssl_verify_client as *const c_void),
    Address(ngx_http_lua_ffi_req_shared_ssl_ciphers as *const c_void),
    Address(ngx_http_lua_ffi_socket_tcp_settrustedstore as *const c_void),
    Address(ngx_http_lua_find_zone as *const c_void),
    Address(ngx_http_lua_shared_dict_get as *const c_void),
];

#[used]
static KEEP_TOO: Address = Address(ngx_http_lua_ffi_balancer_set_upstream_tls as *const c_void);

/// The reasons the functions behind these give.
const REASONS: &[&CStr] = &[
    c"no request ctx found",
    c"API disabled in the current context",
    c"invalid certificate chain",
    c"invalid private key",
    c"SSL_use_certificate() failed",
    c"SSL_use_PrivateKey() failed",
    c"SSL_set_verify() failed",
];

const OK: c_int = 0;
const ERROR: c_int = -1;
const DECLINED: isize = -5;

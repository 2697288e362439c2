//! What other libraries made with OpenSSL. [unsafe: functions found by name]
//!
//! ```text
//!   X509_STORE * ── X509_STORE_get1_all_certs … i2d_X509 of the loaded libcrypto ──▶ Chain
//! ```

use std::ffi::{CStr, c_int, c_uchar, c_void};
use std::{mem, ptr, slice};

use crate::net::tls::{self, Chain};

/// The certificates of a store; empty for a null one, or when no libcrypto is loaded.
///
/// # Safety
///
/// `store` must be null or an `X509_STORE` of the libcrypto that is loaded.
pub unsafe fn certificates_of(store: *mut c_void) -> Chain {
    if store.is_null() {
        return Chain::new();
    }
    // SAFETY: the names and types are those of OpenSSL's headers; the store is one of its own, by
    // the contract above.
    unsafe {
        let (Some(objects), Some(count), Some(value), Some(x509), Some(encode)) = (
            find::<unsafe extern "C" fn(*mut c_void) -> *mut c_void>(c"X509_STORE_get0_objects"),
            find::<unsafe extern "C" fn(*mut c_void) -> c_int>(c"OPENSSL_sk_num"),
            find::<unsafe extern "C" fn(*mut c_void, c_int) -> *mut c_void>(c"OPENSSL_sk_value"),
            find::<unsafe extern "C" fn(*mut c_void) -> *mut c_void>(c"X509_OBJECT_get0_X509"),
            find::<unsafe extern "C" fn(*mut c_void, *mut *mut c_uchar) -> c_int>(c"i2d_X509"),
        ) else {
            return Chain::new();
        };
        let list = objects(store);
        let der = (0..count(list)).filter_map(|at| {
            let certificate = x509(value(list, at));
            (!certificate.is_null()).then(|| encoded(certificate, encode))
        });
        der.filter_map(|der| tls::certs_of_der(&der)).flatten().collect()
    }
}

/// # Safety
///
/// `certificate` must be what `encode` takes.
unsafe fn encoded(
    certificate: *mut c_void,
    encode: unsafe extern "C" fn(*mut c_void, *mut *mut c_uchar) -> c_int,
) -> Vec<u8> {
    // SAFETY: first the length is asked for, then that many bytes are written.
    unsafe {
        let length = usize::try_from(encode(certificate, ptr::null_mut())).unwrap_or(0);
        let mut der = vec![0; length];
        let mut at = der.as_mut_ptr();
        encode(certificate, &raw mut at);
        slice::from_raw_parts(der.as_ptr(), length).to_vec()
    }
}

/// A function of a library that is loaded already.
///
/// # Safety
///
/// `F` must be the type of the function of that name.
unsafe fn find<F: Copy>(name: &CStr) -> Option<F> {
    // SAFETY: the name is a C string; what comes back is null or the function, by the contract.
    unsafe {
        let found = libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr());
        (!found.is_null()).then(|| mem::transmute_copy::<*mut c_void, F>(&found))
    }
}

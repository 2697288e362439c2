//! Digests of text in pieces: the states behind `resty.md5`, `resty.sha1` and `resty.sha2xx`.
//!
//! ```text
//!   new(kind) ─▶ id ─▶ update(id, bytes) … ─▶ final(id, out), empty again … ─▶ free(id)
//! ```

use std::cell::RefCell;
use std::ffi::c_int;

use md5::Md5;
use sha1::Sha1;
use sha2::digest::DynDigest;
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::Topic;
use crate::base::slot::{Id, Slots};
use crate::lua::raw::ffi::{Ffi, FfiAddr, In, Out, guard};

pub const TOPIC: Topic = Topic {
    ops: &[],
    ffi: &[
        Ffi { name: "digest_new", ctype: "double (*)(int)", addr: FfiAddr(new as *const ()) },
        Ffi {
            name: "digest_update",
            ctype: "bool (*)(double, const char *, size_t)",
            addr: FfiAddr(update as *const ()),
        },
        Ffi {
            name: "digest_final",
            ctype: "int (*)(double, char *, size_t)",
            addr: FfiAddr(finish as *const ()),
        },
        Ffi { name: "digest_free", ctype: "void (*)(double)", addr: FfiAddr(free as *const ()) },
    ],
};

thread_local! {
    /// Scripts hold the ids; one that is collected frees its state.
    static STATES: RefCell<Slots<Box<dyn DynDigest>>> = const { RefCell::new(Slots::new()) };
}

/// An empty state; `kind` is 5 for MD5, 1 for SHA-1, else the bits of SHA-2.
extern "C" fn new(kind: c_int) -> f64 {
    guard(-1.0, || {
        let state: Box<dyn DynDigest> = match kind {
            5 => Box::<Md5>::default(),
            1 => Box::<Sha1>::default(),
            224 => Box::<Sha224>::default(),
            256 => Box::<Sha256>::default(),
            384 => Box::<Sha384>::default(),
            512 => Box::<Sha512>::default(),
            _ => return -1.0,
        };
        STATES.with_borrow_mut(|states| states.insert(state)).to_bits() as f64
    })
}

extern "C" fn update(id: f64, bytes: In<u8>, len: usize) -> bool {
    with(id, false, |state| {
        state.update(bytes.slice(len));
        true
    })
}

/// Writes the digest, leaves an empty state and tells the length.
extern "C" fn finish(id: f64, out: Out<u8>, room: usize) -> c_int {
    with(id, -1, |state| {
        let len = state.output_size();
        let written = state.finalize_into_reset(&mut out.slice(room)[..len.min(room)]);
        written.map_or(-1, |()| len as c_int)
    })
}

extern "C" fn free(id: f64) {
    guard((), || {
        _ = STATES.with_borrow_mut(|states| states.remove(Id::from_bits(id as u64)));
    });
}

fn with<R: Copy>(id: f64, missing: R, f: impl FnOnce(&mut dyn DynDigest) -> R) -> R {
    let body = std::panic::AssertUnwindSafe(|| {
        STATES.with_borrow_mut(|states| {
            states.get_mut(Id::from_bits(id as u64)).map_or(missing, |state| f(&mut **state))
        })
    });
    std::panic::catch_unwind(body).unwrap_or(missing)
}

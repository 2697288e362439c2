//! What LuaJIT's FFI sees: plain C functions and the words shared with the prelude.
//!
//! ```text
//!   Ffi row ── address + C type ──▶ prelude: F.name = ffi.cast(type, address) ──▶ compiled calls
//!   Words   ── address ───────────▶ prelude: S.phase, read without any call; so is the clock
//! ```
//!
//! Addresses are handed over instead of names, so that nothing depends on the executable's symbols.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::panic::{UnwindSafe, catch_unwind};
use std::ptr;
use std::slice;

use mlua::ffi as c;
use mlua::lua_State;

use crate::base::clock;

/// A C function offered to the prelude as `F[name]`.
pub struct Ffi {
    pub name: &'static str,
    /// The C type of a pointer to it, `int (*)(double)`.
    pub ctype: &'static str,
    pub addr: FfiAddr,
}

/// The address of an `extern "C"` function.
pub struct FfiAddr(pub *const ());

// SAFETY: the address of a function; calling it is another matter, left to the prelude.
unsafe impl Sync for FfiAddr {}

/// A pointer argument to read from. Only the prelude calls FFI functions, and it passes Lua strings
/// and buffers with their true lengths.
#[repr(transparent)]
pub struct In<T>(*const T);

/// A pointer argument to write to, by the same contract.
#[repr(transparent)]
pub struct Out<T>(*mut T);

impl<T: Copy> In<T> {
    pub fn slice(&self, len: usize) -> &[T] {
        if self.0.is_null() || len == 0 {
            return &[];
        }
        // SAFETY: by the contract of the type; the call holds the value on the Lua side.
        unsafe { slice::from_raw_parts(self.0, len) }
    }
}

impl<T: Copy> Out<T> {
    #[allow(clippy::mut_from_ref)]
    pub fn slice(&self, len: usize) -> &mut [T] {
        if self.0.is_null() || len == 0 {
            return &mut [];
        }
        // SAFETY: by the contract of the type; the buffer belongs to this call alone.
        unsafe { slice::from_raw_parts_mut(self.0, len) }
    }

    pub fn set(&self, value: T) {
        if let Some(first) = self.slice(1).first_mut() {
            *first = value;
        }
    }
}

/// Words the prelude reads directly; its `ffi.cdef` must say the same.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Words {
    /// Bit of the running phase, 0 outside of any.
    pub phase: Cell<i32>,
    /// The worker is shutting down.
    pub exiting: Cell<i32>,
    /// The slot of `ngx.ctx` in Lua's registry, 0 when it is not known.
    pub table: Cell<i32>,
}

/// Runs the body of an FFI function; a panic must not unwind into compiled Lua code.
pub fn guard<R>(on_panic: R, body: impl FnOnce() -> R + UnwindSafe) -> R {
    catch_unwind(body).unwrap_or(on_panic)
}

/// Pushes a table `name → { address, ctype }`.
pub(crate) fn push_rows(l: *mut lua_State, rows: impl Iterator<Item = &'static Ffi>) {
    // SAFETY: room is checked; every value pushed is consumed by the table below it.
    unsafe {
        c::lua_checkstack(l, 8);
        c::lua_createtable(l, 0, 64);
        for row in rows {
            c::lua_pushlstring_(l, row.name.as_ptr().cast(), row.name.len());
            c::lua_createtable(l, 2, 0);
            c::lua_pushlightuserdata(l, row.addr.0.cast_mut().cast::<c_void>());
            c::lua_rawseti_(l, -2, 1);
            c::lua_pushlstring_(l, row.ctype.as_ptr().cast(), row.ctype.len());
            c::lua_rawseti_(l, -2, 2);
            c::lua_rawset(l, -3);
        }
    }
}

/// Pushes the address of the shared words.
pub(crate) fn push_words(l: *mut lua_State, words: &Words) -> c_int {
    // SAFETY: room for one value; the words live as long as the VM, by the caller's field.
    unsafe { c::lua_pushlightuserdata(l, ptr::from_ref(words).cast_mut().cast()) };
    1
}

/// Pushes the address of what `ngx.now` reads. A VM is made, run and closed on one thread, whose
/// clock outlives it.
pub(crate) fn push_clock(l: *mut lua_State) -> c_int {
    // SAFETY: room for one value.
    unsafe { c::lua_pushlightuserdata(l, clock::shown().cast_mut().cast()) };
    1
}

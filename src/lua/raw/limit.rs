//! What a script may use at most: memory of the VM, processor time of one run.
//!
//! ```text
//!   lua_vm_max_memory ───────▶ allocate: null beyond it, while scripts run ─▶ "not enough memory"
//!   lua_thread_max_cpu_time ─▶ count hook: clock of the thread ─▶ a Lua error, again and again
//! ```
//!
//! Native code may go a little over the memory limit: outside of a protected call the VM would
//! have nowhere to raise its error. The hook is not seen by compiled code, so a VM with a limit of
//! time does not compile.

use std::cell::Cell;
use std::ffi::{CString, c_int, c_void};
use std::ptr;

use mlua::ffi as c;
use mlua::lua_State;

/// The limits of a VM; none by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub memory_bytes: Option<usize>,
    pub cpu_ms: Option<u64>,
}

/// The limits at work; its address is known to the VM.
pub(super) struct Guard {
    limits: Limits,
    used_bytes: Cell<usize>,
    /// How many protected entries are under way.
    depth: Cell<u32>,
    began_ns: Cell<u64>,
    tripped: Cell<bool>,
    /// What was in use after the last collection asked for here.
    kept_bytes: Cell<usize>,
}

impl Guard {
    pub(super) fn new(limits: Limits) -> Option<Box<Self>> {
        (limits != Limits::default()).then(|| {
            Box::new(Self {
                limits,
                used_bytes: Cell::new(0),
                depth: Cell::new(0),
                began_ns: Cell::new(0),
                tripped: Cell::new(false),
                kept_bytes: Cell::new(0),
            })
        })
    }

    /// Makes a state that allocates through this guard.
    pub(super) fn state(&self) -> *mut lua_State {
        // SAFETY: the guard is boxed and outlives the state: the host closes that first.
        unsafe { c::lua_newstate(allocate, ptr::from_ref(self).cast_mut().cast()) }
    }

    /// Sets the hook that looks at the clock.
    ///
    /// # Safety
    ///
    /// `l` must be the state made by [`Guard::state`].
    pub(super) unsafe fn watch(&self, l: *mut lua_State) {
        if self.limits.cpu_ms.is_some() {
            // SAFETY: by the contract above.
            unsafe {
                luaJIT_setmode(l, 0, ENGINE_OFF);
                c::lua_sethook(l, Some(look), c::LUA_MASKCOUNT, STRIDE);
            }
        }
    }

    /// Whether garbage should go before the next run: a VM that is nearly full would fail for what
    /// nobody holds.
    pub(super) fn is_nearly_full(&self) -> bool {
        let Some(max) = self.limits.memory_bytes else { return false };
        let used = self.used_bytes.get();
        self.depth.get() == 0 && used > max / 4 * 3 && used > self.kept_bytes.get() + max / 16
    }

    pub(super) fn note_collection(&self) {
        self.kept_bytes.set(self.used_bytes.get());
    }

    /// A script begins to run.
    pub(super) fn enter(&self) {
        if self.depth.replace(self.depth.get() + 1) == 0 && self.limits.cpu_ms.is_some() {
            self.began_ns.set(thread_ns());
        }
    }

    /// It has come back.
    ///
    /// # Safety
    ///
    /// `l` must be the state made by [`Guard::state`].
    pub(super) unsafe fn leave(&self, l: *mut lua_State) {
        self.depth.set(self.depth.get().saturating_sub(1));
        if self.depth.get() == 0 && self.tripped.replace(false) {
            // SAFETY: by the contract above.
            unsafe { c::lua_sethook(l, Some(look), c::LUA_MASKCOUNT, STRIDE) };
        }
    }

    fn allows(&self, more_bytes: usize) -> bool {
        let max = self.limits.memory_bytes.unwrap_or(usize::MAX);
        self.depth.get() == 0 || self.used_bytes.get().saturating_add(more_bytes) <= max
    }
}

/// The allocator of the VM.
unsafe extern "C" fn allocate(
    guard: *mut c_void,
    old: *mut c_void,
    old_bytes: usize,
    new_bytes: usize,
) -> *mut c_void {
    // SAFETY: the guard is the one the state was made with; blocks are the C library's, with the
    // sizes the VM keeps of them.
    unsafe {
        let guard = &*guard.cast::<Guard>();
        let used = guard.used_bytes.get();
        if new_bytes == 0 {
            libc::free(old);
            guard.used_bytes.set(used.saturating_sub(old_bytes));
            return ptr::null_mut();
        }
        if new_bytes > old_bytes && !guard.allows(new_bytes - old_bytes) {
            return ptr::null_mut();
        }
        let new = libc::realloc(old, new_bytes);
        if !new.is_null() {
            guard.used_bytes.set((used + new_bytes).saturating_sub(old_bytes));
        }
        new
    }
}

/// The count hook: too long a run ends with an error. A script may catch it, so from then on every
/// single instruction raises it, also the one behind the call that caught it.
unsafe extern "C-unwind" fn look(l: *mut lua_State, _: *mut c::lua_Debug) {
    // SAFETY: hooks get a live state, whose allocator is ours; nothing here has a destructor when
    // the error leaves.
    unsafe {
        let mut guard = ptr::null_mut();
        c::lua_getallocf(l, &raw mut guard);
        let guard = &*guard.cast::<Guard>();
        let max_ms = guard.limits.cpu_ms.unwrap_or(u64::MAX);
        let spent_ms = thread_ns().saturating_sub(guard.began_ns.get()) / 1_000_000;
        if guard.depth.get() == 0 || spent_ms < max_ms {
            return;
        }
        if !guard.tripped.replace(true) {
            c::lua_sethook(l, Some(look), c::LUA_MASKCOUNT, 1);
        }
        c::luaL_where(l, 0);
        push_reason(l, max_ms);
        c::lua_concat(l, 2);
        c::lua_error(l);
    }
}

fn push_reason(l: *mut lua_State, max_ms: u64) {
    let text = format!("lua_thread_max_cpu_time of {max_ms}ms exceeded");
    let text = CString::new(text).unwrap_or_default();
    // SAFETY: a hook has room for a few values; the VM copies the text.
    unsafe { c::lua_pushstring(l, text.as_ptr()) };
}

fn thread_ns() -> u64 {
    // SAFETY: all zeros is a valid timespec.
    let mut now: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: the clock exists, the place is ours.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut now) };
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

unsafe extern "C" {
    fn luaJIT_setmode(l: *mut lua_State, index: c_int, mode: c_int) -> c_int;
}

/// `LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF`
const ENGINE_OFF: c_int = 0;

/// Instructions between two looks: about a millisecond.
const STRIDE: c_int = 100_000;

//! The Lua C API, wrapped so that the rest of `lua` is safe code. [unsafe, as every file of this
//! folder]
//!
//! ```text
//!   Host  one lua_State with its libraries; closed when the last handle is gone
//!    ├─ Func   a function kept in the registry
//!    ├─ Co     a coroutine the scheduler resumes, reused when its function returned
//!    ├─ View   values on a stack, read and pushed by index
//!    └─ Call   what a native function sees: its arguments (a View), its row, the running context
//! ```
//!
//! Soundness rests on three rules. A `lua_State` is reached only through a handle that keeps its
//! `Host` alive. Nothing here is `Send`. No value with a destructor is alive in a frame when
//! `lua_error` leaves it.

#![allow(unsafe_code)]

pub mod abi;
pub mod call;
pub mod co;
pub mod ffi;
pub mod limit;
mod openssl;
pub mod symbols;
pub mod trace;
pub mod value;
pub mod view;

use std::ffi::{CString, c_int, c_long, c_void};
use std::mem;
use std::ptr;
use std::rc::Rc;

use mlua::ffi as c;
use mlua::lua_State;

pub use call::{Call, Native, Op, Raise};
pub use co::{Co, Step};
use limit::{Guard, Limits};
pub use value::{Light, Push, Reply, Val};
pub use view::{Kind, View};

/// A Lua state and its main thread.
pub struct Host {
    l: *mut lua_State,
    // Behind the state, which is closed first.
    guard: Option<Box<Guard>>,
}

impl Host {
    /// Creates a state with every standard library. Without limits it has LuaJIT's own allocator
    /// and the JIT compiler is on.
    pub fn new(limits: Limits) -> Option<Rc<Self>> {
        let guard = Guard::new(limits);
        // SAFETY: luaL_newstate has no precondition and the result is checked.
        let fresh = || unsafe { c::luaL_newstate() };
        let l = guard.as_ref().map_or_else(fresh, |guard| guard.state());
        if l.is_null() {
            return None;
        }
        // SAFETY: `l` is a fresh state, owned by us, and made by the guard if there is one.
        unsafe {
            luaL_openlibs(l);
            if let Some(guard) = &guard {
                guard.watch(l);
            }
        }
        Some(Rc::new(Self { l, guard }))
    }

    /// Runs `run` under the limits of the VM.
    fn limited<R>(&self, run: impl FnOnce() -> R) -> R {
        let Some(guard) = &self.guard else { return run() };
        if guard.is_nearly_full() {
            self.collect_garbage();
            guard.note_collection();
        }
        guard.enter();
        let done = run();
        // SAFETY: the guard belongs to this state.
        unsafe { guard.leave(self.l) };
        done
    }

    /// Frees what nobody holds any more.
    pub fn collect_garbage(&self) {
        // SAFETY: finalizers run protected.
        unsafe { c::lua_gc(self.l, c::LUA_GCCOLLECT, 0) };
    }

    /// Compiles source or bytecode without running it; the error is Lua's message.
    pub fn load(self: &Rc<Self>, code: &[u8], chunk_name: &str) -> Result<Func, String> {
        let name = CString::new(chunk_name.replace('\0', "?")).unwrap_or_default();
        // SAFETY: the buffer and the name outlive the call; luaL_loadbuffer never raises, and one
        // value is on the stack afterwards in both outcomes.
        unsafe {
            c::lua_checkstack(self.l, 4);
            let ptr = code.as_ptr().cast();
            if c::luaL_loadbuffer(self.l, ptr, code.len(), name.as_ptr()) != c::LUA_OK {
                let message = View::new(self.l, 0).text_lossy(-1);
                c::lua_settop(self.l, -2);
                return Err(message);
            }
        }
        Ok(self.pop_func())
    }

    /// Calls `func` on the main thread, in protected mode; `results` reads what it returned.
    ///
    /// The error text is what OpenResty logs for phases that cannot yield: message and traceback.
    pub fn call<R>(
        &self,
        func: &Func,
        args: &[Val],
        results: impl FnOnce(&View<'_>) -> R,
    ) -> Result<R, String> {
        let l = self.l;
        // SAFETY: `base` bounds everything this call pushes and the stack is reset to it. lua_pcall
        // stops every Lua error below; pushing values can fail for lack of memory only.
        unsafe {
            let base = c::lua_gettop(l);
            c::lua_checkstack(l, args.len() as c_int + 8);
            push_function(l, trace::on_error, 0);
            func.push(l);
            for arg in args {
                arg.push(l);
            }
            let status =
                self.limited(|| c::lua_pcall(l, args.len() as c_int, c::LUA_MULTRET, base + 1));
            let out = if status == c::LUA_OK {
                Ok(results(&View::new(l, base + 1)))
            } else {
                let view = View::new(l, 0);
                Err(match view.kind(-1) {
                    Kind::Str | Kind::Num => view.text_lossy(-1),
                    _ => "unknown reason".to_owned(),
                })
            };
            c::lua_settop(l, base);
            if status == c::LUA_ERRMEM {
                self.collect_garbage();
            }
            out
        }
    }

    /// Calls `func` with kept values and keeps its first result.
    pub fn call_kept(self: &Rc<Self>, func: &Func, args: &[&Func]) -> Result<Func, String> {
        let l = self.l;
        // SAFETY: as in call.
        unsafe {
            let base = c::lua_gettop(l);
            c::lua_checkstack(l, args.len() as c_int + 8);
            push_function(l, trace::on_error, 0);
            func.push(l);
            args.iter().for_each(|arg| arg.push(l));
            let status = c::lua_pcall(l, args.len() as c_int, 1, base + 1);
            let out = if status == c::LUA_OK {
                Ok(self.pop_func())
            } else {
                Err(View::new(l, 0).text_lossy(-1))
            };
            c::lua_settop(l, base);
            out
        }
    }

    /// Builds a value with `fill` and keeps it; `fill` pushes exactly one.
    pub fn build(self: &Rc<Self>, fill: impl FnOnce(&View<'_>)) -> Func {
        // SAFETY: the base is the current top, so `fill` sees an empty window.
        let base = unsafe { c::lua_gettop(self.l) };
        fill(&View::new(self.l, base));
        let kept = self.pop_func();
        // SAFETY: resets to the height before.
        unsafe { c::lua_settop(self.l, base) };
        kept
    }

    /// A table `name → native function`.
    pub fn natives(self: &Rc<Self>, rows: impl Iterator<Item = &'static Op>) -> Func {
        self.build(|view| {
            view.push_table(0, 256);
            for op in rows {
                view.push(op.name);
                call::push_op(self.l, op);
                // SAFETY: the table is below the key and the function.
                unsafe { c::lua_rawset(self.l, -3) };
            }
        })
    }

    /// A table `name → { address, C type }` for the prelude to cast.
    pub fn ffi_rows(self: &Rc<Self>, rows: impl Iterator<Item = &'static ffi::Ffi>) -> Func {
        self.build(|view| ffi::push_rows(view.state(), rows))
    }

    /// Addresses the prelude needs: the two marks, the shared words, the thread's clock.
    pub fn marks(self: &Rc<Self>, words: &ffi::Words) -> Func {
        self.build(|view| {
            view.push_table(4, 0);
            for (n, mark) in [ask_mark(), done_mark()].into_iter().enumerate() {
                // SAFETY: room was reserved by push_table; the mark is consumed by put_item.
                unsafe { c::lua_pushlightuserdata(self.l, mark) };
                view.put_item(n + 1);
            }
            ffi::push_words(self.l, words);
            view.put_item(3);
            ffi::push_clock(self.l);
            view.put_item(4);
        })
    }

    /// Moves the value on top of the main thread's stack to the registry.
    fn pop_func(self: &Rc<Self>) -> Func {
        // SAFETY: callers have just pushed the value.
        let slot = unsafe { c::luaL_ref(self.l, c::LUA_REGISTRYINDEX) };
        Func { host: Rc::clone(self), slot }
    }

    /// Collects all garbage.
    pub fn collect(&self) {
        // SAFETY: finalizers are our own `__gc` functions or scripts', which LuaJIT runs protected.
        unsafe { c::lua_gc(self.l, c::LUA_GCCOLLECT, 0) };
    }

    /// Kilobytes in use by Lua.
    pub fn used_kb(&self) -> i32 {
        // SAFETY: LUA_GCCOUNT only reads a counter.
        unsafe { c::lua_gc(self.l, c::LUA_GCCOUNT, 0) }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // SAFETY: the last handle is gone, nobody else can reach the state.
        unsafe { c::lua_close(self.l) };
    }
}

/// A Lua value kept in the registry, usually a function.
pub struct Func {
    host: Rc<Host>,
    slot: c_int,
}

impl Func {
    /// Keeps the value at `index` of `view`.
    pub fn keep(host: &Rc<Host>, view: &View<'_>, index: c_int) -> Self {
        // SAFETY: a view's state belongs to a live host, and registry references are shared by all
        // threads of a state.
        let slot = unsafe {
            c::lua_pushvalue(view.state(), view.at(index));
            c::luaL_ref(view.state(), c::LUA_REGISTRYINDEX)
        };
        Self { host: Rc::clone(host), slot }
    }

    /// Keeps another value in the same place.
    pub fn replace(&self, view: &View<'_>, index: c_int) {
        // SAFETY: as in keep; the slot is ours until drop.
        unsafe {
            c::lua_pushvalue(view.state(), view.at(index));
            c::lua_rawseti_(view.state(), c::LUA_REGISTRYINDEX, self.slot);
        }
    }

    /// The place in Lua's registry.
    pub fn slot(&self) -> c_int {
        self.slot
    }

    pub(crate) fn push(&self, l: *mut lua_State) {
        // SAFETY: the slot is ours until drop.
        unsafe { c::lua_rawgeti_(l, c::LUA_REGISTRYINDEX, self.slot) };
    }
}

impl Drop for Func {
    fn drop(&mut self) {
        // SAFETY: the slot was made by luaL_ref on this host and is released once.
        unsafe { c::luaL_unref(self.host.l, c::LUA_REGISTRYINDEX, self.slot) };
    }
}

impl std::fmt::Debug for Func {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Func({})", self.slot)
    }
}

/// The private value a prelude function yields when native code prepared a wait.
pub fn ask_mark() -> *mut c_void {
    ptr::from_ref(&ASK_MARK).cast_mut().cast()
}

/// The private value a reused coroutine yields when its function returned.
pub fn done_mark() -> *mut c_void {
    ptr::from_ref(&DONE_MARK).cast_mut().cast()
}

static ASK_MARK: u64 = 1;
static DONE_MARK: u64 = 2;

/// A function of ours that Lua calls; gives the number of its results.
///
/// LuaJIT reads the whole register the number comes back in, and an `int` says nothing of its
/// upper half: what stood there would become part of an address.
type Function = unsafe extern "C-unwind" fn(*mut lua_State) -> c_long;

/// Pushes `function` with so many upvalues from the stack.
///
/// # Safety
/// As `lua_pushcclosure`: `l` is alive, has the upvalues on its stack and room for one value.
unsafe fn push_function(l: *mut lua_State, function: Function, upvalues: c_int) {
    // SAFETY: the types differ in the width of the result only; a `long` comes back in the same
    // register as an `int`, and the half that is read as one has the number.
    unsafe {
        let function = mem::transmute::<Function, c::lua_CFunction>(function);
        c::lua_pushcclosure(l, function, upvalues);
    }
}

unsafe extern "C-unwind" {
    fn luaL_openlibs(l: *mut lua_State);
}

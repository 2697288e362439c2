//! Coroutines of the scheduler, kept and reused.
//!
//! ```text
//!   new: lua_newthread + body      body(f, ...) = body(yield(DONE, f(...)))
//!   start: push f and arguments, resume ──▶ Ask | Yield | Done (results on the stack) | Failed
//!   after Done the coroutine stands in `yield` again and takes the next f
//! ```

use std::ffi::c_int;
use std::rc::Rc;

use mlua::ffi as c;
use mlua::lua_State;

use super::value::Reply;
use super::view::View;
use super::{Func, Host, ask_mark, done_mark, trace};

/// A coroutine owned by native code.
pub struct Co {
    host: Rc<Host>,
    l: *mut lua_State,
    slot: c_int,
}

/// Why a resume came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Native code prepared something and the prelude yielded for it.
    Ask,
    /// The script yielded outside of any coroutine of its own.
    Yield,
    /// The function returned; its results are on the stack.
    Done,
    /// It raised; the error value is on top of the stack. Such a coroutine is dead.
    Failed(Failure),
}

/// Lua's status codes as OpenResty words them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Runtime,
    Memory,
    Handler,
    Unknown,
}

impl Co {
    /// Makes a coroutine around `body`, the reuse loop of the prelude.
    pub fn new(host: &Rc<Host>, body: &Func) -> Self {
        // SAFETY: the new thread is anchored in the registry before anything can collect it.
        unsafe {
            c::lua_checkstack(host.l, 4);
            let l = c::lua_newthread(host.l);
            let slot = c::luaL_ref(host.l, c::LUA_REGISTRYINDEX);
            body.push(l);
            Self { host: Rc::clone(host), l, slot }
        }
    }

    pub(crate) fn state(&self) -> *mut lua_State {
        self.l
    }

    /// Identity, equal to what Lua code holds as the thread.
    pub fn id(&self) -> usize {
        self.l as usize
    }

    pub fn push_func(&self, func: &Func) {
        // SAFETY: room is checked.
        unsafe { c::lua_checkstack(self.l, 4) };
        func.push(self.l);
    }

    pub fn push_reply(&self, reply: &Reply) -> c_int {
        reply.push(self.l)
    }

    /// Pushes this coroutine as a value onto another one.
    pub fn push_self_to(&self, other: &Self) {
        // SAFETY: one state; the value goes over our own stack, which is left as it was.
        unsafe {
            c::lua_checkstack(self.l, 2);
            c::lua_checkstack(other.l, 4);
            c::lua_pushthread(self.l);
            c::lua_xmove(self.l, other.l, 1);
        }
    }

    /// Moves the results of this finished coroutine to another one, `ok` in front.
    pub fn move_results_to(&self, other: &Self, ok: bool) -> c_int {
        View::new(other.l, 0).push(ok);
        1 + self.move_all(other.l)
    }

    pub(crate) fn move_all(&self, to: *mut lua_State) -> c_int {
        // SAFETY: a finished coroutine's stack holds only its results; one state; room is checked.
        unsafe {
            let count = c::lua_gettop(self.l);
            c::lua_checkstack(to, count + 4);
            c::lua_xmove(self.l, to, count);
            count
        }
    }

    /// Copies a prepared function and arguments (all of the stack above the body) to another one.
    pub fn copy_start_to(&self, other: &Self, count: c_int) {
        // SAFETY: `count` values were pushed by the caller; the copies leave with xmove.
        unsafe {
            c::lua_checkstack(self.l, count + 4);
            c::lua_checkstack(other.l, count + 4);
            for _ in 0..count {
                c::lua_pushvalue(self.l, -count);
            }
            c::lua_xmove(self.l, other.l, count);
        }
    }

    /// Inserts a boolean below the `above` topmost values.
    pub fn insert_bool(&self, above: c_int, value: bool) {
        View::new(self.l, 0).push(value);
        // SAFETY: the caller has pushed at least `above` values before.
        unsafe { c::lua_insert(self.l, -1 - above) };
    }

    /// Where the function that stands `count` values below the top was defined.
    pub fn func_place(&self, count: c_int) -> String {
        trace::place_of(&View::new(self.l, 0), -count)
    }

    /// Keeps what `ngx.thread.wait` returns of a dead coroutine: the error value. After a call of
    /// `error` the arguments of that call stand in front of it, as in OpenResty.
    pub fn keep_error(&self) {
        if trace::is_in_native(self.l) {
            return;
        }
        // SAFETY: a dead coroutine has its error value on top.
        unsafe {
            if c::lua_gettop(self.l) > 1 {
                c::lua_replace(self.l, 1);
                c::lua_settop(self.l, 1);
            }
        }
    }

    /// Runs on with the `count` values pushed last.
    pub fn resume(&self, count: c_int) -> Step {
        // SAFETY: the thread is not running (the scheduler resumes one at a time and owns it), and
        // lua_resume catches every error. Reading the yielded mark needs no more than the stack.
        unsafe {
            match self.host.limited(|| c::lua_resume_(self.l, count)) {
                c::LUA_YIELD => self.yielded(),
                // Only a body that returned, which the reuse loop never does.
                c::LUA_OK => Step::Done,
                c::LUA_ERRRUN => Step::Failed(Failure::Runtime),
                c::LUA_ERRMEM => Step::Failed(Failure::Memory),
                c::LUA_ERRERR => Step::Failed(Failure::Handler),
                _ => Step::Failed(Failure::Unknown),
            }
        }
    }

    fn yielded(&self) -> Step {
        let view = View::new(self.l, 0);
        let mark = view.to_light(1);
        // SAFETY: only shortens the coroutine's own stack, or removes its first slot.
        unsafe {
            if mark == done_mark() {
                c::lua_remove(self.l, 1);
                return Step::Done;
            }
            c::lua_settop(self.l, 0);
        }
        if mark == ask_mark() { Step::Ask } else { Step::Yield }
    }

    /// Forgets results, so that the coroutine can take another function.
    pub fn clear(&self) {
        // SAFETY: a finished coroutine's stack holds only results.
        unsafe { c::lua_settop(self.l, 0) };
    }

    /// The error value as text: strings and numbers only.
    pub fn error_text(&self) -> Option<String> {
        let view = View::new(self.l, 0);
        view.to_bytes(-1).map(|b| String::from_utf8_lossy(b).into_owned())
    }
}

impl Drop for Co {
    fn drop(&mut self) {
        // SAFETY: the slot is ours and released once; the collector takes the thread.
        unsafe { c::luaL_unref(self.host.l, c::LUA_REGISTRYINDEX, self.slot) };
    }
}

impl Failure {
    pub fn words(self) -> &'static str {
        match self {
            Self::Runtime => "runtime error",
            Self::Memory => "[lua] memory allocation error",
            Self::Handler => "error handler error",
            Self::Unknown => "unknown error",
        }
    }
}

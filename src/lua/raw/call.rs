//! Native functions: the row, the trampoline and what a function sees of its call.
//!
//! ```text
//!   Lua ── N["sleep"](s) ─▶ trampoline ─ phase allowed? ─▶ Op.run(&Call) ─▶ Ok(results) | Raise
//!                                 ▲                                                       │
//!                                 └── lua_error, after every destructor has run ──────────┘
//! ```

use std::any::Any;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::ffi::{c_int, c_long, c_void};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;

use mlua::ffi as c;
use mlua::lua_State;

use super::value::{Push, Reply};
use super::view::View;
use super::{Co, Func, Host, ask_mark, trace};
use crate::base::log::Level;
use crate::http::Request;
use crate::lua::ask::Ask;
use crate::lua::ctx::{self, Ctx};
use crate::lua::phase::{ANY, Phase};

/// A native function.
pub type Native = fn(&Call<'_>) -> Result<c_int, Raise>;

/// A row of a topic: the name under which the prelude finds it, where it may be called, the code.
pub struct Op {
    /// `topic.verb`; what follows the last dot is the name in messages about arguments.
    pub name: &'static str,
    /// Bits of [`Phase`]; `ANY` also without a running context.
    pub phases: u32,
    pub run: Native,
}

/// A Lua error to be raised.
#[derive(Debug)]
pub enum Raise {
    /// With the position of the caller in front, as `luaL_error`.
    Text(Cow<'static, str>),
    /// `bad argument #N to 'name' (text)`.
    Arg(c_int, Cow<'static, str>),
    /// As it is, without a position.
    Plain(Vec<u8>),
}

/// One call of a native function.
pub struct Call<'a> {
    view: View<'a>,
    ctx: OnceCell<Option<Rc<Ctx>>>,
}

impl<'a> Deref for Call<'a> {
    type Target = View<'a>;

    fn deref(&self) -> &View<'a> {
        &self.view
    }
}

impl<'a> Call<'a> {
    fn new(l: *mut lua_State) -> Self {
        Self { view: View::new(l, 0), ctx: OnceCell::new() }
    }

    /// The running context, if Lua was entered with one.
    pub fn try_ctx(&self) -> Option<&Rc<Ctx>> {
        self.ctx.get_or_init(ctx::current).as_ref()
    }

    /// The running context; without one the error is OpenResty's.
    pub fn ctx(&self) -> Result<&Rc<Ctx>, Raise> {
        self.try_ctx().ok_or(Raise::Text(Cow::Borrowed("no request found")))
    }

    /// The request being served; without one the error is OpenResty's.
    pub fn request(&self) -> Result<&Rc<Request>, Raise> {
        let request = self.ctx()?.request.as_ref();
        request.ok_or(Raise::Text(Cow::Borrowed("no request found")))
    }

    /// A string argument; numbers are accepted as Lua does.
    pub fn bytes(&self, index: c_int) -> Result<&'a [u8], Raise> {
        self.to_bytes(index).ok_or_else(|| self.expected(index, "string"))
    }

    pub fn opt_bytes(&self, index: c_int) -> Result<Option<&'a [u8]>, Raise> {
        if self.absent(index) { Ok(None) } else { self.bytes(index).map(Some) }
    }

    pub fn num(&self, index: c_int) -> Result<f64, Raise> {
        self.to_num(index).ok_or_else(|| self.expected(index, "number"))
    }

    pub fn opt_num(&self, index: c_int) -> Result<Option<f64>, Raise> {
        if self.absent(index) { Ok(None) } else { self.num(index).map(Some) }
    }

    /// A number cut to an integer, as `luaL_checkint`.
    pub fn int(&self, index: c_int) -> Result<i64, Raise> {
        self.num(index).map(|n| n as i64)
    }

    pub fn opt_int(&self, index: c_int) -> Result<Option<i64>, Raise> {
        Ok(self.opt_num(index)?.map(|n| n as i64))
    }

    /// `X expected, got Y` about one argument.
    pub fn expected(&self, index: c_int, what: &str) -> Raise {
        Raise::Arg(index, format!("{what} expected, got {}", self.type_name(index)).into())
    }

    pub fn arg_error(&self, index: c_int, text: impl Into<Cow<'static, str>>) -> Raise {
        Raise::Arg(index, text.into())
    }

    /// Pushes results.
    pub fn ret(&self, v: impl Push) -> Result<c_int, Raise> {
        Ok(self.push(v))
    }

    /// Returns `nil, "reason"`.
    pub fn fail(&self, reason: impl Push) -> Result<c_int, Raise> {
        Ok(self.push(()) + self.push(reason))
    }

    /// Waits for `wait` and returns its reply; returns at once if it is ready now.
    pub fn ask(&self, wait: impl Future<Output = Reply> + 'static) -> Result<c_int, Raise> {
        let mut wait: crate::lua::ask::Wait = Box::pin(wait);
        let mut idle = std::task::Context::from_waker(std::task::Waker::noop());
        match wait.as_mut().poll(&mut idle) {
            std::task::Poll::Ready(reply) => Ok(self.push(reply)),
            std::task::Poll::Pending => self.leave(Ask::Wait(wait)),
        }
    }

    /// Waits for `wait`, known not to be ready yet.
    pub fn wait(&self, wait: impl Future<Output = Reply> + 'static) -> Result<c_int, Raise> {
        self.leave(Ask::Wait(Box::pin(wait)))
    }

    /// Leaves Lua for the reason given: the prelude yields the mark returned here.
    pub fn leave(&self, ask: Ask) -> Result<c_int, Raise> {
        self.ctx()?.set_ask(ask);
        // SAFETY: room for one value is always there in a C function.
        unsafe { c::lua_pushlightuserdata(self.state(), ask_mark()) };
        Ok(1)
    }

    /// Identity of the coroutine that called.
    pub fn thread_id(&self) -> usize {
        self.state() as usize
    }

    /// Moves the values from `from` to the top onto a coroutine's stack.
    pub fn move_to(&self, co: &Co, from: c_int) -> c_int {
        let count = (self.len() - from + 1).max(0);
        // SAFETY: both threads belong to one state; room is checked.
        unsafe {
            c::lua_checkstack(co.state(), count + 4);
            c::lua_xmove(self.state(), co.state(), count);
        }
        count
    }

    /// Copies the values from `from` to the top onto a coroutine's stack.
    pub fn copy_to(&self, co: &Co, from: c_int) -> c_int {
        let count = (self.len() - from + 1).max(0);
        // SAFETY: as in move_to.
        unsafe { c::lua_checkstack(self.state(), count + 2) };
        (from..from + count).for_each(|i| self.push_copy(i));
        self.move_to(co, from + count)
    }

    /// Moves all values of a finished coroutine's stack here as results.
    pub fn take_results(&self, co: &Co) -> c_int {
        co.move_all(self.state())
    }

    /// Pushes a new coroutine around the function at `index`.
    pub fn push_coroutine(&self, index: c_int) -> c_int {
        // SAFETY: room is checked; the new thread is anchored by the stack it is pushed on.
        unsafe {
            c::lua_checkstack(self.state(), 4);
            let co = c::lua_newthread(self.state());
            c::lua_pushvalue(self.state(), self.at(index));
            c::lua_xmove(self.state(), co, 1);
        }
        1
    }

    /// Keeps the value at `index` for later.
    pub fn keep(&self, host: &Rc<Host>, index: c_int) -> Func {
        Func::keep(host, self, index)
    }

    /// Pushes a value kept before.
    pub fn push_kept(&self, func: &Func) -> c_int {
        // SAFETY: reserves room.
        unsafe { c::lua_checkstack(self.state(), 2) };
        func.push(self.state());
        1
    }
}

impl Raise {
    /// An error with the caller's position in front.
    pub fn text(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Text(text.into())
    }
}

/// Pushes `op` as a Lua function.
pub(crate) fn push_op(l: *mut lua_State, op: &'static Op) {
    // SAFETY: the row is static, so the address stays valid; room is checked.
    unsafe {
        c::lua_checkstack(l, 4);
        c::lua_pushlightuserdata(l, ptr::from_ref(op).cast_mut().cast::<c_void>());
        super::push_function(l, trampoline, 1);
    }
}

unsafe extern "C-unwind" fn trampoline(l: *mut lua_State) -> c_long {
    // SAFETY: upvalue 1 was set by push_op to a static row.
    let op = unsafe { &*c::lua_touserdata(l, c::lua_upvalueindex(1)).cast::<Op>() };
    match run(op, l) {
        Some(count) => c_long::from(count),
        // SAFETY: `run` left the error on top of the stack, and this frame owns nothing.
        None => unsafe { c::lua_error(l) },
    }
}

/// Runs the row; on error its value is on top of the stack.
fn run(op: &'static Op, l: *mut lua_State) -> Option<c_int> {
    let call = Call::new(l);
    let checked_run = || check_phase(op, &call).and_then(|()| (op.run)(&call));
    let result = catch_unwind(AssertUnwindSafe(checked_run)).unwrap_or_else(|panic| {
        Err(Raise::Text(format!("internal error in {}: {}", op.name, reason(&*panic)).into()))
    });
    match result {
        Ok(count) => Some(count),
        Err(raise) => {
            push_error(&call, op, raise);
            None
        }
    }
}

fn check_phase(op: &'static Op, call: &Call<'_>) -> Result<(), Raise> {
    if op.phases == ANY {
        return Ok(());
    }
    let phase = call.ctx()?.phase;
    if phase == Phase::Init {
        return Err(Raise::text("no request found"));
    }
    if op.phases & phase.bit() != 0 {
        return Ok(());
    }
    Err(Raise::text(format!("API disabled in the context of {}", phase.context_name())))
}

fn push_error(call: &Call<'_>, op: &Op, raise: Raise) {
    let text = match raise {
        Raise::Text(text) => text.into_owned(),
        Raise::Arg(index, text) => {
            let own = || op.name.rsplit('.').next().unwrap_or(op.name).to_owned();
            let name = trace::called_name(call.state()).unwrap_or_else(own);
            format!("bad argument #{index} to '{name}' ({text})")
        }
        Raise::Plain(bytes) => {
            call.push(bytes);
            return;
        }
    };
    call.push(trace::caller_position(call.state()) + &text);
}

/// A panic is a bug of ours: it ends the Lua call, not the worker, and is shouted about.
fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic".to_owned());
    ctx::log(Level::Alert, &format!("panic in a native Lua function: {text}"));
    text
}

//! Where in Lua code we are: positions for messages, tracebacks as OpenResty prints them.

use std::ffi::{CStr, c_char, c_int, c_long};
use std::fmt::Write;
use std::mem;
use std::ptr;

use mlua::ffi as c;
use mlua::lua_State;

use super::co::Co;
use super::view::View;

/// `chunk:line: ` of the nearest caller that is not our prelude, as `luaL_where` gives it.
pub(crate) fn caller_position(l: *mut lua_State) -> String {
    for level in 1..MAX_LEVELS {
        let Some(frame) = Frame::at(l, level) else { break };
        if frame.is_ours {
            continue;
        }
        if frame.line > 0 {
            return format!("{}:{}: ", frame.source, frame.line);
        }
        break;
    }
    String::new()
}

/// The name a script calls the running function by, as `luaL_argerror` tells it; `None` when our
/// prelude stands between.
pub(crate) fn called_name(l: *mut lua_State) -> Option<String> {
    let caller = Frame::at(l, 1)?;
    let name = || Frame::at(l, 0).and_then(|frame| frame.name);
    (!caller.is_ours).then(|| name().unwrap_or_else(|| "?".to_owned()))
}

/// `file:line: function(): ` of the caller, as `ngx.log` puts it in front of a message.
pub fn caller(view: &View<'_>) -> String {
    let frames = (1..MAX_LEVELS).map_while(|level| Frame::at(view.state(), level));
    let Some(frame) = frames.into_iter().find(|f| !f.is_ours) else { return String::new() };
    let source = frame.source.rsplit(['/', '\\']).next().unwrap_or_default();
    let line = if frame.line > 0 { frame.line } else { frame.defined };
    match frame.name {
        Some(name) if frame.what == b'L' => format!("{source}:{line}: {name}(): "),
        _ => format!("{source}:{line}: "),
    }
}

/// The frames of one coroutine, each on a line of its own.
pub fn frames(co: &Co) -> String {
    frames_of(co.state())
}

pub(crate) fn frames_of(l: *mut lua_State) -> String {
    let mut out = String::new();
    for level in 0.. {
        let Some(frame) = Frame::at(l, level) else { break };
        if level >= MAX_LEVELS {
            out.push_str("\n\t...");
            break;
        }
        if frame.is_body {
            break;
        }
        // Under OpenResty nobody calls an entry function, so it has no name.
        let is_entry = Frame::at(l, level + 1).is_some_and(|f| f.is_body);
        let _ = write!(out, "\n\t{}:", frame.source);
        if frame.line > 0 {
            let _ = write!(out, "{}:", frame.line);
        }
        if let Some(name) = frame.name.as_ref().filter(|_| !is_entry) {
            let _ = write!(out, " in function '{name}'");
        } else {
            match frame.what {
                b'm' => out.push_str(" in main chunk"),
                b'C' | b't' => out.push_str(" ?"),
                _ => {
                    let _ = write!(out, " in function <{}:{}>", frame.source, frame.defined);
                }
            }
        }
    }
    out
}

/// Whether the innermost frame is a C function.
pub(crate) fn is_in_native(l: *mut lua_State) -> bool {
    Frame::at(l, 0).is_some_and(|frame| frame.what == b'C')
}

/// `source:line` where the function at `index` was defined.
pub fn place_of(view: &View<'_>, index: c_int) -> String {
    // SAFETY: lua_getinfo with ">" takes the function pushed for it; the strings live as long as
    // the function, which stays on the stack below.
    unsafe {
        let l = view.state();
        let mut ar: c::lua_Debug = mem::zeroed();
        c::lua_checkstack(l, 2);
        c::lua_pushvalue(l, view.at(index));
        c::lua_getinfo(l, c">S".as_ptr(), &raw mut ar);
        format!("{}:{}", text(ar.source), ar.linedefined)
    }
}

/// The handler of protected calls on the main thread: the message becomes message + traceback.
pub(crate) unsafe extern "C-unwind" fn on_error(l: *mut lua_State) -> c_long {
    // SAFETY: called by Lua with the error value as the only argument.
    unsafe {
        if c::lua_isstring(l, 1) != 0 {
            luaL_traceback(l, l, c::lua_tolstring(l, 1, ptr::null_mut()), 1);
        }
    }
    1
}

struct Frame {
    source: String,
    line: c_int,
    defined: c_int,
    what: u8,
    name: Option<String>,
    /// Part of the prelude, which scripts must not see as the place of a mistake.
    is_ours: bool,
    /// The reuse loop under every light thread.
    is_body: bool,
}

impl Frame {
    fn at(l: *mut lua_State, level: c_int) -> Option<Self> {
        // SAFETY: a zeroed lua_Debug is plain data; lua_getinfo fills it with pointers to strings
        // that live as long as the function on the stack, and we copy them at once.
        unsafe {
            let mut ar: c::lua_Debug = mem::zeroed();
            if c::lua_getstack(l, level, &raw mut ar) == 0 {
                return None;
            }
            c::lua_getinfo(l, c"Snl".as_ptr(), &raw mut ar);
            let source = text(ar.short_src.as_ptr());
            let named = !ar.namewhat.is_null() && *ar.namewhat != 0;
            let is_ours = source.starts_with(PRELUDE);
            Some(Self {
                is_body: is_ours && source.ends_with(BODY),
                is_ours,
                line: ar.currentline,
                defined: ar.linedefined,
                what: if ar.what.is_null() { b'?' } else { *ar.what as u8 },
                name: named.then(|| text(ar.name)),
                source,
            })
        }
    }
}

/// # Safety
/// `ptr` is null or a C string.
unsafe fn text(ptr: *const c_char) -> String {
    if ptr.is_null() {
        return "?".to_owned();
    }
    // SAFETY: by contract.
    unsafe { CStr::from_ptr(ptr) }.to_string_lossy().into_owned()
}

/// The frames of the coroutine at `index`, for errors that leave a `coroutine.wrap`.
pub fn frames_of_value(view: &View<'_>, index: c_int) -> Option<String> {
    // SAFETY: the index is within the stack; null for other types.
    let l = unsafe { c::lua_tothread(view.state(), view.at(index)) };
    (!l.is_null()).then(|| frames_of(l))
}

/// Chunk names of the prelude begin so.
pub const PRELUDE: &str = "moonbeat:";
/// The file with the reuse loop.
const BODY: &str = "00_body";
const MAX_LEVELS: c_int = 22;

unsafe extern "C-unwind" {
    fn luaL_traceback(l: *mut lua_State, from: *mut lua_State, msg: *const c_char, level: c_int);
}

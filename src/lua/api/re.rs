//! `ngx.re.*`: compiled patterns under ids, matching through FFI.
//!
//! ```text
//!   N["re.compile"](pattern, options) ─▶ id, group count, { name, group, … }
//!   F.re_exec(id, subject, len, from, spans, room) ─▶ PCRE2's answer, offsets in `spans`
//! ```

use std::cell::RefCell;
use std::ffi::c_int;
use std::panic::AssertUnwindSafe;

use super::Topic;
use crate::base::log::Level;
use crate::base::regex::{Flags, Limits, Regex, Scratch, set_lua_jit_stack};
use crate::base::slot::{Id, Slots};
use crate::lua::ctx;
use crate::lua::phase::ANY;
use crate::lua::raw::ffi::{Ffi, FfiAddr, In, Out, guard};
use crate::lua::raw::{Call, Op, Raise};

pub const TOPIC: Topic = Topic {
    ops: &[
        Op { name: "re.compile", phases: ANY, run: compile },
        Op { name: "re.bad_template", phases: ANY, run: bad_template },
        Op { name: "re.set_jit_stack", phases: ANY, run: set_jit_stack },
    ],
    ffi: &[
        Ffi {
            name: "re_exec",
            ctype: "int (*)(int64_t, const char *, size_t, size_t, int32_t *, int)",
            addr: FfiAddr(exec as *const ()),
        },
        Ffi { name: "re_free", ctype: "void (*)(double)", addr: FfiAddr(free as *const ()) },
    ],
};

fn compile(c: &Call<'_>) -> Result<c_int, Raise> {
    let (pattern, letters) = (c.bytes(1)?, c.opt_bytes(2)?.unwrap_or_default());
    let flags = match Flags::from_letters(letters) {
        Ok(flags) => flags,
        Err(letter) => {
            let all = String::from_utf8_lossy(letters);
            let flag = char::from(letter);
            return Err(Raise::text(format!("unknown flag \"{flag}\" (flags \"{all}\")")));
        }
    };
    let regex = match Regex::compile(pattern, flags) {
        Ok(regex) => regex,
        Err(e) => return c.fail(e.to_string()),
    };
    let groups = regex.capture_count();
    let names: Vec<_> = regex.names().to_vec();
    let id = REGEXES.with_borrow_mut(|known| known.all.insert(regex));
    c.push(id.to_bits());
    c.push(groups);
    if names.is_empty() {
        return Ok(2);
    }
    c.push_table(names.len() * 2, 0);
    for (n, (name, group)) in names.iter().enumerate() {
        c.push(&**name);
        c.put_item(n * 2 + 1);
        c.push(*group);
        c.put_item(n * 2 + 2);
    }
    Ok(3)
}

/// Logs what is wrong with a replacement text: `bad_template(text, place of the dollar sign)`.
fn bad_template(c: &Call<'_>) -> Result<c_int, Raise> {
    let (text, at) = (c.bytes(1)?, c.int(2)? as usize);
    let rest = text.get(at..).unwrap_or_default();
    let bare = rest.strip_prefix(b"{").unwrap_or(rest);
    let name: Vec<u8> =
        bare.iter().copied().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').collect();
    let closed = rest.len() == bare.len() || bare.get(name.len()) == Some(&b'}');
    let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let line = if !closed && !bare.is_empty() {
        format!("the closing bracket in \"{}\" variable is missing", show(&name))
    } else if name.is_empty() {
        let text = show(text);
        format!("lua script: invalid capturing variable name found in \"{text}\"")
    } else {
        let name = show(&name);
        format!(
            "attempt to use named capturing variable \"{name}\" (named captures not supported yet)"
        )
    };
    ctx::log(Level::Error, &line);
    Ok(0)
}

fn set_jit_stack(c: &Call<'_>) -> Result<c_int, Raise> {
    set_lua_jit_stack(c.int(1)?.max(0) as usize);
    Ok(0)
}

/// Matches; writes up to `room` offsets, -1 for a group that took no part.
extern "C" fn exec(
    id: i64,
    text: In<u8>,
    len: usize,
    from: usize,
    out: Out<i32>,
    room: i32,
) -> i32 {
    let body = AssertUnwindSafe(|| {
        REGEXES.with_borrow_mut(|Regexes { all, scratch }| {
            let Some(regex) = all.get(Id::from_bits(id as u64)) else { return INTERNAL_ERROR };
            regex.exec_in(scratch, text.slice(len), from, Limits::Lua, |offsets| {
                // An offset past 2^31 cannot come from a Lua string.
                let room = out.slice(room.max(0) as usize);
                room.iter_mut().zip(offsets).for_each(|(o, s)| *o = *s as i32);
            })
        })
    });
    guard(INTERNAL_ERROR, body)
}

extern "C" fn free(id: f64) {
    guard((), || {
        // The thread may be ending already.
        let _ = REGEXES.try_with(|known| known.borrow_mut().all.remove(Id::from_bits(id as u64)));
    });
}

/// The patterns of this thread's scripts.
struct Regexes {
    all: Slots<Regex>,
    scratch: Scratch,
}

thread_local! {
    static REGEXES: RefCell<Regexes> =
        const { RefCell::new(Regexes { all: Slots::new(), scratch: Scratch::new() }) };
}

/// PCRE2_ERROR_INTERNAL.
const INTERNAL_ERROR: c_int = -44;

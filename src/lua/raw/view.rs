//! Values on a Lua stack, read and pushed by index.
//!
//! ```text
//!   stack   … │ 1 │ 2 │ 3 │ …        index 1 is the first value above `base`; -1 is the top
//!             └ base
//! ```
//!
//! Slices borrow from the view, not from a single call: a string stays where it is as long as its
//! slot does, and a view never removes a slot it did not push itself.

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::slice;

use mlua::ffi as c;
use mlua::lua_State;

use super::value::{Push, Val};

/// A window on a Lua stack.
pub struct View<'a> {
    l: *mut lua_State,
    base: c_int,
    _state: PhantomData<&'a lua_State>,
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    None,
    Nil,
    Bool,
    Light,
    Num,
    Str,
    Table,
    Func,
    User,
    Thread,
    Cdata,
}

impl<'a> View<'a> {
    pub(crate) fn new(l: *mut lua_State, base: c_int) -> Self {
        Self { l, base, _state: PhantomData }
    }

    pub(crate) fn state(&self) -> *mut lua_State {
        self.l
    }

    /// The index as the C API wants it.
    pub(crate) fn at(&self, index: c_int) -> c_int {
        if index > 0 { self.base + index } else { index }
    }

    /// How many values stand above the base.
    pub fn len(&self) -> c_int {
        // SAFETY: the state is live for 'a.
        unsafe { c::lua_gettop(self.l) - self.base }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn kind(&self, index: c_int) -> Kind {
        // SAFETY: lua_type accepts any index within the stack's reserved room.
        match unsafe { c::lua_type(self.l, self.at(index)) } {
            c::LUA_TNIL => Kind::Nil,
            c::LUA_TBOOLEAN => Kind::Bool,
            c::LUA_TLIGHTUSERDATA => Kind::Light,
            c::LUA_TNUMBER => Kind::Num,
            c::LUA_TSTRING => Kind::Str,
            c::LUA_TTABLE => Kind::Table,
            c::LUA_TFUNCTION => Kind::Func,
            c::LUA_TUSERDATA => Kind::User,
            c::LUA_TTHREAD => Kind::Thread,
            c::LUA_TCDATA => Kind::Cdata,
            _ => Kind::None,
        }
    }

    /// No argument, or nil.
    pub fn absent(&self, index: c_int) -> bool {
        matches!(self.kind(index), Kind::None | Kind::Nil)
    }

    /// A Lua function, not one written in C.
    pub fn is_lua_func(&self, index: c_int) -> bool {
        // SAFETY: as in kind.
        self.kind(index) == Kind::Func && unsafe { c::lua_iscfunction(self.l, self.at(index)) } == 0
    }

    /// Lua's truth: all but nil and false.
    pub fn truthy(&self, index: c_int) -> bool {
        // SAFETY: as in kind.
        unsafe { c::lua_toboolean(self.l, self.at(index)) != 0 }
    }

    /// The bytes of a string, or of a number in Lua's own notation.
    pub fn to_bytes(&self, index: c_int) -> Option<&'a [u8]> {
        if !matches!(self.kind(index), Kind::Str | Kind::Num) {
            return None;
        }
        let mut len = 0;
        // SAFETY: the value is a string or a number, so lua_tolstring gives a buffer of `len` bytes
        // that lives as long as the value, whose slot this view does not remove.
        unsafe {
            let ptr = c::lua_tolstring(self.l, self.at(index), &raw mut len);
            Some(slice::from_raw_parts(ptr.cast(), len))
        }
    }

    /// A number, or a string that reads as one.
    pub fn to_num(&self, index: c_int) -> Option<f64> {
        // SAFETY: as in kind.
        unsafe {
            let at = self.at(index);
            (c::lua_isnumber(self.l, at) != 0).then(|| c::lua_tonumber(self.l, at))
        }
    }

    /// The text of a string or number, lossy; empty for anything else.
    pub fn text_lossy(&self, index: c_int) -> String {
        self.to_bytes(index).map_or_else(String::new, |b| String::from_utf8_lossy(b).into_owned())
    }

    /// The value as native data, `None` for what cannot leave Lua (functions, tables, threads).
    pub fn to_val(&self, index: c_int) -> Option<Val> {
        Some(match self.kind(index) {
            Kind::None | Kind::Nil => Val::Nil,
            Kind::Bool => Val::Bool(self.truthy(index)),
            Kind::Num => Val::Num(self.to_num(index)?),
            Kind::Str => Val::Str(self.to_bytes(index)?.to_vec()),
            Kind::Light if self.to_light(index).is_null() => Val::Null,
            _ => return None,
        })
    }

    pub fn to_light(&self, index: c_int) -> *mut c_void {
        // SAFETY: as in kind; gives null for other types.
        unsafe { c::lua_touserdata(self.l, self.at(index)) }
    }

    /// Is this `ngx.null`?
    pub fn is_null(&self, index: c_int) -> bool {
        self.kind(index) == Kind::Light && self.to_light(index).is_null()
    }

    /// Identity of a coroutine.
    pub fn to_thread_id(&self, index: c_int) -> Option<usize> {
        // SAFETY: as in kind; gives null for other types.
        let l = unsafe { c::lua_tothread(self.l, self.at(index)) };
        (!l.is_null()).then_some(l as usize)
    }

    /// The name of the type, as error messages have it.
    pub fn type_name(&self, index: c_int) -> &'static str {
        match self.kind(index) {
            Kind::None => "no value",
            Kind::Nil => "nil",
            Kind::Bool => "boolean",
            Kind::Light | Kind::User => "userdata",
            Kind::Num => "number",
            Kind::Str => "string",
            Kind::Table => "table",
            Kind::Func => "function",
            Kind::Thread => "thread",
            Kind::Cdata => "cdata",
        }
    }

    /// Pushes values and tells how many.
    pub fn push(&self, v: impl Push) -> c_int {
        // SAFETY: reserves room; the state is live.
        unsafe { c::lua_checkstack(self.l, 8) };
        v.push_to(self.l)
    }

    /// Pushes a copy of the value at `index`.
    pub fn push_copy(&self, index: c_int) {
        // SAFETY: reserves room; the index is within the stack.
        unsafe {
            c::lua_checkstack(self.l, 2);
            c::lua_pushvalue(self.l, self.at(index));
        }
    }

    /// Pushes an empty table with room for `list` items and `map` fields.
    pub fn push_table(&self, list: usize, map: usize) {
        // SAFETY: reserves room.
        unsafe {
            c::lua_checkstack(self.l, 4);
            c::lua_createtable(self.l, list as c_int, map as c_int);
        }
    }

    /// Sets `table[key] = value`, the table being on top of the stack.
    pub fn put(&self, key: impl Push, value: impl Push) {
        if self.kind(-1) != Kind::Table {
            return;
        }
        self.push(key);
        self.push(value);
        // SAFETY: the table is third from the top, key and value have just been pushed.
        unsafe {
            if self.kind(-2) == Kind::Nil {
                c::lua_settop(self.l, -3);
            } else {
                c::lua_rawset(self.l, -3);
            }
        }
    }

    /// Sets `table[key] = value` for two texts, the table being on top of the stack.
    pub fn put_text(&self, key: &[u8], value: &[u8]) {
        if self.kind(-1) != Kind::Table {
            return;
        }
        // SAFETY: room is reserved; the table is third from the top when its field is set.
        unsafe {
            c::lua_checkstack(self.l, 4);
            c::lua_pushlstring_(self.l, key.as_ptr().cast(), key.len());
            c::lua_pushlstring_(self.l, value.as_ptr().cast(), value.len());
            c::lua_rawset(self.l, -3);
        }
    }

    /// Pops the top value into item `n` of the table below it.
    pub fn put_item(&self, n: usize) {
        if self.kind(-2) == Kind::Table {
            // SAFETY: checked to be a table.
            unsafe { c::lua_rawseti_(self.l, -2, n as c_int) };
        }
    }

    /// Pops a key and a value and sets them in the table at `table`, without metamethods.
    pub fn set_raw(&self, table: c_int) {
        if self.kind(table) == Kind::Table && self.kind(-2) != Kind::Nil {
            // SAFETY: checked to be a table and the key not to be nil.
            unsafe { c::lua_rawset(self.l, self.at(table)) };
        }
    }

    /// Pushes item `key` of the table at `table`, without metamethods.
    pub fn push_raw(&self, table: c_int, key: impl Push) {
        self.push(key);
        if self.kind(table) == Kind::Table {
            // SAFETY: checked to be a table; rawget replaces the key.
            unsafe { c::lua_rawget(self.l, self.at(table)) };
        }
    }

    /// Gives the table on top the table at `index` as metatable.
    pub fn set_metatable_from(&self, index: c_int) {
        if self.kind(index) == Kind::Table && self.kind(-1) == Kind::Table {
            self.push_copy(index);
            // SAFETY: both are tables.
            unsafe { c::lua_setmetatable(self.l, -2) };
        }
    }

    /// Drops the `n` values pushed last. The slices that borrow from them must be gone, which is
    /// why this is for values the caller pushed itself.
    pub fn drop_top(&self, n: c_int) {
        // SAFETY: never below the base.
        unsafe { c::lua_settop(self.l, -(n.min(self.len())) - 1) };
    }

    /// Reads field `key` of the table at `index` without metamethods.
    pub fn with_field<R>(
        &self,
        index: c_int,
        key: &str,
        read: impl FnOnce(&View<'_>, c_int) -> R,
    ) -> R {
        let top = self.len();
        if self.kind(index) == Kind::Table {
            let at = if index > 0 { index } else { top + 1 + index };
            self.push(key);
            // SAFETY: checked to be a table; rawget replaces the key.
            unsafe { c::lua_rawget(self.l, self.at(at)) };
        } else {
            self.push(());
        }
        let out = read(&View::new(self.l, self.base), top + 1);
        // SAFETY: resets to the height before.
        unsafe { c::lua_settop(self.l, self.base + top) };
        out
    }

    /// The same with any key.
    pub fn with_key<R>(
        &self,
        table: c_int,
        key: impl Push,
        read: impl FnOnce(&View<'_>, c_int) -> R,
    ) -> R {
        let top = self.len();
        self.push_raw(table, key);
        let out = read(&View::new(self.l, self.base), top + 1);
        // SAFETY: resets to the height before.
        unsafe { c::lua_settop(self.l, self.base + top) };
        out
    }

    /// Walks the table at `index`: `read(view, key index, value index)`; false stops.
    pub fn each(&self, index: c_int, mut read: impl FnMut(&View<'_>, c_int, c_int) -> bool) {
        if self.kind(index) != Kind::Table {
            return;
        }
        let top = self.len();
        let at = if index > 0 { index } else { top + 1 + index };
        let view = View::new(self.l, self.base);
        // SAFETY: the table stays at `at`. The key is handed out as a copy, so that converting it
        // to a string cannot confuse lua_next.
        unsafe {
            c::lua_checkstack(self.l, 6);
            c::lua_pushnil(self.l);
            while c::lua_next(self.l, self.at(at)) != 0 {
                c::lua_pushvalue(self.l, -2);
                let go_on = read(&view, top + 3, top + 2);
                c::lua_settop(self.l, self.base + top + 1);
                if !go_on {
                    break;
                }
            }
            c::lua_settop(self.l, self.base + top);
        }
    }

    /// Reads item `n` of the table at `index` without metamethods.
    pub fn with_item<R>(
        &self,
        index: c_int,
        n: usize,
        read: impl FnOnce(&View<'_>, c_int) -> R,
    ) -> R {
        let top = self.len();
        if self.kind(index) == Kind::Table {
            // SAFETY: checked to be a table.
            unsafe {
                c::lua_checkstack(self.l, 4);
                c::lua_rawgeti_(self.l, self.at(index), n as c_int);
            }
        } else {
            self.push(());
        }
        let out = read(&View::new(self.l, self.base), top + 1);
        // SAFETY: resets to the height before.
        unsafe { c::lua_settop(self.l, self.base + top) };
        out
    }

    /// The border of a table or the length of a string.
    pub fn raw_len(&self, index: c_int) -> usize {
        // SAFETY: lua_objlen gives 0 for other types.
        unsafe { c::lua_objlen(self.l, self.at(index)) }
    }

    /// Address of a table, function or other object, for cycle checks.
    pub fn address(&self, index: c_int) -> usize {
        // SAFETY: only an address, never followed.
        unsafe { c::lua_topointer(self.l, self.at(index)) as usize }
    }
}

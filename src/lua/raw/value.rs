//! Values on their way from native code to Lua.
//!
//! ```text
//!   native fn ── c.ret((true, "x")) ──▶ Push ──▶ the stack, now
//!   future    ── Reply[Val, Val] ─────▶ kept until the light thread is resumed
//! ```

use std::ffi::c_int;
use std::ptr;

use bytes::Bytes;
use mlua::ffi as c;
use mlua::lua_State;
use smallvec::SmallVec;

/// A value that outlives the native call that made it.
#[derive(Clone, Debug, PartialEq)]
pub enum Val {
    Nil,
    /// `ngx.null`.
    Null,
    Bool(bool),
    Num(f64),
    Text(&'static str),
    Str(Vec<u8>),
    Bytes(Bytes),
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
}

/// What a wait gives back to the Lua function that waited: its results.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply(pub SmallVec<[Val; 3]>);

impl Reply {
    pub fn none() -> Self {
        Self::default()
    }

    pub fn one(v: impl Into<Val>) -> Self {
        let mut reply = Self::default();
        reply.0.push(v.into());
        reply
    }

    /// `nil, "reason"`.
    pub fn fail(reason: impl Into<Val>) -> Self {
        Self::one(Val::Nil).and(reason)
    }

    pub fn and(mut self, v: impl Into<Val>) -> Self {
        self.0.push(v.into());
        self
    }

    /// Pushes every value and tells how many.
    pub(crate) fn push(&self, l: *mut lua_State) -> c_int {
        // SAFETY: `l` is a live state, by the callers' handles.
        unsafe { c::lua_checkstack(l, self.0.len() as c_int + 4) };
        self.0.iter().for_each(|v| v.push(l));
        self.0.len() as c_int
    }
}

/// What can be pushed as results of a native function.
pub trait Push {
    /// Pushes and tells how many values that were.
    fn push_to(&self, l: *mut lua_State) -> c_int;
}

impl Val {
    pub(crate) fn push(&self, l: *mut lua_State) {
        match self {
            Self::Nil => push_nil(l),
            Self::Null => push_null(l),
            Self::Bool(v) => push_bool(l, *v),
            Self::Num(v) => push_num(l, *v),
            Self::Text(v) => push_bytes(l, v.as_bytes()),
            Self::Str(v) => push_bytes(l, v),
            Self::Bytes(v) => push_bytes(l, v),
            Self::List(list) => push_list(l, list),
            Self::Map(map) => push_map(l, map),
        }
    }
}

fn push_nil(l: *mut lua_State) {
    // SAFETY: callers hold a live state with room for a value (LUA_MINSTACK or checked).
    unsafe { c::lua_pushnil(l) };
}

fn push_null(l: *mut lua_State) {
    // SAFETY: as in push_nil.
    unsafe { c::lua_pushlightuserdata(l, ptr::null_mut()) };
}

fn push_light(l: *mut lua_State, number: usize) {
    // SAFETY: as in push_nil; the value is not followed by anybody.
    unsafe { c::lua_pushlightuserdata(l, ptr::without_provenance_mut(number)) };
}

fn push_bool(l: *mut lua_State, v: bool) {
    // SAFETY: as in push_nil.
    unsafe { c::lua_pushboolean(l, c_int::from(v)) };
}

fn push_num(l: *mut lua_State, v: f64) {
    // SAFETY: as in push_nil.
    unsafe { c::lua_pushnumber(l, v) };
}

fn push_bytes(l: *mut lua_State, v: &[u8]) {
    // SAFETY: as in push_nil; Lua copies the bytes.
    unsafe { c::lua_pushlstring_(l, v.as_ptr().cast(), v.len()) };
}

fn push_list(l: *mut lua_State, list: &[Val]) {
    // SAFETY: room is checked for this level; the table stays below what the loop pushes and pops.
    unsafe {
        c::lua_checkstack(l, 4);
        c::lua_createtable(l, list.len() as c_int, 0);
        for (i, v) in list.iter().enumerate() {
            v.push(l);
            c::lua_rawseti_(l, -2, i as c_int + 1);
        }
    }
}

fn push_map(l: *mut lua_State, map: &[(Val, Val)]) {
    // SAFETY: as in push_list; a nil or NaN key would raise, hence the check.
    unsafe {
        c::lua_checkstack(l, 4);
        c::lua_createtable(l, 0, map.len() as c_int);
        for (k, v) in map.iter().filter(|(k, _)| *k != Val::Nil) {
            k.push(l);
            v.push(l);
            c::lua_rawset(l, -3);
        }
    }
}

impl From<bool> for Val {
    fn from(v: bool) -> Self {
        Self::Bool(v)
    }
}

impl From<f64> for Val {
    fn from(v: f64) -> Self {
        Self::Num(v)
    }
}

impl From<&'static str> for Val {
    fn from(v: &'static str) -> Self {
        Self::Text(v)
    }
}

impl From<String> for Val {
    fn from(v: String) -> Self {
        Self::Str(v.into_bytes())
    }
}

impl From<Vec<u8>> for Val {
    fn from(v: Vec<u8>) -> Self {
        Self::Str(v)
    }
}

impl From<&[u8]> for Val {
    fn from(v: &[u8]) -> Self {
        Self::Str(v.to_vec())
    }
}

impl From<Bytes> for Val {
    fn from(v: Bytes) -> Self {
        Self::Bytes(v)
    }
}

impl<T: Into<Self>> From<Option<T>> for Val {
    fn from(v: Option<T>) -> Self {
        v.map_or(Self::Nil, Into::into)
    }
}

macro_rules! numbers {
    ($($t:ty)*) => { $(
        impl From<$t> for Val {
            fn from(v: $t) -> Self {
                Self::Num(v as f64)
            }
        }
        impl Push for $t {
            fn push_to(&self, l: *mut lua_State) -> c_int {
                push_num(l, *self as f64);
                1
            }
        }
    )* };
}
numbers!(i32 u32 i64 u64 usize u16 u8);

/// A number in the shape of a light userdata; never an address.
#[derive(Clone, Copy, Debug)]
pub struct Light(pub usize);

impl Push for Light {
    fn push_to(&self, l: *mut lua_State) -> c_int {
        push_light(l, self.0);
        1
    }
}

impl Push for f64 {
    fn push_to(&self, l: *mut lua_State) -> c_int {
        push_num(l, *self);
        1
    }
}

impl Push for () {
    fn push_to(&self, l: *mut lua_State) -> c_int {
        push_nil(l);
        1
    }
}

impl Push for bool {
    fn push_to(&self, l: *mut lua_State) -> c_int {
        push_bool(l, *self);
        1
    }
}

impl Push for str {
    fn push_to(&self, l: *mut lua_State) -> c_int {
        push_bytes(l, self.as_bytes());
        1
    }
}

impl Push for String {
    fn push_to(&self, l: *mut lua_State) -> c_int {
        push_bytes(l, self.as_bytes());
        1
    }
}

impl Push for [u8] {
    fn push_to(&self, l: *mut lua_State) -> c_int {
        push_bytes(l, self);
        1
    }
}

impl Push for Vec<u8> {
    fn push_to(&self, l: *mut lua_State) -> c_int {
        push_bytes(l, self);
        1
    }
}

impl Push for Bytes {
    fn push_to(&self, l: *mut lua_State) -> c_int {
        push_bytes(l, self);
        1
    }
}

impl Push for Val {
    fn push_to(&self, l: *mut lua_State) -> c_int {
        self.push(l);
        1
    }
}

impl Push for Reply {
    fn push_to(&self, l: *mut lua_State) -> c_int {
        self.push(l)
    }
}

impl<T: Push + ?Sized> Push for &T {
    fn push_to(&self, l: *mut lua_State) -> c_int {
        (**self).push_to(l)
    }
}

impl<T: Push> Push for Option<T> {
    fn push_to(&self, l: *mut lua_State) -> c_int {
        match self {
            Some(v) => v.push_to(l),
            None => ().push_to(l),
        }
    }
}

impl<A: Push, B: Push> Push for (A, B) {
    fn push_to(&self, l: *mut lua_State) -> c_int {
        self.0.push_to(l) + self.1.push_to(l)
    }
}

impl<A: Push, B: Push, C: Push> Push for (A, B, C) {
    fn push_to(&self, l: *mut lua_State) -> c_int {
        self.0.push_to(l) + self.1.push_to(l) + self.2.push_to(l)
    }
}

impl<A: Push, B: Push, C: Push, D: Push> Push for (A, B, C, D) {
    fn push_to(&self, l: *mut lua_State) -> c_int {
        self.0.push_to(l) + self.1.push_to(l) + self.2.push_to(l) + self.3.push_to(l)
    }
}

//! What a dictionary holds and what it answers.
//!
//! ```text
//!   Value (borrowed: in, and out under the lock)     OwnedValue (popped from a list)
//! ```

use thiserror::Error;

/// A value that goes in or is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    Bool(bool),
    Number(f64),
    String(&'a [u8]),
}

/// A value that was taken out.
#[derive(Clone, Debug, PartialEq)]
pub enum OwnedValue {
    Bool(bool),
    Number(f64),
    String(Box<[u8]>),
}

/// A value with the user's flags.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Item<'a> {
    pub value: Value<'a>,
    pub flags: u32,
    pub stamp: Stamp,
}

/// Tells whether a string is still the one that was read before: then it has the same stamp.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stamp {
    /// The number of the entry.
    pub at: u32,
    /// No two strings of a dictionary ever have the same; 0 is none's.
    pub version: u64,
}

/// The end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
}

/// Why something was not done, in OpenResty's words.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Error {
    #[error("key too long")]
    KeyTooLong,
    #[error("not found")]
    NotFound,
    #[error("exists")]
    Exists,
    #[error("no memory")]
    NoMemory,
    #[error("not a number")]
    NotANumber,
    #[error("value is a list")]
    IsAList,
    #[error("value not a list")]
    NotAList,
    #[error("attempt to add or replace nil values")]
    NilValue,
}

impl Value<'_> {
    /// The bytes the value takes in nginx's memory.
    pub(super) fn size_bytes(self) -> usize {
        match self {
            Self::Bool(_) => 1,
            Self::Number(_) => 8,
            Self::String(text) => text.len(),
        }
    }
}

impl OwnedValue {
    pub fn borrow(&self) -> Value<'_> {
        match self {
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Number(number) => Value::Number(*number),
            Self::String(text) => Value::String(text),
        }
    }
}

impl From<Value<'_>> for OwnedValue {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Bool(flag) => Self::Bool(flag),
            Value::Number(number) => Self::Number(number),
            Value::String(text) => Self::String(text.into()),
        }
    }
}

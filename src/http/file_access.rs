//! `*_access`: the permissions of files the server makes.

use bstr::ByteSlice;

use crate::conf::{Diag, Directive};

/// `user:rw group:rw all:r`
pub fn set(slot: &mut Option<u32>, d: &Directive) -> Result<(), Diag> {
    d.once(slot, |d| {
        let mut access = USUAL;
        for index in 1..=d.arg_count() {
            let bad = || d.bad_value(index);
            let word = d.arg(index);
            let at = memchr::memchr(b':', word).ok_or_else(bad)?;
            let shift = match word[..at].as_bytes() {
                b"user" => 6,
                b"group" => 3,
                b"all" => 0,
                _ => return Err(bad()),
            };
            let bits = match word[at + 1..].as_bytes() {
                b"rw" => 0o6,
                b"r" => 0o4,
                _ => return Err(bad()),
            };
            access |= bits << shift;
        }
        Ok(access)
    })
}

/// Who may read a file may enter its folder.
pub fn of_folder(access: u32) -> u32 {
    access | (access & 0o444) >> 2
}

/// For the owner alone.
pub const USUAL: u32 = 0o600;

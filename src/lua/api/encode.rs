//! Escaping, arguments, base64 and digests.
//!
//! ```text
//!   text in, text out ─▶ hot.rs, by FFI      the rest ─▶ natives here
//! ```

mod hot;

use std::ffi::c_int;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, Mac};
use sha1::Sha1;

use super::Topic;
use crate::base::escape::{self, Pair, Set};
use crate::http::modules::set_misc;
use crate::lua::phase::ANY;
use crate::lua::raw::{Call, Kind, Op, Raise, View};

pub const TOPIC: Topic = Topic { ops: OPS, ffi: hot::ROWS };

const OPS: &[Op] = &[
    Op { name: "encode.encode_args", phases: ANY, run: encode_args },
    Op { name: "encode.decode_args", phases: ANY, run: decode_args },
    Op { name: "encode.decode_base64", phases: ANY, run: decode_base64 },
    Op { name: "encode.decode_base64mime", phases: ANY, run: decode_base64mime },
    Op { name: "encode.decode_base64url", phases: ANY, run: decode_base64url },
    Op { name: "encode.crc32", phases: ANY, run: |c| c.ret(crc32fast::hash(c.bytes(1)?)) },
    Op { name: "encode.hmac_sha1", phases: ANY, run: hmac_sha1 },
    Op {
        name: "encode.base32",
        phases: ANY,
        run: |c| c.ret(set_misc::encode::base32(c.bytes(1)?, BASE32, true)),
    },
    Op {
        name: "encode.decode_base32",
        phases: ANY,
        run: |c| c.ret(set_misc::encode::decode_base32(c.bytes(1)?, BASE32, true)),
    },
    Op { name: "encode.quote_sql_str", phases: ANY, run: quote_sql_str },
];

fn encode_args(c: &Call<'_>) -> Result<c_int, Raise> {
    if c.len() != 1 {
        return Err(Raise::text(format!("expecting 1 argument but seen {}", c.len())));
    }
    if c.kind(1) != Kind::Table {
        return Err(c.expected(1, "table"));
    }
    c.ret(args_of_table(c, 1)?)
}

/// A query string from a Lua table: values are strings, numbers, booleans, or lists of those.
pub fn args_of_table(c: &Call<'_>, index: c_int) -> Result<Vec<u8>, Raise> {
    let mut out = Vec::new();
    let mut error = None;
    c.each(index, |view, key, value| {
        if view.kind(key) != Kind::Str {
            error = Some("attempt to use a non-string key in the \"args\" option table".to_owned());
            return false;
        }
        let name = view.to_bytes(key).unwrap_or_default();
        match view.kind(value) {
            Kind::Table => view.each(value, |view, _, item| {
                error = append_arg(&mut out, name, view, item).err();
                error.is_none()
            }),
            _ => error = append_arg(&mut out, name, view, value).err(),
        }
        error.is_none()
    });
    match error {
        Some(text) => Err(Raise::text(text)),
        None => Ok(out),
    }
}

fn append_arg(out: &mut Vec<u8>, name: &[u8], view: &View<'_>, at: c_int) -> Result<(), String> {
    let value = match view.kind(at) {
        Kind::Bool if view.truthy(at) => None,
        Kind::Bool => return Ok(()),
        Kind::Str | Kind::Num => view.to_bytes(at),
        _ => return Err(format!("attempt to use {} as query arg value", view.type_name(at))),
    };
    if !out.is_empty() {
        out.push(b'&');
    }
    let Some(set) = Set::of_lua_type(ESCAPE_COMPONENT) else { return Ok(()) };
    escape::append_uri(out, name, set);
    if let Some(value) = value {
        out.push(b'=');
        escape::append_uri(out, value, set);
    }
    Ok(())
}

fn decode_args(c: &Call<'_>) -> Result<c_int, Raise> {
    let max = c.opt_int(2)?.unwrap_or(100).max(0) as usize;
    let (pairs, truncated) = escape::decode_args(c.bytes(1)?, max);
    let count = push_pairs(c, &pairs);
    Ok(if truncated { count + c.push("truncated") } else { count })
}

/// Pushes a table of decoded arguments: a repeated key has a list, a key alone is `true`.
pub fn push_pairs(c: &View<'_>, pairs: &[Pair]) -> c_int {
    c.push_table(0, pairs.len());
    let table = c.len();
    for (key, value) in pairs {
        let push_value = |v: &View<'_>| match value {
            Some(text) => v.push(text),
            None => v.push(true),
        };
        let count = c.with_key(table, key, |v, at| match v.kind(at) {
            Kind::Nil => 0,
            Kind::Table => {
                let next = v.raw_len(at) + 1;
                push_value(v);
                v.put_item(next);
                2
            }
            _ => 1,
        });
        match count {
            0 => {
                c.push(key);
                push_value(c);
                c.set_raw(table);
            }
            1 => {
                c.push(key);
                c.push_table(2, 0);
                c.push_raw(table, key);
                c.put_item(1);
                push_value(c);
                c.put_item(2);
                c.set_raw(table);
            }
            _ => {}
        }
    }
    1
}

/// nginx stops at the first padding character and does not ask for padding.
fn decode_base64(c: &Call<'_>) -> Result<c_int, Raise> {
    let text = c.bytes(1)?;
    let end = memchr::memchr(b'=', text).unwrap_or(text.len());
    c.ret(LENIENT.decode(&text[..end]).ok())
}

/// Bytes outside of the alphabet are skipped.
fn decode_base64mime(c: &Call<'_>) -> Result<c_int, Raise> {
    let text = c.bytes(1)?;
    let end = memchr::memchr(b'=', text).unwrap_or(text.len());
    let is_digit = |b: &u8| b.is_ascii_alphanumeric() || *b == b'+' || *b == b'/';
    let clean: Vec<u8> = text[..end].iter().copied().filter(is_digit).collect();
    if clean.len() % 4 == 1 {
        return c.ret(());
    }
    c.ret(LENIENT.decode(clean).ok())
}

fn decode_base64url(c: &Call<'_>) -> Result<c_int, Raise> {
    let text = c.bytes(1)?;
    let end = memchr::memchr(b'=', text).unwrap_or(text.len());
    let url = |b: &u8| match b {
        b'-' => b'+',
        b'_' => b'/',
        // Not of the URL alphabet.
        b'+' | b'/' => 0,
        other => *other,
    };
    c.ret(LENIENT.decode(text[..end].iter().map(url).collect::<Vec<_>>()).ok())
}

fn hmac_sha1(c: &Call<'_>) -> Result<c_int, Raise> {
    if c.len() != 2 {
        return Err(Raise::text(format!("expecting 2 arguments, but got {}", c.len())));
    }
    let (key, text) = (c.bytes(1)?, c.bytes(2)?);
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(key) else { return c.ret(()) };
    mac.update(text);
    c.ret(mac.finalize().into_bytes().as_slice())
}

fn quote_sql_str(c: &Call<'_>) -> Result<c_int, Raise> {
    if c.len() != 1 {
        return Err(Raise::text("expecting one argument"));
    }
    c.ret(escape::quote_sql(c.bytes(1)?))
}

/// `ngx.escape_uri(s)` without a type.
const ESCAPE_COMPONENT: i64 = 2;

/// The digits of set-misc, where a configuration names no others.
const BASE32: &[u8] = b"0123456789abcdefghijklmnopqrstuv";

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

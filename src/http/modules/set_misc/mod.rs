//! The set-misc module: `set_*` directives as steps of the rewrite program.
//!
//! ```text
//!  set_md5 $digest "$uri$secret";   ─▶ Step { target, args, apply: digest::md5 }
//!  set_md5 $digest;                 the variable itself is the argument
//! ```

mod choose;
pub mod encode;
mod quote;
mod time;

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;

use crate::{
    base::{clock, date, escape, log::Level},
    conf::{
        Builder, Diag, Directive, Part, inherit,
        row::{HTTP, Row, args, flag, row, take},
    },
};

use crate::http::{
    modules::rewrite::{
        Code, CustomCode,
        conf::{REWRITE_LEVELS, define},
        push,
    },
    request::Request,
    template::Template,
    vars::VarRef,
};

const LEVELS: u32 = HTTP | REWRITE_LEVELS;

pub const ROWS: &[Row] = &[
    one("set_escape_uri", |b, d| {
        set(b, d, |_, args| Ok(escape::uri(&args[0], &escape::URI_COMPONENT).into_owned()))
    }),
    one("set_unescape_uri", |b, d| set(b, d, |_, args| Ok(encode::unescape_uri(&args[0])))),
    one("set_quote_sql_str", |b, d| set(b, d, |_, args| Ok(quote::sql(&args[0])))),
    one("set_quote_pgsql_str", |b, d| set(b, d, |_, args| Ok(quote::pgsql(&args[0])))),
    one("set_quote_json_str", |b, d| set(b, d, |_, args| Ok(quote::json(&args[0])))),
    one("set_encode_base64", |b, d| set(b, d, |_, args| Ok(encode::base64(&args[0], false)))),
    one("set_decode_base64", |b, d| {
        set(b, d, |_, args| {
            encode::decode_base64(&args[0], false).ok_or("set_decode_base64: invalid value".into())
        })
    }),
    one("set_encode_base64url", |b, d| set(b, d, |_, args| Ok(encode::base64(&args[0], true)))),
    one("set_decode_base64url", |b, d| {
        set(b, d, |_, args| {
            let decoded = encode::decode_base64(&args[0], true);
            decoded.ok_or("set_decode_base64url: invalid value".into())
        })
    }),
    one("set_encode_hex", |b, d| set(b, d, |_, args| Ok(encode::hex(&args[0])))),
    one("set_decode_hex", |b, d| {
        set(b, d, |_, args| {
            encode::decode_hex(&args[0]).ok_or("set_decode_hex: invalid value".into())
        })
    }),
    one("set_encode_base32", |b, d| {
        set(b, d, |r, args| {
            let location = r.location();
            Ok(location.scope.part::<Base32>().encode(&args[0]))
        })
    }),
    one("set_decode_base32", |b, d| {
        set(b, d, |r, args| {
            let location = r.location();
            // What cannot be decoded is empty.
            Ok(location.scope.part::<Base32>().decode(&args[0]).unwrap_or_default())
        })
    }),
    one("set_md5", |b, d| set(b, d, |_, args| Ok(encode::md5(&args[0])))),
    one("set_sha1", |b, d| set(b, d, |_, args| Ok(encode::sha1(&args[0])))),
    row("set_hmac_sha1", LEVELS, take(3), |b, d| {
        set(b, d, |_, args| Ok(encode::hmac_sha1(&args[0], &args[1])))
    }),
    row("set_hmac_sha256", LEVELS, take(3), |b, d| {
        set(b, d, |_, args| Ok(encode::hmac_sha256(&args[0], &args[1])))
    }),
    row("set_if_empty", LEVELS, take(2), |b, d| {
        set_own(b, d, |_, args| Ok(if args[0].is_empty() { &args[1] } else { &args[0] }.to_vec()))
    }),
    row("set_local_today", LEVELS, take(1), |b, d| {
        set(b, d, |_, _| Ok(date::today(clock::wall().secs).into()))
    }),
    row("set_formatted_gmt_time", LEVELS, take(2), |b, d| {
        set(b, d, |_, args| Ok(time::format(&args[0], clock::wall().secs, false)))
    }),
    row("set_formatted_local_time", LEVELS, take(2), |b, d| {
        set(b, d, |_, args| Ok(time::format(&args[0], clock::wall().secs, true)))
    }),
    row("set_random", LEVELS, take(3), |b, d| set(b, d, |_, args| choose::random(args))),
    row("set_secure_random_alphanum", LEVELS, take(2), |b, d| {
        set(b, d, |_, args| choose::secure(&args[0], choose::ALPHANUM))
    }),
    row("set_secure_random_lcalpha", LEVELS, take(2), |b, d| {
        set(b, d, |_, args| choose::secure(&args[0], choose::LCALPHA))
    }),
    row("set_rotate", LEVELS, take(3), choose::set_rotate),
    row("set_hashed_upstream", LEVELS, take(3), choose::set_hashed_upstream),
    row("upstream_list", LEVELS, crate::conf::row::at_least(2), choose::set_upstream_list),
    flag("set_base32_padding", LEVELS, |b, d| d.flag_slot(&mut b.part::<Base32>().padding)),
    flag("set_misc_base32_padding", LEVELS, |b, d| {
        b.warn_deprecated("set_misc_base32_padding", "set_base32_padding");
        d.flag_slot(&mut b.part::<Base32>().padding)
    }),
    row("set_base32_alphabet", LEVELS, take(1), |b, d| {
        if d.arg(1).len() != 32 {
            let length = d.arg(1).len();
            return Err(Diag::emerg(format!(
                "\"set_base32_alphabet\" directive takes an alphabet of {length} bytes but 32 \
                 expected"
            )));
        }
        let alphabet = Bytes::copy_from_slice(d.arg(1));
        d.once(&mut b.part::<Base32>().alphabet, |_| Ok(alphabet))
    }),
];

/// How base32 is written in a location.
#[derive(Default)]
pub struct Base32 {
    padding: Option<bool>,
    alphabet: Option<Bytes>,
}

impl Part for Base32 {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: padding, alphabet);
    }
}

impl Base32 {
    fn alphabet(&self) -> &[u8] {
        self.alphabet.as_deref().unwrap_or(b"0123456789abcdefghijklmnopqrstuv")
    }

    fn encode(&self, text: &[u8]) -> Vec<u8> {
        encode::base32(text, self.alphabet(), self.padding.unwrap_or(true))
    }

    fn decode(&self, text: &[u8]) -> Option<Vec<u8>> {
        encode::decode_base32(text, self.alphabet(), self.alphabet.is_none())
    }
}

/// A value from arguments, or what goes wrong, for the log.
type Apply = fn(&Rc<Request>, &[Bytes]) -> Result<Vec<u8>, String>;

struct Set {
    target: VarRef,
    args: Vec<Template>,
    apply: Apply,
}

impl CustomCode for Set {
    fn run(&self, r: &Rc<Request>) -> Result<(), u16> {
        let args: Vec<Bytes> = self.args.iter().map(|arg| arg.eval(r)).collect();
        let value = (self.apply)(r, &args).map_err(|text| failed(r, &text))?;
        r.set_var(self.target, Some(value.into()));
        Ok(())
    }
}

/// Tells the log; the request ends with 500.
fn failed(r: &Rc<Request>, text: &str) -> u16 {
    r.log(Level::Error, format_args!("{text}"));
    500
}

const fn one(name: &'static str, set: crate::conf::row::Set) -> Row {
    row(name, LEVELS, args(1, 2), set)
}

/// Adds a step that works on the arguments after the variable, or on the variable itself.
fn set(b: &mut Builder<'_>, d: &Directive, apply: Apply) -> Result<(), Diag> {
    let target = define(b, d.arg(1))?;
    let first = if d.arg_count() == 1 { 1 } else { 2 };
    let args = compile(b, d, first)?;
    push(b, Code::Custom(Arc::new(Set { target, args, apply })));
    Ok(())
}

/// Adds a step whose first argument is the variable itself.
fn set_own(b: &mut Builder<'_>, d: &Directive, apply: Apply) -> Result<(), Diag> {
    let target = define(b, d.arg(1))?;
    let args = compile(b, d, 1)?;
    push(b, Code::Custom(Arc::new(Set { target, args, apply })));
    Ok(())
}

fn compile(b: &mut Builder<'_>, d: &Directive, first: usize) -> Result<Vec<Template>, Diag> {
    (first..=d.arg_count()).map(|index| Template::compile(b, d.arg(index))).collect()
}

//! What a request asks of a memcached server, from `$memc_*` or from `$memcached_key`.
//!
//! ```text
//!  $memc_cmd (or the method) ─▶ Kind ─▶ "set KEY FLAGS EXPTIME LENGTH\r\nVALUE\r\n"
//! ```

use std::rc::Rc;

use bstr::BStr;
use bytes::Bytes;

use crate::{
    base::{escape, log::Level},
    http::{method::Method, request::Request},
};

/// A command as it is sent, and what is needed to read its answer.
pub struct Command {
    pub kind: Kind,
    /// As it stands on the wire.
    pub key: Bytes,
    pub bytes: Bytes,
}

/// What a command is, which is also its place in [`WORDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Get,
    Set,
    Add,
    Replace,
    Append,
    Prepend,
    Delete,
    Incr,
    Decr,
    FlushAll,
    Stats,
    Version,
}

impl Kind {
    pub fn of(word: &[u8]) -> Option<Self> {
        WORDS.iter().find(|(known, _)| known.as_bytes() == word).map(|(_, kind)| *kind)
    }

    fn word(self) -> &'static str {
        WORDS.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }

    /// What the request's method stands for.
    fn of_method(method: &Method) -> Option<Self> {
        Some(match () {
            () if method.is(Method::GET | Method::HEAD) => Self::Get,
            () if method.is(Method::POST) => Self::Add,
            () if method.is(Method::PUT) => Self::Set,
            () if method.is(Method::DELETE) => Self::Delete,
            () => return None,
        })
    }

    fn stores(self) -> bool {
        matches!(self, Self::Set | Self::Add | Self::Replace | Self::Append | Self::Prepend)
    }

    fn has_key(self) -> bool {
        !matches!(self, Self::FlushAll | Self::Stats | Self::Version)
    }
}

impl Command {
    /// `memc_pass`; an error is the status to end with.
    pub fn of_variables(r: &Rc<Request>, allowed: Option<&[Kind]>) -> Result<Self, u16> {
        let kind = kind(r)?;
        if allowed.is_some_and(|allowed| !allowed.contains(&kind)) {
            let word = kind.word();
            r.log(Level::Info, format_args!("memcached command \"{word}\" not allowed"));
            return Err(403);
        }
        let key = if kind.has_key() { key(r, "memc_key").ok_or(400u16)? } else { Bytes::new() };
        let mut text = kind.word().as_bytes().to_vec();
        if kind.has_key() {
            word(&mut text, &key);
        }
        if kind.stores() {
            let value = variable(r, "memc_value").unwrap_or_else(|| body(r));
            word(&mut text, &number(r, "memc_flags")?.unwrap_or(ZERO));
            word(&mut text, &number(r, "memc_exptime")?.unwrap_or(ZERO));
            word(&mut text, value.len().to_string().as_bytes());
            text.extend_from_slice(b"\r\n");
            text.extend_from_slice(&value);
        } else if matches!(kind, Kind::Incr | Kind::Decr) {
            let Some(by) = number(r, "memc_value")? else {
                let word = kind.word();
                r.log(
                    Level::Error,
                    format_args!("the \"$memc_value\" variable is required for command \"{word}\""),
                );
                return Err(400);
            };
            word(&mut text, &by);
        } else if matches!(kind, Kind::Delete | Kind::FlushAll)
            && let Some(exptime) = number(r, "memc_exptime")?
        {
            word(&mut text, &exptime);
        }
        text.extend_from_slice(b"\r\n");
        Ok(Self { kind, key, bytes: text.into() })
    }

    /// `memcached_pass`, which only gets.
    pub fn of_key(r: &Rc<Request>) -> Result<Self, u16> {
        let key = key(r, "memcached_key").ok_or(500u16)?;
        let bytes = [b"get ", &key[..], b"\r\n"].concat().into();
        Ok(Self { kind: Kind::Get, key, bytes })
    }
}

fn kind(r: &Rc<Request>) -> Result<Kind, u16> {
    match variable(r, "memc_cmd").filter(|word| !word.is_empty()) {
        None => Kind::of_method(&r.method.borrow()).ok_or_else(|| {
            let name = r.method.borrow().name.clone();
            let name = BStr::new(&name);
            r.log(Level::Error, format_args!("$memc_cmd variable not specified: \"{name}\""));
            405
        }),
        Some(word) => Kind::of(&word).ok_or_else(|| {
            let word = BStr::new(&word);
            r.log(Level::Error, format_args!("unrecognized $memc_cmd \"{word}\""));
            400
        }),
    }
}

fn key(r: &Rc<Request>, name: &str) -> Option<Bytes> {
    match variable(r, name).filter(|key| !key.is_empty()) {
        Some(key) => {
            let mut escaped = Vec::with_capacity(key.len());
            escape::append_uri(&mut escaped, &key, &escape::MEMCACHED);
            Some(escaped.into())
        }
        None => {
            r.log(Level::Error, format_args!("the \"${name}\" variable is not set"));
            None
        }
    }
}

/// A variable that takes digits; an empty one counts as not set.
fn number(r: &Rc<Request>, name: &str) -> Result<Option<Bytes>, u16> {
    let Some(text) = variable(r, name).filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.iter().all(u8::is_ascii_digit) {
        return Ok(Some(text));
    }
    let shown = BStr::new(&text);
    r.log(Level::Error, format_args!("variable \"${name}\" takes invalid value: {shown}"));
    Err(400)
}

fn variable(r: &Rc<Request>, name: &str) -> Option<Bytes> {
    r.var_by_name(name.as_bytes())
}

fn body(r: &Rc<Request>) -> Bytes {
    match r.body.file() {
        Some(file) => std::fs::read(file.path()).unwrap_or_default().into(),
        None => r.body.data(),
    }
}

fn word(text: &mut Vec<u8>, word: &[u8]) {
    text.push(b' ');
    text.extend_from_slice(word);
}

const ZERO: Bytes = Bytes::from_static(b"0");

const WORDS: &[(&str, Kind)] = &[
    ("get", Kind::Get),
    ("set", Kind::Set),
    ("add", Kind::Add),
    ("replace", Kind::Replace),
    ("append", Kind::Append),
    ("prepend", Kind::Prepend),
    ("delete", Kind::Delete),
    ("incr", Kind::Incr),
    ("decr", Kind::Decr),
    ("flush_all", Kind::FlushAll),
    ("stats", Kind::Stats),
    ("version", Kind::Version),
];

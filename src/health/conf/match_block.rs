//! `match name {}`.
//!
//! ```text
//!  status 200-299 304;   status ! 500;          body ~ "regex";   body !~ "regex";
//!  header Server = moon; header X ~* "^a";      header ! Retry;   header Server;
//!  send "PING\r\n";      expect ~ "^\+PONG";    (for tcp)
//! ```

use std::sync::Arc;

use bstr::ByteSlice;

use super::plan::Matches;
use crate::conf::{Builder, Diag, Directive};
use crate::health::matching::{HeaderTest, Match, StatusTest, TextTest};
use crate::health::statuses::Statuses;

pub(super) fn set(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let name = d.arg(1).to_owned();
    if b.main::<Matches>().0.iter().any(|m| m.name == name) {
        return Err(Diag::emerg(format!("duplicate match \"{name}\"")));
    }
    let mut block = Match { name, ..Match::default() };
    b.entries(d, |_, entry| test(&mut block, entry));
    b.main::<Matches>().0.push(Arc::new(block));
    Ok(())
}

fn test(block: &mut Match, d: &Directive) -> Result<(), Diag> {
    match d.name().as_bytes() {
        b"status" => d.once(&mut block.status, status),
        b"header" => {
            block.headers.push(header(d)?);
            Ok(())
        }
        b"body" => {
            exactly(d, 2)?;
            block.body.push(regex(d, 1)?);
            Ok(())
        }
        b"send" => {
            exactly(d, 1)?;
            block.send = unescape(d.arg(1)).into();
            Ok(())
        }
        b"expect" => d.once(&mut block.expect, |d| match d.arg_count() {
            1 => Ok(TextTest::within(unescape(d.arg(1)))),
            2 => regex(d, 1),
            _ => Err(d.bad_arity()),
        }),
        b"require" => {
            let text = "\"require\" is not supported in \"match\"";
            Err(Diag::emerg(text).hint("test what the answer holds with status, header and body"))
        }
        _ => {
            let text = format!("unknown directive \"{}\" in \"match\"", d.name());
            Err(Diag::emerg(text).hint("it is one of status, header, body, send, expect"))
        }
    }
}

fn status(d: &Directive) -> Result<StatusTest, Diag> {
    let negated = d.arg(1) == "!";
    let first = if negated { 2 } else { 1 };
    if d.arg_count() < first {
        return Err(d.bad_arity());
    }
    let mut statuses = Statuses::default();
    for index in first..=d.arg_count() {
        let text = || format!("invalid status \"{}\"", d.arg(index));
        statuses.add(d.arg(index)).ok_or_else(|| d.wrong_arg(index, text()))?;
    }
    Ok(StatusTest { negated, statuses })
}

fn header(d: &Directive) -> Result<HeaderTest, Diag> {
    let absent = |name: usize| HeaderTest { name: d.arg(name).into(), value: None, absent: true };
    match (d.arg_count(), d.arg(1).as_bytes()) {
        (1, _) => Ok(HeaderTest { absent: false, ..absent(1) }),
        (2, b"!") => Ok(absent(2)),
        (3, _) => {
            let value = match d.arg(2).as_bytes() {
                b"=" => TextTest::equal(d.arg(3), false),
                b"!=" => TextTest::equal(d.arg(3), true),
                _ => regex(d, 2)?,
            };
            Ok(HeaderTest { name: d.arg(1).into(), value: Some(value), absent: false })
        }
        _ => Err(d.bad_arity()),
    }
}

/// `~ "regex"` and its variants; the operator is the argument `at`.
fn regex(d: &Directive, at: usize) -> Result<TextTest, Diag> {
    let (caseless, negated) = match d.arg(at).as_bytes() {
        b"~" => (false, false),
        b"~*" => (true, false),
        b"!~" => (false, true),
        b"!~*" => (true, true),
        _ => return Err(d.bad_param(at).hint("it is one of ~, ~*, !~, !~*")),
    };
    TextTest::regex(d.arg(at + 1), caseless, negated)
        .map_err(|e| d.wrong_arg(at + 1, e.to_string()))
}

fn exactly(d: &Directive, count: usize) -> Result<(), Diag> {
    if d.arg_count() == count { Ok(()) } else { Err(d.bad_arity()) }
}

/// `\xHH`, which the configuration's own quoting does not know.
pub(super) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(b"\\x") {
        let digits = rest.get(at + 2..at + 4).and_then(|d| d.to_str().ok());
        let byte = digits.and_then(|d| u8::from_str_radix(d, 16).ok());
        out.extend_from_slice(&rest[..at]);
        match byte {
            Some(byte) => {
                out.push(byte);
                rest = &rest[at + 4..];
            }
            None => {
                out.extend_from_slice(b"\\x");
                rest = &rest[at + 2..];
            }
        }
    }
    out.extend_from_slice(rest);
    out
}

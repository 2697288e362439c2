//! `more_set_headers`, `more_clear_headers` and their input counterparts.

use std::sync::Arc;

use bstr::{BStr, ByteSlice};
use bytes::Bytes;

use crate::{
    conf::{
        Builder, Diag, Directive, Part,
        row::{HTTP_LEVELS, IF_LOCATION, Row, at_least, row},
    },
    http::template::Template,
};

/// The rules of one block, those of the blocks around it first.
#[derive(Default)]
pub struct Rules(pub Vec<Arc<Rule>>);

/// One directive.
#[derive(Default)]
pub struct Rule {
    pub input: bool,
    pub changes: Vec<Change>,
    /// `-t`
    pub types: Vec<Bytes>,
    /// `-s`
    pub statuses: Vec<u16>,
    /// `-a`: add a line, whatever is there.
    pub append: bool,
    /// `-r`: only change what is there.
    pub replace: bool,
}

/// One header of a directive; without a value it is cleared.
pub struct Change {
    pub name: Bytes,
    pub value: Option<Template>,
}

impl Part for Rules {
    fn inherit(&mut self, parent: &Self) {
        self.0.splice(0..0, parent.0.iter().cloned());
    }
}

const LEVELS: u32 = HTTP_LEVELS | IF_LOCATION;

pub const ROWS: &[Row] = &[
    row("more_set_headers", LEVELS, at_least(1), |b, d| add(b, d, false, false)),
    row("more_clear_headers", LEVELS, at_least(1), |b, d| add(b, d, false, true)),
    row("more_set_input_headers", LEVELS, at_least(1), |b, d| add(b, d, true, false)),
    row("more_clear_input_headers", LEVELS, at_least(1), |b, d| add(b, d, true, true)),
];

fn add(b: &mut Builder<'_>, d: &Directive, input: bool, clears: bool) -> Result<(), Diag> {
    let directive = d.name();
    let mut rule = Rule { input, ..Rule::default() };
    let mut words = d.args().iter().map(|word| word.text.as_bstr());
    while let Some(word) = words.next() {
        if word.is_empty() {
            continue;
        }
        if !word.starts_with(b"-") {
            rule.changes.push(change(b, directive, word, clears)?);
            continue;
        }
        let mut value = || {
            let missing = || Diag::emerg(format!("{directive}: option {word} takes an argument."));
            words.next().ok_or_else(missing)
        };
        match word.as_bytes() {
            b"-t" => rule.types.extend(types(value()?)),
            b"-s" if !input => rule.statuses.extend(statuses(directive, value()?)?),
            b"-r" if input => rule.replace = true,
            b"-a" if !input && !clears => rule.append = true,
            _ => {
                let text = format!("{directive}: invalid option name: \"{word}\"");
                return Err(Diag::emerg(text));
            }
        }
    }
    if let Some(line) = rule.changes.iter().find(|line| rule.append && one_line_only(&line.name)) {
        let name = BStr::new(&line.name);
        return Err(Diag::emerg(format!("{directive}: can not append builtin headers \"{name}\"")));
    }
    b.part::<Rules>().0.push(Arc::new(rule));
    Ok(())
}

/// `Name: value`, spaces and colons between the two.
fn change(
    b: &mut Builder<'_>,
    directive: &BStr,
    word: &BStr,
    clears: bool,
) -> Result<Change, Diag> {
    let between = |byte: &u8| *byte == b':' || byte.is_ascii_whitespace();
    let text = word.trim_start();
    let name_length = text.iter().position(&between).unwrap_or(text.len());
    let (name, rest) = text.split_at(name_length);
    if text.is_empty() {
        let text = format!("{directive}: no key found in the header argument: {word}");
        return Err(Diag::emerg(text));
    }
    if name == b"*" {
        return Err(Diag::emerg(format!("{directive}: wildcard key too short: {word}")));
    }
    let value_start = rest.iter().position(|byte| !between(byte)).unwrap_or(rest.len());
    let value = &rest[value_start..];
    let value = match clears || value.is_empty() {
        true => None,
        false => Some(Template::compile(b, value)?),
    };
    Ok(Change { name: Bytes::copy_from_slice(name), value })
}

fn types(list: &BStr) -> Vec<Bytes> {
    let words = list.split(|byte| byte.is_ascii_whitespace() || *byte == b';');
    words.filter(|word| !word.is_empty()).map(Bytes::copy_from_slice).collect()
}

fn statuses(directive: &BStr, list: &BStr) -> Result<Vec<u16>, Diag> {
    let words = list.fields();
    let number = |word: &[u8]| {
        let digit = word.iter().find(|byte| !byte.is_ascii_digit());
        let invalid = || {
            let digit = char::from(digit.copied().unwrap_or(b'?'));
            Diag::emerg(format!(
                "{directive}: invalid digit \"{digit}\" found in the status code list \"{list}\""
            ))
        };
        let text = std::str::from_utf8(word).ok();
        text.and_then(|text| text.parse().ok()).ok_or_else(invalid)
    };
    words.map(number).collect()
}

/// Headers that nginx keeps as one field.
fn one_line_only(name: &[u8]) -> bool {
    ONE_LINE.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

const ONE_LINE: &[&str] = &[
    "Server",
    "Date",
    "Content-Encoding",
    "Location",
    "Refresh",
    "Last-Modified",
    "Content-Range",
    "Accept-Ranges",
    "WWW-Authenticate",
    "Expires",
    "E-Tag",
    "Content-Length",
    "Content-Type",
];

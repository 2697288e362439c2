//! `log_format`: what a line holds.

use std::rc::Rc;
use std::sync::Arc;

use bstr::{BStr, BString};

use super::Logged;
use crate::base::escape;
use crate::conf::{Builder, Diag, Directive, Part};
use crate::server::template::Template;

/// `log_format` of the `http` block.
pub struct Formats<S>(Vec<(BString, Arc<Format<S>>)>);

/// A named line format.
pub struct Format<S> {
    line: Vec<Piece<S>>,
    escape: Escape,
}

enum Piece<S> {
    Text(Vec<u8>),
    Value(Template<S>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    Default,
    Json,
    None,
}

impl<S> Default for Formats<S> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<S: 'static> Part for Formats<S> {
    fn inherit(&mut self, _: &Self) {}
}

impl<S: Logged> Format<S> {
    pub(super) fn render(&self, r: &Rc<S>) -> Vec<u8> {
        let mut line = Vec::with_capacity(160);
        for piece in &self.line {
            match piece {
                Piece::Text(text) => line.extend_from_slice(text),
                Piece::Value(value) => self.value(&value.eval(r), &mut line),
            }
        }
        line
    }

    /// Without a value nginx logs `-`; JSON and plain formats log nothing.
    fn value(&self, value: &[u8], line: &mut Vec<u8>) {
        match self.escape {
            Escape::Default if value.is_empty() => line.push(b'-'),
            Escape::Default => line.extend_from_slice(&escape::log(value)),
            Escape::Json => line.extend_from_slice(&escape::json(value)),
            Escape::None => line.extend_from_slice(value),
        }
    }
}

/// `log_format`
pub fn set_format<S: Logged>(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let name = d.arg(1).to_owned();
    let known = b.main::<Formats<S>>().0.iter().any(|(known, _)| *known == name);
    if known || S::COMBINED.is_some() && name == "combined" {
        return Err(Diag::emerg(format!("duplicate \"log_format\" name \"{name}\"")));
    }
    let mut first = 2;
    let escape = match d.arg(2).strip_prefix(b"escape=") {
        Some(b"default") => Escape::Default,
        Some(b"json") => Escape::Json,
        Some(b"none") => Escape::None,
        Some(other) => {
            let other = BStr::new(other);
            return Err(Diag::emerg(format!("unknown log format escaping \"{other}\"")));
        }
        None => {
            first = 1;
            Escape::Default
        }
    };
    let text: Vec<u8> = d.args()[first..].iter().flat_map(|word| word.text.to_vec()).collect();
    let format: Format<S> = compile(b, &text, escape)?;
    b.main::<Formats<S>>().0.push((name, Arc::new(format)));
    Ok(())
}

/// Splits at variables: each value is escaped by itself.
fn compile<S: Logged>(b: &mut Builder<'_>, text: &[u8], escape: Escape) -> Result<Format<S>, Diag> {
    let mut line = Vec::new();
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'$', rest) {
        if at > 0 {
            line.push(Piece::Text(rest[..at].to_vec()));
        }
        let length = reference_length(&rest[at..]);
        line.push(Piece::Value(Template::compile(b, &rest[at..at + length])?));
        rest = &rest[at + length..];
    }
    if !rest.is_empty() {
        line.push(Piece::Text(rest.to_vec()));
    }
    Ok(Format { line, escape })
}

/// The length of `$name` or `${name}` at the front of `text`.
fn reference_length(text: &[u8]) -> usize {
    if text.get(1) == Some(&b'{') {
        return memchr::memchr(b'}', text).map_or(text.len(), |at| at + 1);
    }
    let word = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
    1 + text[1..].iter().take_while(word).count()
}

pub(super) fn format_named<S: Logged>(
    b: &mut Builder<'_>,
    name: &BStr,
) -> Result<Arc<Format<S>>, Diag> {
    let known = b.main::<Formats<S>>().0.iter().find(|(known, _)| *known == name);
    if let Some((_, format)) = known {
        return Ok(format.clone());
    }
    let combined = S::COMBINED.filter(|_| name == "combined");
    let unknown = || Diag::emerg(format!("unknown log format \"{name}\""));
    Ok(Arc::new(compile(b, combined.ok_or_else(unknown)?, Escape::Default)?))
}

//! Strings with variables and captures, compiled at load: nginx's "complex values".

use std::{fmt, marker::PhantomData, rc::Rc};

use bstr::BStr;
use bytes::Bytes;

use crate::{
    base::escape,
    conf::{Builder, Diag},
};

use super::vars::{self, Subject, VarRef, VarTable};

/// A compiled string, to be read for subjects of one kind.
pub struct Template<S> {
    parts: Vec<Part>,
    /// The text as written.
    pub text: Bytes,
    subject: PhantomData<fn(&S)>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(Bytes),
    Var(VarRef),
    /// `$1`: a group of the last regex match.
    Group(usize),
}

impl<S: Subject> Template<S> {
    /// Compiles `text`, mentioning its variables in the configuration's table.
    pub fn compile(b: &mut Builder<'_>, text: &[u8]) -> Result<Self, Diag> {
        Self::with_table(b.main::<VarTable<S>>(), text)
    }

    pub fn with_table(table: &mut VarTable<S>, text: &[u8]) -> Result<Self, Diag> {
        let mut template = Self { text: Bytes::copy_from_slice(text), ..Self::default() };
        let mut rest = text;
        while let Some(at) = memchr::memchr(b'$', rest) {
            template.push_text(&rest[..at]);
            let (part, used) = reference(table, &rest[at..])?;
            template.parts.push(part);
            rest = &rest[at + used..];
        }
        template.push_text(rest);
        Ok(template)
    }

    /// A template without variables.
    pub fn constant(text: impl Into<Bytes>) -> Self {
        let text = text.into();
        Self { parts: vec![Part::Text(text.clone())], text, subject: PhantomData }
    }

    pub fn is_constant(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// Whether `$1` and its kind occur.
    pub fn has_groups(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Group(_)))
    }

    /// The text for this subject; the groups (`$1`) are escaped as parts of query arguments.
    pub fn eval_quoting_groups(&self, r: &Rc<S>) -> Bytes {
        let mut text = Vec::with_capacity(64);
        for part in &self.parts {
            let value = value(r, part).unwrap_or_default();
            match part {
                Part::Group(_) => escape::append_uri(&mut text, &value, &escape::ARGS),
                _ => text.extend_from_slice(&value),
            }
        }
        text.into()
    }

    /// Appends the text for this subject; `show` writes the values of variables.
    pub fn eval_into(
        &self,
        r: &Rc<S>,
        out: &mut Vec<u8>,
        show: impl Fn(&mut Vec<u8>, Option<&[u8]>),
    ) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                _ => show(out, value(r, part).as_deref()),
            }
        }
    }

    /// The text where there is no request: `known` gives the variables that mean something all
    /// the same, the others are empty.
    pub fn eval_unasked(&self, known: impl Fn(VarRef) -> Bytes) -> Bytes {
        let text = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Var(at) => known(*at),
            Part::Group(_) => Bytes::new(),
        });
        text.collect::<Vec<_>>().concat().into()
    }

    /// Whether a condition (`if=$x`) holds: the value is neither empty nor `0`.
    pub fn is_true(&self, r: &Rc<S>) -> bool {
        !matches!(self.eval(r).as_ref(), b"" | b"0")
    }

    /// The text for this subject; missing variables are empty.
    pub fn eval(&self, r: &Rc<S>) -> Bytes {
        match &self.parts[..] {
            [] => Bytes::new(),
            [Part::Text(text)] => text.clone(),
            [one] => value(r, one).unwrap_or_default(),
            parts => {
                let mut text = Vec::with_capacity(64);
                for part in parts {
                    match part {
                        Part::Text(bytes) => text.extend_from_slice(bytes),
                        _ => text.extend_from_slice(&value(r, part).unwrap_or_default()),
                    }
                }
                text.into()
            }
        }
    }

    fn push_text(&mut self, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        if let Some(Part::Text(last)) = self.parts.last_mut() {
            *last = [&last[..], text].concat().into();
        } else {
            self.parts.push(Part::Text(Bytes::copy_from_slice(text)));
        }
    }
}

impl<S> Clone for Template<S> {
    fn clone(&self) -> Self {
        Self { parts: self.parts.clone(), text: self.text.clone(), subject: PhantomData }
    }
}

impl<S> Default for Template<S> {
    fn default() -> Self {
        Self { parts: Vec::new(), text: Bytes::new(), subject: PhantomData }
    }
}

impl<S> fmt::Debug for Template<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template").field(&self.text).finish()
    }
}

fn value<S: Subject>(r: &Rc<S>, part: &Part) -> Option<Bytes> {
    match part {
        Part::Text(text) => Some(text.clone()),
        Part::Var(at) => vars::read(r, *at),
        Part::Group(index) => r.group(*index),
    }
}

/// Reads `$name`, `${name}` or `$1` at the start of `text`; returns the bytes used.
fn reference<S>(table: &mut VarTable<S>, text: &[u8]) -> Result<(Part, usize), Diag> {
    let rest = &text[1..];
    if let Some(digit @ b'1'..=b'9') = rest.first() {
        return Ok((Part::Group(usize::from(digit - b'0')), 2));
    }
    let braced = rest.first() == Some(&b'{');
    let body = if braced { &rest[1..] } else { rest };
    let word = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
    let length = body.iter().take_while(word).count();
    if braced && body.get(length) != Some(&b'}') {
        let name = BStr::new(&body[..length]);
        return Err(Diag::emerg(format!("the closing bracket in \"{name}\" variable is missing")));
    }
    if length == 0 {
        return Err(Diag::emerg("invalid variable name"));
    }
    let used = 1 + length + if braced { 2 } else { 0 };
    let name = &body[..length];
    if let [digit @ b'1'..=b'9'] = name {
        return Ok((Part::Group(usize::from(digit - b'0')), used));
    }
    Ok((Part::Var(table.mention(name)), used))
}

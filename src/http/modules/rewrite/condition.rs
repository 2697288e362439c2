//! What stands between the parentheses of `if`.

use std::{os::unix::fs::PermissionsExt, rc::Rc};

use bstr::{BStr, ByteSlice};
use bytes::Bytes;

use crate::server::regex;
use crate::{
    base::{log::Level, regex::Regex},
    conf::{Builder, Diag, Directive},
    http::{
        request::Request,
        template::Template,
        vars::{VarRef, VarTable},
    },
};

/// A condition, compiled.
pub enum Condition {
    /// `$x`: neither empty nor `0`.
    Truth(VarRef),
    Equal {
        left: VarRef,
        right: Template,
        negated: bool,
    },
    Match {
        subject: VarRef,
        regex: Regex,
        pattern: Bytes,
        negated: bool,
    },
    File {
        path: Template,
        test: FileTest,
        negated: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileTest {
    Plain,
    Directory,
    Exists,
    Executable,
}

impl Condition {
    /// Compiles the arguments of an `if`.
    pub fn parse(b: &mut Builder<'_>, d: &Directive) -> Result<Self, Diag> {
        let words = inside_parentheses(d)?;
        match &words[..] {
            [first, ..] if first.len() > 1 && first.starts_with(b"$") => {
                Self::about_variable(b, &words)
            }
            [test, path] if is_file_test(test) => Self::about_file(b, test, path),
            [first, ..] => Err(invalid(first)),
            [] => Err(invalid(d.arg(1))),
        }
    }

    fn about_variable(b: &mut Builder<'_>, words: &[&BStr]) -> Result<Self, Diag> {
        let name = words[0];
        let (operator, right) = match words {
            [_] => (BStr::new(""), name),
            [_, operator, right] => (*operator, *right),
            _ => return Err(invalid(name)),
        };
        let subject = b.main::<VarTable>().mention(&name[1..]);
        let negated = operator.starts_with(b"!");
        match operator.as_bytes() {
            b"" => Ok(Self::Truth(subject)),
            b"=" | b"!=" => {
                let right = Template::compile(b, right)?;
                Ok(Self::Equal { left: subject, right, negated })
            }
            b"~" | b"~*" | b"!~" | b"!~*" => {
                let regex = regex::compile(right, operator.ends_with(b"*"))?;
                for (group, _) in regex.names() {
                    b.main::<VarTable>().define(group)?;
                }
                let pattern = Bytes::copy_from_slice(right);
                Ok(Self::Match { subject, regex, pattern, negated })
            }
            _ => Err(Diag::emerg(format!("unexpected \"{operator}\" in condition"))),
        }
    }

    fn about_file(b: &mut Builder<'_>, test: &BStr, path: &BStr) -> Result<Self, Diag> {
        let negated = test.starts_with(b"!");
        let path = Template::compile(b, path)?;
        let test = match test.last() {
            Some(b'f') => FileTest::Plain,
            Some(b'd') => FileTest::Directory,
            Some(b'e') => FileTest::Exists,
            Some(b'x') => FileTest::Executable,
            _ => return Err(invalid(test)),
        };
        Ok(Self::File { path, test, negated })
    }

    /// Whether it holds now; an error is the status to end with.
    pub fn holds(&self, r: &Rc<Request>) -> Result<bool, u16> {
        Ok(match self {
            Self::Truth(subject) => {
                !matches!(r.var(*subject).unwrap_or_default().as_ref(), b"" | b"0")
            }
            Self::Equal { left, right, negated } => {
                (r.var(*left).unwrap_or_default() == right.eval(r)) != *negated
            }
            Self::Match { subject, regex, pattern, negated } => {
                let text = r.var(*subject).unwrap_or_default();
                super::matches(r, regex, pattern, &text)? != *negated
            }
            Self::File { path, test, negated } => test.holds(r, &path.eval(r)) != *negated,
        })
    }
}

impl FileTest {
    fn holds(self, r: &Rc<Request>, path: &[u8]) -> bool {
        let Ok(path) = path.to_path() else { return false };
        let facts = match std::fs::metadata(path) {
            Ok(facts) => facts,
            Err(error) => {
                let usual = [libc::ENOENT, libc::ENOTDIR, libc::ENAMETOOLONG];
                if !error.raw_os_error().is_some_and(|code| usual.contains(&code)) {
                    let errno = crate::base::errno::Errno(&error);
                    let path = path.display();
                    r.log(Level::Crit, format_args!("stat() \"{path}\" failed {errno}"));
                }
                return false;
            }
        };
        match self {
            Self::Plain => facts.is_file(),
            Self::Directory => facts.is_dir(),
            Self::Exists => true,
            Self::Executable => facts.permissions().mode() & 0o100 != 0,
        }
    }
}

/// The words of the condition without the parentheses around them.
fn inside_parentheses(d: &Directive) -> Result<Vec<&BStr>, Diag> {
    let mut words: Vec<&BStr> = d.args().iter().map(|word| word.text.as_bstr()).collect();
    let first = words.first().copied().unwrap_or_default();
    let Some(opened) = first.strip_prefix(b"(") else { return Err(invalid(first)) };
    words[0] = opened.as_bstr();
    let at = words.len() - 1;
    let last = words[at];
    let Some(closed) = last.strip_suffix(b")") else { return Err(invalid(last)) };
    words[at] = closed.as_bstr();
    if words.first().is_some_and(|word| word.is_empty()) {
        words.remove(0);
    }
    if words.len() > 1 && words.last().is_some_and(|word| word.is_empty()) && !last_is_quoted(d) {
        words.pop();
    }
    Ok(words)
}

/// `if ($x = "")`: the empty word before the parenthesis is meant.
fn last_is_quoted(d: &Directive) -> bool {
    d.args().last().is_some_and(|word| word.quoted)
}

fn is_file_test(word: &BStr) -> bool {
    matches!(word.as_bytes(), [b'-', _] | [b'!', b'-', _])
}

fn invalid(word: &BStr) -> Diag {
    Diag::emerg(format!("invalid condition \"{word}\""))
}

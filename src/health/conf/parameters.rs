//! Reads `name=value` parameters, with nginx's words for what is wrong.

use bstr::{BStr, ByteSlice};

use crate::base::units;
use crate::conf::{Diag, Directive};

/// One parameter of a directive.
pub(super) struct Parameter<'a> {
    directive: &'a Directive,
    index: usize,
    /// With its `=`, if it has one.
    pub(super) name: &'a [u8],
    pub(super) value: &'a BStr,
}

/// The parameters from the first argument on.
pub(super) fn of(d: &Directive) -> impl Iterator<Item = Parameter<'_>> {
    (1..d.words.len()).map(|index| {
        let text = d.arg(index);
        let at = text.find_byte(b'=').map_or(text.len(), |at| at + 1);
        let (name, value) = text.split_at(at);
        Parameter { directive: d, index, name, value: value.into() }
    })
}

impl Parameter<'_> {
    /// `invalid parameter "x"`
    pub(super) fn bad(&self) -> Diag {
        self.directive.bad_param(self.index)
    }

    /// `invalid parameter "x"`, and what would be right.
    pub(super) fn bad_with(&self, hint: &str) -> Diag {
        self.bad().hint(hint)
    }

    /// A time in milliseconds.
    pub(super) fn msec(&self) -> Result<u64, Diag> {
        units::parse_msec(self.value).ok_or_else(|| self.bad())
    }

    /// A time that may not be nothing.
    pub(super) fn span(&self) -> Result<u64, Diag> {
        self.msec().ok().filter(|ms| *ms > 0).ok_or_else(|| self.bad())
    }

    /// A number within bounds.
    pub(super) fn number(&self, least: u64, most: u64) -> Result<u64, Diag> {
        let number = units::parse_number(self.value).filter(|n| (least..=most).contains(n));
        number.ok_or_else(|| self.bad())
    }

    /// `50%` or `50`.
    pub(super) fn percent(&self) -> Result<u8, Diag> {
        let digits = self.value.strip_suffix(b"%").unwrap_or(self.value);
        let number = units::parse_number(digits).filter(|n| *n <= 100);
        number.and_then(|n| n.try_into().ok()).ok_or_else(|| self.bad())
    }

    /// `on` or `off`
    pub(super) fn flag(&self) -> Result<bool, Diag> {
        self.choice(&[("on", true), ("off", false)])
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, Diag> {
        let found = choices.iter().find(|(word, _)| self.value == word.as_bytes());
        found.map(|(_, chosen)| *chosen).ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            self.bad_with(&format!("it is one of {}", words.join(", ")))
        })
    }

    /// A text that may not be empty.
    pub(super) fn text(&self) -> Result<&BStr, Diag> {
        if self.value.is_empty() { Err(self.bad()) } else { Ok(self.value) }
    }
}

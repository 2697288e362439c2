//! Typed readers of a directive's arguments, with nginx's wording for what is wrong.
//!
//! ```text
//!  row("root", HTTP_LEVELS, take(1), |b, d| d.str_slot(&mut b.part::<Core>().root))
//!                                             └ duplicate? value? → slot
//! ```
//!
//! A `*_slot` fills an `Option` once (nginx's `ngx_conf_set_*_slot`); the readers without a slot
//! take the index of the argument, counted from 1.

use bstr::BString;

use super::diag::Diag;
use super::tree::Directive;
use crate::base::units;

impl Directive {
    /// A complaint in nginx's short form: `"name" directive is duplicate`.
    pub fn wrong(&self, what: &str) -> Diag {
        Diag::emerg(format!("\"{}\" directive {what}", self.name()))
    }

    /// A complaint with the caret under one argument.
    pub fn wrong_arg(&self, index: usize, text: impl Into<String>) -> Diag {
        let diag = Diag::emerg(text);
        match self.words.get(index) {
            Some(word) => diag.span(word.span),
            None => diag,
        }
    }

    /// `invalid parameter "x"`
    pub fn bad_param(&self, index: usize) -> Diag {
        self.wrong_arg(index, format!("invalid parameter \"{}\"", self.arg(index)))
    }

    /// `invalid value "x"`
    pub fn bad_value(&self, index: usize) -> Diag {
        self.wrong_arg(index, format!("invalid value \"{}\"", self.arg(index)))
    }

    /// `invalid number of arguments in "x" directive`
    pub fn bad_arity(&self) -> Diag {
        Diag::emerg(format!("invalid number of arguments in \"{}\" directive", self.name()))
    }

    /// Fills a slot that may be filled once.
    pub fn once<T>(
        &self,
        slot: &mut Option<T>,
        value: impl FnOnce(&Self) -> Result<T, Diag>,
    ) -> Result<(), Diag> {
        if slot.is_some() {
            return Err(self.wrong("is duplicate"));
        }
        *slot = Some(value(self)?);
        Ok(())
    }

    pub fn flag_slot(&self, slot: &mut Option<bool>) -> Result<(), Diag> {
        self.once(slot, |d| d.flag(1))
    }

    pub fn str_slot(&self, slot: &mut Option<BString>) -> Result<(), Diag> {
        self.once(slot, |d| Ok(d.arg(1).to_owned()))
    }

    pub fn number_slot(&self, slot: &mut Option<u64>) -> Result<(), Diag> {
        self.once(slot, |d| d.number(1))
    }

    pub fn size_slot(&self, slot: &mut Option<usize>) -> Result<(), Diag> {
        self.once(slot, |d| d.size(1))
    }

    pub fn offset_slot(&self, slot: &mut Option<u64>) -> Result<(), Diag> {
        self.once(slot, |d| d.offset(1))
    }

    /// Milliseconds.
    pub fn msec_slot(&self, slot: &mut Option<u64>) -> Result<(), Diag> {
        self.once(slot, |d| d.msec(1))
    }

    /// Seconds.
    pub fn sec_slot(&self, slot: &mut Option<u64>) -> Result<(), Diag> {
        self.once(slot, |d| d.sec(1))
    }

    /// A number of buffers and the size of one.
    pub fn buffers_slot(&self, slot: &mut Option<(u64, usize)>) -> Result<(), Diag> {
        self.once(slot, |d| {
            let count = units::parse_number(d.arg(1)).filter(|count| *count > 0);
            let size = units::parse_size(d.arg(2)).filter(|size| *size > 0);
            count.zip(size).ok_or_else(|| d.wrong("invalid value"))
        })
    }

    pub fn choice_slot<T: Copy>(
        &self,
        slot: &mut Option<T>,
        choices: &[(&str, T)],
    ) -> Result<(), Diag> {
        self.once(slot, |d| d.choice(1, choices))
    }

    /// `on` or `off`
    pub fn flag(&self, index: usize) -> Result<bool, Diag> {
        let value = self.arg(index);
        match value {
            _ if value.eq_ignore_ascii_case(b"on") => Ok(true),
            _ if value.eq_ignore_ascii_case(b"off") => Ok(false),
            _ => {
                let name = self.name();
                let text = format!("invalid value \"{value}\" in \"{name}\" directive, ");
                Err(self.wrong_arg(index, text + "it must be \"on\" or \"off\""))
            }
        }
    }

    pub fn number(&self, index: usize) -> Result<u64, Diag> {
        self.read(index, units::parse_number, "invalid number")
    }

    /// Bytes: `8k`, `1m`.
    pub fn size(&self, index: usize) -> Result<usize, Diag> {
        self.read(index, units::parse_size, "invalid value")
    }

    /// Bytes: `8k`, `1m`, `2g`.
    pub fn offset(&self, index: usize) -> Result<u64, Diag> {
        self.read(index, units::parse_offset, "invalid value")
    }

    /// Milliseconds: `500ms`, `1h 30m`.
    pub fn msec(&self, index: usize) -> Result<u64, Diag> {
        self.read(index, units::parse_msec, "invalid value")
    }

    /// Seconds: `30`, `1d`.
    pub fn sec(&self, index: usize) -> Result<u64, Diag> {
        self.read(index, units::parse_sec, "invalid value")
    }

    /// One of a few words, in any case.
    pub fn choice<T: Copy>(&self, index: usize, choices: &[(&str, T)]) -> Result<T, Diag> {
        let value = self.arg(index);
        choices
            .iter()
            .find(|(word, _)| value.eq_ignore_ascii_case(word.as_bytes()))
            .map(|(_, chosen)| *chosen)
            .ok_or_else(|| self.bad_value(index).hint(one_of(choices.iter().map(|c| c.0))))
    }

    fn read<T>(
        &self,
        index: usize,
        parse: fn(&[u8]) -> Option<T>,
        complaint: &str,
    ) -> Result<T, Diag> {
        let text = || format!("\"{}\" directive {complaint}", self.name());
        parse(self.arg(index)).ok_or_else(|| self.wrong_arg(index, text()))
    }
}

/// nginx's number bounds: `value must be between 1 and 64`, or without an upper bound.
pub fn in_bounds(value: u64, low: u64, high: Option<u64>) -> Result<u64, Diag> {
    match high {
        _ if value >= low && high.is_none_or(|high| value <= high) => Ok(value),
        Some(high) => Err(Diag::emerg(format!("value must be between {low} and {high}"))),
        None => Err(Diag::emerg(format!("value must be equal to or greater than {low}"))),
    }
}

fn one_of<'a>(words: impl Iterator<Item = &'a str>) -> String {
    format!("one of {}", words.collect::<Vec<_>>().join(", "))
}

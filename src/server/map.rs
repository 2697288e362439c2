//! `map`, `split_clients`: variables computed from other variables.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use bstr::{BStr, BString, ByteSlice};
use bytes::Bytes;

use super::regex;
use super::template::Template;
use super::vars::{Subject, VarTable};
use crate::base::regex::Regex;
use crate::conf::{Builder, Diag, Directive};

/// The rules of a `map`, asked in nginx's order.
struct Map<S> {
    exact: HashMap<BString, Template<S>>,
    /// `*.example.com`, longest first.
    suffixes: Vec<(BString, Template<S>)>,
    /// `www.*`, longest first.
    prefixes: Vec<(BString, Template<S>)>,
    regexes: Vec<(Regex, Template<S>)>,
    default: Template<S>,
}

impl<S: Subject> Map<S> {
    fn find(&self, r: &Rc<S>, value: &Bytes, hostnames: bool) -> Bytes {
        let mut key = BString::from(value.to_ascii_lowercase());
        if hostnames && key.ends_with(b".") {
            key.pop();
        }
        if let Some(found) = self.exact.get(&key) {
            return found.eval(r);
        }
        let suffix = self.suffixes.iter().find(|(s, _)| key.len() > s.len() && key.ends_with(s));
        let prefix =
            || self.prefixes.iter().find(|(p, _)| key.len() > p.len() && key.starts_with(p));
        if let Some((_, found)) = suffix.or_else(prefix) {
            return found.eval(r);
        }
        for (regex, found) in &self.regexes {
            if let Some(groups) = regex::groups(regex, value) {
                r.keep_groups(regex, groups);
                return found.eval(r);
            }
        }
        self.default.eval(r)
    }

    fn add(&mut self, key: &BStr, value: Template<S>, hostnames: bool) -> Result<(), Diag> {
        let conflict = || Diag::emerg(format!("conflicting parameter \"{key}\""));
        if let Some(pattern) = key.strip_prefix(b"~") {
            let (pattern, caseless) = match pattern.strip_prefix(b"*") {
                Some(pattern) => (pattern, true),
                None => (pattern, false),
            };
            self.regexes.push((regex::compile(pattern, caseless)?, value));
            return Ok(());
        }
        let lower = BString::from(key.strip_prefix(b"\\").unwrap_or(key).to_ascii_lowercase());
        if hostnames && let Some(suffix) = lower.strip_prefix(b"*") {
            self.suffixes.push((suffix.into(), value));
        } else if hostnames && lower.starts_with(b".") {
            self.exact.insert(lower[1..].into(), value.clone());
            self.suffixes.push((lower, value));
        } else if hostnames && let Some(prefix) = lower.strip_suffix(b"*") {
            self.prefixes.push((prefix.into(), value));
        } else if self.exact.insert(lower, value).is_some() {
            return Err(conflict());
        }
        Ok(())
    }

    fn sort(&mut self) {
        self.suffixes.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        self.prefixes.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    }
}

/// The name of a variable to be defined, without its `$`.
pub fn variable_name(d: &Directive, index: usize) -> Result<&[u8], Diag> {
    let word = d.arg(index);
    let name = word.strip_prefix(b"$").filter(|name| !name.is_empty());
    name.ok_or_else(|| Diag::emerg(format!("invalid variable name \"{word}\"")))
}

/// Reads a `map` block and defines its variable.
pub fn set<S: Subject>(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let source = Template::<S>::compile(b, d.arg(1))?;
    let name = variable_name(d, 2)?.to_vec();
    let mut map = Map::<S> {
        exact: HashMap::new(),
        suffixes: Vec::new(),
        prefixes: Vec::new(),
        regexes: Vec::new(),
        default: Template::default(),
    };
    let (mut hostnames, mut volatile) = (false, false);
    b.entries(d, |b, entry| {
        match (entry.name().as_bytes(), entry.arg_count()) {
            (b"hostnames", 0) => hostnames = true,
            (b"volatile", 0) => volatile = true,
            (b"default", 1) => map.default = Template::compile(b, entry.arg(1))?,
            (b"include", 1) => return Err(Diag::emerg("include inside map is not supported")),
            (_, 1) => {
                let value = Template::compile(b, entry.arg(1))?;
                map.add(entry.name(), value, hostnames)?;
            }
            _ => return Err(Diag::emerg("invalid number of the map parameters")),
        }
        Ok(())
    });
    map.sort();
    for (regex, _) in &map.regexes {
        for (group, _) in regex.names() {
            b.main::<VarTable<S>>().define(group)?;
        }
    }
    let compute = Arc::new(move |r: &Rc<S>| Some(map.find(r, &source.eval(r), hostnames)));
    b.main::<VarTable<S>>().define_computed(&name, compute, !volatile);
    Ok(())
}

/// Reads a `split_clients` block and defines its variable.
pub fn set_split<S: Subject>(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let source = Template::<S>::compile(b, d.arg(1))?;
    let name = variable_name(d, 2)?.to_vec();
    let mut parts: Vec<(u64, Template<S>)> = Vec::new();
    let mut sum = 0;
    b.entries(d, |b, entry| {
        let value = Template::compile(b, entry.arg(1))?;
        if entry.name() == "*" {
            parts.push((u64::from(u32::MAX) + 1, value));
            return Ok(());
        }
        let hundredths = percent(entry.name())
            .ok_or_else(|| Diag::emerg(format!("invalid percent value \"{}\"", entry.name())))?;
        sum += hundredths;
        if sum > 10_000 {
            return Err(Diag::emerg("percent total is greater than 100%"));
        }
        parts.push((sum * u64::from(u32::MAX) / 10_000, value));
        Ok(())
    });
    let compute = Arc::new(move |r: &Rc<S>| {
        let hash = u64::from(murmur2(&source.eval(r)));
        let found = parts.iter().find(|(limit, _)| hash < *limit);
        Some(found.map(|(_, value)| value.eval(r)).unwrap_or_default())
    });
    b.main::<VarTable<S>>().define_computed(&name, compute, true);
    Ok(())
}

/// `12.5%` in hundredths of a percent.
fn percent(text: &BStr) -> Option<u64> {
    let digits = text.strip_suffix(b"%")?.to_str().ok()?;
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    if part.len() > 2 {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let part: u64 = if part.is_empty() { 0 } else { format!("{part:0<2}").parse().ok()? };
    Some(whole * 100 + part)
}

/// MurmurHash2, which nginx spreads clients by.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = data.len() as u32;
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        k = k.wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        for (at, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

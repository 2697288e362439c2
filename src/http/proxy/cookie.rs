//! `Set-Cookie` lines of an upstream: domain, path and flags as the location wants them.
//!
//! ```text
//!  a=1; Path=/two; Secure ─▶ attributes ─ proxy_cookie_path, … ─▶ a=1; Path=/; HttpOnly
//! ```

use std::rc::Rc;

use bytes::Bytes;

use crate::server::regex;
use crate::server::vars::Subject as _;
use crate::{
    base::regex::Regex,
    conf::{Builder, Diag, Directive},
    http::{request::Request, template::Template, vars::VarTable},
};

use super::{rewrite, settings::Proxy};

/// One `proxy_cookie_flags`.
pub struct FlagRule {
    cookie: Cookie,
    flags: Vec<Template>,
}

enum Cookie {
    Named(Template),
    Regex(Regex),
}

impl FlagRule {
    /// Reads `cookie flag …`.
    pub fn parse(b: &mut Builder<'_>, d: &Directive) -> Result<Self, Diag> {
        let cookie = match d.arg(1).strip_prefix(b"~") {
            Some(pattern) => {
                let regex = regex::compile(pattern, true)?;
                for (group, _) in regex.names() {
                    b.main::<VarTable>().define(group)?;
                }
                Cookie::Regex(regex)
            }
            None => Cookie::Named(Template::compile(b, d.arg(1))?),
        };
        let mut flags = Vec::new();
        for index in 2..=d.arg_count() {
            let word = d.arg(index);
            let known = word.contains(&b'$')
                || FLAGS.iter().any(|flag| flag.as_bytes().eq_ignore_ascii_case(word));
            if !known {
                let text = format!("invalid flag \"{word}\" in \"proxy_cookie_flags\"");
                return Err(d.wrong_arg(index, text));
            }
            flags.push(Template::compile(b, word)?);
        }
        Ok(Self { cookie, flags })
    }

    fn matches(&self, r: &Rc<Request>, name: &Bytes) -> bool {
        match &self.cookie {
            Cookie::Named(wanted) => wanted.eval(r).eq_ignore_ascii_case(name),
            Cookie::Regex(regex) => match regex::groups(regex, name) {
                Some(groups) => {
                    r.keep_groups(regex, groups);
                    true
                }
                None => false,
            },
        }
    }
}

/// The line as it is passed on; `None` leaves it untouched, byte for byte.
pub fn rewrite(r: &Rc<Request>, conf: &Proxy, line: &Bytes) -> Option<Bytes> {
    let (domains, paths) = (conf.cookie_domains.as_deref(), conf.cookie_paths.as_deref());
    let flags = conf.cookie_flags.as_deref();
    if domains.is_none() && paths.is_none() && flags.is_none() {
        return None;
    }
    let mut attributes = parse(line);
    attributes.first()?.value.as_ref()?;
    let mut changed = false;
    for attribute in &mut attributes[1..] {
        let rules = match &attribute.key {
            key if key.eq_ignore_ascii_case(b"domain") => domains,
            key if key.eq_ignore_ascii_case(b"path") => paths,
            _ => None,
        };
        if let (Some(rules), Some(value)) = (rules, &attribute.value)
            && let Some(new) = rewrite::value(r, rules, value)
        {
            attribute.value = Some(new);
            changed = true;
        }
    }
    let name = attributes[0].key.clone();
    if let Some(rule) = flags.into_iter().flatten().find(|rule| rule.matches(r, &name)) {
        changed |= Wanted::of(r, &rule.flags).apply(&mut attributes);
    }
    changed.then(|| render(&attributes))
}

/// `key=value`, or a key alone.
struct Attribute {
    key: Bytes,
    value: Option<Bytes>,
}

/// What the flags of a rule ask for.
#[derive(Default)]
struct Wanted {
    secure: Option<bool>,
    http_only: Option<bool>,
    /// The empty text takes the attribute away.
    same_site: Option<&'static str>,
}

impl Wanted {
    fn of(r: &Rc<Request>, flags: &[Template]) -> Self {
        let words: Vec<Bytes> = flags.iter().map(|flag| flag.eval(r)).collect();
        let has = |word: &str| words.iter().any(|w| w.eq_ignore_ascii_case(word.as_bytes()));
        // Of contradicting words the stricter wins, as in nginx.
        let pick = |on: &str, off: &str| has(on).then_some(true).or(has(off).then_some(false));
        let same_site = [
            ("samesite=strict", "Strict"),
            ("samesite=lax", "Lax"),
            ("samesite=none", "None"),
            ("nosamesite", ""),
        ];
        Self {
            secure: pick("secure", "nosecure"),
            http_only: pick("httponly", "nohttponly"),
            same_site: same_site.into_iter().find(|(word, _)| has(word)).map(|(_, value)| value),
        }
    }

    /// True when there was anything to do.
    fn apply(self, attributes: &mut Vec<Attribute>) -> bool {
        if self.secure.is_none() && self.http_only.is_none() && self.same_site.is_none() {
            return false;
        }
        flag(attributes, "Secure", self.secure);
        flag(attributes, "HttpOnly", self.http_only);
        let Some(wanted) = self.same_site else { return true };
        let is = |a: &Attribute| a.key.eq_ignore_ascii_case(b"samesite");
        if wanted.is_empty() {
            drop_others(attributes, is);
            return true;
        }
        let same = |value: &Option<Bytes>| {
            value.as_ref().is_some_and(|v| v.eq_ignore_ascii_case(wanted.as_bytes()))
        };
        let new = || Attribute {
            key: Bytes::from_static(b"SameSite"),
            value: Some(Bytes::from_static(wanted.as_bytes())),
        };
        match attributes[1..].iter_mut().find(|a| is(a)) {
            Some(known) if same(&known.value) => {}
            Some(known) => *known = new(),
            None => attributes.push(new()),
        }
        true
    }
}

fn flag(attributes: &mut Vec<Attribute>, name: &'static str, wanted: Option<bool>) {
    let is = |a: &Attribute| a.key.eq_ignore_ascii_case(name.as_bytes());
    match wanted {
        Some(true) if !attributes[1..].iter().any(is) => {
            attributes.push(Attribute { key: Bytes::from_static(name.as_bytes()), value: None });
        }
        Some(false) => drop_others(attributes, is),
        _ => {}
    }
}

/// Drops attributes behind the cookie itself.
fn drop_others(attributes: &mut Vec<Attribute>, is: impl Fn(&Attribute) -> bool) {
    let mut at = 0;
    attributes.retain(|attribute| {
        at += 1;
        at == 1 || !is(attribute)
    });
}

fn parse(line: &Bytes) -> Vec<Attribute> {
    let pieces = line.split(|c| *c == b';').map(|piece| {
        let (key, value) = match memchr::memchr(b'=', piece) {
            Some(at) => (&piece[..at], Some(&piece[at + 1..])),
            None => (piece, None),
        };
        let value = value.map(|value| line.slice_ref(trim(value)));
        Attribute { key: line.slice_ref(trim(key)), value }
    });
    pieces.collect()
}

fn trim(text: &[u8]) -> &[u8] {
    bstr::ByteSlice::trim_with(text, |c| c == ' ')
}

fn render(attributes: &[Attribute]) -> Bytes {
    let mut text = Vec::new();
    for (index, attribute) in attributes.iter().enumerate() {
        if index > 0 {
            text.extend_from_slice(b"; ");
        }
        text.extend_from_slice(&attribute.key);
        if let Some(value) = &attribute.value {
            text.push(b'=');
            text.extend_from_slice(value);
        }
    }
    text.into()
}

const FLAGS: &[&str] = &[
    "secure",
    "nosecure",
    "httponly",
    "nohttponly",
    "samesite=strict",
    "samesite=lax",
    "samesite=none",
    "nosamesite",
];

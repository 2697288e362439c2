//! The `sticky` directive.

use std::sync::Arc;

use bstr::{BStr, BString, ByteSlice};

use crate::{
    base::units,
    conf::{
        Builder, Diag, Directive, Part,
        row::{Row, UPSTREAM, at_least, row},
    },
    http::template::Template,
};

use super::sessions::Sessions;

pub const ROWS: &[Row] = &[row("sticky", UPSTREAM, at_least(2), set_sticky)];

/// What one `upstream {}` says.
#[derive(Default)]
pub(super) struct Sticky(pub(super) Option<StickyConf>);

impl Part for Sticky {
    fn inherit(&mut self, _parent: &Self) {}
}

pub(super) struct StickyConf {
    /// Variables that name the peer, or the session.
    pub(super) lookup: Vec<Template>,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Cookie(Cookie),
    Route,
    Learn(Learn),
}

#[derive(Default)]
pub(super) struct Cookie {
    pub(super) name: BString,
    pub(super) domain: Option<Template>,
    pub(super) path: Option<BString>,
    pub(super) expires: Option<Expires>,
    pub(super) same_site: Option<Template>,
    pub(super) httponly: bool,
    pub(super) secure: bool,
}

#[derive(Clone, Copy)]
pub(super) enum Expires {
    Max,
    /// Seconds.
    After(u64),
}

pub(super) struct Learn {
    pub(super) create: Vec<Template>,
    pub(super) after_head: bool,
    pub(super) sessions: Arc<Sessions>,
}

/// The zones of a configuration: each has one group.
#[derive(Default)]
struct ZoneNames(Vec<BString>);

impl Part for ZoneNames {
    fn inherit(&mut self, _parent: &Self) {}
}

fn set_sticky(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if b.part::<Sticky>().0.is_some() {
        return Err(d.wrong("is duplicate"));
    }
    let conf = match d.arg(1).as_bytes() {
        b"cookie" => cookie(b, d)?,
        b"route" => {
            let each = (2..=d.arg_count()).map(|index| variable(b, d, index, d.arg(index)));
            StickyConf { lookup: each.collect::<Result<_, _>>()?, kind: Kind::Route }
        }
        b"learn" => learn(b, d)?,
        other => {
            let text = format!("unknown parameter \"{}\"", BStr::new(other));
            return Err(d.wrong_arg(1, text));
        }
    };
    b.part::<Sticky>().0 = Some(conf);
    Ok(())
}

fn variable(
    b: &mut Builder<'_>,
    d: &Directive,
    index: usize,
    word: &[u8],
) -> Result<Template, Diag> {
    if word.first() != Some(&b'$') {
        let text = format!("invalid variable name \"{}\"", BStr::new(word));
        return Err(d.wrong_arg(index, text));
    }
    Template::compile(b, word)
}

fn cookie(b: &mut Builder<'_>, d: &Directive) -> Result<StickyConf, Diag> {
    let mut cookie = Cookie { name: d.arg(2).to_owned(), ..Cookie::default() };
    if cookie.name.is_empty() {
        return Err(d.wrong("empty cookie name"));
    }
    for index in 3..=d.arg_count() {
        cookie_parameter(b, d, index, &mut cookie)?;
    }
    let lookup = vec![Template::compile(b, &[b"$cookie_", &cookie.name[..]].concat())?];
    Ok(StickyConf { lookup, kind: Kind::Cookie(cookie) })
}

fn cookie_parameter(
    b: &mut Builder<'_>,
    d: &Directive,
    index: usize,
    cookie: &mut Cookie,
) -> Result<(), Diag> {
    let word = d.arg(index);
    let (key, value) = word.split_at(word.find_byte(b'=').map_or(word.len(), |at| at + 1));
    let name = || BStr::new(key.strip_suffix(b"=").unwrap_or(key));
    let again = |known: bool| match known {
        true => Err(d.wrong(&format!("parameter \"{}\" is duplicate", name()))),
        false => Ok(()),
    };
    let filled = || match value.is_empty() {
        true => Err(d.wrong(&format!("no value for \"{}\"", name()))),
        false => Ok(()),
    };
    match key {
        b"domain=" => {
            again(cookie.domain.is_some())?;
            filled()?;
            cookie.domain = Some(Template::compile(b, value)?);
        }
        b"path=" => {
            again(cookie.path.is_some())?;
            filled()?;
            cookie.path = Some(value.into());
        }
        b"expires=" => {
            again(cookie.expires.is_some())?;
            let wrong = || d.wrong("invalid \"expires\" parameter value");
            cookie.expires = Some(match value {
                b"max" => Expires::Max,
                text => Expires::After(units::parse_sec(text).ok_or_else(wrong)?),
            });
        }
        b"samesite=" => {
            again(cookie.same_site.is_some())?;
            if !value.contains(&b'$') && !is_same_site(value) {
                return Err(d.wrong("invalid \"samesite\" parameter value"));
            }
            cookie.same_site = Some(Template::compile(b, value)?);
        }
        b"httponly" => {
            again(cookie.httponly)?;
            cookie.httponly = true;
        }
        b"secure" => {
            again(cookie.secure)?;
            cookie.secure = true;
        }
        _ => return Err(d.wrong_arg(index, format!("unknown parameter \"{word}\""))),
    }
    Ok(())
}

pub(super) fn is_same_site(value: &[u8]) -> bool {
    ["strict", "lax", "none"].iter().any(|known| value.eq_ignore_ascii_case(known.as_bytes()))
}

fn learn(b: &mut Builder<'_>, d: &Directive) -> Result<StickyConf, Diag> {
    let (mut lookup, mut create) = (Vec::new(), Vec::new());
    let (mut zone, mut timeout_ms, mut after_head) = (None, None, false);
    for index in 2..=d.arg_count() {
        let word = d.arg(index);
        if let Some(text) = word.strip_prefix(b"zone=") {
            zone = Some(zone_of(d, text)?);
        } else if let Some(text) = word.strip_prefix(b"timeout=") {
            let ms = units::parse_msec(text).filter(|ms| *ms > 0);
            timeout_ms = Some(ms.ok_or_else(|| d.wrong("invalid timeout"))?);
        } else if let Some(text) = word.strip_prefix(b"create=") {
            create.push(named_variable(b, d, "create", text)?);
        } else if let Some(text) = word.strip_prefix(b"lookup=") {
            lookup.push(named_variable(b, d, "lookup", text)?);
        } else if word == "header" {
            after_head = true;
        } else {
            return Err(d.wrong_arg(index, format!("unknown parameter \"{word}\"")));
        }
    }
    let missing = |name| d.wrong(&format!("\"{name}\" parameter is not specified"));
    if lookup.is_empty() {
        return Err(missing("lookup"));
    }
    if create.is_empty() {
        return Err(missing("create"));
    }
    let (name, bytes) = zone.ok_or_else(|| missing("zone"))?;
    let used = &mut b.main::<ZoneNames>().0;
    if used.contains(&name) {
        return Err(Diag::emerg(format!("sticky zone \"{name}\" is already used")));
    }
    used.push(name.clone());
    let sessions = Sessions::of_zone(name.as_bstr(), bytes, timeout_ms.unwrap_or(TIMEOUT_MS));
    Ok(StickyConf { lookup, kind: Kind::Learn(Learn { create, after_head, sessions }) })
}

fn named_variable(
    b: &mut Builder<'_>,
    d: &Directive,
    name: &str,
    text: &[u8],
) -> Result<Template, Diag> {
    if text.first() != Some(&b'$') {
        return Err(d.wrong(&format!("missing variable in the \"{name}\" parameter")));
    }
    Template::compile(b, text)
}

fn zone_of(d: &Directive, text: &[u8]) -> Result<(BString, usize), Diag> {
    let (name, size) =
        text.split_once_str(":").ok_or_else(|| d.wrong("zone size is not specified"))?;
    if name.is_empty() {
        return Err(d.wrong("zone name is not specified"));
    }
    match units::parse_size(size) {
        None => Err(d.wrong("invalid zone size")),
        Some(bytes) if bytes < ZONE_BYTES_MIN => Err(d.wrong("zone is too small")),
        Some(bytes) => Ok((name.into(), bytes)),
    }
}

const ZONE_BYTES_MIN: usize = 32 * 1024;
const TIMEOUT_MS: u64 = 600_000;

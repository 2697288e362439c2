//! `userid`: a cookie by which a client is known again.
//!
//! ```text
//!  Cookie: uid=BASE64 ─▶ $uid_got        none: a new one ─▶ Set-Cookie, $uid_set
//! ```

use std::{
    cell::OnceCell,
    rc::Rc,
    sync::atomic::{AtomicU32, Ordering},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;

use crate::{
    base::{clock, date, log::Level},
    conf::{
        Builder, Diag, Directive, Part, Scope, inherit,
        row::{HTTP_LEVELS, IF_LOCATION, Row, at_least, row, take},
    },
};

use crate::http::{
    output::{Filter, OutputError},
    request::Request,
    vars::{VarRow, var_live},
};

pub static FILTER: UserId = UserId;

const LEVELS: u32 = HTTP_LEVELS | IF_LOCATION;

pub const ROWS: &[Row] = &[
    row("userid", LEVELS, take(1), |b, d| {
        let choices = [("off", On::Off), ("log", On::Log), ("v1", On::V1), ("on", On::V2)];
        d.choice_slot(&mut b.part::<Conf>().on, &choices)
    }),
    row("userid_service", LEVELS, take(1), |b, d| d.number_slot(&mut b.part::<Conf>().service)),
    row("userid_name", LEVELS, take(1), |b, d| text(d, &mut b.part::<Conf>().name)),
    row("userid_domain", LEVELS, take(1), |b, d| {
        d.once(&mut b.part::<Conf>().domain, |d| Ok(unless(d, "none", "; domain=")))
    }),
    row("userid_path", LEVELS, take(1), |b, d| {
        d.once(&mut b.part::<Conf>().path, |d| Ok(unless(d, "", "; path=")))
    }),
    row("userid_expires", LEVELS, take(1), |b, d| {
        d.once(&mut b.part::<Conf>().expires, |d| match d.arg(1) {
            word if word == "max" => Ok(Some(Expires::Max)),
            word if word == "off" => Ok(None),
            _ => Ok(Some(Expires::After(d.sec(1)? as i64))),
        })
    }),
    row("userid_flags", LEVELS, at_least(1), set_flags),
    row("userid_p3p", LEVELS, take(1), |b, d| {
        d.once(&mut b.part::<Conf>().p3p, |d| {
            Ok((d.arg(1) != "none").then(|| Bytes::copy_from_slice(d.arg(1))))
        })
    }),
    row("userid_mark", LEVELS, take(1), |b, d| {
        d.once(&mut b.part::<Conf>().mark, |d| match d.arg(1).iter().as_slice() {
            b"off" => Ok(None),
            [mark] if mark.is_ascii_alphanumeric() || *mark == b'=' => Ok(Some(*mark)),
            _ => Err(Diag::emerg("value must be \"off\" or a single letter, digit or \"=\"")),
        })
    }),
];

pub const VARS: &[VarRow] = &[
    var_live("uid_got", |r, _| {
        let location = r.location();
        let conf = location.scope.part::<Conf>();
        (conf.on() != On::Off).then(|| state(r, conf))?.got.map(|id| shown(conf, &id))
    }),
    var_live("uid_set", |r, _| {
        let location = r.location();
        let conf = location.scope.part::<Conf>();
        if conf.on() < On::V1 {
            return None;
        }
        state(r, conf).set.map(|id| shown(conf, &id))
    }),
    // A `map` may take its place.
    var_live("uid_reset", |_, _| Some(Bytes::from_static(b"0"))).kept_when_set(),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum On {
    Off,
    Log,
    V1,
    V2,
}

#[derive(Clone, Copy)]
enum Expires {
    Max,
    After(i64),
}

/// Settings of one block.
#[derive(Default)]
struct Conf {
    on: Option<On>,
    service: Option<u64>,
    name: Option<Bytes>,
    domain: Option<Option<Bytes>>,
    path: Option<Option<Bytes>>,
    expires: Option<Option<Expires>>,
    flags: Option<Bytes>,
    p3p: Option<Option<Bytes>>,
    mark: Option<Option<u8>>,
}

impl Part for Conf {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: on, service, name, domain, path, expires, flags, p3p, mark);
    }
}

impl Conf {
    fn on(&self) -> On {
        self.on.unwrap_or(On::Off)
    }

    fn name(&self) -> &[u8] {
        self.name.as_deref().unwrap_or(b"uid")
    }
}

fn text(d: &Directive, slot: &mut Option<Bytes>) -> Result<(), Diag> {
    d.once(slot, |d| Ok(Bytes::copy_from_slice(d.arg(1))))
}

fn unless(d: &Directive, none: &str, before: &str) -> Option<Bytes> {
    (d.arg(1) != none).then(|| [before.as_bytes(), d.arg(1)].concat().into())
}

fn set_flags(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let mut flags = Vec::new();
    if d.arg(1) == "off" && d.arg_count() == 1 {
        return d.once(&mut b.part::<Conf>().flags, |_| Ok(Bytes::new()));
    }
    let words: [(&str, &str); 5] = [
        ("secure", "; secure"),
        ("httponly", "; httponly"),
        ("samesite=strict", "; samesite=strict"),
        ("samesite=lax", "; samesite=lax"),
        ("samesite=none", "; samesite=none"),
    ];
    let mut chosen = [false; 5];
    for index in 1..=d.arg_count() {
        let at = words.iter().position(|(word, _)| d.arg(index) == *word);
        chosen[at.ok_or_else(|| d.bad_param(index))?] = true;
    }
    for ((_, line), chosen) in words.iter().zip(chosen) {
        if chosen {
            flags.extend_from_slice(line.as_bytes());
        }
    }
    d.once(&mut b.part::<Conf>().flags, |_| Ok(flags.into()))
}

type Id = [u32; 4];

/// What is known of the client of one request.
#[derive(Default)]
struct State(OnceCell<Known>);

#[derive(Clone, Copy)]
struct Known {
    got: Option<Id>,
    set: Option<Id>,
    /// The mark at the end of the cookie is not the one we give.
    unmarked: bool,
}

fn state(r: &Rc<Request>, conf: &Conf) -> Known {
    *r.main().kept::<State>().0.get_or_init(|| {
        let cookie = cookie(r, conf);
        let parsed = cookie.as_ref().and_then(|value| parse(r, value));
        let marked = match (conf.mark.flatten(), &cookie) {
            (Some(mark), Some(value)) => value.get(22) == Some(&mark),
            _ => true,
        };
        let reset = r.var_by_name(b"uid_reset").unwrap_or_default();
        if reset == "log"
            && let Some(id) = parsed
        {
            let id = shown(conf, &id);
            let id = bstr::BStr::new(&id);
            r.log(Level::Notice, format_args!("userid cookie \"{id}\" was reset"));
        }
        let fresh = (conf.on() >= On::V1
            && (parsed.is_none() || !matches!(&reset[..], b"" | b"0")))
        .then(|| make(r, conf));
        Known { got: parsed, set: fresh, unmarked: parsed.is_some() && !marked }
    })
}

fn cookie(r: &Rc<Request>, conf: &Conf) -> Option<Bytes> {
    let headers = r.headers_in.borrow();
    let name = conf.name();
    for line in headers.all(b"Cookie") {
        for pair in line.split(|byte| matches!(byte, b';' | b',')) {
            let pair = pair.trim_ascii();
            let value = pair.split_at_checked(name.len()).filter(|(key, _)| *key == name);
            if let Some(value) = value.and_then(|(_, rest)| rest.strip_prefix(b"=")) {
                return Some(line.slice_ref(value));
            }
        }
    }
    None
}

/// Sixteen bytes in base64; the end may be a mark.
fn parse(r: &Rc<Request>, value: &Bytes) -> Option<Id> {
    let plain = value.get(..22).and_then(|text| {
        let text = [text, b"=="].concat();
        let lenient =
            base64::engine::GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
        let engine = base64::engine::GeneralPurpose::new(&base64::alphabet::STANDARD, lenient);
        engine.decode(text).ok()
    });
    let Some(plain) = plain else {
        let value = bstr::BStr::new(value);
        let what =
            if value.len() < 22 { "too short userid cookie" } else { "invalid userid cookie" };
        r.log(Level::Error, format_args!("client sent {what} \"{value}\""));
        return None;
    };
    let word =
        |at: usize| u32::from_ne_bytes([plain[at], plain[at + 1], plain[at + 2], plain[at + 3]]);
    Some([word(0), word(4), word(8), word(12)])
}

fn make(r: &Rc<Request>, conf: &Conf) -> Id {
    static NEXT: AtomicU32 = AtomicU32::new(0x0303_0302);
    let next = NEXT.fetch_add(0x100, Ordering::Relaxed);
    let now = clock::wall();
    let start = std::process::id() ^ now.msec << 16;
    if conf.on() == On::V1 {
        let service = conf.service.unwrap_or(0) as u32;
        return [service, now.secs as u32, start, next];
    }
    let address = match r.conn.local.ip() {
        Some(std::net::IpAddr::V4(ip)) => u32::from(ip),
        Some(std::net::IpAddr::V6(ip)) => u128::from(ip) as u32,
        None => 0,
    };
    let service = conf.service.map_or(address, |service| service as u32);
    [service.to_be(), (now.secs as u32).to_be(), start.to_be(), next.to_be()]
}

/// As the variables show it: `name=0102…`.
fn shown(conf: &Conf, id: &Id) -> Bytes {
    let mut text = conf.name().to_vec();
    text.push(b'=');
    for word in id {
        text.extend_from_slice(format!("{word:08X}").as_bytes());
    }
    text.into()
}

/// Sets the cookie.
pub struct UserId;

impl Filter for UserId {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<Conf>().is_some_and(|conf| conf.on() != On::Off)
    }

    fn header(&self, r: &Rc<Request>) -> Result<(), OutputError> {
        if r.is_subrequest() {
            return Ok(());
        }
        let location = r.location();
        let conf = location.scope.part::<Conf>();
        let known = state(r, conf);
        if conf.on() < On::V1 {
            return Ok(());
        }
        let id = match (known.set, known.got) {
            (Some(id), _) => id,
            (None, Some(id)) if known.unmarked => id,
            _ => return Ok(()),
        };
        let mut out = r.headers_out.borrow_mut();
        out.list.add(&b"Set-Cookie"[..], line(conf, &id));
        if let Some(Some(p3p)) = &conf.p3p {
            out.list.add(&b"P3P"[..], p3p.clone());
        }
        Ok(())
    }
}

fn line(conf: &Conf, id: &Id) -> Vec<u8> {
    let plain: Vec<u8> = id.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let mut value = STANDARD.encode(plain).into_bytes();
    if let Some(mark) = conf.mark.flatten() {
        value[22] = mark;
    }
    let mut line = [conf.name(), b"=", &value].concat();
    match conf.expires.flatten() {
        None => {}
        Some(Expires::Max) => line.extend_from_slice(b"; expires=Thu, 31-Dec-37 23:55:55 GMT"),
        Some(Expires::After(seconds)) => {
            let when = date::cookie_time(clock::wall().secs + seconds);
            line.extend_from_slice(b"; expires=");
            line.extend_from_slice(when.as_bytes());
        }
    }
    if let Some(Some(domain)) = &conf.domain {
        line.extend_from_slice(domain);
    }
    match &conf.path {
        None => line.extend_from_slice(b"; path=/"),
        Some(Some(path)) => line.extend_from_slice(path),
        Some(None) => {}
    }
    line.extend_from_slice(conf.flags.as_deref().unwrap_or_default());
    line
}

//! `check` and its kind, as nginx_upstream_check_module and Tengine have them.
//!
//! ```text
//!  check interval=30000 fall=5 rise=2 timeout=1000 default_down=true type=tcp [port=n];
//!  check_http_send "HEAD / HTTP/1.0\r\n\r\n";     check_keepalive_requests 1;
//!  check_http_expect_alive http_2xx http_3xx;
//! ```

use bstr::BString;

use super::parameters;
use super::plan::{Draft, Drafts, Origin};
use crate::conf::{Builder, Diag, Directive, Part};
use crate::health::dialect::Dialect;
use crate::health::schedule::First;
use crate::health::spec::{
    CheckSpec, Initial, Keepalive, MachineSpec, Pace, ProbeSpec, RawProbe, TcpProbe, TlsSpec,
};
use crate::net::tls::ClientSpec;

/// What the lines that go with `check` say; they may stand before or behind it.
#[derive(Default)]
pub(super) struct Extras {
    send: Option<BString>,
    alive: Option<Vec<u64>>,
    keepalive: Option<u64>,
}

impl Part for Extras {
    fn inherit(&mut self, _: &Self) {}
}

pub(super) fn set(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if b.part::<Drafts>().list.iter().any(|c| c.spec.dialect == Dialect::UpstreamCheck) {
        return Err(d.wrong("is duplicate"));
    }
    let mut spec = CheckSpec::new(Dialect::UpstreamCheck, "");
    let (mut interval_ms, mut rise, mut fall) = (30_000, 2, 5);
    (spec.timeout_ms, spec.policy.initial) = (1000, Initial::Down);
    let mut kind = Kind::Tcp;
    for p in parameters::of(d) {
        match p.name {
            b"interval=" => interval_ms = p.number(1, MOST)?,
            b"timeout=" => spec.timeout_ms = p.number(1, MOST)?,
            b"rise=" => rise = p.number(1, MOST)?,
            b"fall=" => fall = p.number(1, MOST)?,
            b"port=" => spec.port = Some(p.number(1, 65535)? as u16),
            b"default_down=" => {
                let initial = [
                    ("true", Initial::Down),
                    ("1", Initial::Down),
                    ("false", Initial::Up),
                    ("0", Initial::Up),
                ];
                spec.policy.initial = p.choice(&initial)?;
            }
            b"type=" => {
                let unsupported = [&b"mysql"[..], b"ajp", b"fastcgi"];
                if unsupported.contains(&p.value.as_ref()) {
                    let text = format!("check type \"{}\" is not supported", p.value);
                    return Err(Diag::emerg(text).hint("it is one of tcp, http, https, ssl_hello"));
                }
                kind = p.choice(&KINDS)?;
            }
            // It says whether one check for each peer is enough; here it always is.
            b"unique=" => {}
            _ => return Err(p.bad()),
        }
    }
    spec.pace = Pace { first: First::Spread, ..Pace::every(interval_ms) };
    spec.machine = MachineSpec::RiseFall { rise, fall };
    spec.probe = kind.probe();
    let origin = Origin::of(d);
    // These servers were never verified.
    let tls = (kind != Kind::Tcp && kind != Kind::Http).then(ClientSpec::default);
    b.part::<Drafts>().list.push(Draft { spec, match_name: None, tls, origin });
    apply(b);
    Ok(())
}

pub(super) fn set_send(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    d.str_slot(&mut b.part::<Extras>().send)?;
    apply(b);
    Ok(())
}

pub(super) fn set_alive(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let mut alive = Vec::new();
    for index in 1..=d.arg_count() {
        let class = CLASSES.iter().position(|word| d.arg(index) == *word);
        let first = (class.ok_or_else(|| d.bad_value(index))? as u64 + 1) * 100;
        alive.extend(first..first + 100);
    }
    alive.sort_unstable();
    alive.dedup();
    d.once(&mut b.part::<Extras>().alive, |_| Ok(alive))?;
    apply(b);
    Ok(())
}

pub(super) fn set_keepalive(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    d.number_slot(&mut b.part::<Extras>().keepalive)?;
    apply(b);
    Ok(())
}

/// States live in the process; the size is looked at and of no other meaning.
pub(super) fn set_shm_size(_: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    d.size(1).map(drop)
}

/// Brings the check of the block up to date.
fn apply(b: &mut Builder<'_>) {
    let extras = b.part::<Extras>();
    let (send, alive) = (extras.send.clone(), extras.alive.clone());
    let requests = extras.keepalive.filter(|requests| *requests > 1);
    let drafts = &mut b.part::<Drafts>().list;
    let Some(draft) = drafts.iter_mut().find(|c| c.spec.dialect == Dialect::UpstreamCheck) else {
        return;
    };
    if let ProbeSpec::Raw(raw) = &mut draft.spec.probe {
        draft.spec.keepalive = requests.map(|requests| Keepalive { requests, time_ms: u64::MAX });
        if let Some(send) = send {
            raw.request = send;
        }
        if let Some(alive) = alive {
            raw.valid_statuses = Some(alive);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tcp,
    Http,
    Https,
    Ssl,
}

impl Kind {
    fn probe(self) -> ProbeSpec {
        let tls = TlsSpec { sni: None, verify: false, ..TlsSpec::default() };
        let raw = RawProbe {
            request: "GET / HTTP/1.0\r\n\r\n".into(),
            valid_statuses: Some((200..400).collect()),
            tls: (self == Self::Https).then(|| tls.clone()),
        };
        match self {
            Self::Tcp => ProbeSpec::Tcp(TcpProbe::default()),
            Self::Ssl => ProbeSpec::Tls(tls),
            Self::Http | Self::Https => ProbeSpec::Raw(raw),
        }
    }
}

const KINDS: [(&str, Kind); 4] =
    [("tcp", Kind::Tcp), ("http", Kind::Http), ("https", Kind::Https), ("ssl_hello", Kind::Ssl)];
const CLASSES: [&str; 5] = ["http_1xx", "http_2xx", "http_3xx", "http_4xx", "http_5xx"];
/// The module reads signed numbers of 32 bits.
const MOST: u64 = i32::MAX as u64;

//! What a `health_check` means where it stands: in an `upstream {}`, or in a location.
//!
//! ```text
//!  upstream foo { health_check …; }                       Words ─┬─▶ Draft
//!  location / { proxy_pass https://foo; health_check …; }  Way ──┘
//! ```
//!
//! In a location a probe is sent as the location's requests are: with its lines, its version, its
//! time limits and its `proxy_ssl_*`. In an `upstream {}` a probe over TLS takes the keys, names
//! and authorities written in the locations that pass there, as long as all of them say the same.
//! Parameters win over both.

use std::path::PathBuf;

use bstr::ByteSlice;

use super::health_check::Words;
use super::plan::{Draft, Origin};
use crate::conf::Diag;
use crate::health::spec::{
    GrpcProbe, HttpProbe, Initial, MachineSpec, ProbeSpec, TlsSpec, Version,
};
use crate::net::tls::{ClientSpec, system_authorities};
use crate::upstream::{Protocol, Secure, Way};

/// A `health_check` as it was written.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) words: Words,
    pub(super) origin: Origin,
}

impl Asked {
    /// The check in an `upstream {}`; `secure` is TLS as all locations have it that pass there.
    pub(super) fn in_upstream(&self, secure: Option<&Secure>) -> Result<Draft, Diag> {
        let mut words = self.words.clone();
        let kind = words.kind.unwrap_or_default();
        let mut tls = TlsSpec { sni: words.sni.take(), silent: false, verify: true };
        if let Some(secure) = secure {
            put_written(&mut words.client, &mut tls, secure);
        }
        self.draft(words, kind, tls)
    }

    /// The check in a location that passes requests on.
    pub(super) fn in_location(&self, way: &Way) -> Result<Draft, Diag> {
        let mut words = self.words.clone();
        let kind = self.kind_on(way)?;
        words.spec.timeout_ms = way.timeout_ms.unwrap_or(words.spec.timeout_ms);
        words.http.version = match way.protocol {
            Protocol::Http10 if words.spec.keepalive.is_none() => Version::V10,
            Protocol::Http2 | Protocol::Grpc => Version::V2,
            _ => Version::V11,
        };
        put_lines(&mut words, way);
        let mut tls = TlsSpec { sni: words.sni.take(), silent: false, verify: true };
        if let Some(secure) = &way.secure {
            put_all(&mut words.client, &mut tls, secure);
        }
        self.draft(words, kind, tls)
    }

    /// `type=`, or what the location itself speaks.
    fn kind_on(&self, way: &Way) -> Result<Kind, Diag> {
        let kind = match (self.words.kind, way.protocol) {
            (Some(kind), _) => kind,
            (None, Protocol::Other(family)) => {
                let text =
                    format!("\"health_check\" cannot speak the protocol of \"{family}_pass\"");
                return Err(Diag::emerg(text).hint("type=tcp tells whether somebody listens"));
            }
            (None, _) => Kind::Http,
        };
        let is_secure = way.secure.is_some();
        Ok(match kind {
            Kind::Http if is_secure && self.words.kind.is_none() => Kind::Https,
            Kind::Grpc if is_secure => Kind::Grpcs,
            kind => kind,
        })
    }

    fn draft(&self, mut words: Words, kind: Kind, mut tls: TlsSpec) -> Result<Draft, Diag> {
        self.conflicts(kind)?;
        tls.verify = words.verify.unwrap_or(tls.verify);
        let http_version = words.http_version.unwrap_or(words.http.version);
        let (mut spec, mut client) = (words.spec, words.client);
        spec.timeout_ms = words.timeout_ms.unwrap_or(spec.timeout_ms);
        spec.pace.unhealthy_ms = words.downinter_ms.unwrap_or(spec.pace.healthy_ms);
        words.mode.put(&mut spec);
        let pace = &mut spec.pace;
        pace.jitter_ms = pace.jitter_ms.min(pace.healthy_ms.max(pace.unhealthy_ms));
        spec.machine = MachineSpec::RiseFall { rise: words.passes, fall: words.fails };
        let mandatory = spec.policy.initial == Initial::Checking;
        spec.policy.persistent = words.persistent || !mandatory;
        let wanted = kind.is_tls().then(|| tls.clone());
        words.http.version = http_version;
        spec.probe = match kind {
            Kind::Http | Kind::Https => ProbeSpec::Http(HttpProbe { tls: wanted, ..words.http }),
            Kind::Tcp => ProbeSpec::Tcp(words.tcp),
            Kind::Tls => ProbeSpec::Tls(tls.clone()),
            Kind::Grpc | Kind::Grpcs => ProbeSpec::Grpc(GrpcProbe { tls: wanted, ..words.grpc }),
        };
        if kind.is_tls() && tls.verify && client.trusted.is_none() {
            client.trusted = Some(system_authorities().ok_or_else(|| {
                let text = "no \"ca\" for a health check that verifies certificates";
                Diag::emerg(text).hint("name a file with ca=, or write verify=off")
            })?);
        }
        let is_http2 = kind == Kind::Https && http_version == Version::V2;
        client.alpn = match kind == Kind::Grpcs || is_http2 {
            true => vec![b"h2".to_vec()],
            false => Vec::new(),
        };
        let tls = kind.is_tls().then_some(client);
        Ok(Draft { spec, match_name: words.match_name, tls, origin: self.origin.clone() })
    }

    /// Parameters that do not go together.
    pub(super) fn conflicts(&self, kind: Kind) -> Result<(), Diag> {
        let has = |name: &str| self.origin.has(name);
        let kind_is = |kinds: &[Kind]| kinds.contains(&kind);
        let only = |names: &[&str], kinds: &[Kind]| {
            names.iter().find(|n| has(n) && !kind_is(kinds)).map(|name| {
                let name = name.trim_end_matches('=');
                let types: Vec<_> = kinds.iter().map(|k| k.name()).collect();
                let text = format!("parameter \"{name}\" cannot be used by this type of check");
                Diag::emerg(text).hint(format!("it is for type={}", types.join(" and ")))
            })
        };
        let http = [Kind::Http, Kind::Https];
        let tls = [Kind::Https, Kind::Tls, Kind::Grpcs];
        let asking = [Kind::Http, Kind::Https, Kind::Grpc, Kind::Grpcs];
        let wrong = only(&["uri=", "method=", "header=", "body=", "http="], &http)
            .or_else(|| only(&["keepalive_time="], &asking))
            .or_else(|| only(&["send=", "expect="], &[Kind::Tcp]))
            .or_else(|| only(&["grpc_"], &[Kind::Grpc, Kind::Grpcs]))
            .or_else(|| only(&["sni=", "verify=", "ca=", "crl=", "cert=", "key="], &tls))
            .or_else(|| only(&["match="], &[Kind::Http, Kind::Https, Kind::Tcp]));
        if let Some(diag) = wrong {
            return Err(diag);
        }
        let words = &self.words;
        if words.persistent && words.spec.policy.initial != Initial::Checking {
            // NGINX Plus has "persistent" only beside "mandatory".
            return Err(Diag::emerg("\"persistent\" parameter requires \"mandatory\""));
        }
        let half = |(cert, key): &(PathBuf, PathBuf)| {
            cert.as_os_str().is_empty() != key.as_os_str().is_empty()
        };
        match words.client.certificate.as_ref().is_some_and(half) {
            true => Err(Diag::emerg("parameters \"cert\" and \"key\" belong together")),
            false => Ok(()),
        }
    }
}

/// `type=`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Http,
    Https,
    Tcp,
    Tls,
    Grpc,
    Grpcs,
}

impl Kind {
    fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Tls | Self::Grpcs)
    }

    fn name(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

/// The location's lines, in front of those of `header=`.
fn put_lines(words: &mut Words, way: &Way) {
    let has = |wanted: &[u8]| way.lines.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    let host = has(b"Host").map_or(&way.host, |(_, host)| host);
    words.http.host.get_or_insert_with(|| host.clone());
    words.grpc.authority.get_or_insert_with(|| host.clone());
    let named = |line: &[u8], name: &[u8]| {
        line.split_once_str(b":").is_some_and(|(own, _)| own.eq_ignore_ascii_case(name))
    };
    let own = std::mem::take(&mut words.http.headers);
    let lines = way.lines.iter().filter(|(name, _)| {
        let said = own.iter().skip(1).any(|line| named(line, name));
        !said && !name.eq_ignore_ascii_case(b"Host")
    });
    let lines = lines.map(|(name, value)| [&name[..], b": ", value].concat().into());
    // Of ours the first tells who asks.
    let ours = own.iter().enumerate().filter(|(at, _)| *at > 0 || has(b"User-Agent").is_none());
    words.http.headers = lines.chain(ours.map(|(_, line)| line.clone())).collect();
}

/// All of a location's TLS, but for what parameters say.
fn put_all(client: &mut ClientSpec, tls: &mut TlsSpec, secure: &Secure) {
    if client.trusted.is_none() {
        client.trusted.clone_from(&secure.spec.trusted);
        tls.verify = secure.verifies;
    }
    put_keys(client, secure);
    if tls.sni.is_none() {
        (tls.sni, tls.silent) = (Some(secure.name.clone()), !secure.says_name);
    }
}

/// What is written in locations, and not what is only a default there: checks verify.
fn put_written(client: &mut ClientSpec, tls: &mut TlsSpec, secure: &Secure) {
    if client.trusted.is_none() && secure.verifies {
        client.trusted.clone_from(&secure.spec.trusted);
    }
    put_keys(client, secure);
    if tls.sni.is_none() && secure.is_named {
        (tls.sni, tls.silent) = (Some(secure.name.clone()), !secure.says_name);
    }
}

fn put_keys(client: &mut ClientSpec, secure: &Secure) {
    let own = std::mem::replace(client, secure.spec.clone());
    client.trusted = own.trusted;
    client.crl = own.crl.or(client.crl.take());
    if own.certificate.is_some() {
        (client.certificate, client.password_file) = (own.certificate, None);
    }
}

pub(super) const KINDS: [(&str, Kind); 6] = [
    ("http", Kind::Http),
    ("https", Kind::Https),
    ("tcp", Kind::Tcp),
    ("tls", Kind::Tls),
    ("grpc", Kind::Grpc),
    ("grpcs", Kind::Grpcs),
];

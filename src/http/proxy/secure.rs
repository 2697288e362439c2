//! TLS to upstreams: the `proxy_ssl_*` settings and the handshake.
//!
//! ```text
//!  rows ─▶ SecureConf ─ inherit ─ settle (files are read) ─▶ ClientTls ─ handshake ─▶ Stream
//! ```

use std::{path::PathBuf, rc::Rc, sync::Arc};

use bstr::{BStr, BString, ByteSlice};
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;

use crate::{
    base::log::Level,
    conf::{
        Builder, Diag, Directive, Dirs, Part, Scope, inherit,
        row::{HTTP_LEVELS, Row, flag},
    },
    http::{request::Request, template::Template},
    net::{
        addr,
        stream::Stream,
        tls::{
            self, Chain, Choice, ClientSpec, ClientTls, Connected, LoadError, Protocols, Session,
            Suites, VerifyError,
        },
    },
};

use super::{
    family::{Family, Settings},
    fault::Fault,
    passage::Passage,
    settings::{Proxy, Version},
};

/// `proxy_ssl_*`
#[derive(Default)]
pub struct SecureConf {
    pub verify: Option<bool>,
    pub verify_depth: Option<u64>,
    pub server_name: Option<bool>,
    pub name: Option<Template>,
    pub trusted_certificate: Option<PathBuf>,
    pub crl: Option<PathBuf>,
    pub certificate: Option<Template>,
    pub certificate_key: Option<Template>,
    pub protocols: Option<Protocols>,
    pub ciphers: Option<BString>,
    pub session_reuse: Option<bool>,
    pub password_file: Option<PathBuf>,
    /// Paths of certificates start here.
    dir: Option<Arc<PathBuf>>,
    pub tls: Option<ClientTls>,
}

/// The rows of one family of directives: `proxy_ssl_*`, `grpc_ssl_*`.
macro_rules! secure_rows {
    ($prefix:literal, $family:ty) => {{
        use $crate::{
            conf::row::{HTTP_LEVELS, Row, args, at_least, flag, row, take},
            http::proxy::secure::{conf, path, protocols, template},
        };
        const ROWS: &[Row] = &[
            flag(concat!($prefix, "_ssl_verify"), HTTP_LEVELS, |b, d| {
                d.flag_slot(&mut conf::<$family>(b).verify)
            }),
            row(concat!($prefix, "_ssl_verify_depth"), HTTP_LEVELS, take(1), |b, d| {
                d.number_slot(&mut conf::<$family>(b).verify_depth)
            }),
            flag(concat!($prefix, "_ssl_server_name"), HTTP_LEVELS, |b, d| {
                d.flag_slot(&mut conf::<$family>(b).server_name)
            }),
            row(concat!($prefix, "_ssl_ciphers"), HTTP_LEVELS, take(1), |b, d| {
                d.str_slot(&mut conf::<$family>(b).ciphers)
            }),
            flag(concat!($prefix, "_ssl_session_reuse"), HTTP_LEVELS, |b, d| {
                d.flag_slot(&mut conf::<$family>(b).session_reuse)
            }),
            row(concat!($prefix, "_ssl_name"), HTTP_LEVELS, take(1), |b, d| {
                template::<$family>(b, d, |conf| &mut conf.name)
            }),
            row(concat!($prefix, "_ssl_certificate"), HTTP_LEVELS, take(1), |b, d| {
                template::<$family>(b, d, |conf| &mut conf.certificate)
            }),
            row(concat!($prefix, "_ssl_certificate_key"), HTTP_LEVELS, take(1), |b, d| {
                template::<$family>(b, d, |conf| &mut conf.certificate_key)
            }),
            row(concat!($prefix, "_ssl_trusted_certificate"), HTTP_LEVELS, take(1), |b, d| {
                path::<$family>(b, d, |conf| &mut conf.trusted_certificate)
            }),
            row(concat!($prefix, "_ssl_crl"), HTTP_LEVELS, take(1), |b, d| {
                path::<$family>(b, d, |conf| &mut conf.crl)
            }),
            row(concat!($prefix, "_ssl_protocols"), HTTP_LEVELS, at_least(1), |b, d| {
                protocols(d, &mut conf::<$family>(b).protocols)
            }),
            row(concat!($prefix, "_ssl_password_file"), HTTP_LEVELS, take(1), |b, d| {
                path::<$family>(b, d, |conf| &mut conf.password_file)
            }),
            row(concat!($prefix, "_ssl_certificate_cache"), HTTP_LEVELS, args(1, 3), |_, _| Ok(())),
            row(concat!($prefix, "_ssl_conf_command"), HTTP_LEVELS, take(2), |b, d| {
                let name = concat!($prefix, "_ssl_conf_command");
                b.warn(format!("\"{name} {}\" is ignored", d.arg(1)));
                Ok(())
            }),
        ];
        ROWS
    }};
}
pub(super) use secure_rows;

pub const ROWS: &[Row] = secure_rows!("proxy", Proxy);

/// Accepted for `proxy_ssl_*` only.
pub const PROXY_ROWS: &[Row] =
    &[flag("proxy_ssl_early_data", HTTP_LEVELS, |_, d| d.flag(1).map(drop))];

impl SecureConf {
    pub fn inherit(&mut self, parent: &Self) {
        if !self.has_own_settings() {
            self.tls.clone_from(&parent.tls);
        }
        inherit!(self, parent: verify, verify_depth, server_name, name, trusted_certificate, crl,
            certificate, certificate_key, protocols, ciphers, session_reuse, password_file,
            dir);
    }

    /// Whether this block says something the handshake's settings depend on.
    fn has_own_settings(&self) -> bool {
        self.verify.is_some()
            || self.verify_depth.is_some()
            || self.trusted_certificate.is_some()
            || self.crl.is_some()
            || self.certificate.is_some()
            || self.certificate_key.is_some()
            || self.protocols.is_some()
            || self.ciphers.is_some()
            || self.session_reuse.is_some()
            || self.password_file.is_some()
    }

    /// Certificate and key, when they are set.
    fn own_certificate(&self) -> Option<(&Template, &Template)> {
        let certificate = self.certificate.as_ref().filter(|c| !c.text.is_empty())?;
        Some((certificate, self.certificate_key.as_ref()?))
    }

    pub(super) fn spec(&self, family: &str) -> Result<ClientSpec, String> {
        let verifies = self.verify.unwrap_or(false);
        if verifies && self.trusted_certificate.is_none() {
            return Err(format!("no {family}_ssl_trusted_certificate for {family}_ssl_verify"));
        }
        if let Some(certificate) = self.certificate.as_ref().filter(|c| !c.text.is_empty())
            && self.certificate_key.is_none()
        {
            let name = BStr::new(&certificate.text);
            let text = format!("no \"{family}_ssl_certificate_key\" is defined for certificate");
            return Err(format!("{text} \"{name}\""));
        }
        let suites = match &self.ciphers {
            None => Suites::default(),
            Some(list) => Suites::parse(&list.to_str_lossy())
                .ok_or_else(|| LoadError::Ciphers(list.to_string()).to_string())?,
        };
        let certificate = self.own_certificate().filter(|(cert, key)| {
            // With variables in them they are read at each handshake.
            cert.is_constant() && key.is_constant()
        });
        Ok(ClientSpec {
            protocols: self.protocols.unwrap_or_default(),
            suites,
            trusted: self.trusted_certificate.clone().filter(|_| verifies),
            crl: self.crl.clone().filter(|_| verifies),
            depth: self.verify_depth.map(|n| u32::try_from(n).unwrap_or(u32::MAX)),
            certificate: certificate
                .map(|(cert, key)| (self.path(&cert.text), self.path(&key.text))),
            password_file: self.password_file.clone(),
            alpn: Vec::new(),
            no_session_reuse: !self.session_reuse.unwrap_or(true),
        })
    }

    fn path(&self, name: &[u8]) -> PathBuf {
        let name = name.to_path_lossy();
        self.dir.as_ref().map_or_else(|| name.to_path_buf(), |dir| dir.join(&name))
    }
}

/// Chooses a client certificate.
pub type Choose = fn(Rc<Request>, u16) -> LocalBoxFuture<'static, Choice>;

/// Scripts of a location that take part in handshakes.
#[derive(Clone, Copy, Default)]
pub struct SecureHooks {
    /// Asked when the server wants a certificate.
    pub certificate: Option<Choose>,
    /// Asked when the server's chain has been judged: gives OpenSSL's number of the verdict, or
    /// nothing to end the connection.
    pub verify: Option<Verify>,
    /// `lua_upstream_skip_openssl_default_verify`
    pub skips_default_verify: Option<bool>,
    /// The directive, for complaints about a location that does not pass to `https`.
    pub name: &'static str,
}

type Verify = fn(Rc<Request>, u16, Chain, u32) -> LocalBoxFuture<'static, Option<u32>>;

impl Part for SecureHooks {
    fn inherit(&mut self, parent: &Self) {
        // The scripts are not inherited: they stand in the location that passes on.
        inherit!(self, parent: skips_default_verify);
    }
}

/// Reads the files of a merged location that passes to `https`. Complaints have no place, as in
/// nginx.
pub fn settle(scope: &mut Scope, dirs: &Dirs) -> Result<(), Diag> {
    let passes = scope.find::<Proxy>().is_some_and(|conf| conf.passes_to_tls());
    let hooks = scope.part::<SecureHooks>();
    if !passes && (hooks.certificate.is_some() || hooks.verify.is_some()) {
        let text = format!("{} should be used with proxy_pass https url", hooks.name);
        return Err(Diag::emerg(text).nowhere());
    }
    for family in Family::ALL {
        if let Some(conf) = family.conf_mut(scope).filter(|conf| conf.needs_tls()) {
            let http2 = family == Family::Grpc
                || family == Family::Http && conf.version() == Version::Http2;
            build(conf, family.name(), http2, dirs)?;
        }
    }
    Ok(())
}

fn build(conf: &mut Proxy, family: &str, http2: bool, dirs: &Dirs) -> Result<(), Diag> {
    let conf = &mut conf.secure;
    conf.dir.get_or_insert_with(|| Arc::new(dirs.conf.clone()));
    let nowhere = |text: String| Diag::emerg(text).nowhere();
    let mut spec = conf.spec(family).map_err(nowhere)?;
    if http2 {
        spec.alpn.push(b"h2".to_vec());
    }
    let tls = ClientTls::build(&spec).map_err(|e| nowhere(e.to_string()))?;
    conf.tls = Some(tls);
    Ok(())
}

/// Performs the handshake over a fresh connection. `host` is a name chosen by a balancer.
pub async fn handshake(
    p: &Passage<'_>,
    stream: Stream,
    host: Option<BString>,
) -> Result<Stream, Fault> {
    let conf = &p.conf().secure;
    let chosen = p.choices().secure.as_ref();
    let (tls, name) = match chosen {
        Some(chosen) => (chosen.tls.clone(), chosen.name.clone()),
        None => {
            let missing = || Fault::Tls("SSL context is missing".into());
            (with_certificate(p, &conf.tls.clone().ok_or_else(missing)?)?, name(p, host))
        }
    };
    let verifies = chosen.map_or(conf.verify.unwrap_or(false), |chosen| chosen.verify);
    let text = name.to_str().ok();
    let sends_name = (chosen.is_some() || conf.server_name.unwrap_or(false))
        && addr::parse_ip(name.as_bstr()).is_none();
    let Stream::Plain(socket) = stream else {
        return Err(Fault::Tls("the connection is secured already".into()));
    };
    let sni = text.filter(|text| sends_name && !text.is_empty() && !text.starts_with('['));
    let hooks = p.r.with_location(|l| *l.scope.part::<SecureHooks>());
    let connected = match hooks.certificate {
        None => tls::connect(socket, &tls, sni).await,
        Some(choose) => {
            tls::connect_choosing(socket, &tls, sni, |version| choose(p.r.clone(), version)).await
        }
    };
    let connected = connected.map_err(|e| Fault::Tls(e.to_string()))?;
    judge(p, hooks, &connected, &name, verifies).await?;
    Ok(connected.stream)
}

/// Judges what the upstream has shown: its chain, scripts after it, its name.
async fn judge(
    p: &Passage<'_>,
    hooks: SecureHooks,
    connected: &Connected,
    name: &[u8],
    verifies: bool,
) -> Result<(), Fault> {
    let mut verdict = Ok(());
    if verifies && !hooks.skips_default_verify.unwrap_or(false) {
        verdict = connected.verify(None);
    }
    if let Some(ask) = hooks.verify {
        let version = Session::of(&connected.stream).map_or(0, |s| s.version());
        let code = verdict.map_or_else(|e| e.code, |()| 0);
        let refused = || Fault::Tls(REFUSED.into());
        let chain = connected.chain().to_vec();
        let code = ask(p.r.clone(), version, chain, code).await.ok_or_else(refused)?;
        verdict = if code == 0 { Ok(()) } else { Err(VerifyError::from_code(code)) };
    }
    if !verifies {
        return Ok(());
    }
    if let Err(VerifyError { code, text }) = verdict {
        let text = format!("upstream SSL certificate verify error: ({code}:{text})");
        return Err(Fault::Tls(text));
    }
    if name.to_str().is_ok_and(|name| !connected.is_for(name)) {
        let name = name.as_bstr();
        let text = format!("upstream SSL certificate does not match \"{name}\"");
        return Err(Fault::Tls(text));
    }
    Ok(())
}

/// OpenSSL's words for a verify callback that says no.
const REFUSED: &str =
    "SSL_do_handshake() failed (SSL: error:0A000086:SSL routines::certificate verify failed)";

/// The settings with the certificate that variables name for this request.
fn with_certificate(p: &Passage<'_>, tls: &ClientTls) -> Result<ClientTls, Fault> {
    let conf = &p.conf().secure;
    let Some((certificate, key)) = conf.own_certificate() else { return Ok(tls.clone()) };
    if certificate.is_constant() && key.is_constant() {
        return Ok(tls.clone());
    }
    let (certificate, key) = (certificate.eval(p.r), key.eval(p.r));
    if certificate.is_empty() {
        return Ok(tls.clone());
    }
    let load = || {
        let certs = tls::load_certs(&conf.path(&certificate))?;
        let passwords = tls::passwords(conf.password_file.as_deref())?;
        tls.with_certificate(certs, &tls::load_key(&conf.path(&key), &passwords)?)
    };
    load().map_err(|e| {
        p.r.log(Level::Error, format_args!("{e}"));
        Fault::Tls("no certificate to show".into())
    })
}

/// The name to ask for and to check, without a port.
fn name(p: &Passage<'_>, host: Option<BString>) -> Bytes {
    let name = match (host, &p.conf().secure.name) {
        (Some(host), _) => Bytes::from(Vec::from(host)),
        (None, Some(name)) => name.eval(p.r),
        (None, None) => Bytes::copy_from_slice(p.target.group.host()),
    };
    without_port(name)
}

/// The name alone of `name:443` and `[::1]:443`.
pub(super) fn without_port(name: Bytes) -> Bytes {
    let after = match name.first() {
        Some(b'[') => memchr::memchr(b']', &name).unwrap_or(0),
        _ => 0,
    };
    match memchr::memchr(b':', &name[after..]) {
        Some(colon) => name.slice(..after + colon),
        None => name,
    }
}

pub(super) fn conf<'b, F: Settings>(b: &'b mut Builder<'_>) -> &'b mut SecureConf {
    &mut b.part::<F>().settings().secure
}

pub(super) fn template<F: Settings>(
    b: &mut Builder<'_>,
    d: &Directive,
    slot: fn(&mut SecureConf) -> &mut Option<Template>,
) -> Result<(), Diag> {
    let value = Template::compile(b, d.arg(1))?;
    d.once(slot(conf::<F>(b)), |_| Ok(value))
}

pub(super) fn path<F: Settings>(
    b: &mut Builder<'_>,
    d: &Directive,
    slot: fn(&mut SecureConf) -> &mut Option<PathBuf>,
) -> Result<(), Diag> {
    let path = b.conf_path(d.arg(1));
    d.once(slot(conf::<F>(b)), |_| Ok(path))
}

pub(super) fn protocols(d: &Directive, slot: &mut Option<Protocols>) -> Result<(), Diag> {
    d.once(slot, |d| {
        for index in 1..=d.arg_count() {
            let word = [d.arg(index).as_bytes()];
            Protocols::from_words(word).ok_or_else(|| d.bad_value(index))?;
        }
        let words = d.args().iter().map(|word| word.text.as_bytes());
        Ok(Protocols::from_words(words).unwrap_or_default())
    })
}

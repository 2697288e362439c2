//! TLS to upstreams: the `proxy_ssl_*` settings and the handshake.
//!
//! ```text
//!  rows ─▶ SecureConf ─ inherit ─ settle (files are read) ─▶ ClientTls ─ handshake ─▶ Stream
//! ```

use std::rc::Rc;

use bstr::{BString, ByteSlice};
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;

use crate::{
    base::log::Level,
    conf::{
        Builder, Diag, Dirs, Part, Scope, inherit,
        row::{HTTP_LEVELS, Row, flag},
    },
    http::request::Request,
    net::{
        addr,
        stream::Stream,
        tls::{self, Chain, Choice, ClientTls, Connected, Session, VerifyError},
    },
    server::secure::{self, secure_rows},
};

use super::{
    family::{Family, Settings},
    fault::Fault,
    passage::Passage,
    settings::{Proxy, Version},
};

pub type SecureConf = secure::SecureConf<Request>;

pub const ROWS: &[Row] = secure_rows!("proxy", HTTP_LEVELS, conf::<Proxy>);

/// Accepted for `proxy_ssl_*` only.
pub const PROXY_ROWS: &[Row] =
    &[flag("proxy_ssl_early_data", HTTP_LEVELS, |_, d| d.flag(1).map(drop))];

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
            let alpn: &[&[u8]] = if http2 { &[b"h2"] } else { &[] };
            conf.secure.build(family.name(), alpn, dirs)?;
        }
    }
    Ok(())
}

/// The name that is shown to the peer and checked: a balancer may have chosen it.
pub fn shown_name(p: &Passage<'_>) -> Bytes {
    match p.choices().secure.as_ref() {
        Some(chosen) => chosen.name.clone(),
        None => name(p, p.chosen_host()),
    }
}

/// Performs the handshake over a fresh connection.
pub async fn handshake(p: &Passage<'_>, stream: Stream) -> Result<Stream, Fault> {
    let conf = &p.conf().secure;
    let chosen = p.choices().secure.as_ref();
    let tls = match chosen {
        Some(chosen) => chosen.tls.clone(),
        None => {
            let missing = || Fault::Tls("SSL context is missing".into());
            with_certificate(p, &conf.tls.clone().ok_or_else(missing)?)?
        }
    };
    let name = shown_name(p);
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
    p.conf().secure.with_certificate(p.r, tls).map_err(|e| {
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
    secure::without_port(name)
}

pub(super) fn conf<'b, F: Settings>(b: &'b mut Builder<'_>) -> &'b mut SecureConf {
    &mut b.part::<F>().settings().secure
}

//! `sock:sslhandshake`, and the `lua_ssl_*` settings behind it.

use std::ffi::{CStr, c_int};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use bstr::ByteSlice;

use super::failure::Failure;
use super::link::Link;
use super::tcp::{Mark, Tcp, complain_closed};
use super::{location_of, own_socket};
use crate::base::log::Level;
use crate::conf::row::{HTTP_LEVELS, Row, at_least, row, take};
use crate::conf::{Builder, Diag, Directive, Part, inherit};
use crate::lua::api::ssl::handles::{self, Item};
use crate::lua::ctx::Ctx;
use crate::lua::raw::{Call, Raise, Reply};
use crate::lua::worker;
use crate::net::stream::Stream;
use crate::net::tls::{self, Chain, ClientSpec, ClientTls, Protocols, Suites, VerifyError};

/// `lua_ssl_*` of a location.
#[derive(Default)]
pub struct SslConf {
    protocols: Option<Protocols>,
    suites: Option<Suites>,
    verify_depth: Option<u64>,
    trusted: Option<PathBuf>,
    crl: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    /// Made at the first handshake of the location.
    client: OnceLock<Result<Arc<ClientTls>, String>>,
}

impl Part for SslConf {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: protocols, suites, verify_depth, trusted, crl, certificate, key);
    }
}

pub const ROWS: &[Row] = &[
    row("lua_ssl_protocols", HTTP_LEVELS, at_least(1), set_protocols),
    row("lua_ssl_ciphers", HTTP_LEVELS, take(1), set_ciphers),
    row("lua_ssl_verify_depth", HTTP_LEVELS, take(1), |b, d| {
        d.number_slot(&mut b.part::<SslConf>().verify_depth)
    }),
    row("lua_ssl_trusted_certificate", HTTP_LEVELS, take(1), |b, d| {
        let path = file(b, d)?;
        d.once(&mut b.part::<SslConf>().trusted, |_| Ok(path))
    }),
    row("lua_ssl_crl", HTTP_LEVELS, take(1), |b, d| {
        let path = file(b, d)?;
        d.once(&mut b.part::<SslConf>().crl, |_| Ok(path))
    }),
    row("lua_ssl_certificate", HTTP_LEVELS, take(1), |b, d| {
        let path = file(b, d)?;
        d.once(&mut b.part::<SslConf>().certificate, |_| Ok(path))
    }),
    row("lua_ssl_certificate_key", HTTP_LEVELS, take(1), |b, d| {
        let path = file(b, d)?;
        d.once(&mut b.part::<SslConf>().key, |_| Ok(path))
    }),
    // OpenSSL's own commands have no counterpart here.
    row("lua_ssl_conf_command", HTTP_LEVELS, take(2), |_, _| Ok(())),
    row("lua_ssl_key_log", HTTP_LEVELS, take(1), |_, _| Ok(())),
];

/// A file of the configuration folder that must be readable.
fn file(b: &mut Builder<'_>, d: &Directive) -> Result<PathBuf, Diag> {
    let path = b.conf_path(d.arg(1));
    match std::fs::File::open(&path) {
        Ok(_) => Ok(path),
        Err(error) => Err(Diag::emerg(format!(
            "SSL_CTX_load_verify_locations(\"{}\") failed {}",
            path.display(),
            crate::base::errno::Errno(&error)
        ))),
    }
}

fn set_protocols(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let words = d.args().iter().map(|word| word.text.as_bytes());
    let protocols = Protocols::from_words(words).ok_or_else(|| d.bad_value(1))?;
    d.once(&mut b.part::<SslConf>().protocols, |_| Ok(protocols))
}

fn set_ciphers(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let text = d.arg(1).to_str_lossy().into_owned();
    let suites = Suites::parse(&text).ok_or_else(|| {
        Diag::emerg(format!("SSL_CTX_set_cipher_list(\"{text}\") failed (SSL: no cipher match)"))
    })?;
    d.once(&mut b.part::<SslConf>().suites, |_| Ok(suites))
}

impl SslConf {
    fn client(&self) -> Result<Arc<ClientTls>, String> {
        let build = || {
            let spec = ClientSpec {
                protocols: self.protocols.unwrap_or_default(),
                suites: self.suites.clone().unwrap_or_default(),
                trusted: self.trusted.clone(),
                crl: self.crl.clone(),
                depth: self.verify_depth.map(|depth| depth as u32),
                certificate: self.certificate.clone().zip(self.key.clone()),
                ..ClientSpec::default()
            };
            ClientTls::build(&spec).map(Arc::new).map_err(|error| error.to_string())
        };
        self.client.get_or_init(build).clone()
    }
}

/// The client side of TLS where this code runs, or where its timer was made.
pub fn client(c: &Call<'_>) -> Result<Arc<ClientTls>, String> {
    match (location_of(c), worker::http()) {
        (Some(location), _) => location.scope.part::<SslConf>().client(),
        (None, Some(http)) => http.scope.part::<SslConf>().client(),
        (None, None) => SslConf::default().client(),
    }
}

/// `getsslsession(id)`: a handle of the session, to go on with in another handshake.
pub fn getsslsession(c: &Call<'_>) -> Result<c_int, Raise> {
    let socket = own_socket(c)?;
    if socket.linked().is_none() {
        return c.fail("closed");
    }
    match &*socket.session.borrow() {
        Some(session) => c.ret(handles::keep(Item::Session(Arc::clone(session)))),
        None => c.fail("not ssl connection"),
    }
}

/// `setclientcert(id, chain | nil, key | nil)`
pub fn setclientcert(c: &Call<'_>) -> Result<c_int, Raise> {
    let socket = own_socket(c)?;
    let (chain, key) = (c.opt_num(2)?, c.opt_num(3)?);
    let own = match (chain.and_then(handles::chain), key.and_then(handles::key)) {
        (Some(chain), Some(key)) => Some((chain.to_vec(), key.clone_key())),
        _ if chain.is_none() && key.is_none() => None,
        _ => return c.fail("invalid client certificate or private key"),
    };
    socket.own_certificate.replace(own);
    c.ret(true)
}

/// Trusts these authorities in the handshake of a socket to come; none takes that back.
pub fn trust(id: f64, authorities: Chain) -> Result<(), &'static CStr> {
    let socket = super::socket(id).ok_or(c"closed")?;
    if socket.linked().is_none() {
        return Err(c"closed");
    }
    if socket.secured.get() {
        return Err(
            c"ssl handshake already done; trusted store cannot be changed on an established TLS \
              connection",
        );
    }
    socket.trusted.replace((!authorities.is_empty()).then_some(authorities));
    Ok(())
}

/// The settings of one handshake: those of the location, with what the script has added.
fn settings_of(socket: &Tcp, tls: &ClientTls, older: Option<f64>) -> Result<ClientTls, String> {
    let session = older.and_then(handles::session).unwrap_or_default();
    let mut tls = tls.with_session(&session);
    socket.session.replace(Some(session));
    if let Some((chain, key)) = &*socket.own_certificate.borrow() {
        tls = tls.with_certificate(chain.clone(), key).map_err(|e| e.to_string())?;
    }
    if let Some(trusted) = &*socket.trusted.borrow() {
        tls = tls.with_trusted(trusted.clone());
    }
    Ok(tls)
}

/// `sslhandshake(id, server name | nil, verify, session | nil)`: true, or nil and the reason.
pub fn sslhandshake(c: &Call<'_>) -> Result<c_int, Raise> {
    let socket = own_socket(c)?;
    if socket.linked().is_none() || socket.read_closed.get() || socket.write_closed.get() {
        complain_closed(c, &socket, "do ssl handshake");
        return c.fail("closed");
    }
    if let Some(word) = socket.busy_word(true, true) {
        return c.fail(word);
    }
    if socket.linked().is_some_and(|link| link.is_request()) {
        return c.fail("attempt to do ssl handshake on a request socket");
    }
    if socket.secured.get() {
        return c.ret(true);
    }
    let name = c.opt_bytes(2)?.map(|name| name.to_str_lossy().into_owned());
    let verify = c.truthy(3);
    let tls = match client(c) {
        Ok(tls) => tls,
        Err(reason) => return c.fail(reason),
    };
    let tls = match settings_of(&socket, &tls, c.opt_num(4)?) {
        Ok(tls) => tls,
        Err(reason) => return c.fail(reason),
    };
    let ctx = Rc::clone(c.ctx()?);
    if let Some(name) = &name {
        ctx.log(Level::Debug, &format!("lua ssl server name: \"{name}\""));
    }
    c.ask(handshake(ctx, socket, tls, name, verify))
}

async fn handshake(
    ctx: Rc<Ctx>,
    socket: Rc<Tcp>,
    tls: ClientTls,
    name: Option<String>,
    verify: bool,
) -> Reply {
    let _busy = Mark::set(&socket, |busy| &busy.connecting);
    let link = socket.link.borrow_mut().take().and_then(Rc::into_inner);
    let Some(Link::Own(stream)) = link else { return Reply::fail("closed") };
    let Stream::Plain(plain) = stream.into_inner() else { return Reply::one(true) };
    let complain = |text: &str| {
        if socket.settings.log_errors {
            ctx.log(Level::Error, text);
        }
    };
    let limit = std::time::Duration::from_millis(socket.connect_timeout_ms.get());
    let shaken = tokio::time::timeout(limit, tls::connect(plain, &tls, name.as_deref())).await;
    let connected = match shaken {
        Ok(Ok(connected)) => connected,
        Ok(Err(error)) => {
            complain(&error.to_string());
            socket.abandon();
            return Reply::fail("handshake failed");
        }
        Err(_) => {
            complain("lua ssl handshake timed out");
            socket.abandon();
            return Failure::Timeout.reply();
        }
    };
    if verify && let Err(error) = connected.verify(name.as_deref()) {
        complain(&format!("lua {}", verify_words(&error, name.as_deref())));
        socket.abandon();
        return Reply::fail(error.to_string());
    }
    socket.attach(Link::Own(connected.stream.into()));
    socket.secured.set(true);
    Reply::one(true)
}

/// The log line of a certificate that was refused, as lua-nginx-module writes it.
fn verify_words(error: &VerifyError, name: Option<&str>) -> String {
    let text = error.to_string();
    match text.split_once(": ") {
        Some((code, reason)) if code.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("ssl certificate verify error: ({code}: {reason})")
        }
        _ => format!("ssl certificate does not match host \"{}\"", name.unwrap_or_default()),
    }
}

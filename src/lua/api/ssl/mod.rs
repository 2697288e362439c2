//! `ngx.ssl`, `ngx.ssl.clienthello`, `ngx.ssl.session`, `ngx.proxyssl` and their kin.
//!
//! ```text
//!  parse ─▶ handles ─▶ set_cert, set_priv_key ─▶ Draft of the handshake (ours or the upstream's)
//!  questions ─▶ Shaking in a handshake's script, the connection's session in a request's
//! ```

use std::ffi::c_int;
use std::rc::Rc;

use super::Topic;
use crate::lua::ctx::Ctx;
use crate::lua::handshake::{Draft, Shaking};
use crate::lua::phase::{ANY, Phase};
use crate::lua::proxy_tls::ProxyTls;
use crate::lua::raw::{Call, Op, Raise, Val};
use crate::net::addr::Addr;
use crate::net::tls::{self, Chain, Key, Protocols};

pub mod handles;
pub mod ocsp;

use handles::Item;

pub const TOPIC: Topic = Topic::of(&[
    Op { name: "ssl.free", phases: ANY, run: free },
    Op { name: "ssl.parse_pem_cert", phases: ANY, run: |c| chain_of(c, tls::certs_of, NO_PEM) },
    Op { name: "ssl.parse_der_cert", phases: ANY, run: |c| chain_of(c, tls::certs_of_der, NO_DER) },
    Op { name: "ssl.parse_pem_priv_key", phases: ANY, run: |c| key_of(c, tls::key_of, NO_KEY) },
    Op {
        name: "ssl.parse_der_priv_key",
        phases: ANY,
        run: |c| key_of(c, tls::key_of_der, NO_DER_KEY),
    },
    Op { name: "ssl.cert_pem_to_der", phases: ANY, run: cert_pem_to_der },
    Op { name: "ssl.priv_key_pem_to_der", phases: ANY, run: priv_key_pem_to_der },
    Op { name: "ssl.set_cert", phases: ANY, run: set_cert },
    Op { name: "ssl.set_priv_key", phases: ANY, run: set_priv_key },
    Op { name: "ssl.set_der_cert", phases: ANY, run: set_der_cert },
    Op { name: "ssl.set_der_priv_key", phases: ANY, run: set_der_priv_key },
    Op { name: "ssl.clear_certs", phases: ANY, run: clear_certs },
    Op { name: "ssl.set_ocsp_status_resp", phases: ANY, run: set_ocsp_status_resp },
    Op { name: "ssl.verify_client", phases: ANY, run: verify_client },
    Op { name: "ssl.raw_addr", phases: ANY, run: raw_addr },
    Op { name: "ssl.server_port", phases: ANY, run: server_port },
    Op { name: "ssl.server_name", phases: ANY, run: server_name },
    Op { name: "ssl.version", phases: ANY, run: version },
    Op { name: "ssl.client_random", phases: ANY, run: client_random },
    Op { name: "ssl.upstream_version", phases: ANY, run: upstream_version },
    Op { name: "hello.server_name", phases: ANY, run: hello_server_name },
    Op { name: "hello.ext", phases: ANY, run: hello_ext },
    Op { name: "hello.ext_present", phases: ANY, run: hello_ext_present },
    Op { name: "hello.ciphers", phases: ANY, run: hello_ciphers },
    Op { name: "hello.versions", phases: ANY, run: hello_versions },
    Op { name: "hello.set_protocols", phases: ANY, run: hello_set_protocols },
    Op { name: "session.id", phases: ANY, run: session_id },
    Op { name: "session.serialized", phases: ANY, run: session_serialized },
    Op { name: "session.set", phases: ANY, run: session_set },
    Op { name: "verify.result", phases: ANY, run: verify_result },
    Op { name: "verify.set_result", phases: ANY, run: set_verify_result },
    Op { name: "verify.cert", phases: ANY, run: verify_cert },
]);

type Answer = Result<c_int, Raise>;

/// A change made, or why not.
pub type Done = Result<(), &'static str>;

fn free(c: &Call<'_>) -> Answer {
    handles::free(c.num(1)?);
    Ok(0)
}

fn chain_of(c: &Call<'_>, parse: fn(&[u8]) -> Option<Chain>, failed: &'static str) -> Answer {
    match parse(c.bytes(1)?) {
        Some(chain) => c.ret(handles::keep(Item::Chain(Rc::new(chain)))),
        None => c.fail(failed),
    }
}

fn key_of(c: &Call<'_>, parse: fn(&[u8]) -> Option<Key>, failed: &'static str) -> Answer {
    match parse(c.bytes(1)?) {
        Some(key) => c.ret(handles::keep(Item::Key(Rc::new(key)))),
        None => c.fail(failed),
    }
}

fn cert_pem_to_der(c: &Call<'_>) -> Answer {
    match tls::certs_of(c.bytes(1)?) {
        Some(chain) => {
            let der: Vec<u8> = chain.iter().flat_map(|cert| cert.as_ref()).copied().collect();
            c.ret(der)
        }
        None => c.fail(NO_PEM),
    }
}

fn priv_key_pem_to_der(c: &Call<'_>) -> Answer {
    match tls::key_of(c.bytes(1)?) {
        Some(key) => c.ret(key.secret_der()),
        None => c.fail(NO_KEY),
    }
}

/// The handshake whose script runs, if it is in one of these phases.
fn shaking(c: &Call<'_>, phases: u32) -> Result<Rc<Shaking>, &'static str> {
    shaking_of(c.try_ctx(), phases)
}

pub fn shaking_of(ctx: Option<&Rc<Ctx>>, phases: u32) -> Result<Rc<Shaking>, &'static str> {
    let ctx = ctx.ok_or("no request ctx found")?;
    let shaking = ctx.shaking.as_ref().ok_or(DISABLED)?;
    if phases & ctx.phase.bit() == 0 { Err(DISABLED) } else { Ok(Rc::clone(shaking)) }
}

/// The handshake with an upstream whose script runs.
fn proxy(ctx: Option<&Rc<Ctx>>, phases: u32) -> Result<Rc<ProxyTls>, &'static str> {
    let ctx = ctx.ok_or("no request ctx found")?;
    let r = ctx.request.as_ref().ok_or("no request found")?;
    if phases & ctx.phase.bit() == 0 { Err(DISABLED) } else { Ok(r.ext::<ProxyTls>()) }
}

macro_rules! or_fail {
    ($c:expr, $value:expr) => {
        match $value {
            Ok(value) => value,
            Err(reason) => return $c.fail(reason),
        }
    };
}

/// Changes the certificates of the handshake, on the side it is for.
pub fn change(
    ctx: Option<&Rc<Ctx>>,
    is_upstream: bool,
    change: impl FnOnce(&mut Draft) -> Done,
) -> Done {
    if is_upstream {
        let state = proxy(ctx, Phase::ProxySslCert.bit())?;
        return change(&mut state.draft.borrow_mut());
    }
    let shaking = shaking_of(ctx, CERTIFICATE)?;
    change(&mut shaking.draft.borrow_mut())
}

/// The same for a native function, whose argument 2 tells the side.
fn change_by(c: &Call<'_>, by: impl FnOnce(&mut Draft) -> Done) -> Answer {
    or_fail!(c, change(c.try_ctx(), c.truthy(2), by));
    c.ret(true)
}

pub fn set_chain(draft: &mut Draft, chain: Chain) -> Done {
    draft.chain = Some(chain);
    draft.join().map_err(|_| "SSL_use_certificate() failed")
}

pub fn set_key(draft: &mut Draft, key: Key) -> Done {
    draft.key = Some(key);
    draft.join().map_err(|_| "SSL_use_PrivateKey() failed")
}

fn set_cert(c: &Call<'_>) -> Answer {
    let Some(chain) = handles::chain(c.num(1)?) else { return c.fail(BAD_CHAIN) };
    change_by(c, |draft| set_chain(draft, Chain::clone(&chain)))
}

fn set_priv_key(c: &Call<'_>) -> Answer {
    let Some(key) = handles::key(c.num(1)?) else { return c.fail(BAD_KEY) };
    change_by(c, |draft| set_key(draft, key.clone_key()))
}

fn set_der_cert(c: &Call<'_>) -> Answer {
    let chain = tls::certs_of_der(c.bytes(1)?).ok_or(NO_DER);
    change_by(c, |draft| set_chain(draft, chain?))
}

fn set_der_priv_key(c: &Call<'_>) -> Answer {
    let key = tls::key_of_der(c.bytes(1)?).ok_or(NO_DER_KEY);
    change_by(c, |draft| set_key(draft, key?))
}

fn clear_certs(c: &Call<'_>) -> Answer {
    change_by(c, |draft| {
        draft.clear();
        Ok(())
    })
}

/// A response for a client that did not ask for one is dropped.
fn set_ocsp_status_resp(c: &Call<'_>) -> Answer {
    let response = c.bytes(1)?.to_vec();
    let shaking = or_fail!(c, shaking(c, CERTIFICATE));
    if shaking.hello.extension(STATUS_REQUEST).is_none() {
        return c.ret((true, "no status req"));
    }
    shaking.draft.borrow_mut().ocsp = Some(response);
    c.ret(true)
}

/// `(authorities | nil, depth | nil, trusted | nil)`
fn verify_client(c: &Call<'_>) -> Answer {
    let depth = c.opt_int(2)?.and_then(|depth| u32::try_from(depth).ok());
    let done = ask_client(c.try_ctx(), c.opt_num(1)?, depth, c.opt_num(3)?);
    or_fail!(c, done);
    c.ret(true)
}

/// Asks the client for a certificate; chains by their handles.
pub fn ask_client(
    ctx: Option<&Rc<Ctx>>,
    authorities: Option<f64>,
    depth: Option<u32>,
    trusted: Option<f64>,
) -> Done {
    let shaking = shaking_of(ctx, CERTIFICATE)?;
    let chain = |handle: Option<f64>| {
        let chain = handle.and_then(handles::chain);
        chain.map(|chain| Chain::clone(&chain)).unwrap_or_default()
    };
    let (authorities, trusted) = (chain(authorities), chain(trusted));
    let changed = shaking.tls.borrow().with_client_auth(&authorities, &trusted, depth);
    shaking.tls.replace(changed.map_err(|_| "SSL_set_verify() failed")?);
    Ok(())
}

/// What a script may ask about the client's connection, wherever it runs.
fn downstream<T>(
    c: &Call<'_>,
    of_shaking: impl FnOnce(&Shaking) -> T,
    of_request: impl FnOnce(&crate::http::Request) -> Option<T>,
) -> Result<T, &'static str> {
    let ctx = c.try_ctx().ok_or("no request found")?;
    match (&ctx.shaking, &ctx.request) {
        (Some(shaking), _) => Ok(of_shaking(shaking)),
        (None, Some(r)) => of_request(r).ok_or("bad ssl conn"),
        (None, None) => Err("bad request"),
    }
}

/// `(is the server's side wanted)`: the bytes of an address and what they are.
fn raw_addr(c: &Call<'_>) -> Answer {
    let local = c.truthy(1);
    let own = |l: &Addr, p: &Addr| if local { l.clone() } else { p.clone() };
    let addr =
        downstream(c, |s| own(&s.local, &s.peer), |r| Some(own(&r.conn.local, &r.conn.peer())));
    let (bytes, kind) = match or_fail!(c, addr) {
        Addr::Inet(at) => match at.ip() {
            std::net::IpAddr::V4(ip) => (ip.octets().to_vec(), "inet"),
            std::net::IpAddr::V6(ip) => (ip.octets().to_vec(), "inet6"),
        },
        Addr::Unix(path) => (path.to_vec(), "unix"),
    };
    c.ret((bytes.as_slice(), kind))
}

fn server_port(c: &Call<'_>) -> Answer {
    let addr = downstream(c, |s| s.local.clone(), |r| Some(r.conn.local.clone()));
    match or_fail!(c, addr) {
        Addr::Inet(at) => c.ret(at.port()),
        Addr::Unix(_) => c.fail("unix domain has no port"),
    }
}

fn server_name(c: &Call<'_>) -> Answer {
    let name = downstream(
        c,
        |s| s.hello.server_name.clone(),
        |r| crate::http::tls::session(&r.conn).map(|session| session.server_name.clone()),
    );
    match or_fail!(c, name) {
        Some(name) => c.ret(name.as_str()),
        None => c.ret(()),
    }
}

fn version(c: &Call<'_>) -> Answer {
    let session = |r: &crate::http::Request| crate::http::tls::session(&r.conn);
    let version = downstream(c, Shaking::version, |r| session(r).map(|s| s.version()));
    c.ret(or_fail!(c, version))
}

/// `(length)`; 0 asks how many bytes there are.
fn client_random(c: &Call<'_>) -> Answer {
    let shaking = or_fail!(c, shaking(c, ANY));
    let random = shaking.hello.random();
    match c.opt_int(1)? {
        Some(0) => c.ret(random.len()),
        Some(length) => c.ret(&random[..random.len().min(length.max(0) as usize)]),
        None => c.ret(random),
    }
}

fn upstream_version(c: &Call<'_>) -> Answer {
    let ctx = c.ctx()?;
    let state = or_fail!(c, ctx.request.as_ref().ok_or("bad request")).ext::<ProxyTls>();
    match state.version.get() {
        0 => c.fail("bad upstream connection"),
        version => c.ret(version),
    }
}

fn hello_server_name(c: &Call<'_>) -> Answer {
    let shaking = or_fail!(c, shaking(c, HELLO));
    match shaking.hello.raw_server_name() {
        Some(name) => c.ret(name),
        None => c.ret(()),
    }
}

fn hello_ext(c: &Call<'_>) -> Answer {
    let shaking = or_fail!(c, shaking(c, HELLO));
    let kind = u16::try_from(c.int(1)?).ok();
    match kind.and_then(|kind| shaking.hello.extension(kind)) {
        Some(data) => c.ret(data),
        None => c.ret(()),
    }
}

fn hello_ext_present(c: &Call<'_>) -> Answer {
    let shaking = or_fail!(c, shaking(c, HELLO));
    list(c, shaking.hello.extensions().into_iter().map(|(kind, _)| kind))
}

fn hello_ciphers(c: &Call<'_>) -> Answer {
    let shaking = or_fail!(c, shaking(c, HELLO));
    list(c, shaking.hello.ciphers())
}

fn hello_versions(c: &Call<'_>) -> Answer {
    let shaking = or_fail!(c, shaking(c, HELLO));
    match shaking.hello.supported_versions() {
        Some(versions) => list(c, versions),
        None => c.ret(()),
    }
}

/// Numbers as a list, without the ones clients make up to keep servers tolerant (GREASE).
fn list(c: &Call<'_>, numbers: impl IntoIterator<Item = u16>) -> Answer {
    let real = numbers.into_iter().filter(|n| n & 0x0f0f != 0x0a0a);
    let values = real.map(|n| Val::Num(f64::from(n))).collect();
    c.ret(Val::List(values))
}

/// `(is TLS 1.2 wanted, is TLS 1.3 wanted)`
fn hello_set_protocols(c: &Call<'_>) -> Answer {
    let shaking = or_fail!(c, shaking(c, HELLO));
    let protocols = Protocols { tls12: c.truthy(1), tls13: c.truthy(2) };
    let changed = shaking.tls.borrow().with_protocols(protocols);
    let changed = or_fail!(c, changed.map_err(|_| "SSL_set_options() failed"));
    shaking.tls.replace(changed);
    c.ret(true)
}

fn session_id(c: &Call<'_>) -> Answer {
    let shaking = or_fail!(c, shaking(c, SESSION));
    let id = shaking.session_id.borrow();
    c.ret(hex(&id).as_str())
}

fn session_serialized(c: &Call<'_>) -> Answer {
    let shaking = or_fail!(c, shaking(c, Phase::SslSessStore.bit()));
    let session = shaking.session.borrow();
    c.ret(session.as_slice())
}

fn session_set(c: &Call<'_>) -> Answer {
    let shaking = or_fail!(c, shaking(c, Phase::SslSessFetch.bit()));
    let session = c.bytes(1)?;
    if session.is_empty() {
        return c.fail("failed to de-serialize session");
    }
    shaking.resume(session.to_vec());
    c.ret(true)
}

fn verify_result(c: &Call<'_>) -> Answer {
    let state = or_fail!(c, proxy(c.try_ctx(), Phase::ProxySslVerify.bit()));
    c.ret(state.verdict.get())
}

fn set_verify_result(c: &Call<'_>) -> Answer {
    let state = or_fail!(c, proxy(c.try_ctx(), Phase::ProxySslVerify.bit()));
    state.verdict.set(u32::try_from(c.int(1)?).unwrap_or(UNSPECIFIED));
    c.ret(true)
}

fn verify_cert(c: &Call<'_>) -> Answer {
    let state = or_fail!(c, proxy(c.try_ctx(), Phase::ProxySslVerify.bit()));
    let chain = state.chain.borrow().clone();
    c.ret(handles::keep(Item::Chain(Rc::new(chain))))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

pub const BAD_CHAIN: &str = "invalid certificate chain";
pub const BAD_KEY: &str = "invalid private key";
const DISABLED: &str = "API disabled in the current context";
pub const NO_PEM: &str = "PEM_read_bio_X509_AUX() failed";
pub const NO_DER: &str = "d2i_X509_bio() failed";
pub const NO_KEY: &str = "PEM_read_bio_PrivateKey() failed";
pub const NO_DER_KEY: &str = "d2i_PrivateKey_bio() failed";

const CERTIFICATE: u32 = Phase::SslCert.bit() | Phase::SslClientHello.bit();
const HELLO: u32 = Phase::SslClientHello.bit();
const SESSION: u32 = Phase::SslSessFetch.bit() | Phase::SslSessStore.bit();

/// `X509_V_ERR_UNSPECIFIED`
/// The extension by which a client asks for a stapled response.
const STATUS_REQUEST: u16 = 5;
const UNSPECIFIED: u32 = 1;

//! The `ssl_*` directives of a server, and the settings they become once the server is complete.

use std::path::PathBuf;

use bstr::{BString, ByteSlice};

use crate::{
    base::units,
    conf::{
        Builder, Diag, Directive, Part, Scope, inherit,
        row::{HTTP, Row, SERVER, STREAM, STREAM_SERVER, args, at_least, flag, row, take},
    },
    net::tls::{ClientAuth, LoadError, Protocols, ServerSpec, ServerTls, Suites},
};

/// What `ssl_*` directives say in one block.
#[derive(Default)]
pub struct TlsConf {
    certificates: Option<Vec<PathBuf>>,
    keys: Option<Vec<PathBuf>>,
    protocols: Option<Protocols>,
    ciphers: Option<BString>,
    prefer_server_ciphers: Option<bool>,
    verify_client: Option<ClientAuth>,
    verify_depth: Option<u64>,
    client_certificate: Option<PathBuf>,
    trusted_certificate: Option<PathBuf>,
    crl: Option<PathBuf>,
    session_tickets: Option<bool>,
    session_cache: Option<bool>,
    password_file: Option<PathBuf>,
    reject_handshake: Option<bool>,
    accepted: Vec<BString>,
}

impl Part for TlsConf {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: certificates, keys, protocols, ciphers, prefer_server_ciphers,
            verify_client, verify_depth, client_certificate, trusted_certificate, crl,
            session_tickets, session_cache, password_file, reject_handshake);
    }
}

/// TLS of one server block.
#[derive(Debug, Default)]
pub struct ServerSide {
    /// None: the block names no certificate.
    pub tls: Option<ServerTls>,
    /// `ssl_verify_client`: holds for a block without a certificate of its own, too.
    pub client_auth: ClientAuth,
    /// `ssl_reject_handshake`
    pub rejects: bool,
}

const LEVELS: u32 = HTTP | SERVER | STREAM | STREAM_SERVER;

pub const ROWS: &[Row] = &[
    row("ssl_certificate", LEVELS, take(1), |b, d| {
        let path = b.conf_path(d.arg(1));
        conf(b).certificates.get_or_insert_default().push(path);
        Ok(())
    }),
    row("ssl_certificate_key", LEVELS, take(1), |b, d| {
        let path = b.conf_path(d.arg(1));
        conf(b).keys.get_or_insert_default().push(path);
        Ok(())
    }),
    row("ssl_protocols", LEVELS, at_least(1), |b, d| d.once(&mut conf(b).protocols, protocols)),
    row("ssl_ciphers", LEVELS, take(1), |b, d| d.str_slot(&mut conf(b).ciphers)),
    flag("ssl_prefer_server_ciphers", LEVELS, |b, d| {
        d.flag_slot(&mut conf(b).prefer_server_ciphers)
    }),
    row("ssl_verify_client", LEVELS, take(1), |b, d| {
        d.choice_slot(&mut conf(b).verify_client, CLIENT_AUTH)
    }),
    row("ssl_verify_depth", LEVELS, take(1), |b, d| d.number_slot(&mut conf(b).verify_depth)),
    row("ssl_client_certificate", LEVELS, take(1), |b, d| {
        path_slot(b, d, |conf| &mut conf.client_certificate)
    }),
    row("ssl_trusted_certificate", LEVELS, take(1), |b, d| {
        path_slot(b, d, |conf| &mut conf.trusted_certificate)
    }),
    row("ssl_crl", LEVELS, take(1), |b, d| path_slot(b, d, |conf| &mut conf.crl)),
    flag("ssl_session_tickets", LEVELS, |b, d| d.flag_slot(&mut conf(b).session_tickets)),
    flag("ssl_reject_handshake", LEVELS, |b, d| d.flag_slot(&mut conf(b).reject_handshake)),
    row("ssl_session_cache", LEVELS, args(1, 2), session_cache),
    row("ssl_session_timeout", LEVELS, take(1), |b, d| {
        d.sec(1)?;
        accept(b, d)
    }),
    row("ssl_buffer_size", LEVELS, take(1), |b, d| {
        d.size(1)?;
        accept(b, d)
    }),
    row("ssl_dhparam", LEVELS, take(1), accept),
    row("ssl_ecdh_curve", LEVELS, take(1), accept),
    row("ssl_session_ticket_key", LEVELS, take(1), |_, _| Ok(())),
    row("ssl_password_file", LEVELS, take(1), |b, d| {
        path_slot(b, d, |conf| &mut conf.password_file)
    }),
    row("ssl_conf_command", LEVELS, take(2), |b, d| {
        b.warn(format!("\"ssl_conf_command {}\" is ignored", d.arg(1)));
        Ok(())
    }),
    flag("ssl_stapling", LEVELS, ignored_when_on),
    flag("ssl_stapling_verify", LEVELS, ignored_when_on),
    flag("ssl_early_data", LEVELS, ignored_when_on),
    row("ssl_stapling_file", LEVELS, take(1), accept),
    row("ssl_stapling_responder", LEVELS, take(1), accept),
    row("ssl_ocsp", LEVELS, take(1), |b, d| match d.arg(1).as_bytes() {
        b"off" => accept(b, d),
        _ => Err(d.wrong_arg(1, "\"ssl_ocsp\" is not supported")),
    }),
];

/// Reads the files a finished server names; complaints have no place, as in nginx.
/// `alpn` is what the protocol spoken here is called; empty for any.
pub fn load<A: AsRef<[u8]>>(scope: &Scope, alpn: &[A]) -> Result<ServerSide, Diag> {
    let conf: &TlsConf = scope.part();
    let rejects = conf.reject_handshake.unwrap_or(false);
    let client_auth = conf.verify_client.unwrap_or_default();
    let Some(certificates) = conf.certificates.clone() else {
        return Ok(ServerSide { tls: None, client_auth, rejects });
    };
    let keys = conf.keys.clone().unwrap_or_default();
    if let Some(bare) = certificates.get(keys.len()) {
        let bare = bare.display();
        let text = format!("no \"ssl_certificate_key\" is defined for certificate \"{bare}\"");
        return Err(Diag::emerg(text).nowhere());
    }
    let suites = match &conf.ciphers {
        None => Suites::default(),
        Some(list) => Suites::parse(&list.to_str_lossy())
            .ok_or_else(|| refused(&LoadError::Ciphers(list.to_string())))?,
    };
    let needs_roots = matches!(client_auth, ClientAuth::On | ClientAuth::Optional);
    if needs_roots && conf.client_certificate.is_none() && conf.trusted_certificate.is_none() {
        let text = "no ssl_client_certificate for ssl_verify_client";
        return Err(Diag::emerg(text).nowhere());
    }
    let spec = ServerSpec {
        certificates: certificates.into_iter().zip(keys).collect(),
        password_file: conf.password_file.clone(),
        protocols: conf.protocols.unwrap_or_default(),
        suites,
        prefer_server_ciphers: conf.prefer_server_ciphers.unwrap_or(false),
        client_auth,
        client_roots: conf.client_certificate.clone(),
        trusted: conf.trusted_certificate.clone(),
        crl: conf.crl.clone(),
        depth: conf.verify_depth.map(|n| u32::try_from(n).unwrap_or(u32::MAX)),
        no_tickets: !conf.session_tickets.unwrap_or(true),
        session_cache: conf.session_cache.unwrap_or(false),
        alpn: alpn.iter().map(|name| name.as_ref().to_vec()).collect(),
    };
    let tls = ServerTls::build(&spec).map_err(|e| refused(&e))?;
    Ok(ServerSide { tls: Some(tls), client_auth, rejects })
}

fn refused(error: &LoadError) -> Diag {
    Diag::emerg(error.to_string()).nowhere()
}

fn conf<'b>(b: &'b mut Builder<'_>) -> &'b mut TlsConf {
    b.part()
}

fn protocols(d: &Directive) -> Result<Protocols, Diag> {
    for index in 1..=d.arg_count() {
        Protocols::from_words([d.arg(index).as_bytes()]).ok_or_else(|| d.bad_value(index))?;
    }
    let words = d.args().iter().map(|word| word.text.as_bytes());
    Ok(Protocols::from_words(words).unwrap_or_default())
}

fn path_slot(
    b: &mut Builder<'_>,
    d: &Directive,
    slot: fn(&mut TlsConf) -> &mut Option<PathBuf>,
) -> Result<(), Diag> {
    let path = b.conf_path(d.arg(1));
    d.once(slot(conf(b)), |_| Ok(path))
}

/// There is one kind of cache here, shared by all workers; its size is not the user's to choose.
fn session_cache(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    for index in 1..=d.arg_count() {
        let word = d.arg(index).as_bytes();
        let bad = || d.wrong_arg(index, format!("invalid session cache \"{}\"", d.arg(index)));
        if let Some(zone) = word.strip_prefix(b"shared:") {
            let (_, size) = zone.split_once_str(":").ok_or_else(bad)?;
            let size = units::parse_size(size).ok_or_else(bad)?;
            if size < SESSION_ZONE_LEAST {
                return Err(
                    d.wrong_arg(index, format!("session cache \"{}\" is too small", d.arg(index)))
                );
            }
        } else if !matches!(word, b"off" | b"none" | b"builtin") && !word.starts_with(b"builtin:") {
            return Err(bad());
        }
    }
    let is_on = !matches!(d.arg(1).as_bytes(), b"off" | b"none");
    d.once(&mut conf(b).session_cache, |_| Ok(is_on))
}

fn accept(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let seen = &mut conf(b).accepted;
    if seen.iter().any(|name| name == d.name()) {
        return Err(d.wrong("is duplicate"));
    }
    seen.push(d.name().to_owned());
    Ok(())
}

fn ignored_when_on(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if d.flag(1)? {
        b.warn(format!("\"{}\" ignored, not supported", d.name()));
    }
    accept(b, d)
}

const CLIENT_AUTH: &[(&str, ClientAuth)] = &[
    ("off", ClientAuth::Off),
    ("on", ClientAuth::On),
    ("optional", ClientAuth::Optional),
    ("optional_no_ca", ClientAuth::OptionalNoCa),
];

/// Eight pages, nginx's least shared zone.
const SESSION_ZONE_LEAST: usize = 8 * 4096;

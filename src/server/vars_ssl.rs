//! The variables of a TLS connection: `$ssl_protocol`, `$ssl_client_s_dn` and their kind.

use std::{fmt::Write as _, rc::Rc};

use bytes::Bytes;

use crate::{
    base::{clock, date, escape},
    net::tls::{Cert, ClientAuth, ServerTls, Session},
};

use super::vars::{Subject, VarRow, var, var_live};

/// A subject that may have come over TLS.
pub trait Secured: Subject {
    /// The facts of its handshake.
    fn session(&self) -> Option<Rc<Session>>;

    /// The settings it was accepted with.
    fn settings(&self) -> Option<ServerTls>;
}

/// The variables of one kind of subject.
pub struct Vars<S>(std::marker::PhantomData<S>);

impl<S: Secured> Vars<S> {
    pub const ROWS: &'static [VarRow<S>] = &[
        var("ssl_protocol", |r, _| of(r, |s| s.protocol.into())),
        var("ssl_cipher", |r, _| of(r, |s| s.cipher.into())),
        var("ssl_server_name", |r, _| of(r, |s| s.server_name.clone().unwrap_or_default())),
        var("ssl_session_reused", |r, _| of(r, |s| if s.reused { "r" } else { "." }.into())),
        var("ssl_session_id", |r, _| of(r, |_| String::new())),
        var("ssl_curve", |r, _| of(r, |s| s.curve.into())),
        // What a client offers is not kept by the TLS library.
        var("ssl_ciphers", |r, _| of(r, |s| s.cipher.into())),
        var("ssl_curves", |r, _| of(r, |s| s.curve.into())),
        var("ssl_early_data", |r, _| of(r, |_| String::new())),
        var("ssl_alpn_protocol", |r, _| {
            of(r, |s| String::from_utf8_lossy(s.alpn.as_deref().unwrap_or_default()).into_owned())
        }),
        var_live("ssl_client_verify", |r, _| verify(r)),
        var("ssl_client_s_dn", |r, _| of_client(r, |c| c.subject_text())),
        var("ssl_client_i_dn", |r, _| of_client(r, |c| c.issuer_text())),
        var("ssl_client_s_dn_legacy", |r, _| of_client(r, |c| c.subject_oneline())),
        var("ssl_client_i_dn_legacy", |r, _| of_client(r, |c| c.issuer_oneline())),
        var("ssl_client_serial", |r, _| of_client(r, |c| c.serial_text())),
        var("ssl_client_v_start", |r, _| of_client(r, |c| date::cert_time(c.not_before))),
        var("ssl_client_v_end", |r, _| of_client(r, |c| date::cert_time(c.not_after))),
        var("ssl_client_v_remain", |r, _| {
            of_client(r, |c| ((c.not_after - clock::wall().secs).max(0) / 86_400).to_string())
        }),
        var("ssl_client_fingerprint", |r, _| of_client_der(r, fingerprint)),
        var("ssl_client_raw_cert", |r, _| of_client_der(r, pem)),
        var("ssl_client_escaped_cert", |r, _| {
            of_client_der(r, |der| {
                String::from_utf8_lossy(&escape::uri(pem(der).as_bytes(), &escape::URI_COMPONENT))
                    .into_owned()
            })
        }),
        // The old form, every line after the first indented by a tab, so that it fits a header.
        var("ssl_client_cert", |r, _| {
            of_client_der(r, |der| pem(der).trim_end().replace('\n', "\n\t"))
        }),
    ];
}

fn of<S: Secured>(r: &Rc<S>, read: impl FnOnce(&Session) -> String) -> Option<Bytes> {
    let session = r.session()?;
    // What is empty counts as not found, as in nginx.
    Some(read(&session)).filter(|text| !text.is_empty()).map(Bytes::from)
}

fn of_client_der<S: Secured>(r: &Rc<S>, read: impl FnOnce(&[u8]) -> String) -> Option<Bytes> {
    of(r, |session| session.peer_chain.first().map(|der| read(der)).unwrap_or_default())
}

fn of_client<S: Secured>(r: &Rc<S>, read: impl FnOnce(Cert<'_>) -> String) -> Option<Bytes> {
    of_client_der(r, |der| Cert::parse(der).map(read).unwrap_or_default())
}

/// `NONE`, `SUCCESS` or `FAILED:reason`.
fn verify<S: Secured>(r: &Rc<S>) -> Option<Bytes> {
    let session = r.session()?;
    let tls = r.settings();
    let judged = match tls {
        _ if session.peer_chain.is_empty() => return Some(Bytes::from_static(b"NONE")),
        Some(tls) if tls.client_auth != ClientAuth::Off => tls.verify_client(&session.peer_chain),
        _ => return Some(Bytes::from_static(b"NONE")),
    };
    Some(match judged {
        Ok(()) => Bytes::from_static(b"SUCCESS"),
        Err(wrong) => format!("FAILED:{}", wrong.text).into(),
    })
}

fn fingerprint(der: &[u8]) -> String {
    use sha1::Digest as _;
    sha1::Sha1::digest(der).iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}

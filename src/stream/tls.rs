//! TLS on the client's side of a session: the handshake, and what is asked of a certificate.

use std::rc::Rc;
use std::time::Duration;

use bstr::BString;

use crate::base::log::Level;
use crate::conf::row::{Row, at_least, row, take};
use crate::conf::{Part, Scope, inherit};
use crate::net::stream::Stream;
use crate::net::tls::{self, ClientAuth, Hello, Refusal, TlsError};

use super::build::{Listening, Server};
use super::conf::LEVELS;
use super::session::Session;

/// What only `stream` has of `ssl_*`.
#[derive(Default)]
pub struct Handshaking {
    timeout_ms: Option<u64>,
    alpn: Option<Vec<BString>>,
}

impl Part for Handshaking {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: timeout_ms, alpn);
    }
}

pub const ROWS: &[Row] = &[
    row("ssl_handshake_timeout", LEVELS, take(1), |b, d| {
        d.msec_slot(&mut b.part::<Handshaking>().timeout_ms)
    }),
    row("ssl_alpn", LEVELS, at_least(1), |b, d| {
        d.once(&mut b.part::<Handshaking>().alpn, |d| {
            Ok(d.args().iter().map(|word| word.text.clone()).collect())
        })
    }),
];

/// The protocols a server agrees to speak.
pub fn alpn(scope: &Scope) -> &[BString] {
    scope.part::<Handshaking>().alpn.as_deref().unwrap_or_default()
}

/// Shakes hands; the error is the status to end with, and was logged.
pub async fn accept(s: &Rc<Session>, stream: Stream, listening: &Listening) -> Result<Stream, u16> {
    s.action.set("SSL handshaking");
    let limit = s.server().scope.part::<Handshaking>().timeout_ms.unwrap_or(60_000);
    let shaken = tokio::time::timeout(Duration::from_millis(limit), shake(s, stream, listening));
    let stream = match shaken.await {
        Err(_) => {
            s.log(Level::Info, format_args!("client timed out (110: Connection timed out)"));
            return Err(500);
        }
        Ok(Err(error)) => {
            s.log(Level::Info, format_args!("{error}"));
            return Err(500);
        }
        Ok(Ok(stream)) => stream,
    };
    if let Some(session) = tls::Session::of(&stream) {
        // Set once, before anybody reads it.
        let _ = s.tls.set(Rc::new(session));
    }
    check_certificate(s, &s.server())?;
    Ok(stream)
}

async fn shake(s: &Rc<Session>, stream: Stream, listening: &Listening) -> Result<Stream, TlsError> {
    let Stream::Plain(socket) = stream else { return Ok(stream) };
    let choose = async |hello: Hello| {
        if let Some(name) = &hello.server_name {
            let (server, groups) = listening.servers.find(name.as_bytes());
            s.set_server(server.clone());
            s.keep_name_groups(groups);
        }
        let found = s.server();
        if found.tls.rejects {
            return Err(Refusal::Name);
        }
        let own = found.tls.tls.clone().or_else(|| listening.servers.default.tls.tls.clone());
        own.filter(|tls| tls.has_certificates()).ok_or(Refusal::Name)
    };
    tls::accept(socket, choose).await
}

/// `ssl_verify_client`
fn check_certificate(s: &Rc<Session>, server: &Server) -> Result<(), u16> {
    let how = server.tls.client_auth;
    let Some(session) = s.tls.get().filter(|_| how != ClientAuth::Off) else { return Ok(()) };
    if session.peer_chain.is_empty() {
        if how != ClientAuth::On {
            return Ok(());
        }
        s.log(Level::Info, format_args!("client sent no required SSL certificate"));
        return Err(500);
    }
    let Some(tls) = &server.tls.tls else { return Ok(()) };
    let Err(wrong) = tls.verify_client(&session.peer_chain) else { return Ok(()) };
    if how == ClientAuth::OptionalNoCa && wrong.is_unknown_authority() {
        return Ok(());
    }
    let (code, text) = (wrong.code, wrong.text);
    s.log(Level::Info, format_args!("client SSL certificate verify error: ({code}:{text})"));
    Err(500)
}

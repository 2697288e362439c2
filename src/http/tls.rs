//! TLS on the server side of a connection: the handshake, and what is checked before a request.
//!
//! ```text
//!  first byte ─┬ not TLS ─▶ plain stream, its request gets 497
//!              └ hello ─▶ server by name ─▶ hook (ssl_certificate_by_lua) ─▶ handshake
//! ```

use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use crate::base::log::Level;
use crate::conf::Part;
use crate::net::addr::Addr;
use crate::net::stream::{Socket, Stream};
use crate::net::tls::{self, ClientAuth, Hello, Refusal, ServerTls, Session, TlsError};

use super::build::{HttpConf, Listening};
use super::conn::Conn;
use super::location::Server;
use super::phase::Flow;
use super::request::Request;

/// A connection after its handshake.
pub struct Accepted {
    pub stream: Stream,
    /// The server the client asked for by name.
    pub server: Option<Arc<Server>>,
    /// The settings a hook has chosen, and what it wants kept with the connection.
    pub tls: Option<ServerTls>,
    pub keepsake: Option<Rc<dyn Any>>,
}

impl Accepted {
    fn plain(stream: Stream) -> Self {
        Self { stream, server: None, tls: None, keepsake: None }
    }

    pub fn into_conn(self, http: Arc<HttpConf>, number: u64, peer: Addr, local: Addr) -> Rc<Conn> {
        let conn = Conn::new(http, number, self.stream, peer, local);
        // Nobody else has the connection yet, so the cells are empty.
        if let Some(server) = self.server {
            let _ = conn.tls_server.set(server);
        }
        if let Some(tls) = self.tls {
            let _ = conn.chosen_tls.set(tls);
        }
        if let Some(keepsake) = self.keepsake {
            let _ = conn.keepsake.set(keepsake);
        }
        conn
    }
}

/// A handshake under way, for those who choose certificates.
pub struct Handshake {
    pub hello: Hello,
    /// The server of the name the client asked for.
    pub server: Arc<Server>,
    /// The server whose TLS settings are in force: the same, or the default one of the socket.
    pub owner: Arc<Server>,
    /// What the configuration says.
    pub tls: ServerTls,
    pub number: u64,
    pub peer: Addr,
    pub local: Addr,
    /// The address of the listening socket, as log lines tell it.
    pub listen: String,
}

/// What a hook has chosen.
pub struct Chosen {
    pub tls: ServerTls,
    /// To be done once the handshake is over.
    pub then: Option<Box<dyn FnOnce()>>,
    pub keepsake: Option<Rc<dyn Any>>,
}

/// Chooses the settings of one handshake. In the server's scope.
#[derive(Clone, Copy, Default)]
pub struct HandshakeHook(pub Option<Choose>);

pub type Choose = fn(Handshake) -> LocalBoxFuture<'static, Result<Chosen, Refusal>>;

impl Part for HandshakeHook {
    fn inherit(&mut self, parent: &Self) {
        self.0 = self.0.or(parent.0);
    }
}

/// Performs the handshake; `None` when it failed and was logged.
pub async fn accept(
    stream: Stream,
    listening: &Listening,
    number: u64,
    peer: &Addr,
    local: &Addr,
) -> Option<Accepted> {
    let Stream::Plain(socket) = stream else { return Some(Accepted::plain(stream)) };
    let default = &listening.servers.default;
    let log = |level, text: std::fmt::Arguments<'_>| {
        let at = &listening.spec.addr;
        let client = peer.ip_text();
        let line = format_args!("{text} while SSL handshaking, client: {client}, server: {at}");
        default.root.log().write(level, Some(number), line);
    };
    let limit = Duration::from_millis(default.client_header_timeout_ms);
    let shaken = shake(socket, listening, number, peer, local);
    match tokio::time::timeout(limit, shaken).await {
        Err(_) => {
            log(Level::Info, format_args!("client timed out (110: Connection timed out)"));
            None
        }
        Ok(Ok(accepted)) => accepted,
        Ok(Err(error)) => {
            log(Level::Info, format_args!("{error}"));
            None
        }
    }
}

async fn shake(
    socket: Socket,
    listening: &Listening,
    number: u64,
    peer: &Addr,
    local: &Addr,
) -> Result<Option<Accepted>, TlsError> {
    match socket.peek_byte().await.map_err(TlsError::Io)? {
        None => return Ok(None),
        // A record of a handshake; or the hello of SSL 2, which the TLS library refuses in words.
        Some(0x16 | 0x80) => {}
        Some(_) => return Ok(Some(Accepted::plain(Stream::Plain(socket)))),
    }
    let mut server = None;
    let mut hooked = None;
    let choose = async |hello: Hello| {
        let wants_h2 = hello.alpn.iter().any(|name| name == b"h2");
        let name = hello.server_name.clone();
        let by_name = |name: &str| listening.servers.find(name.as_bytes()).0.clone();
        let found = name.as_deref().map(by_name);
        let found = found.unwrap_or_else(|| listening.servers.default.clone());
        server = Some(found.clone());
        if found.tls.rejects {
            return Err(Refusal::Name);
        }
        let has_own = found.tls.tls.is_some();
        let owner = if has_own { found.clone() } else { listening.servers.default.clone() };
        let tls = owner.tls.tls.clone().ok_or(Refusal::Name)?;
        let speaks_h2 = wants_h2 && listening.speaks_h2(&found);
        let for_h2 = |tls: ServerTls| if speaks_h2 { tls.speaking_h2() } else { tls };
        let Some(choose) = owner.root.scope.part::<HandshakeHook>().0 else {
            return if tls.has_certificates() { Ok(for_h2(tls)) } else { Err(Refusal::Name) };
        };
        let (peer, local) = (peer.clone(), local.clone());
        let listen = listening.spec.addr.to_string();
        let server = found;
        let chosen =
            choose(Handshake { hello, server, owner, tls, number, peer, local, listen }).await?;
        let tls = for_h2(chosen.tls.clone());
        hooked = Some(chosen);
        Ok(tls)
    };
    let stream = tls::accept(socket, choose).await?;
    let Some(chosen) = hooked else {
        return Ok(Some(Accepted { server, ..Accepted::plain(stream) }));
    };
    if let Some(then) = chosen.then {
        then();
    }
    let (tls, keepsake) = (Some(chosen.tls), chosen.keepsake);
    Ok(Some(Accepted { stream, server, tls, keepsake }))
}

/// What nginx checks between the head of a request and its first phase.
pub fn refuse(r: &Rc<Request>, listening: &Listening) -> Option<Flow> {
    if !listening.ssl {
        return None;
    }
    let Some(session) = session(&r.conn) else {
        r.log(Level::Info, format_args!("client sent plain HTTP request to HTTPS port"));
        return Some(Flow::Status(497));
    };
    let server = r.server();
    if server.tls.client_auth == ClientAuth::Off {
        return None;
    }
    // Certificates are asked for by one server; its answer must not open another one's door.
    if let Some(named) = r.conn.tls_server.get()
        && session.server_name.is_some()
        && !Arc::ptr_eq(named, &server)
    {
        r.log(
            Level::Info,
            format_args!(
                "client attempted to request the server name different from the one that was \
                 negotiated"
            ),
        );
        return Some(Flow::Status(421));
    }
    refuse_certificate(r, &server, &session)
}

fn refuse_certificate(r: &Rc<Request>, server: &Server, session: &Session) -> Option<Flow> {
    let how = server.tls.client_auth;
    if session.peer_chain.is_empty() {
        if how != ClientAuth::On {
            return None;
        }
        r.log(Level::Info, format_args!("client sent no required SSL certificate"));
        return Some(Flow::Status(496));
    }
    let wrong = server.tls.tls.as_ref()?.verify_client(&session.peer_chain).err()?;
    if how == ClientAuth::OptionalNoCa && wrong.is_unknown_authority() {
        return None;
    }
    let (code, text) = (wrong.code, wrong.text);
    r.log(Level::Info, format_args!("client SSL certificate verify error: ({code}:{text})"));
    Some(Flow::Status(495))
}

/// The facts of the connection's TLS; none without it.
pub fn session(conn: &Conn) -> Option<Rc<Session>> {
    let read = || conn.with_stream(|stream| Session::of(stream).map(Rc::new)).flatten();
    conn.session.get_or_init(read).clone()
}

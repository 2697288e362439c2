//! A connection to a peer: dialed, introduced by a PROXY line, secured.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bstr::ByteSlice;
use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::UdpSocket;

use crate::base::log::Level;
use crate::net::addr::{self, Addr};
use crate::net::dial::{self, Dial, DialError};
use crate::net::stream::Stream;
use crate::net::tls;
use crate::server::secure::without_port;
use crate::stream::conf::CoreConf;
use crate::stream::session::Session;
use crate::upstream::{Group, Step};

use super::conf::Proxy;
use super::fault::Fault;
use super::target;

/// The way to a peer.
pub enum Link {
    Stream(Stream),
    Datagrams(UdpSocket),
}

/// Connects to `addr` as the server's settings say.
pub async fn open(
    s: &Rc<Session>,
    conf: &Proxy,
    group: &Group,
    addr: &Addr,
) -> Result<Link, Fault> {
    let limit = Duration::from_millis(conf.connect_timeout_ms());
    let bind = bind_address(s, conf);
    let kind = if s.udp { "udp " } else { "" };
    let told = |local: io::Result<Addr>| {
        let local = local.map_or_else(|_| String::new(), |local| local.to_string());
        s.log_bare(Level::Info, format_args!("{kind}proxy {local} connected to {addr}"));
    };
    if s.udp {
        let socket = datagrams(addr, bind).await.map_err(Fault::Connect)?;
        told(socket.local_addr().map(Addr::Inet));
        return Ok(Link::Datagrams(socket));
    }
    let how = Dial { bind, timeout: Some(limit), keepalive: conf.socket_keepalive() };
    let mut stream = dial::connect(addr, &how).await.map_err(Fault::Connect)?;
    if s.server().scope.part::<CoreConf>().tcp_nodelay() {
        // A peer that is gone already has no such option.
        let _ = stream.socket().set_nodelay(true);
    }
    if conf.proxy_protocol() {
        s.action.set("sending PROXY protocol header to upstream");
        stream.write_all(introduction(s).as_bytes()).await.map_err(Fault::Send)?;
        s.action.set("connecting to upstream");
    }
    if conf.ssl() {
        s.action.set("SSL handshaking to upstream");
        let shaken = tokio::time::timeout(limit, secure(s, conf, group, stream)).await;
        stream = shaken.map_err(|_| Fault::Timeout(Step::Handshake))??;
        s.action.set("connecting to upstream");
    }
    told(stream.local_addr());
    Ok(Link::Stream(stream))
}

/// The line of version 1 that tells the peer whom the session is for.
fn introduction(s: &Session) -> String {
    match (s.peer(), &s.local) {
        (Addr::Inet(from), Addr::Inet(to)) => {
            let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
            let (port, to_port) = (from.port(), to.port());
            format!("PROXY {family} {} {} {port} {to_port}\r\n", from.ip(), to.ip())
        }
        _ => "PROXY UNKNOWN\r\n".into(),
    }
}

/// `proxy_bind`; a value that is no address is told about and left out.
fn bind_address(s: &Rc<Session>, conf: &Proxy) -> Option<Addr> {
    let text = conf.bind.as_ref()?.as_ref()?.eval(s);
    if text.is_empty() {
        return None;
    }
    let local = target::local(&text);
    if local.is_none() {
        let text = text.as_bstr();
        s.log(Level::Error, format_args!("invalid local address \"{text}\""));
    }
    local
}

async fn datagrams(to: &Addr, bind: Option<Addr>) -> Result<UdpSocket, DialError> {
    let refused = |error| DialError::Refused { addr: to.clone(), error };
    let Addr::Inet(peer) = to else { return Err(refused(io::ErrorKind::Unsupported.into())) };
    let any: SocketAddr = match peer {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    let local = match &bind {
        Some(Addr::Inet(local)) => *local,
        _ => any,
    };
    let bad = |error| DialError::Bind { addr: Addr::Inet(local), error };
    let socket = UdpSocket::bind(local).await.map_err(bad)?;
    socket.connect(*peer).await.map_err(refused)?;
    Ok(socket)
}

async fn secure(
    s: &Rc<Session>,
    conf: &Proxy,
    group: &Group,
    stream: Stream,
) -> Result<Stream, Fault> {
    let names = conf.alpn.iter().flatten().map(|name| name.eval(s).to_vec());
    let alpn: Vec<_> = names.filter(|name| !name.is_empty()).collect();
    let conf = &conf.secure;
    let broken = |text: &str| Fault::Tls(text.into());
    let tls = conf.tls.as_ref().ok_or_else(|| broken("SSL context is missing"))?;
    let tls = conf.with_certificate(s, tls).map_err(|e| Fault::Tls(e.to_string()))?;
    let tls = if alpn.is_empty() { tls } else { tls.with_alpn(alpn) };
    let name = match &conf.name {
        Some(name) => name.eval(s),
        None => Bytes::copy_from_slice(group.host()),
    };
    let name = without_port(name);
    let sends_name = conf.server_name.unwrap_or(false) && addr::parse_ip(name.as_bstr()).is_none();
    let text = name.to_str().ok();
    let sni = text.filter(|text| sends_name && !text.is_empty() && !text.starts_with('['));
    let Stream::Plain(socket) = stream else { return Err(broken("secured already")) };
    let connected = tls::connect(socket, &tls, sni).await;
    let connected = connected.map_err(|e| Fault::Tls(e.to_string()))?;
    if conf.verify.unwrap_or(false) {
        if let Err(wrong) = connected.verify(None) {
            let (code, text) = (wrong.code, wrong.text);
            let text = format!("upstream SSL certificate verify error: ({code}:{text})");
            return Err(Fault::Tls(text));
        }
        if text.is_some_and(|name| !connected.is_for(name)) {
            let name = name.as_bstr();
            let text = format!("upstream SSL certificate does not match \"{name}\"");
            return Err(Fault::Tls(text));
        }
    }
    Ok(connected.stream)
}

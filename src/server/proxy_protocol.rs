//! `listen … proxy_protocol`, and what it tells variables.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::vars::{Subject, VarRow, var_live};
use crate::base::log::{Chain, Level};
use crate::net::addr::Addr;
use crate::net::proxy_protocol::{Told, take};
use crate::net::stream::Stream;

/// What a balancer may have spoken for.
pub trait SpokenFor: Subject {
    fn told(&self) -> Option<&Told>;
}

/// The variables of one kind of subject.
pub struct Vars<S>(std::marker::PhantomData<S>);

impl<S: SpokenFor> Vars<S> {
    pub const ROWS: &'static [VarRow<S>] = &[
        var_live("proxy_protocol_addr", |r, _| of(r, |told| told.source.as_ref().map(ip))),
        var_live("proxy_protocol_port", |r, _| of(r, |told| told.source.as_ref().map(port))),
        var_live("proxy_protocol_server_addr", |r, _| of(r, |told| told.server.as_ref().map(ip))),
        var_live("proxy_protocol_server_port", |r, _| of(r, |told| told.server.as_ref().map(port))),
        var_live("proxy_protocol_tlv_*", |r, name| {
            of(r, |told| told.tlv(&name["proxy_protocol_tlv_".len()..]))
        }),
    ];
}

/// Who is connected to whom, for log lines.
pub struct Between<'a> {
    pub log: &'a Chain,
    pub number: u64,
    pub client: &'a Addr,
    pub listen: &'a Addr,
}

/// Takes the header off the connection; `None` when there is none that can be understood.
pub async fn read(stream: &mut Stream, limit: Duration, who: &Between<'_>) -> Option<Told> {
    let text = match tokio::time::timeout(limit, take(stream)).await {
        Ok(Ok(told)) => return Some(told),
        Ok(Err(text)) => text,
        Err(_) => "client timed out (110: Connection timed out)".into(),
    };
    let level = if text.starts_with("broken") { Level::Error } else { Level::Info };
    let (client, at) = (who.client.ip_text(), who.listen);
    let line = format_args!("{text} while reading PROXY protocol, client: {client}, server: {at}");
    who.log.write(level, Some(who.number), line);
    None
}

fn of<S: SpokenFor>(r: &Rc<S>, read: impl FnOnce(&Told) -> Option<Bytes>) -> Option<Bytes> {
    r.told().and_then(read)
}

fn ip(addr: &Addr) -> Bytes {
    addr.ip_text().into()
}

fn port(addr: &Addr) -> Bytes {
    addr.port().to_string().into()
}

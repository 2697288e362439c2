//! Where a session is passed on to.

use std::rc::Rc;
use std::sync::Arc;

use bstr::{BStr, BString, ByteSlice};

use crate::base::log::Level;
use crate::conf::Scope;
use crate::net::addr::{Addr, Url, Want};
use crate::stream::session::Session;
use crate::upstream::names::Names;
use crate::upstream::{Body, Group, Realm, Server, live};

use super::conf::{Pass, Proxy};

pub use crate::server::forwarded::bare as local;

/// The group of this session; an error is the status to end with.
pub async fn find(s: &Rc<Session>, conf: &Proxy, scope: &Scope) -> Result<Arc<Group>, u16> {
    let text = match &conf.pass {
        Some(Pass::Fixed(group)) => return Ok(group.clone()),
        Some(Pass::Variable(text)) => text.eval(s),
        None => return Err(500),
    };
    let want = Want { no_resolve: true, ..Want::default() };
    let url = Url::parse(&text, &want).map_err(|error| {
        s.log(Level::Error, format_args!("{error} in upstream \"{}\"", BStr::new(&text)));
        500u16
    })?;
    let groups = live();
    let named = groups.of(Realm::Stream).find(|group| {
        group.host().eq_ignore_ascii_case(&url.host)
            && (group.port() == 0 && url.no_port || group.port() == url.port)
    });
    if let Some(group) = named {
        return Ok(group.clone());
    }
    if url.port == 0 && !url.is_unix() {
        s.log(Level::Error, format_args!("no port in upstream \"{}\"", url.host));
        return Err(500);
    }
    let addrs = match url.addrs.first() {
        Some(addr) => vec![addr.clone()],
        None => resolve(s, &url, scope).await?,
    };
    let group = Group::in_realm(Realm::Stream, url.host.as_bstr(), url.port);
    let servers = vec![Server::new(BString::default(), addrs)];
    group.fill(Body { servers, ..Body::default() });
    Ok(Arc::new(group))
}

async fn resolve(s: &Rc<Session>, url: &Url, scope: &Scope) -> Result<Vec<Addr>, u16> {
    let names = Names::of(scope);
    if names.spec.is_none() {
        s.log(Level::Error, format_args!("no resolver defined to resolve {}", url.host));
        return Err(500);
    }
    match names.resolve(&url.host.to_str_lossy()).await {
        Ok(ips) => Ok(ips.into_iter().map(|ip| Addr::Inet((ip, url.port).into())).collect()),
        Err(text) => {
            s.log(Level::Error, format_args!("{text}"));
            Err(500)
        }
    }
}

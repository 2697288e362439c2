//! Where a request is passed to: the group, the names of the origin, the URI it is asked for.
//!
//! ```text
//!  location /one/ { proxy_pass http://up:81/two/; }   /one/x?a ─▶ group "up:81", uri /two/x?a
//!  proxy_pass http://$host$uri;                       evaluated, then a group of that name or an address
//! ```

use std::{rc::Rc, sync::Arc};

use bstr::{BStr, BString, ByteSlice};
use bytes::Bytes;

use crate::{
    base::{escape, log::Level},
    http::{request::Request, upstream_trace::Facts},
    net::addr::{Addr, Url, Want},
    upstream::{Body, Group, Server, live, names::Names},
};

use super::{
    family::Family,
    settings::{Fixed, Origin, Pass},
};

/// A resolved `proxy_pass`.
pub struct Target {
    pub group: Arc<Group>,
    pub origin: Arc<Origin>,
    /// The URI to ask for, with arguments.
    pub uri: Bytes,
}

impl Target {
    /// Finds the target of this request; an error is the status to end with.
    pub async fn find(r: &Rc<Request>, pass: &Pass, family: Family) -> Result<Self, u16> {
        match pass {
            Pass::Fixed(fixed) => {
                let Fixed { origin, uri, replaced, group, .. } = &**fixed;
                let uri = begin(r, family, origin, uri.clone(), Some(*replaced))?;
                Ok(Self { group: group.clone(), origin: origin.clone(), uri })
            }
            Pass::Variable(url) => Box::pin(Self::named(r, &url.eval(r), family)).await,
        }
    }

    /// The target that a text with variables in it names.
    async fn named(r: &Rc<Request>, text: &Bytes, family: Family) -> Result<Self, u16> {
        let (url, tls) = parse(r, text, family)?;
        let path = match url.uri.first() {
            Some(b'?') => [b"/", &url.uri[..]].concat().into(),
            _ => Bytes::copy_from_slice(&url.uri),
        };
        let (origin, replaced) = match family {
            Family::Http => (origin(&url, tls).into(), None),
            _ => (authority(&url, tls).into(), Some(0)),
        };
        let uri = begin(r, family, &origin, path, replaced)?;
        Ok(Self { group: group_of(r, &url).await?, origin, uri })
    }
}

/// Makes the URI to ask for, and notes whom the request is passed to.
fn begin(
    r: &Rc<Request>,
    family: Family,
    origin: &Arc<Origin>,
    path: Bytes,
    replaced: Option<usize>,
) -> Result<Bytes, u16> {
    let has_uri = matches!(family, Family::Http | Family::Grpc);
    let uri = if has_uri { uri(r, path, replaced) } else { Bytes::new() };
    if has_uri && uri.is_empty() {
        r.log(Level::Error, format_args!("zero length URI to proxy"));
        return Err(500);
    }
    r.upstream_begins(Facts {
        scheme: family.scheme(origin.tls),
        origin: Some(origin.clone()),
        uri: uri.clone(),
        ..Facts::default()
    });
    Ok(uri)
}

/// What `:authority` says of an address: the port too, if one was written.
pub fn authority(url: &Url, tls: bool) -> Origin {
    let origin = origin(url, tls);
    if url.is_unix() || url.no_port {
        return origin;
    }
    let host = [&url.host[..], b":", &url.port_text].concat().into();
    Origin { host, ..origin }
}

/// What `$proxy_host` and `$proxy_port` say of an address.
pub fn origin(url: &Url, tls: bool) -> Origin {
    let usual = if tls { 443 } else { 80 };
    if url.is_unix() {
        let localhost = Bytes::from_static(b"localhost");
        return Origin { tls, host: localhost, port: Bytes::new() };
    }
    let name = Bytes::copy_from_slice(&url.host);
    if url.no_port || url.port == usual {
        let port = Bytes::from_static(if tls { b"443" } else { b"80" });
        return Origin { tls, host: name, port };
    }
    let host = [&url.host[..], b":", &url.port_text].concat().into();
    Origin { tls, host, port: Bytes::copy_from_slice(&url.port_text) }
}

/// The local address of `proxy_bind`: an IP address, perhaps with a port.
pub use crate::server::forwarded::bare as local;

fn parse(r: &Rc<Request>, text: &Bytes, family: Family) -> Result<(Url, bool), u16> {
    let found = family.split(text).filter(|(_, _, rest)| !rest.is_empty());
    let Some((tls, default_port, rest)) = found else {
        r.log(Level::Error, format_args!("invalid URL prefix in \"{}\"", BStr::new(text)));
        return Err(500);
    };
    let want = Want { uri_part: true, no_resolve: true, default_port, ..Want::default() };
    let url = Url::parse(rest, &want).map_err(|error| {
        r.log(Level::Error, format_args!("{error} in upstream \"{}\"", BStr::new(rest)));
        500u16
    })?;
    Ok((url, tls))
}

/// The group a variable `proxy_pass` names, or one made for the addresses of its host.
async fn group_of(r: &Rc<Request>, url: &Url) -> Result<Arc<Group>, u16> {
    let groups = live();
    let named = groups.iter().find(|group| {
        group.host().eq_ignore_ascii_case(&url.host)
            && (group.port() == 0 && url.no_port || group.port() == url.port)
    });
    if let Some(group) = named {
        return Ok(group.clone());
    }
    let addrs = match url.addrs.first() {
        Some(addr) => vec![addr.clone()],
        None => resolve(r, url).await?,
    };
    let group = Group::named(url.host.as_bstr(), url.port);
    let servers = vec![Server::new(BString::default(), addrs)];
    group.fill(Body { servers, ..Body::default() });
    Ok(Arc::new(group))
}

async fn resolve(r: &Rc<Request>, url: &Url) -> Result<Vec<Addr>, u16> {
    let names = Names::of(&r.location().scope);
    if names.spec.is_none() {
        r.log(Level::Error, format_args!("no resolver defined to resolve {}", url.host));
        return Err(502);
    }
    match names.resolve(&url.host.to_str_lossy()).await {
        Ok(ips) => Ok(ips.into_iter().map(|ip| Addr::Inet((ip, url.port).into())).collect()),
        Err(text) => {
            r.log(Level::Error, format_args!("{text}"));
            Err(502)
        }
    }
}

/// The URI as nginx makes it: as it came, or the location's part replaced, or the rewritten one.
fn uri(r: &Rc<Request>, path: Bytes, replaced: Option<usize>) -> Bytes {
    match replaced {
        None if !path.is_empty() => return path,
        _ if path.is_empty() && r.valid_unparsed_uri.get() => return r.line.target(),
        _ => {}
    }
    let whole = r.uri.borrow();
    let in_location = r.valid_location.get() && !path.is_empty();
    let rest = match replaced {
        Some(replaced) if in_location => whole.get(replaced..).unwrap_or_default(),
        _ => &whole[..],
    };
    let mut text = Vec::with_capacity(path.len() + rest.len() + 16);
    if r.valid_location.get() {
        text.extend_from_slice(&path);
    }
    if r.quoted_uri.get() || r.internal.get() {
        escape::append_uri(&mut text, rest, &escape::URI);
    } else {
        text.extend_from_slice(rest);
    }
    let args = r.args.borrow();
    if !args.is_empty() {
        text.push(b'?');
        text.extend_from_slice(&args);
    }
    text.into()
}

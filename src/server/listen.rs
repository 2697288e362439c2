//! `listen`: the address of a server, and what its socket is like.
//!
//! ```text
//!  listen 443 ssl reuseport; ─▶ Listen { spec, ssl, … } ─ of all servers ─▶ Listening (by address)
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use bstr::{BStr, ByteSlice};

use super::names::{ByName, Named};
use crate::base::units;
use crate::conf::row::{HTTP, STREAM};
use crate::conf::{Builder, Diag, Directive, Part};
use crate::net::addr::{Addr, Url, Want};
use crate::net::listen::{Keepalive, ListenSpec};

/// One `listen` directive.
#[derive(Clone)]
pub struct Listen {
    pub spec: ListenSpec,
    pub ssl: bool,
    pub http2: bool,
    pub proxy_protocol: bool,
    pub default_server: bool,
    /// It sets socket options, so it defines the socket.
    pub explicit: bool,
}

impl Listen {
    pub fn new(addr: Addr) -> Self {
        Self {
            spec: ListenSpec::new(addr),
            ssl: false,
            http2: false,
            proxy_protocol: false,
            default_server: false,
            explicit: false,
        }
    }
}

/// The `listen` directives of one `server` block.
#[derive(Default)]
pub struct Listens(pub Vec<Listen>);

impl Part for Listens {
    fn inherit(&mut self, _: &Self) {}
}

/// Whose server it is: some parameters belong to one kind only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Http,
    Stream,
}

/// A `listen` address and who answers there.
pub struct Listening<T> {
    pub spec: ListenSpec,
    pub ssl: bool,
    pub http2: bool,
    pub proxy_protocol: bool,
    pub servers: ByName<T>,
}

/// Groups the servers by the addresses they listen on.
pub fn group<T: Named>(
    b: &mut Builder<'_>,
    servers: &[(Arc<T>, Vec<Listen>)],
) -> Vec<Listening<T>> {
    let mut order: Vec<(Addr, bool)> = Vec::new();
    let mut by_addr: HashMap<(Addr, bool), Vec<(usize, usize)>> = HashMap::new();
    for (at, (_, listens)) in servers.iter().enumerate() {
        for (index, listen) in listens.iter().enumerate() {
            let key = (listen.spec.addr.clone(), listen.spec.udp);
            let group = by_addr.entry(key.clone()).or_default();
            if group.is_empty() {
                order.push(key);
            }
            group.push((at, index));
        }
    }
    let mut all = Vec::new();
    for key in order {
        let group = &by_addr[&key];
        let first = &servers[group[0].0].1[group[0].1];
        let mut listening = Listening {
            spec: first.spec.clone(),
            ssl: false,
            http2: false,
            proxy_protocol: false,
            servers: ByName::new(servers[group[0].0].0.clone()),
        };
        for (at, index) in group {
            let (server, listens) = &servers[*at];
            let listen = &listens[*index];
            listening.ssl |= listen.ssl;
            listening.http2 |= listen.http2;
            listening.proxy_protocol |= listen.proxy_protocol;
            if listen.explicit {
                listening.spec = listen.spec.clone();
            }
            if listen.default_server {
                listening.servers.default = server.clone();
            }
            listening.servers.add(b, server, &key.0);
        }
        listening.servers.sort();
        all.push(listening);
    }
    all
}

/// Sockets to bind: a wildcard address covers the special ones of its port, as in nginx.
pub fn sockets<T>(all: &[Listening<T>]) -> Vec<ListenSpec> {
    let covered = |spec: &ListenSpec| {
        !spec.addr.is_wildcard()
            && !spec.reuseport
            && all.iter().any(|other| {
                other.spec.addr.is_wildcard()
                    && other.spec.udp == spec.udp
                    && other.spec.addr.port() == spec.addr.port()
                    && same_family(&other.spec.addr, &spec.addr)
            })
    };
    let specs = all.iter().map(|listening| &listening.spec);
    specs.filter(|spec| !covered(spec)).cloned().collect()
}

/// Who answers what came to `local` over the socket bound to `socket`.
pub fn find<'a, T>(
    all: &'a [Listening<T>],
    socket: &Addr,
    udp: bool,
    local: &Addr,
) -> Option<&'a Listening<T>> {
    let find = |addr: &Addr| all.iter().find(|l| l.spec.addr == *addr && l.spec.udp == udp);
    if socket.is_wildcard()
        && let Some(special) = find(local)
    {
        return Some(special);
    }
    find(socket)
}

fn same_family(a: &Addr, b: &Addr) -> bool {
    match (a.ip(), b.ip()) {
        (Some(a), Some(b)) => a.is_ipv4() == b.is_ipv4(),
        _ => false,
    }
}

/// Reads a `listen` of the `server` block at hand.
pub fn set(b: &mut Builder<'_>, d: &Directive, kind: Kind) -> Result<(), Diag> {
    let default_port = if kind == Kind::Http { 80 } else { 0 };
    let want = Want { listen: true, default_port, ..Want::default() };
    let url = Url::parse(d.arg(1), &want).map_err(|error| {
        Diag::emerg(format!("{error} in \"{}\" of the \"listen\" directive", d.arg(1)))
    })?;
    if url.no_port && kind == Kind::Stream && !url.is_unix() {
        let text = format!("no port in \"{}\" of the \"listen\" directive", d.arg(1));
        return Err(d.wrong_arg(1, text));
    }
    let Some(first) = url.addrs.first() else {
        return Err(Diag::emerg(format!("no address in \"{}\"", d.arg(1))));
    };
    let mut listen = Listen::new(first.clone());
    for index in 2..=d.arg_count() {
        option(&mut listen, d, index, kind)?;
    }
    if listen.spec.udp {
        refuse_with_udp(d, &listen)?;
    }
    if listen.http2 {
        b.report(Diag::warn(
            "the \"listen ... http2\" directive is deprecated, use the \"http2\" directive instead",
        ));
    }
    for addr in &url.addrs {
        let known = &mut b.part::<Listens>().0;
        if known.iter().any(|l| l.spec.addr == *addr && l.spec.udp == listen.spec.udp) {
            return Err(Diag::emerg(format!("a duplicate listen {addr}")));
        }
        let spec = ListenSpec { addr: addr.clone(), ..listen.spec.clone() };
        known.push(Listen { spec, ..listen.clone() });
    }
    let claims = b.level(HTTP | STREAM).part_mut::<Claims>();
    url.addrs.iter().try_for_each(|addr| claims.claim(addr, &listen))
}

/// What needs a connection.
fn refuse_with_udp(d: &Directive, listen: &Listen) -> Result<(), Diag> {
    let spec = &listen.spec;
    let wrong = [
        ("ssl", listen.ssl),
        ("so_keepalive", spec.keepalive.is_some()),
        ("proxy_protocol", listen.proxy_protocol),
        ("fastopen", spec.fastopen.is_some()),
        ("backlog", spec.backlog != ListenSpec::new(spec.addr.clone()).backlog),
        ("deferred", spec.deferred),
    ];
    match wrong.iter().find(|(_, said)| *said) {
        Some((name, _)) => {
            Err(d.wrong(&format!("\"{name}\" parameter is incompatible with \"udp\"")))
        }
        None => Ok(()),
    }
}

/// What `listen` may say only once for an address, in all servers together.
#[derive(Default)]
struct Claims {
    defaults: Vec<(Addr, bool)>,
    options: Vec<(Addr, bool)>,
}

impl Part for Claims {
    fn inherit(&mut self, _: &Self) {}
}

impl Claims {
    fn claim(&mut self, addr: &Addr, listen: &Listen) -> Result<(), Diag> {
        let key = (addr.clone(), listen.spec.udp);
        if listen.explicit {
            if self.options.contains(&key) {
                return Err(Diag::emerg(format!("duplicate listen options for {addr}")));
            }
            self.options.push(key.clone());
        }
        if listen.default_server {
            if self.defaults.contains(&key) {
                return Err(Diag::emerg(format!("a duplicate default server for {addr}")));
            }
            self.defaults.push(key);
        }
        Ok(())
    }
}

fn option(listen: &mut Listen, d: &Directive, index: usize, kind: Kind) -> Result<(), Diag> {
    let word = d.arg(index);
    let (name, value) = match word.split_once_str("=") {
        Some((name, value)) => (name.as_bstr(), Some(value.as_bstr())),
        None => (word, None),
    };
    let number = |value: &BStr| value.to_str().ok().and_then(|text| text.parse::<i32>().ok());
    let wrong = |what: &str, value: &BStr| Diag::emerg(format!("invalid {what} \"{value}\""));
    let spec = &mut listen.spec;
    match (name.as_bytes(), value) {
        (b"default_server" | b"default", None) => listen.default_server = true,
        (b"ssl", None) => listen.ssl = true,
        (b"http2", None) if kind == Kind::Http => listen.http2 = true,
        (b"udp", None) if kind == Kind::Stream => spec.udp = true,
        (b"proxy_protocol", None) => listen.proxy_protocol = true,
        (b"bind", None) => listen.explicit = true,
        (b"reuseport", None) => (spec.reuseport, listen.explicit) = (true, true),
        (b"deferred", None) => (spec.deferred, listen.explicit) = (true, true),
        (b"backlog", Some(value)) => {
            let backlog = number(value).filter(|backlog| *backlog != 0);
            spec.backlog = backlog.ok_or_else(|| wrong("backlog", value))?;
            listen.explicit = true;
        }
        (b"rcvbuf", Some(value)) => {
            let size = units::parse_size(value);
            spec.rcvbuf = Some(size.ok_or_else(|| wrong("rcvbuf", value))?);
            listen.explicit = true;
        }
        (b"sndbuf", Some(value)) => {
            let size = units::parse_size(value);
            spec.sndbuf = Some(size.ok_or_else(|| wrong("sndbuf", value))?);
            listen.explicit = true;
        }
        (b"fastopen", Some(value)) => {
            spec.fastopen = Some(number(value).ok_or_else(|| wrong("fastopen", value))?);
            listen.explicit = true;
        }
        (b"ipv6only", Some(value)) => {
            spec.ipv6only = match value.as_bytes() {
                b"on" => true,
                b"off" => false,
                _ => return Err(wrong("ipv6only flags", value)),
            };
            listen.explicit = true;
        }
        (b"so_keepalive", Some(value)) => {
            spec.keepalive = Some(match value.as_bytes() {
                b"on" => Keepalive { on: true, ..Keepalive::default() },
                b"off" => Keepalive::default(),
                _ => keepalive(value)?,
            });
            listen.explicit = true;
        }
        (b"setfib" | b"accept_filter", Some(_)) => {
            return Err(Diag::emerg(format!("{name} is not supported on this platform")));
        }
        (b"quic", None) if kind == Kind::Http => {
            return Err(Diag::emerg(
                "the \"quic\" parameter requires HTTP/3, which is not built in",
            ));
        }
        _ => return Err(d.bad_param(index)),
    }
    Ok(())
}

/// `so_keepalive=30m:10s:10`, each part optional.
fn keepalive(value: &BStr) -> Result<Keepalive, Diag> {
    let wrong = || Diag::emerg(format!("invalid so_keepalive value: \"{value}\""));
    let mut parts = value.split_str(":");
    let mut seconds = || -> Result<Option<u32>, Diag> {
        match parts.next() {
            None | Some(b"") => Ok(None),
            Some(text) => {
                let seconds = units::parse_sec(text).ok_or_else(wrong)?;
                Ok(Some(u32::try_from(seconds).map_err(|_| wrong())?))
            }
        }
    };
    let settings =
        Keepalive { on: true, idle_s: seconds()?, interval_s: seconds()?, count: seconds()? };
    if settings.idle_s.or(settings.interval_s).or(settings.count).is_none() {
        return Err(wrong());
    }
    Ok(settings)
}

//! Rows of the `server` level: `listen`, `server_name`, header limits.

use bstr::{BStr, BString, ByteSlice};

use crate::{
    base::regex::{Flags, Regex},
    conf::{
        Builder, Diag, Directive, Part, inherit,
        row::{HTTP, Row, SERVER, at_least, flag, row, take},
    },
    net::{
        addr::{Addr, Url, Want},
        listen::{Keepalive, ListenSpec},
    },
};

use super::{location::ServerName, vars::VarTable};

/// Settings of a `server` block.
#[derive(Default)]
pub struct ServerCore {
    pub listens: Vec<Listen>,
    pub names: Vec<ServerName>,
    pub client_header_timeout_ms: Option<u64>,
    pub client_header_buffer_size: Option<usize>,
    pub large_client_header_buffers: Option<(u64, usize)>,
    pub ignore_invalid_headers: Option<bool>,
    pub underscores_in_headers: Option<bool>,
    pub merge_slashes: Option<bool>,
}

/// One `listen` directive.
pub struct Listen {
    pub spec: ListenSpec,
    pub ssl: bool,
    pub http2: bool,
    pub proxy_protocol: bool,
    pub default_server: bool,
    /// It sets socket options, so it defines the socket.
    pub explicit: bool,
}

impl Part for ServerCore {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: client_header_timeout_ms, client_header_buffer_size,
            large_client_header_buffers, ignore_invalid_headers, underscores_in_headers,
            merge_slashes);
    }
}

pub const ROWS: &[Row] = &[
    row("listen", SERVER, at_least(1), set_listen),
    row("server_name", SERVER, at_least(1), set_server_name),
    row("client_header_timeout", HTTP | SERVER, take(1), |b, d| {
        d.msec_slot(&mut b.part::<ServerCore>().client_header_timeout_ms)
    }),
    row("client_header_buffer_size", HTTP | SERVER, take(1), |b, d| {
        d.size_slot(&mut b.part::<ServerCore>().client_header_buffer_size)
    }),
    row("large_client_header_buffers", HTTP | SERVER, take(2), |b, d| {
        d.buffers_slot(&mut b.part::<ServerCore>().large_client_header_buffers)
    }),
    flag("ignore_invalid_headers", HTTP | SERVER, |b, d| {
        d.flag_slot(&mut b.part::<ServerCore>().ignore_invalid_headers)
    }),
    flag("underscores_in_headers", HTTP | SERVER, |b, d| {
        d.flag_slot(&mut b.part::<ServerCore>().underscores_in_headers)
    }),
    flag("merge_slashes", HTTP | SERVER, |b, d| {
        d.flag_slot(&mut b.part::<ServerCore>().merge_slashes)
    }),
];

fn set_listen(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let want = Want { listen: true, default_port: 80, ..Want::default() };
    let url = Url::parse(d.arg(1), &want).map_err(|error| {
        Diag::emerg(format!("{error} in \"{}\" of the \"listen\" directive", d.arg(1)))
    })?;
    let mut addrs = url.addrs.iter();
    let Some(first) = addrs.next() else {
        return Err(Diag::emerg(format!("no address in \"{}\"", d.arg(1))));
    };
    let mut listen = Listen {
        spec: ListenSpec::new(first.clone()),
        ssl: false,
        http2: false,
        proxy_protocol: false,
        default_server: false,
        explicit: false,
    };
    for index in 2..=d.arg_count() {
        listen_option(&mut listen, d, index)?;
    }
    if listen.http2 {
        b.report(Diag::warn(
            "the \"listen ... http2\" directive is deprecated, use the \"http2\" directive instead",
        ));
    }
    let rest: Vec<_> = addrs.cloned().collect();
    let server = b.part::<ServerCore>();
    let mut all = vec![first.clone()];
    all.extend(rest);
    for addr in &all {
        if server.listens.iter().any(|known| known.spec.addr == *addr) {
            return Err(Diag::emerg(format!("a duplicate listen {addr}")));
        }
        let mut spec = listen.spec.clone();
        spec.addr = addr.clone();
        server.listens.push(Listen { spec, ..listen });
    }
    let claims = b.level(HTTP).part_mut::<Claims>();
    all.into_iter().try_for_each(|addr| claims.claim(addr, &listen))
}

/// What `listen` may say only once for an address, in all servers together.
#[derive(Default)]
struct Claims {
    defaults: Vec<Addr>,
    options: Vec<Addr>,
}

impl Part for Claims {
    fn inherit(&mut self, _: &Self) {}
}

impl Claims {
    fn claim(&mut self, addr: Addr, listen: &Listen) -> Result<(), Diag> {
        if listen.explicit {
            if self.options.contains(&addr) {
                return Err(Diag::emerg(format!("duplicate listen options for {addr}")));
            }
            self.options.push(addr.clone());
        }
        if listen.default_server {
            if self.defaults.contains(&addr) {
                return Err(Diag::emerg(format!("a duplicate default server for {addr}")));
            }
            self.defaults.push(addr);
        }
        Ok(())
    }
}

fn listen_option(listen: &mut Listen, d: &Directive, index: usize) -> Result<(), Diag> {
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
        (b"http2", None) => listen.http2 = true,
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
            let size = crate::base::units::parse_size(value);
            spec.rcvbuf = Some(size.ok_or_else(|| wrong("rcvbuf", value))?);
            listen.explicit = true;
        }
        (b"sndbuf", Some(value)) => {
            let size = crate::base::units::parse_size(value);
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
        (b"quic", None) => {
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
                let seconds = crate::base::units::parse_sec(text).ok_or_else(wrong)?;
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

fn set_server_name(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    for index in 1..=d.arg_count() {
        let text = d.arg(index);
        let name = server_name(text)?;
        if let ServerName::Regex(regex, _) = &name {
            for (group, _) in regex.names() {
                b.main::<VarTable>().define(group)?;
            }
        }
        let names = &mut b.part::<ServerCore>().names;
        if text.starts_with(b".") {
            names.push(ServerName::Exact(text[1..].to_ascii_lowercase().into()));
        }
        names.push(name);
    }
    Ok(())
}

fn server_name(text: &BStr) -> Result<ServerName, Diag> {
    if text.is_empty() {
        return Ok(ServerName::Exact(BString::default()));
    }
    if let Some(pattern) = text.strip_prefix(b"~") {
        if pattern.is_empty() {
            return Err(Diag::emerg(format!("empty regex in server name \"{text}\"")));
        }
        let regex = compile_regex(pattern, true)?;
        return Ok(ServerName::Regex(regex, pattern.into()));
    }
    let lower = text.to_ascii_lowercase();
    let invalid =
        || Diag::emerg(format!("invalid server name or wildcard \"{text}\" on server_name"));
    if let Some(suffix) = lower.strip_prefix(b"*") {
        if !suffix.starts_with(b".") || suffix.contains(&b'*') || suffix.len() < 2 {
            return Err(invalid());
        }
        return Ok(ServerName::Suffix(suffix.into()));
    }
    if lower.starts_with(b".") {
        return Ok(ServerName::Suffix(lower.into()));
    }
    if let Some(prefix) = lower.strip_suffix(b"*") {
        if !prefix.ends_with(b".") || prefix.contains(&b'*') || prefix.len() < 2 {
            return Err(invalid());
        }
        return Ok(ServerName::Prefix(prefix.into()));
    }
    if lower.contains(&b'*') {
        return Err(invalid());
    }
    Ok(ServerName::Exact(lower.into()))
}

/// Compiles a pattern of the configuration, complaining in nginx's words.
pub fn compile_regex(pattern: &[u8], caseless: bool) -> Result<Regex, Diag> {
    Regex::compile(pattern, Flags::nginx(caseless)).map_err(|error| Diag::emerg(error.to_string()))
}

/// What a server without `listen` listens on: `*:80`, or `*:8000` for others than root.
pub fn default_listen() -> Listen {
    let any = std::net::SocketAddr::from(([0, 0, 0, 0], 80));
    Listen {
        spec: ListenSpec::new(any.into()),
        ssl: false,
        http2: false,
        proxy_protocol: false,
        default_server: false,
        explicit: false,
    }
}

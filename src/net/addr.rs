//! Addresses as nginx writes them: `host:port`, `*:80`, `[::1]:80`, `unix:path`, a port alone.
//!
//! ```text
//!  "backend:8080/x"  --parse-->  Url { host, port, uri, addrs }  --resolve-->  addrs: Vec<Addr>
//! ```
//!
//! The rules and the words of the errors are those of nginx's `ngx_parse_url`; the caller adds
//! where the text stood (`… in "x" of the "listen" directive`, `… in upstream "x"`).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use bstr::{BStr, BString, ByteSlice};

use super::lookup;

/// One end of a connection: an inet address or the path of a unix socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Addr {
    Inet(SocketAddr),
    /// The path; empty for a socket without a name (the client's end).
    Unix(BString),
}

impl Addr {
    /// Reads a literal address: `127.0.0.1:80`, `[::1]:80`, `unix:/path`. Never asks a resolver.
    pub fn literal(text: &[u8]) -> Option<Self> {
        let asked = Want { no_resolve: true, ..Want::default() };
        let url = Url::parse(text, &asked).ok()?;
        if url.no_port && !url.is_unix() {
            return None;
        }
        url.addrs.into_iter().next()
    }

    /// The address without its port, as `$remote_addr` has it: `127.0.0.1`, `::1`, `unix:`.
    pub fn ip_text(&self) -> String {
        match self {
            Self::Inet(a) => a.ip().to_string(),
            Self::Unix(_) => "unix:".to_string(),
        }
    }

    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Inet(a) => Some(a.ip()),
            Self::Unix(_) => None,
        }
    }

    /// The port; 0 for a unix socket.
    pub fn port(&self) -> u16 {
        match self {
            Self::Inet(a) => a.port(),
            Self::Unix(_) => 0,
        }
    }

    pub fn is_unix(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    /// The path of a unix socket.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Inet(_) => None,
            Self::Unix(p) => p.to_path().ok(),
        }
    }

    /// True for `0.0.0.0` and `[::]`.
    pub fn is_wildcard(&self) -> bool {
        self.ip().is_some_and(|ip| ip.is_unspecified())
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(a) => write!(f, "{a}"),
            Self::Unix(p) => write!(f, "unix:{p}"),
        }
    }
}

impl From<SocketAddr> for Addr {
    fn from(a: SocketAddr) -> Self {
        Self::Inet(a)
    }
}

/// What the reader of an address expects in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Want {
    /// The text is an argument of `listen`: a port alone, `*` and port ranges are allowed.
    pub listen: bool,
    /// A path may follow (`proxy_pass`).
    pub uri_part: bool,
    /// Leave names unresolved.
    pub no_resolve: bool,
    /// Used when the text names no port.
    pub default_port: u16,
}

/// A parsed address text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Url {
    /// The text as written.
    pub text: BString,
    /// Host as written, without brackets for IPv6 literals kept (`[::1]`), or the unix path.
    pub host: BString,
    pub port: u16,
    /// Last port of a `listen 8000-8010` range; equals `port` otherwise.
    pub last_port: u16,
    /// The port as written; empty when there was none.
    pub port_text: BString,
    /// The path and arguments that followed the address.
    pub uri: BString,
    pub no_port: bool,
    pub wildcard: bool,
    pub addrs: Vec<Addr>,
}

impl Url {
    /// Reads an address and, unless told not to, resolves its host through the system.
    pub fn parse(text: &[u8], want: &Want) -> Result<Self, AddrError> {
        let mut url = Self { text: text.into(), ..Self::default() };
        if text.len() >= 5 && text[..5].eq_ignore_ascii_case(b"unix:") {
            url.parse_unix(&text[5..], want)?;
        } else if text.first() == Some(&b'[') {
            url.parse_inet6(text, want)?;
        } else {
            url.parse_inet(text, want)?;
        }
        if url.addrs.is_empty() && !want.no_resolve {
            url.resolve()?;
        }
        Ok(url)
    }

    pub fn is_unix(&self) -> bool {
        matches!(self.addrs.first(), Some(Addr::Unix(_)))
    }

    /// Fills `addrs` from the system resolver.
    pub fn resolve(&mut self) -> Result<(), AddrError> {
        let host = self.host.to_str().map_err(|_| AddrError::HostNotFound)?;
        let ips = lookup::host(host).map_err(|_| AddrError::HostNotFound)?;
        self.push_ips(&ips);
        Ok(())
    }

    fn parse_unix(&mut self, rest: &[u8], want: &Want) -> Result<(), AddrError> {
        let mut path = rest;
        if want.uri_part
            && let Some(at) = rest.find_byte(b':')
        {
            self.uri = rest[at + 1..].into();
            path = &rest[..at];
        }
        if path.is_empty() {
            return Err(AddrError::NoPath);
        }
        if path.len() + 1 > UNIX_PATH_MAX {
            return Err(AddrError::LongPath);
        }
        self.host = path.into();
        self.addrs = vec![Addr::Unix(path.into())];
        Ok(())
    }

    fn parse_inet6(&mut self, text: &[u8], want: &Want) -> Result<(), AddrError> {
        let close = text.find_byte(b']').ok_or(AddrError::InvalidHost)?;
        let mut rest = &text[close + 1..];
        if let Some(at) = rest.find_byte(b'/') {
            if want.listen || !want.uri_part {
                return Err(AddrError::InvalidHost);
            }
            self.uri = rest[at..].into();
            rest = &rest[..at];
        }
        if rest.is_empty() {
            self.default_port(want);
        } else {
            let port = rest.strip_prefix(b":").ok_or(AddrError::InvalidHost)?;
            self.parse_port(port, want)?;
        }
        let inner = &text[1..close];
        if inner.is_empty() {
            return Err(AddrError::NoHost);
        }
        self.host = text[..=close].into();
        let ip = inner.to_str().ok().and_then(|s| s.parse::<Ipv6Addr>().ok());
        self.push_ips(&[IpAddr::V6(ip.ok_or(AddrError::InvalidIpv6)?)]);
        Ok(())
    }

    fn parse_inet(&mut self, text: &[u8], want: &Want) -> Result<(), AddrError> {
        let uri_at = text.find_byteset(b"/?");
        if let Some(at) = uri_at {
            if want.listen || !want.uri_part {
                return Err(AddrError::InvalidHost);
            }
            self.uri = text[at..].into();
        }
        let text = &text[..uri_at.unwrap_or(text.len())];
        let mut host = text;
        if let Some(at) = text.find_byte(b':') {
            self.parse_port(&text[at + 1..], want)?;
            host = &text[..at];
        } else if want.listen && starts_as_port(text) {
            self.parse_port(text, want)?;
            self.push_ips(&[IpAddr::V4(Ipv4Addr::UNSPECIFIED)]);
            return Ok(());
        } else {
            self.default_port(want);
        }
        if host.is_empty() {
            return Err(AddrError::NoHost);
        }
        self.host = host.into();
        if want.listen && host == b"*" {
            self.push_ips(&[IpAddr::V4(Ipv4Addr::UNSPECIFIED)]);
        } else if let Some(ip) = parse_ipv4(host) {
            self.push_ips(&[IpAddr::V4(ip)]);
        }
        Ok(())
    }

    fn parse_port(&mut self, text: &[u8], want: &Want) -> Result<(), AddrError> {
        let (first, last) = match text.find_byte(b'-') {
            Some(at) if want.listen => (&text[..at], Some(&text[at + 1..])),
            _ => (text, None),
        };
        let last = last.map(port_number).transpose()?;
        self.port = port_number(first)?;
        self.last_port = last.unwrap_or(self.port);
        if self.port > self.last_port {
            return Err(AddrError::InvalidRange);
        }
        self.port_text = first.into();
        Ok(())
    }

    fn default_port(&mut self, want: &Want) {
        self.no_port = true;
        self.port = want.default_port;
        self.last_port = want.default_port;
    }

    fn push_ips(&mut self, ips: &[IpAddr]) {
        self.wildcard = ips.iter().any(IpAddr::is_unspecified);
        for ip in ips {
            for port in self.port..=self.last_port {
                self.addrs.push(Addr::Inet(SocketAddr::new(*ip, port)));
            }
        }
    }
}

/// Why a text is not an address; the words are nginx's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddrError {
    #[error("no host")]
    NoHost,
    #[error("invalid host")]
    InvalidHost,
    #[error("host not found")]
    HostNotFound,
    #[error("invalid port")]
    InvalidPort,
    #[error("invalid port range")]
    InvalidRange,
    #[error("invalid IPv6 address")]
    InvalidIpv6,
    #[error("no path in the unix domain socket")]
    NoPath,
    #[error("too long path in the unix domain socket")]
    LongPath,
}

/// Reads dotted IPv4 as nginx does: four decimal numbers, leading zeros allowed.
pub fn parse_ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut parts = text.split(|b| *b == b'.');
    for octet in &mut octets {
        let part = parts.next()?;
        let digits = !part.is_empty() && part.iter().all(u8::is_ascii_digit);
        *octet = digits.then(|| part.to_str().ok()?.parse().ok())??;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}

/// Reads an IP literal, IPv4 or IPv6 without brackets.
pub fn parse_ip(text: &BStr) -> Option<IpAddr> {
    parse_ipv4(text)
        .map(IpAddr::V4)
        .or_else(|| text.to_str().ok()?.parse::<Ipv6Addr>().ok().map(IpAddr::V6))
}

fn starts_as_port(text: &[u8]) -> bool {
    let first = text.split(|b| *b == b'-').next().unwrap_or_default();
    !first.is_empty() && first.iter().all(u8::is_ascii_digit)
}

fn port_number(text: &[u8]) -> Result<u16, AddrError> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let number = digits.then(|| text.to_str().ok()?.parse::<u16>().ok()).flatten();
    number.filter(|n| *n > 0).ok_or(AddrError::InvalidPort)
}

/// Size of `sun_path` on Linux.
const UNIX_PATH_MAX: usize = 108;

#[cfg(test)]
mod tests {
    use super::*;

    /// `text` and what `listen` makes of it.
    fn listen(text: &str) -> String {
        let want = Want { listen: true, default_port: 80, no_resolve: true, ..Want::default() };
        show(Url::parse(text.as_bytes(), &want))
    }

    fn server(text: &str) -> String {
        let want = Want { default_port: 80, uri_part: true, no_resolve: true, ..Want::default() };
        show(Url::parse(text.as_bytes(), &want))
    }

    fn show(url: Result<Url, AddrError>) -> String {
        match url {
            Err(e) => e.to_string(),
            Ok(u) => {
                let addrs: Vec<_> = u.addrs.iter().map(ToString::to_string).collect();
                let w = if u.wildcard { " wild" } else { "" };
                format!("{}|{}|{}{w}", addrs.join(" "), u.host, u.uri)
            }
        }
    }

    #[test]
    fn listen_texts() {
        for (text, expected) in [
            ("80", "0.0.0.0:80|| wild"),
            ("*:8080", "0.0.0.0:8080|*| wild"),
            ("127.0.0.1", "127.0.0.1:80|127.0.0.1|"),
            ("[::1]:80", "[::1]:80|[::1]|"),
            ("[::]", "[::]:80|[::]| wild"),
            ("8000-8001", "0.0.0.0:8000 0.0.0.0:8001|| wild"),
            ("8001-8000", "invalid port range"),
            ("0", "invalid port"),
            ("65536", "invalid port"),
            ("localhost:x", "invalid port"),
            ("127.0.0.1:", "invalid port"),
            (":80", "no host"),
            ("1.2.3.4/x", "invalid host"),
            ("[::1", "invalid host"),
            ("[]:80", "no host"),
            ("[::x]:80", "invalid IPv6 address"),
            ("unix:", "no path in the unix domain socket"),
            ("unix:/tmp/a.sock", "unix:/tmp/a.sock|/tmp/a.sock|"),
        ] {
            assert_eq!(listen(text), expected, "{text}");
        }
    }

    #[test]
    fn server_texts() {
        for (text, expected) in [
            ("127.0.0.1:81/a?b", "127.0.0.1:81|127.0.0.1|/a?b"),
            ("host?x:1", "|host|?x:1"),
            ("name:99", "|name|"),
            ("unix:/s:/u", "unix:/s|/s|/u"),
            ("/x", "no host"),
            ("80", "|80|"),
        ] {
            assert_eq!(server(text), expected, "{text}");
        }
    }

    #[test]
    fn literals() {
        assert_eq!(
            Addr::literal(b"127.0.0.1:9").map(|a| a.to_string()),
            Some("127.0.0.1:9".into())
        );
        assert_eq!(Addr::literal(b"name:9"), None);
        assert_eq!(Addr::literal(b"127.0.0.1"), None);
    }
}

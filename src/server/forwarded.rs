//! Addresses of clients as forwarders tell them, and which forwarders to believe.

use std::net::IpAddr;

use bstr::{BStr, ByteSlice};
use bytes::Bytes;

use crate::conf::{Builder, Diag, Directive};
use crate::net::addr::{self, Addr, Url, Want};
use crate::net::network::Network;

/// Whom to believe.
#[derive(Clone, Copy)]
pub enum Trusted {
    Net(Network),
    Unix,
}

impl Trusted {
    pub fn covers(self, ip: Option<IpAddr>) -> bool {
        match (self, ip) {
            (Self::Net(net), Some(ip)) => net.contains(ip.to_canonical()),
            (Self::Unix, None) => true,
            _ => false,
        }
    }
}

/// Reads `set_real_ip_from`: whom it trusts.
pub fn trusted(b: &mut Builder<'_>, d: &Directive) -> Result<Vec<Trusted>, Diag> {
    let text = d.arg(1);
    let mut found = Vec::new();
    if text == "unix:" {
        found.push(Trusted::Unix);
    } else if let Some(net) = Network::parse(text) {
        if net.has_low_bits() {
            b.warn(format!("low address bits of {text} are meaningless"));
        }
        found.push(Trusted::Net(net.masked()));
    } else {
        let want = Want { default_port: 80, ..Want::default() };
        let complain = |error| Diag::emerg(format!("{error} in set_real_ip_from \"{text}\""));
        let url = Url::parse(text, &want).map_err(complain)?;
        found.extend(url.addrs.iter().filter_map(Addr::ip).map(|ip| Trusted::Net(ip.into())));
    }
    Ok(found)
}

/// Walks a chain of forwarders from its end: an address counts while the one after it is trusted.
/// Without `recursive` only the last address is believed.
pub fn find(
    from: Option<IpAddr>,
    lines: &[Bytes],
    trusted: &[Trusted],
    recursive: bool,
) -> Option<Addr> {
    let mut believed = None;
    let mut at = from;
    let words = lines.iter().rev().flat_map(|line| {
        line.rsplit(|byte| matches!(byte, b',' | b' ')).filter(|word| !word.is_empty())
    });
    for word in words {
        if !trusted.iter().any(|trusted| trusted.covers(at)) {
            break;
        }
        let Some(addr) = bare(word) else { break };
        at = addr.ip();
        believed = Some(addr);
        if !recursive {
            break;
        }
    }
    believed
}

/// An address with or without a port; brackets may stand around one of IPv6.
pub fn bare(word: &[u8]) -> Option<Addr> {
    if let Some(ip) = addr::parse_ip(BStr::new(word)) {
        return Some(Addr::Inet((ip, 0).into()));
    }
    let inner = word.strip_prefix(b"[").and_then(|word| word.strip_suffix(b"]"));
    if let Some(ip) = inner.and_then(|word| addr::parse_ip(word.as_bstr())) {
        return Some(Addr::Inet((ip, 0).into()));
    }
    Addr::literal(word).filter(|addr| !addr.is_unix())
}

//! `geo`: a variable by the network an address lies in.
//!
//! ```text
//!  networks: the narrowest that covers the address wins      ranges: the last one that covers it
//!  proxy 10.0.0.0/8; ─▶ behind these the address is that of X-Forwarded-For
//! ```

use std::{net::IpAddr, rc::Rc, sync::Arc};

use bstr::ByteSlice;
use bytes::Bytes;

use super::forwarded::{self, Trusted};
use super::template::Template;
use super::vars::{Subject, VarTable};
use crate::conf::{Builder, Diag, Directive};
use crate::net::network::Network;

/// One `geo` block.
struct Geo<S> {
    /// Whose address; without it the client's.
    source: Option<Template<S>>,
    default: Bytes,
    ranges: bool,
    nets: Vec<(Network, Bytes)>,
    spans: Vec<(u128, u128, Bytes)>,
    proxies: Vec<Trusted>,
    recursive: bool,
    volatile: bool,
}

/// Reads a `geo` block and defines its variable.
pub fn set<S: Subject>(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let (source, target) = if d.arg_count() == 2 { (Some(1), 2) } else { (None, 1) };
    let mut geo = Geo::<S> {
        source: None,
        default: Bytes::new(),
        ranges: false,
        nets: Vec::new(),
        spans: Vec::new(),
        proxies: Vec::new(),
        recursive: false,
        volatile: false,
    };
    if let Some(index) = source {
        super::map::variable_name(d, index)?;
        geo.source = Some(Template::compile(b, d.arg(index))?);
    }
    let name = super::map::variable_name(d, target)?.to_vec();
    b.entries(d, |b, entry| geo.read(b, entry));
    // The narrowest network wins.
    geo.nets.sort_by_key(|(net, _)| std::cmp::Reverse(net.bits()));
    let cacheable = !geo.volatile;
    let compute = Arc::new(move |r: &Rc<S>| Some(geo.find(r)));
    b.main::<VarTable<S>>().define_computed(&name, compute, cacheable);
    Ok(())
}

impl<S: Subject> Geo<S> {
    fn read(&mut self, b: &mut Builder<'_>, entry: &Directive) -> Result<(), Diag> {
        let value = || Bytes::copy_from_slice(entry.arg(1));
        match (entry.name().as_bytes(), entry.arg_count()) {
            (b"ranges", 0) => {
                if !self.nets.is_empty() {
                    return Err(Diag::emerg(
                        "the \"ranges\" directive must be the first directive inside \"geo\" block",
                    ));
                }
                self.ranges = true;
            }
            (b"proxy_recursive", 0) => self.recursive = true,
            (b"volatile", 0) => self.volatile = true,
            (b"proxy", 1) => {
                let net = Network::parse(entry.arg(1))
                    .ok_or_else(|| Diag::emerg(format!("invalid network \"{}\"", entry.arg(1))))?;
                self.proxies.push(Trusted::Net(net.masked()));
            }
            (b"default", 1) => self.default = value(),
            (b"delete", 1) if self.ranges => {
                let (from, to) = span(entry.arg(1))?;
                self.spans.retain(|(start, end, _)| *end < from || to < *start);
            }
            (b"delete", 1) => {
                let net = Network::parse(entry.arg(1)).map(Network::masked);
                if !self.nets.iter().any(|(known, _)| Some(*known) == net) {
                    b.warn(format!("no network \"{}\" to delete", entry.arg(1)));
                }
                self.nets.retain(|(known, _)| Some(*known) != net);
            }
            (_, 1) if self.ranges => {
                let (from, to) = span(entry.name())?;
                self.spans.push((from, to, value()));
            }
            (_, 1) => {
                let net = Network::parse(entry.name())
                    .ok_or_else(|| Diag::emerg(format!("invalid network \"{}\"", entry.name())))?;
                if net.has_low_bits() {
                    b.warn(format!("low address bits of {} are meaningless", entry.name()));
                }
                self.nets.push((net.masked(), value()));
            }
            _ => return Err(Diag::emerg("invalid number of the geo parameters")),
        }
        Ok(())
    }

    fn find(&self, r: &Rc<S>) -> Bytes {
        let ip = self.address(r).map(|ip| ip.to_canonical());
        if self.ranges {
            // Ranges are of IPv4 addresses; others, and unix sockets, are outside all of them but
            // the one that ends with 255.255.255.255.
            let number = match ip {
                Some(IpAddr::V4(ip)) => u128::from(u32::from(ip)),
                _ => u128::from(u32::MAX),
            };
            let covers = |(from, to, _): &&(u128, u128, Bytes)| (*from..=*to).contains(&number);
            let found = self.spans.iter().rev().find(covers);
            return found.map_or_else(|| self.default.clone(), |(_, _, value)| value.clone());
        }
        // nginx takes a client without an address for 255.255.255.255.
        let ip = ip.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::BROADCAST));
        let found = self.nets.iter().find(|(net, _)| net.contains(ip));
        found.map_or_else(|| self.default.clone(), |(_, value)| value.clone())
    }

    fn address(&self, r: &Rc<S>) -> Option<IpAddr> {
        let ip = match &self.source {
            Some(source) => source.eval(r).to_str().ok().and_then(|text| text.parse().ok()),
            None => r.client_ip(),
        };
        if self.proxies.is_empty() {
            return ip;
        }
        let found = forwarded::find(ip, &r.forwarded_for(), &self.proxies, self.recursive);
        found.map_or(ip, |addr| addr.ip())
    }
}

/// `10.0.0.1-10.0.0.9`
fn span(text: &bstr::BStr) -> Result<(u128, u128), Diag> {
    let wrong = || Diag::emerg(format!("invalid range \"{text}\""));
    let (from, to) = text.split_once_str("-").ok_or_else(wrong)?;
    let number = |text: &[u8]| {
        let ip: std::net::Ipv4Addr = text.to_str().ok()?.parse().ok()?;
        Some(u128::from(u32::from(ip)))
    };
    let (from, to) = number(from).zip(number(to)).ok_or_else(wrong)?;
    if from > to {
        return Err(wrong());
    }
    Ok((from, to))
}

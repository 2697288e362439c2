//! The `resolver` directive of a level, and asking it.
//!
//! ```text
//!  resolver 127.0.0.1 valid=5s;  ─row─▶ NamesConf (inherited)  ─▶ Names ─▶ addresses
//! ```

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bstr::ByteSlice;

use crate::base::units;
use crate::conf::row::{
    HTTP_LEVELS, Row, STREAM, STREAM_SERVER, STREAM_UPSTREAM, UPSTREAM, at_least, row, take,
};
use crate::conf::{Builder, Diag, Directive, Part, Scope};
use crate::net::addr::{Url, Want};
use crate::net::resolver::{Resolver, ResolverSpec};

pub const ROWS: &[Row] = &[
    row("resolver", LEVELS, at_least(1), set_resolver),
    row("resolver_timeout", LEVELS, take(1), |b, d| {
        d.msec_slot(&mut b.part::<NamesConf>().timeout_ms)
    }),
];

/// What one block says of it.
#[derive(Clone, Debug, Default)]
pub struct NamesConf {
    spec: Option<Arc<ResolverSpec>>,
    timeout_ms: Option<u64>,
}

impl Part for NamesConf {
    fn inherit(&mut self, parent: &Self) {
        if self.spec.is_none() {
            self.spec.clone_from(&parent.spec);
        }
        self.timeout_ms = self.timeout_ms.or(parent.timeout_ms);
    }
}

impl NamesConf {
    pub fn names(&self) -> Names {
        let timeout = Duration::from_millis(self.timeout_ms.unwrap_or(TIMEOUT_MS));
        Names { spec: self.spec.clone(), timeout }
    }
}

/// A level's way to addresses, kept apart from its scope so that it can be waited for.
#[derive(Clone, Debug)]
pub struct Names {
    pub spec: Option<Arc<ResolverSpec>>,
    pub timeout: Duration,
}

impl Names {
    /// Those of a level that inherited what it does not say itself.
    pub fn of(scope: &Scope) -> Self {
        scope.part::<NamesConf>().names()
    }

    /// The addresses of a name; the error is nginx's and OpenResty's text.
    pub async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, String> {
        let spec = self.spec.as_ref();
        let spec = spec.ok_or_else(|| format!("no resolver defined to resolve \"{name}\""))?;
        let found = Resolver::of(spec).resolve(name, self.timeout).await;
        found.map_err(|error| error.about(name))
    }
}

fn set_resolver(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let spec = spec(d)?;
    d.once(&mut b.part::<NamesConf>().spec, |_| Ok(Arc::new(spec)))
}

fn spec(d: &Directive) -> Result<ResolverSpec, Diag> {
    let mut spec = ResolverSpec { servers: Vec::new(), valid_s: None, ipv4: true, ipv6: true };
    for index in 1..=d.arg_count() {
        let word = d.arg(index);
        let invalid = || d.wrong_arg(index, format!("invalid parameter: {word}"));
        let on_off = |text: &[u8]| match text {
            b"on" => Ok(true),
            b"off" => Ok(false),
            _ => Err(invalid()),
        };
        if let Some(time) = word.strip_prefix(b"valid=") {
            spec.valid_s = Some(units::parse_sec(time).ok_or_else(invalid)?);
        } else if let Some(text) = word.strip_prefix(b"ipv4=") {
            spec.ipv4 = on_off(text)?;
        } else if let Some(text) = word.strip_prefix(b"ipv6=") {
            spec.ipv6 = on_off(text)?;
        } else if !word.starts_with(b"status_zone=") {
            servers(d, index, &mut spec.servers)?;
        }
    }
    if !spec.ipv4 && !spec.ipv6 {
        return Err(Diag::emerg("\"ipv4\" and \"ipv6\" cannot both be \"off\""));
    }
    match spec.servers.is_empty() {
        true => Err(Diag::emerg("no name servers defined")),
        false => Ok(spec),
    }
}

fn servers(d: &Directive, index: usize, servers: &mut Vec<SocketAddr>) -> Result<(), Diag> {
    let want = Want { default_port: DNS_PORT, ..Want::default() };
    let url = Url::parse(d.arg(index), &want).map_err(|error| {
        d.wrong_arg(index, format!("{error} in resolver \"{}\"", d.arg(index).as_bstr()))
    })?;
    let addrs = url.addrs.iter().filter_map(|a| Some(SocketAddr::new(a.ip()?, a.port())));
    servers.extend(addrs);
    Ok(())
}

const DNS_PORT: u16 = 53;
const TIMEOUT_MS: u64 = 30_000;
const LEVELS: u32 = HTTP_LEVELS | UPSTREAM | STREAM | STREAM_SERVER | STREAM_UPSTREAM;

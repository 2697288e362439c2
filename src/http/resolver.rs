//! The `resolver` directive of a location, and asking it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bstr::ByteSlice;

use crate::{
    base::units,
    conf::{
        Builder, Diag, Directive, Part, Scope,
        row::{HTTP_LEVELS, Row, at_least, row},
    },
    net::{
        addr::{Url, Want},
        resolver::{Resolver, ResolverSpec},
    },
};

use super::{build::HttpConf, core::CoreLoc, location::Location};

/// `resolver` in one block.
#[derive(Default)]
pub struct ResolverConf(pub Option<Arc<ResolverSpec>>);

impl Part for ResolverConf {
    fn inherit(&mut self, parent: &Self) {
        if self.0.is_none() {
            self.0.clone_from(&parent.0);
        }
    }
}

pub const ROWS: &[Row] = &[row("resolver", HTTP_LEVELS, at_least(1), set_resolver)];

/// A location's way to addresses, kept apart from the location so that it can be waited for.
#[derive(Clone, Debug)]
pub struct Names {
    pub spec: Option<Arc<ResolverSpec>>,
    pub timeout: Duration,
}

impl Names {
    pub fn of(location: &Location) -> Self {
        Self::new(&location.scope, location.core())
    }

    /// Those of the `http` block itself.
    pub fn of_http(http: &HttpConf) -> Self {
        Self::new(&http.scope, http.scope.part::<CoreLoc>())
    }

    fn new(scope: &Scope, core: &CoreLoc) -> Self {
        let timeout = Duration::from_millis(core.resolver_timeout_ms());
        Self { spec: scope.part::<ResolverConf>().0.clone(), timeout }
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
    d.once(&mut b.part::<ResolverConf>().0, |_| Ok(Arc::new(spec)))
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

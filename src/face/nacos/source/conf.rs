//! `nacos …` in an upstream, and `nacos_server`, where to ask when not this process.
//!
//! ```text
//!  nacos_server http://10.0.0.1:8848 [http://10.0.0.2:8848 …] [interval=2s] [auth=user:password];
//!  upstream orders { nacos service=orders [group=G] [namespace=N] [clusters=a,b]; }
//! ```

use bstr::{BStr, ByteSlice};

use crate::base::units;
use crate::conf::row::{HTTP, Row, UPSTREAM, args, at_least, row};
use crate::conf::{Builder, Diag, Directive, Part};
use crate::face::nacos::naming::{DEFAULT_GROUP, DEFAULT_NAMESPACE, ServiceKey};
use crate::net::addr::{Addr, Url, Want};
use crate::upstream;

pub const ROWS: &[Row] = &[
    row("nacos", UPSTREAM, args(1, 4), set_source),
    row("nacos_server", HTTP | UPSTREAM, at_least(1), set_server),
];

/// The service an upstream follows; a part of its block.
#[derive(Clone, Debug, Default)]
pub struct SourceConf {
    pub service: Option<ServiceKey>,
    pub clusters: String,
}

/// The Nacos servers of the configuration, or of one upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServerConf {
    /// Tried in turn.
    pub servers: Vec<ServerAddr>,
    pub interval_ms: Option<u64>,
    pub account: Option<(String, String)>,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerAddr {
    pub addr: Addr,
    /// As written, for the Host header.
    pub host: String,
    /// `/nacos`, unless the URL says otherwise.
    pub context: String,
}

impl Part for SourceConf {
    fn inherit(&mut self, _parent: &Self) {}
}

impl Part for ServerConf {
    fn inherit(&mut self, _parent: &Self) {}
}

fn set_source(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let (mut name, mut group, mut namespace) = (None, DEFAULT_GROUP, DEFAULT_NAMESPACE);
    let mut clusters = "";
    for index in 1..=d.arg_count() {
        let bad = || d.bad_param(index);
        let (key, value) = d.arg(index).split_once_str("=").ok_or_else(bad)?;
        let value = value.to_str().ok().filter(|value| !value.is_empty()).ok_or_else(bad)?;
        match key {
            b"service" => name = Some(value),
            b"group" => group = value,
            b"namespace" => namespace = value,
            b"clusters" => clusters = value,
            _ => return Err(bad()),
        }
    }
    let name = name.ok_or_else(|| Diag::emerg("\"nacos\" must have \"service\" parameter"))?;
    let key = ServiceKey::new(namespace, group, name);
    upstream::conf::filled_later(b);
    let part = b.part::<SourceConf>();
    clusters.clone_into(&mut part.clusters);
    d.once(&mut part.service, |_| Ok(key))
}

fn set_server(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let mut conf = ServerConf::default();
    for index in 1..=d.arg_count() {
        let word = d.arg(index);
        if let Some(value) = word.strip_prefix(b"interval=") {
            let ms = units::parse_msec(value).filter(|ms| *ms > 0);
            conf.interval_ms = Some(ms.ok_or_else(|| d.bad_param(index))?);
        } else if let Some(value) = word.strip_prefix(b"auth=") {
            let account = value.to_str().ok().and_then(|text| text.split_once(':'));
            let (user, password) = account.ok_or_else(|| d.bad_param(index))?;
            conf.account = Some((user.into(), password.into()));
        } else {
            conf.servers.push(server(word).map_err(|text| d.wrong_arg(index, text))?);
        }
    }
    if conf.servers.is_empty() {
        return Err(d.wrong("needs the address of a server"));
    }
    let part = b.part::<ServerConf>();
    if !part.servers.is_empty() {
        return Err(d.wrong("is duplicate"));
    }
    *part = conf;
    Ok(())
}

fn server(word: &BStr) -> Result<ServerAddr, String> {
    let rest = match word.strip_prefix(b"http://") {
        Some(rest) => rest,
        None if word.starts_with(b"https://") => {
            return Err("nacos_server over https is not supported".into());
        }
        None => return Err(format!("invalid URL prefix in \"{word}\"")),
    };
    let (host, path) = match rest.find_byte(b'/') {
        Some(at) => rest.split_at(at),
        None => (rest, &b""[..]),
    };
    let want = Want { default_port: 8848, ..Want::default() };
    let url = Url::parse(host, &want).map_err(|e| format!("{e} in \"{word}\""))?;
    let addr = url.addrs.into_iter().next();
    let addr = addr.ok_or_else(|| format!("host not found in \"{word}\""))?;
    let text = |bytes: &[u8]| bytes.to_str().map(str::to_owned).map_err(|e| e.to_string());
    let context = text(path)?.trim_end_matches('/').to_owned();
    let context = if context.is_empty() { "/nacos".to_owned() } else { context };
    Ok(ServerAddr { addr, host: text(host)?, context })
}

//! `nacos …` in an upstream, and `nacos_server`, where to ask when not this process.
//!
//! ```text
//!  nacos_server http[s]://10.0.0.1:8848 [http[s]://10.0.0.2:8848 …] [interval=2s]
//!      [auth=user:password] [verify=on|off] [ca=file];
//!  upstream orders { nacos service=orders [group=G] [namespace=N] [clusters=a,b]
//!      [metadata=key=value …]; }
//! ```

use std::hash::{Hash, Hasher};
use std::path::PathBuf;

use bstr::{BStr, ByteSlice};

use crate::base::units;
use crate::conf::row::{HTTP, Row, UPSTREAM, at_least, row};
use crate::conf::{Builder, Diag, Directive, Part};
use crate::face::nacos::naming::{DEFAULT_GROUP, DEFAULT_NAMESPACE, ServiceKey};
use crate::net::addr::{Addr, Url, Want};
use crate::net::tls::{ClientSpec, ClientTls, system_authorities};
use crate::upstream;

pub const ROWS: &[Row] = &[
    row("nacos", UPSTREAM, at_least(1), set_source),
    row("nacos_server", HTTP | UPSTREAM, at_least(1), set_server),
];

/// The service an upstream follows; a part of its block.
#[derive(Clone, Debug, Default)]
pub struct SourceConf {
    pub service: Option<ServiceKey>,
    pub clusters: String,
    /// What the metadata of an instance has to say for it to be a peer.
    pub metadata: Vec<(String, String)>,
}

/// The Nacos servers of the configuration, or of one upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServerConf {
    /// Tried in turn.
    pub servers: Vec<ServerAddr>,
    pub interval_ms: Option<u64>,
    pub account: Option<(String, String)>,
    /// When one of them is behind TLS.
    pub tls: Option<Secure>,
}

/// How servers behind TLS are spoken to.
#[derive(Clone, Debug)]
pub struct Secure {
    pub client: ClientTls,
    pub verify: bool,
    ca: Option<PathBuf>,
}

impl PartialEq for Secure {
    fn eq(&self, other: &Self) -> bool {
        (self.verify, &self.ca) == (other.verify, &other.ca)
    }
}

impl Eq for Secure {}

impl Hash for Secure {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.verify, &self.ca).hash(state);
    }
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerAddr {
    pub addr: Addr,
    /// As written, for the Host header.
    pub host: String,
    /// The host without the port, when there is TLS: what the certificate has to say.
    pub name: Option<String>,
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
    let (mut clusters, mut metadata) = ("", Vec::new());
    for index in 1..=d.arg_count() {
        let bad = || d.bad_param(index);
        let (key, value) = d.arg(index).split_once_str("=").ok_or_else(bad)?;
        let value = value.to_str().ok().filter(|value| !value.is_empty()).ok_or_else(bad)?;
        match key {
            b"service" => name = Some(value),
            b"group" => group = value,
            b"namespace" => namespace = value,
            b"clusters" => clusters = value,
            b"metadata" => {
                let (name, value) = value.split_once('=').ok_or_else(bad)?;
                metadata.push((name.to_owned(), value.to_owned()));
            }
            _ => return Err(bad()),
        }
    }
    let name = name.ok_or_else(|| Diag::emerg("\"nacos\" must have \"service\" parameter"))?;
    let key = ServiceKey::new(namespace, group, name);
    upstream::conf::filled_later(b);
    let part = b.part::<SourceConf>();
    clusters.clone_into(&mut part.clusters);
    part.metadata = metadata;
    d.once(&mut part.service, |_| Ok(key))
}

fn set_server(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let mut conf = ServerConf::default();
    let (mut verify, mut ca) = (true, None);
    for index in 1..=d.arg_count() {
        let word = d.arg(index);
        let bad = || d.bad_param(index);
        match word.split_once_str("=").unwrap_or((b"", word)) {
            (b"interval", value) => {
                let ms = units::parse_msec(value).filter(|ms| *ms > 0);
                conf.interval_ms = Some(ms.ok_or_else(bad)?);
            }
            (b"auth", value) => {
                let account = value.to_str().ok().and_then(|text| text.split_once(':'));
                let (user, password) = account.ok_or_else(bad)?;
                conf.account = Some((user.into(), password.into()));
            }
            (b"verify", b"on") => verify = true,
            (b"verify", b"off") => verify = false,
            (b"ca", file) if !file.is_empty() => ca = Some(b.conf_path(BStr::new(file))),
            _ => conf.servers.push(server(word).map_err(|text| d.wrong_arg(index, text))?),
        }
    }
    if conf.servers.is_empty() {
        return Err(d.wrong("needs the address of a server"));
    }
    if conf.servers.iter().any(|server| server.name.is_some()) {
        conf.tls = Some(secure(verify, ca)?);
    }
    let part = b.part::<ServerConf>();
    if !part.servers.is_empty() {
        return Err(d.wrong("is duplicate"));
    }
    *part = conf;
    Ok(())
}

fn secure(verify: bool, ca: Option<PathBuf>) -> Result<Secure, Diag> {
    let trusted = ca.clone().or_else(|| verify.then(system_authorities).flatten());
    if verify && trusted.is_none() {
        let text = "no \"ca\" for a \"nacos_server\" over https";
        return Err(Diag::emerg(text).hint("name a file with ca=, or write verify=off"));
    }
    let spec = ClientSpec { trusted, ..ClientSpec::default() };
    let client = ClientTls::build(&spec).map_err(|e| Diag::emerg(e.to_string()))?;
    Ok(Secure { client, verify, ca })
}

fn server(word: &BStr) -> Result<ServerAddr, String> {
    let (rest, default_port) = match () {
        () if word.starts_with(b"http://") => (&word.as_bytes()[7..], 8848),
        () if word.starts_with(b"https://") => (&word.as_bytes()[8..], 443),
        () => return Err(format!("invalid URL prefix in \"{word}\"")),
    };
    let (host, path) = match rest.find_byte(b'/') {
        Some(at) => rest.split_at(at),
        None => (rest, &b""[..]),
    };
    let want = Want { default_port, ..Want::default() };
    let url = Url::parse(host, &want).map_err(|e| format!("{e} in \"{word}\""))?;
    let addr = url.addrs.into_iter().next();
    let addr = addr.ok_or_else(|| format!("host not found in \"{word}\""))?;
    let text = |bytes: &[u8]| bytes.to_str().map(str::to_owned).map_err(|e| e.to_string());
    let context = text(path)?.trim_end_matches('/').to_owned();
    let context = if context.is_empty() { "/nacos".to_owned() } else { context };
    let host = text(host)?;
    let name = word.starts_with(b"https://").then(|| without_port(&host).to_owned());
    Ok(ServerAddr { addr, host, name, context })
}

/// `[::1]:8848` is `::1`.
fn without_port(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_certificates() {
        let name = |url: &str| server(BStr::new(url)).map(|server| server.name);
        assert_eq!(name("http://127.0.0.1"), Ok(None));
        assert_eq!(name("https://127.0.0.1:8848/nacos"), Ok(Some("127.0.0.1".into())));
        assert_eq!(name("https://[::1]"), Ok(Some("::1".into())));
        assert!(name("ftp://127.0.0.1").is_err());
    }
}

//! `store_etcd`: what is kept, is kept in etcd.
//!
//! ```text
//!  store_etcd http://10.0.0.1:2379 http://10.0.0.2:2379 prefix=/apisix timeout=5s
//!             user=moonbeat password=SECRET;
//!  store_etcd https://etcd:2379 tls_ca=ca.pem tls_cert=own.pem tls_key=own.key tls_sni=etcd;
//! ```
//! The words are those of `deployment.etcd` in APISIX's `config.yaml`.

use std::sync::Arc;
use std::time::Duration;

use bstr::{BStr, ByteSlice};

use super::spec::{Endpoint, Spec, TlsFiles};
use crate::base::units;
use crate::conf::{Builder, Diag, Directive};
use crate::net::addr::{Url, Want};
use crate::store::conf::{StoreConf, once};

pub fn set(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let spec = read(b, d)?;
    let conf = b.main::<StoreConf>();
    once(conf, d)?;
    conf.etcd = Some(Arc::new(spec));
    Ok(())
}

fn read(b: &Builder<'_>, d: &Directive) -> Result<Spec, Diag> {
    let mut spec = Spec {
        endpoints: Vec::new(),
        timeout: TIMEOUT,
        user: None,
        tls: TlsFiles::default(),
        prefixes: Vec::new(),
    };
    let (mut user, mut password, mut cert, mut key) = (None, None, None, None);
    for index in 1..=d.arg_count() {
        let bad = || bad_param(d, index);
        let word = d.arg(index);
        if let Some(endpoint) = endpoint(word).map_err(|()| bad())? {
            spec.endpoints.push(endpoint);
            continue;
        }
        let (name, value) = word.split_once_str("=").ok_or_else(bad)?;
        let text = || Some(value.to_str().ok()?.to_owned()).filter(|text| !text.is_empty());
        let text = text().ok_or_else(bad)?;
        match name {
            b"prefix" => spec.prefixes.push(("/apisix/", prefix(&text).ok_or_else(bad)?)),
            b"kong_prefix" => spec.prefixes.push(("/kong/", prefix(&text).ok_or_else(bad)?)),
            b"nacos_prefix" => spec.prefixes.push(("/nacos/", prefix(&text).ok_or_else(bad)?)),
            b"timeout" => spec.timeout = timeout(value).ok_or_else(bad)?,
            b"user" => user = Some(text),
            b"password" => password = Some(text),
            b"tls_ca" => spec.tls.ca = Some(b.conf_path(BStr::new(value))),
            b"tls_cert" => cert = Some(b.conf_path(BStr::new(value))),
            b"tls_key" => key = Some(b.conf_path(BStr::new(value))),
            b"tls_sni" => spec.tls.name = Some(text),
            b"tls_verify" if value == b"on" => spec.tls.unverified = false,
            b"tls_verify" if value == b"off" => spec.tls.unverified = true,
            _ => return Err(bad()),
        }
    }
    spec.user = pair(d, user, password, "needs both \"user=\" and \"password=\"")?;
    spec.tls.certificate = pair(d, cert, key, "needs both \"tls_cert=\" and \"tls_key=\"")?;
    if spec.endpoints.is_empty() {
        let hint = "such as http://127.0.0.1:2379";
        return Err(d.wrong("needs the URL of a member of etcd").hint(hint));
    }
    let https = spec.endpoints.iter().any(|endpoint| endpoint.https);
    if https && spec.tls.ca.is_none() && !spec.tls.unverified {
        return Err(d.wrong("needs \"tls_ca=\" for https, or \"tls_verify=off\""));
    }
    Ok(spec)
}

/// None for a word that is no URL.
fn endpoint(word: &BStr) -> Result<Option<Endpoint>, ()> {
    let (https, rest) = match (word.strip_prefix(b"http://"), word.strip_prefix(b"https://")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        _ if word.contains_str("://") => return Err(()),
        _ => return Ok(None),
    };
    let want = Want { no_resolve: true, default_port: DEFAULT_PORT, ..Want::default() };
    let rest = rest.strip_suffix(b"/").unwrap_or(rest);
    let url = Url::parse(rest, &want).map_err(|_| ())?;
    let host = url.host.to_str().map_err(|_| ())?.to_owned();
    if url.is_unix() || host.is_empty() {
        return Err(());
    }
    Ok(Some(Endpoint { https, host, port: url.port }))
}

/// `/apisix` and `/apisix/` mean the same.
fn prefix(text: &str) -> Option<String> {
    let name = text.trim_end_matches('/');
    (name.len() > 1 && name.starts_with('/')).then(|| format!("{name}/"))
}

fn timeout(value: &[u8]) -> Option<Duration> {
    units::parse_msec(value).filter(|ms| *ms > 0).map(Duration::from_millis)
}

fn pair<T>(d: &Directive, a: Option<T>, b: Option<T>, why: &str) -> Result<Option<(T, T)>, Diag> {
    match (a, b) {
        (Some(a), Some(b)) => Ok(Some((a, b))),
        (None, None) => Ok(None),
        _ => Err(d.wrong(why)),
    }
}

/// A complaint that does not repeat a password.
fn bad_param(d: &Directive, index: usize) -> Diag {
    let word = d.arg(index);
    let shown = match word.split_once_str("=") {
        Some((name, _)) if name == b"password" => name,
        _ => word.as_bytes(),
    };
    d.wrong_arg(index, format!("invalid parameter \"{}\"", shown.as_bstr()))
}

const DEFAULT_PORT: u16 = 2379;
const TIMEOUT: Duration = Duration::from_secs(5);

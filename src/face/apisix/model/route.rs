//! Routes and services made ready.
//!
//! ```text
//!  document ─▶ Route { uris, hosts, methods, addresses, vars ─ what it takes;
//!                      plugins, upstream or its id, service's id ─ what becomes of it }
//! ```

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::Item;
use super::expr::Expr;
use super::limit::Limit;
use super::upstream::{Timeouts, Upstream};
use crate::face::apisix::admin;
use crate::net::network::Network;

/// A route.
pub struct Route {
    pub item: Item,
    pub uris: Vec<String>,
    pub hosts: Vec<HostRule>,
    /// Upper case; empty takes all.
    pub methods: Vec<String>,
    pub addrs: Vec<Network>,
    pub vars: Option<Expr>,
    pub priority: i64,
    pub enabled: bool,
    pub limit: Option<Arc<Limit>>,
    pub upstream: Option<Arc<Upstream>>,
    pub upstream_id: Option<Arc<str>>,
    pub service_id: Option<Arc<str>>,
    pub timeout: Option<Timeouts>,
    pub websocket: Option<bool>,
}

/// A service: what several routes share.
pub struct Service {
    pub item: Item,
    pub hosts: Vec<HostRule>,
    pub limit: Option<Arc<Limit>>,
    pub upstream: Option<Arc<Upstream>>,
    pub upstream_id: Option<Arc<str>>,
    pub websocket: Option<bool>,
}

/// A host of a route; lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRule {
    Exact(String),
    /// `*.foo.com`, without the star.
    Suffix(String),
}

impl HostRule {
    pub fn parse(host: &str) -> Self {
        let host = host.to_ascii_lowercase();
        match host.strip_prefix('*') {
            Some(suffix) => Self::Suffix(suffix.to_owned()),
            None => Self::Exact(host),
        }
    }

    pub fn takes(&self, host: &[u8]) -> bool {
        match self {
            Self::Exact(name) => host == name.as_bytes(),
            Self::Suffix(suffix) => {
                host.len() > suffix.len() && host.ends_with(suffix.as_bytes()) || suffix.is_empty()
            }
        }
    }
}

impl Route {
    pub fn build(item: Item, old: Option<&Arc<Self>>) -> Result<Self, String> {
        let full = checked(&item)?;
        let old = old.and_then(|old| old.upstream.as_ref());
        let number = |name: &str| full.get(name).and_then(Value::as_f64);
        let timeout = full.get("timeout").map(Timeouts::deserialize).transpose();
        Ok(Self {
            uris: texts(&full, "uri", "uris"),
            hosts: texts(&full, "host", "hosts").iter().map(|h| HostRule::parse(h)).collect(),
            methods: texts(&full, "method", "methods"),
            addrs: ranges(&full)?,
            vars: full.get("vars").map(Expr::parse).transpose()?,
            priority: number("priority").unwrap_or(0.0) as i64,
            enabled: number("status") != Some(0.0),
            limit: limit(&item.key, &full)?,
            upstream: inner(&item.key, &full, old)?,
            upstream_id: id(&full, "upstream_id"),
            service_id: id(&full, "service_id"),
            timeout: timeout.map_err(|e| e.to_string())?,
            websocket: full.get("enable_websocket").and_then(Value::as_bool),
            item,
        })
    }
}

impl Service {
    pub fn build(item: Item, old: Option<&Arc<Self>>) -> Result<Self, String> {
        let full = checked(&item)?;
        let old = old.and_then(|old| old.upstream.as_ref());
        Ok(Self {
            hosts: texts(&full, "host", "hosts").iter().map(|h| HostRule::parse(h)).collect(),
            limit: limit(&item.key, &full)?,
            upstream: inner(&item.key, &full, old)?,
            upstream_id: id(&full, "upstream_id"),
            websocket: full.get("enable_websocket").and_then(Value::as_bool),
            item,
        })
    }
}

/// The document with its defaults; documents may come from others than our Admin API.
pub fn checked(item: &Item) -> Result<Value, String> {
    let version = admin::Version::V3;
    let value = serde_json::from_slice(&item.text).map_err(|e| e.to_string())?;
    admin::check(version, item.collection, &value, &|_, _| true)
        .map_err(|why| why.get("error_msg").and_then(Value::as_str).unwrap_or_default().to_owned())
}

fn inner(
    key: &str,
    full: &Value,
    old: Option<&Arc<Upstream>>,
) -> Result<Option<Arc<Upstream>>, String> {
    let build = |document| Upstream::build(key, document, old).map(Arc::new);
    full.get("upstream").map(build).transpose()
}

fn limit(key: &str, full: &Value) -> Result<Option<Arc<Limit>>, String> {
    let plugin = full.get("plugins").and_then(|plugins| plugins.get("limit-count"));
    plugin.map_or(Ok(None), |plugin| Limit::read(key, plugin))
}

fn ranges(full: &Value) -> Result<Vec<Network>, String> {
    let range = |text: &String| {
        Network::parse(text.as_str().into()).ok_or(format!("invalid address: {text}"))
    };
    texts(full, "remote_addr", "remote_addrs").iter().map(range).collect()
}

/// A member that may be written as one text or as a list.
fn texts(full: &Value, one: &str, many: &str) -> Vec<String> {
    let one = full.get(one).and_then(Value::as_str);
    let many = full.get(many).and_then(Value::as_array).into_iter().flatten();
    one.into_iter().chain(many.filter_map(Value::as_str)).map(str::to_owned).collect()
}

fn id(full: &Value, name: &str) -> Option<Arc<str>> {
    match full.get(name)? {
        Value::String(text) => Some(text.as_str().into()),
        Value::Number(number) => Some(number.to_string().into()),
        _ => None,
    }
}

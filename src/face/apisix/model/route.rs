//! Routes and services made ready.
//!
//! ```text
//!  document ─▶ Route { uris, hosts, methods, addresses, vars ─ what it takes;
//!                      plugins, upstream or its id, service's id ─ what becomes of it }
//! ```

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::Item;
use super::expr::Expr;
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

/// The plugin `limit-count`.
#[derive(Clone, Debug, Deserialize)]
pub struct Limit {
    pub count: u64,
    pub time_window: u64,
    #[serde(default)]
    pub window_type: WindowType,
    pub key: String,
    pub key_type: WindowKey,
    pub rejected_code: u16,
    pub rejected_msg: Option<String>,
    pub show_limit_quota_header: bool,
    pub group: Option<String>,
    /// Tells counters of one setting from those of another: they begin anew when it changes.
    #[serde(skip)]
    pub counter: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowType {
    #[default]
    Fixed,
    Sliding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowKey {
    Var,
    VarCombination,
    Constant,
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
    admin::check(item.collection, &item.value, &|_, _| true)
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
    let off = |plugin: &Value| {
        let meta = plugin.get("_meta").and_then(|meta| meta.get("disable"));
        [plugin.get("disable"), meta].contains(&Some(&Value::Bool(true)))
    };
    let Some(plugin) = plugin.filter(|plugin| !off(plugin)) else { return Ok(None) };
    let mut limit = Limit::deserialize(whole(plugin)).map_err(|e| e.to_string())?;
    let mut hasher = DefaultHasher::new();
    match &limit.group {
        Some(group) => ("group", group).hash(&mut hasher),
        None => (key, plugin.to_string()).hash(&mut hasher),
    }
    limit.counter = hasher.finish();
    Ok(Some(Arc::new(limit)))
}

/// Integers as Lua has them: `2.0` is 2.
fn whole(value: &Value) -> Value {
    match value {
        Value::Number(n) => match n.as_f64() {
            Some(f) if f.fract() == 0.0 && f.abs() < 1e15 => Value::from(f as i64),
            _ => value.clone(),
        },
        Value::Object(members) => {
            Value::Object(members.iter().map(|(k, v)| (k.clone(), whole(v))).collect())
        }
        other => other.clone(),
    }
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

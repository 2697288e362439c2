//! Entities as the data plane reads them: checked JSON turned into types.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::health::dialect::kong::Healthchecks;

/// An upstream.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct UpstreamConf {
    pub id: String,
    pub name: String,
    pub algorithm: Algorithm,
    pub hash_on: HashOn,
    pub hash_fallback: HashOn,
    pub hash_on_header: Option<String>,
    pub hash_fallback_header: Option<String>,
    pub hash_on_cookie: Option<String>,
    pub hash_on_cookie_path: Option<String>,
    pub hash_on_query_arg: Option<String>,
    pub hash_fallback_query_arg: Option<String>,
    pub hash_on_uri_capture: Option<String>,
    pub hash_fallback_uri_capture: Option<String>,
    pub host_header: Option<String>,
    pub healthchecks: Healthchecks,
}

impl UpstreamConf {
    /// The upstream behind a service that names a host: nothing is checked.
    pub fn of_host(host: &str) -> Self {
        Self {
            id: String::new(),
            name: host.into(),
            algorithm: Algorithm::RoundRobin,
            hash_on: HashOn::None,
            hash_fallback: HashOn::None,
            hash_on_header: None,
            hash_fallback_header: None,
            hash_on_cookie: None,
            hash_on_cookie_path: None,
            hash_on_query_arg: None,
            hash_fallback_query_arg: None,
            hash_on_uri_capture: None,
            hash_fallback_uri_capture: None,
            host_header: None,
            healthchecks: Healthchecks::default(),
        }
    }
}

impl TargetConf {
    pub fn of_host(host: &str, port: u16) -> Self {
        let upstream = Ref { id: String::new() };
        let target = format!("{host}:{port}");
        Self { id: String::new(), upstream, target, weight: 100, created_at: 0.0 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    RoundRobin,
    ConsistentHashing,
    LeastConnections,
    Latency,
}

/// Where the key of a hash comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HashOn {
    None,
    /// Consumers are not built in: there is never one.
    Consumer,
    Ip,
    Header,
    Cookie,
    Path,
    QueryArg,
    UriCapture,
}

/// One backend as written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct TargetConf {
    pub id: String,
    pub upstream: Ref,
    pub target: String,
    pub weight: u32,
    #[serde(default)]
    pub created_at: f64,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Service {
    pub id: String,
    pub name: Option<String>,
    pub retries: usize,
    pub protocol: String,
    pub host: String,
    pub port: u16,
    pub path: Option<String>,
    pub connect_timeout: u64,
    pub write_timeout: u64,
    pub read_timeout: u64,
    pub tls_verify: Option<bool>,
    #[serde(default)]
    pub tls_verify_depth: Option<u32>,
    pub enabled: bool,
}

impl Service {
    pub fn is_tls(&self) -> bool {
        self.protocol == "https"
    }
}

/// A route.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Route {
    pub id: String,
    pub name: Option<String>,
    pub protocols: Vec<String>,
    pub methods: Option<Vec<String>>,
    pub hosts: Option<Vec<String>>,
    pub paths: Option<Vec<String>>,
    pub headers: Option<BTreeMap<String, Vec<String>>>,
    pub snis: Option<Vec<String>>,
    pub https_redirect_status_code: u16,
    pub regex_priority: u32,
    pub strip_path: bool,
    pub path_handling: PathHandling,
    pub preserve_host: bool,
    pub service: Option<Ref>,
    pub created_at: f64,
}

/// How what is left of a path is joined to the service's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PathHandling {
    #[default]
    V0,
    V1,
}

/// A mention of another entity, by its id.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Ref {
    pub id: String,
}

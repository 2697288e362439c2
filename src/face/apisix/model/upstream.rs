//! An upstream made ready: how it picks, retries, waits, names the host, and checks.
//!
//! ```text
//!  document ─▶ Upstream { nodes: Nodes (replaced when names resolve anew), group, checks }
//! ```

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::Deserialize;
use serde_json::Value;

use super::nodes::{NodeSpec, Nodes};
use crate::face::apisix::balance;
use crate::face::apisix::checks::Checker;
use crate::net::tls::{ClientSpec, ClientTls};
use crate::upstream::{Body, Group, KeepaliveConf};

/// One `upstream` object, of a resource of its own or inside a route or service.
pub struct Upstream {
    /// The resource it belongs to: `/apisix/routes/1`.
    pub key: Arc<str>,
    pub conf: Conf,
    pub specs: Vec<NodeSpec>,
    pub checks: Option<CheckSettings>,
    /// The document's `checks`, for comparing.
    checks_text: Box<str>,
    pub set: ArcSwap<Set>,
    checker: Mutex<Option<Arc<Checker>>>,
    /// TLS to the nodes, made when it is first needed.
    client: OnceLock<Result<ClientTls, String>>,
}

/// The nodes at one time and the group that carries requests to them.
pub struct Set {
    pub nodes: Nodes,
    pub group: Arc<Group>,
    /// When names have to be asked for again, on the monotonic clock; never for addresses.
    pub expires_at_ms: Option<u64>,
}

/// The members of the document that are numbers and words.
#[derive(Clone, Debug, Deserialize)]
pub struct Conf {
    #[serde(default, rename = "type")]
    pub method: Method,
    #[serde(default)]
    pub hash_on: HashOn,
    #[serde(default)]
    pub key: String,
    pub retries: Option<u32>,
    #[serde(default)]
    pub retry_timeout: f64,
    pub timeout: Option<Timeouts>,
    #[serde(default)]
    pub scheme: String,
    #[serde(default)]
    pub pass_host: PassHost,
    #[serde(default)]
    pub upstream_host: String,
    pub keepalive_pool: Option<Pool>,
    pub tls: Option<Tls>,
}

/// How a node is picked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Method {
    #[default]
    RoundRobin,
    Chash,
    LeastConn,
    Ewma,
    Unknown(String),
}

impl From<String> for Method {
    fn from(word: String) -> Self {
        match &*word {
            "roundrobin" => Self::RoundRobin,
            "chash" => Self::Chash,
            "least_conn" => Self::LeastConn,
            "ewma" => Self::Ewma,
            _ => Self::Unknown(word),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HashOn {
    #[default]
    Vars,
    Header,
    Cookie,
    Consumer,
    VarsCombinations,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PassHost {
    #[default]
    Pass,
    Node,
    Rewrite,
}

/// Seconds.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Timeouts {
    pub connect: f64,
    pub send: f64,
    pub read: f64,
}

/// `keepalive_pool`
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Pool {
    pub size: u32,
    pub idle_timeout: f64,
    pub requests: u64,
}

/// `tls`
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Tls {
    pub client_cert: Option<String>,
    pub client_key: Option<String>,
    #[serde(default)]
    pub verify: bool,
}

/// `checks`
#[derive(Clone, Debug, Deserialize)]
pub struct CheckSettings {
    pub active: Option<Active>,
    pub passive: Option<Passive>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Active {
    #[serde(rename = "type")]
    pub kind: String,
    pub timeout: f64,
    pub concurrency: f64,
    pub host: Option<String>,
    pub port: Option<f64>,
    #[serde(default)]
    pub http_method: String,
    pub http_path: String,
    #[serde(default)]
    pub http_req_body: String,
    pub https_verify_certificate: bool,
    #[serde(default)]
    pub req_headers: Vec<String>,
    pub healthy: Option<Healthy>,
    pub unhealthy: Option<Unhealthy>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Passive {
    #[serde(rename = "type")]
    pub kind: String,
    pub healthy: Option<Healthy>,
    pub unhealthy: Option<Unhealthy>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Healthy {
    #[serde(default)]
    pub interval: f64,
    pub http_statuses: Vec<f64>,
    pub successes: f64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Unhealthy {
    #[serde(default)]
    pub interval: f64,
    pub http_statuses: Vec<f64>,
    pub http_failures: f64,
    pub tcp_failures: f64,
    pub timeouts: f64,
}

impl Conf {
    /// TLS to the nodes.
    pub fn is_secure(&self) -> bool {
        matches!(&*self.scheme, "https" | "grpcs")
    }

    pub fn is_grpc(&self) -> bool {
        matches!(&*self.scheme, "grpc" | "grpcs")
    }

    /// The port of nodes that name none.
    pub fn usual_port(&self) -> u16 {
        if self.is_secure() { 443 } else { 80 }
    }
}

impl Upstream {
    /// Reads a document whose defaults are filled in. Nodes that were in `old` keep their states,
    /// and so does its checker while there are checks.
    pub fn build(key: &str, document: &Value, old: Option<&Arc<Self>>) -> Result<Self, String> {
        let conf = Conf::deserialize(document).map_err(|e| e.to_string())?;
        let usual_port = conf.usual_port();
        let specs = NodeSpec::list(document.get("nodes").unwrap_or(&Value::Null), usual_port);
        let checks = document.get("checks").unwrap_or(&Value::Null);
        let checks_text = checks.to_string().into();
        let checks = match checks {
            Value::Null => None,
            checks => Some(CheckSettings::deserialize(checks).map_err(|e| e.to_string())?),
        };
        let known = old.map(|old| old.set.load_full());
        let known_nodes = known.as_ref().map(|set| &set.nodes);
        // Names keep the addresses they had; those that are new are asked for with the next
        // request.
        let addresses = |spec: &NodeSpec| match spec.ip() {
            Some(ip) => vec![ip],
            None => known_nodes.map(|nodes| nodes.addresses(&spec.host)).unwrap_or_default(),
        };
        let found: Vec<_> = specs
            .iter()
            .flat_map(|spec| addresses(spec).into_iter().map(|ip| (spec.clone(), ip)))
            .collect();
        let all = specs.iter().all(|spec| found.iter().any(|(have, _)| have == spec));
        let nodes = Nodes::build(&found, known_nodes, probe_port(checks.as_ref()));
        let mut set = Set::build(key, nodes);
        set.expires_at_ms = match all {
            true if specs.iter().all(|spec| spec.ip().is_some()) => None,
            true => known.as_ref().and_then(|set| set.expires_at_ms),
            false => Some(0),
        };
        let upstream = Self {
            key: key.into(),
            conf,
            specs,
            checks,
            checks_text,
            set: ArcSwap::from_pointee(set),
            checker: Mutex::default(),
            client: OnceLock::new(),
        };
        if let Some(old) = old {
            upstream.take_over_checker(old);
        }
        Ok(upstream)
    }

    /// The checker, if one has been started.
    pub fn checker(&self) -> Option<Arc<Checker>> {
        self.checker.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts the checks, as the first request through an upstream does.
    pub fn start_checks(&self, make: impl FnOnce() -> Option<Arc<Checker>>) {
        let mut checker = self.checker.lock().unwrap_or_else(PoisonError::into_inner);
        if checker.is_none() {
            *checker = make();
        }
    }

    /// Puts newly resolved nodes in place.
    pub fn renew(&self, found: &[(NodeSpec, IpAddr)], expires_at_ms: u64) {
        let old = self.set.load_full();
        let same = old.nodes.list.iter().map(|node| (&node.spec, node.ip));
        let same = same.eq(found.iter().map(|(spec, ip)| (spec, *ip)));
        let nodes = Nodes::build(found, Some(&old.nodes), probe_port(self.checks.as_ref()));
        let mut set = match same {
            true => Set { nodes, group: old.group.clone(), expires_at_ms: None },
            false => Set::build(&self.key, nodes),
        };
        set.expires_at_ms = Some(expires_at_ms);
        self.set.store(Arc::new(set));
        if let Some(checker) = self.checker() {
            checker.follow(self);
        }
    }

    pub fn keepalive(&self) -> KeepaliveConf {
        let pool = self.conf.keepalive_pool;
        let pool = pool.unwrap_or(Pool { size: 320, idle_timeout: 60.0, requests: 1000 });
        KeepaliveConf {
            max_requests: pool.requests,
            idle_timeout_ms: span_ms(pool.idle_timeout),
            ..KeepaliveConf::with_max_idle(pool.size as usize)
        }
    }

    /// TLS to the nodes, with the client certificate of the document.
    pub fn tls(&self) -> Result<ClientTls, String> {
        let make = || {
            let client = if self.conf.is_grpc() { tls_speaking(&[b"h2"])? } else { system_tls()? };
            let Some(Tls { client_cert: Some(cert), client_key: Some(key), .. }) = &self.conf.tls
            else {
                return Ok(client);
            };
            client.with_pem(cert.as_bytes(), key.as_bytes()).map_err(|e| e.to_string())
        };
        self.client.get_or_init(make).clone()
    }

    /// How often a request may be tried at most.
    pub fn tries(&self, nodes: usize) -> usize {
        match self.conf.retries {
            Some(retries) => retries as usize + 1,
            None => nodes.max(1),
        }
    }

    /// A document was replaced: the checks go on with its nodes, or with its settings.
    fn take_over_checker(&self, old: &Self) {
        let Some(checker) = old.checker() else { return };
        if self.checks.is_none() || self.specs.is_empty() {
            return;
        }
        let checker = match self.checks_text == old.checks_text {
            true => Some(checker),
            false => checker.anew(self),
        };
        if let Some(checker) = &checker {
            checker.follow(self);
        }
        *self.checker.lock().unwrap_or_else(PoisonError::into_inner) = checker;
    }
}

impl Set {
    fn build(key: &str, nodes: Nodes) -> Self {
        let group = Group::named(key.into(), 0);
        let mut scope = crate::conf::Scope::new();
        balance::attach(&mut scope);
        group.fill(Body { servers: nodes.servers(), scope, ..Body::default() });
        Self { nodes, group: Arc::new(group), expires_at_ms: None }
    }
}

/// The port that probes go to, if not that of the node.
pub fn probe_port(checks: Option<&CheckSettings>) -> Option<u16> {
    Some(checks?.active.as_ref()?.port? as u16)
}

/// A client that trusts whom the system trusts.
pub fn system_tls() -> Result<ClientTls, String> {
    tls_speaking(&[])
}

fn tls_speaking(protocols: &[&[u8]]) -> Result<ClientTls, String> {
    let bundle = Path::new(SYSTEM_TRUST);
    let trusted = bundle.is_file().then(|| bundle.to_owned());
    let alpn = protocols.iter().map(|name| name.to_vec()).collect();
    let spec = ClientSpec { trusted, depth: Some(100), alpn, ..ClientSpec::default() };
    ClientTls::build(&spec).map_err(|e| e.to_string())
}

/// Seconds of a document as milliseconds.
pub fn span_ms(seconds: f64) -> u64 {
    Duration::try_from_secs_f64(seconds.max(0.0))
        .map_or(u64::MAX, |span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

/// Where Debian and its kin keep the authorities.
const SYSTEM_TRUST: &str = "/etc/ssl/certs/ca-certificates.crt";

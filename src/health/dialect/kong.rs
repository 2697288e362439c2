//! Kong's `healthchecks` record, and Tencent's gateway, which writes the same one.
//!
//! ```text
//!  {"active": {"healthy": {"interval": 2, …}, …}, "passive": {…}, "threshold": 0}
//!      ├─ is_on ── some interval or some passive limit is not zero
//!      └─ spec ──▶ CheckSpec: two lanes, four counters, Host first, version by what is answered
//! ```

use std::collections::BTreeMap;

use bstr::BString;
use serde::Deserialize;

use super::Dialect;
use crate::health::machine::Limits;
use crate::health::spec::{
    CheckSpec, GrpcProbe, HeadOrder, HttpProbe, MachineSpec, Pace, Pass, PassiveSpec, ProbeSpec,
    TimeoutScope, TlsSpec, Version,
};
use crate::health::statuses::Statuses;

/// The record, checked and with all defaults.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Healthchecks {
    pub active: Active,
    pub passive: Passive,
    /// Percent of the weight that must be available; 0 asks for any.
    pub threshold: f64,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Active {
    #[serde(rename = "type")]
    pub kind: ProbeType,
    /// Seconds.
    pub timeout: f64,
    pub concurrency: usize,
    pub http_path: String,
    pub https_sni: Option<String>,
    pub https_verify_certificate: bool,
    pub headers: Option<BTreeMap<String, Vec<String>>>,
    pub healthy: Healthy,
    pub unhealthy: Unhealthy,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Passive {
    #[serde(rename = "type")]
    pub kind: ProbeType,
    pub healthy: Healthy,
    pub unhealthy: Unhealthy,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Healthy {
    pub http_statuses: Vec<u16>,
    pub successes: u32,
    /// Seconds; passive checks have none.
    #[serde(default)]
    pub interval: f64,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Unhealthy {
    pub http_statuses: Vec<u16>,
    pub http_failures: u32,
    pub tcp_failures: u32,
    pub timeouts: u32,
    #[serde(default)]
    pub interval: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeType {
    Tcp,
    #[default]
    Http,
    Https,
    Grpc,
    Grpcs,
}

/// What the upstream says beside its checks.
#[derive(Clone, Debug, Default)]
pub struct Around {
    pub host_header: Option<String>,
    /// Thresholds are to be exceeded, not reached, as the documents of Tencent's gateway have it.
    pub exclusive: bool,
}

impl Healthchecks {
    /// Whether anybody looks at the targets. Without that their health reads HEALTHCHECKS_OFF.
    pub fn is_on(&self) -> bool {
        self.is_active() || self.is_passive()
    }

    /// Kong's HTTP gateway leaves active checks of type tcp alone: they belong to streams.
    pub fn is_active(&self) -> bool {
        let asked = self.active.healthy.interval > 0.0 || self.active.unhealthy.interval > 0.0;
        asked && self.active.kind != ProbeType::Tcp
    }

    pub fn is_passive(&self) -> bool {
        let passive = &self.passive;
        let limits = [
            passive.healthy.successes,
            passive.unhealthy.http_failures,
            passive.unhealthy.tcp_failures,
            passive.unhealthy.timeouts,
        ];
        limits.iter().any(|limit| *limit > 0)
    }

    /// Whether probes speak HTTP/2, and over TLS nothing else.
    pub fn asks_grpc(&self) -> bool {
        matches!(self.active.kind, ProbeType::Grpc | ProbeType::Grpcs)
    }

    /// Whether a target that went down can come back without somebody calling the Admin API.
    pub fn recovers(&self) -> bool {
        let probed = self.is_active() && self.active.unhealthy.interval > 0.0;
        probed && self.active.healthy.successes > 0
    }

    /// The check the record asks for; none when it asks for nothing.
    pub fn spec(&self, upstream: &str, around: &Around) -> Option<CheckSpec> {
        if !self.is_on() {
            return None;
        }
        let more = u32::from(around.exclusive);
        let mut spec = CheckSpec::new(Dialect::Kong, upstream);
        spec.timeout_ms = match ms(self.active.timeout) {
            0 => SOCKET_DEFAULT_MS,
            timeout_ms => timeout_ms,
        };
        spec.timeout_scope = TimeoutScope::EachOperation;
        spec.concurrency = self.active.concurrency.max(1);
        spec.machine =
            MachineSpec::Counters(limits(&self.active.healthy, &self.active.unhealthy, more));
        (spec.probe, spec.pace) = match self.is_active() {
            true => (self.active.probe(around), self.active.pace()),
            false => (ProbeSpec::None, Pace::lanes(0, 0)),
        };
        if self.is_passive() {
            spec.passive = PassiveSpec {
                limits: Some(limits(&self.passive.healthy, &self.passive.unhealthy, more)),
                pass: Some(lists(&self.passive.healthy, &self.passive.unhealthy)),
                tcp: self.passive.kind == ProbeType::Tcp,
                ..PassiveSpec::default()
            };
        }
        Some(spec)
    }
}

impl Active {
    fn pace(&self) -> Pace {
        Pace::lanes(ms(self.healthy.interval), ms(self.unhealthy.interval))
    }

    fn probe(&self, around: &Around) -> ProbeSpec {
        let secure = matches!(self.kind, ProbeType::Https | ProbeType::Grpcs);
        let tls = secure.then(|| TlsSpec {
            sni: self.https_sni.as_deref().map(BString::from),
            verify: self.https_verify_certificate,
            ..TlsSpec::default()
        });
        let own = self.host_line().or(around.host_header.as_deref());
        let host = own.map(without_port);
        match self.kind {
            ProbeType::Grpc | ProbeType::Grpcs => ProbeSpec::Grpc(GrpcProbe {
                // The path names the service to ask for; none asks for the server as a whole.
                service: self.http_path.trim_start_matches('/').into(),
                tls,
                authority: host,
                ..GrpcProbe::default()
            }),
            _ => ProbeSpec::Http(HttpProbe {
                path: self.http_path.as_str().into(),
                host,
                headers: self.header_lines(),
                version: Version::Adaptive,
                order: HeadOrder::HostFirst,
                pass: lists(&self.healthy, &self.unhealthy),
                tls,
                ..HttpProbe::default()
            }),
        }
    }

    /// A Host among the configured headers takes the place of the usual one.
    fn host_line(&self) -> Option<&str> {
        let mut headers = self.headers.iter().flatten();
        let (_, values) = headers.find(|(name, _)| name.eq_ignore_ascii_case("host"))?;
        values.first().map(String::as_str)
    }

    fn header_lines(&self) -> Vec<BString> {
        let headers = self.headers.iter().flatten();
        let others = headers.filter(|(name, _)| !name.eq_ignore_ascii_case("host"));
        let lines = others.flat_map(|(name, values)| {
            values.iter().map(move |value| format!("{name}: {value}").into())
        });
        lines.collect()
    }
}

fn limits(healthy: &Healthy, unhealthy: &Unhealthy, more: u32) -> Limits {
    // Zero switches a counter off and stays zero. The counters end at 254.
    let limit = |limit: u32| if limit == 0 { 0 } else { (limit + more).min(LIMIT_MAX) as u8 };
    Limits {
        successes: limit(healthy.successes),
        http_failures: limit(unhealthy.http_failures),
        tcp_failures: limit(unhealthy.tcp_failures),
        timeouts: limit(unhealthy.timeouts),
    }
}

fn lists(healthy: &Healthy, unhealthy: &Unhealthy) -> Pass {
    let statuses = |list: &[u16]| Statuses::of(list.iter().copied());
    Pass::TwoLists {
        healthy: statuses(&healthy.http_statuses),
        unhealthy: statuses(&unhealthy.http_statuses),
    }
}

fn without_port(host: &str) -> BString {
    let inner = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    inner.map_or(host, |(host, _)| host).into()
}

fn ms(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}

/// What sockets of OpenResty wait when nothing is set.
const SOCKET_DEFAULT_MS: u64 = 60_000;
const LIMIT_MAX: u32 = 254;

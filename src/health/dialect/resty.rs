//! Options of `resty.healthcheck`, and the check they ask for.

use bstr::BString;

use crate::health::dialect::Dialect;
use crate::health::machine::Limits;
use crate::health::{
    CheckSpec, HeadOrder, HttpProbe, MachineSpec, Pace, Pass, ProbeSpec, Statuses, TcpProbe,
    TimeoutScope, TlsSpec, Version,
};

/// What `new()` was given, types and bounds checked.
#[derive(Clone, Debug)]
pub struct Settings {
    pub kind: ProbeKind,
    pub timeout_ms: u64,
    pub concurrency: usize,
    pub method: BString,
    pub path: BString,
    pub body: BString,
    pub sni: Option<BString>,
    pub verify: bool,
    /// Ready lines.
    pub headers: Vec<BString>,
    /// A peer that refuses HTTP/1.1 is asked with 1.0, and the other way round.
    pub adapts_version: bool,
    pub host_first: bool,
    /// 0 is off.
    pub healthy_ms: u64,
    pub unhealthy_ms: u64,
    pub healthy: Statuses,
    pub unhealthy: Statuses,
    pub limits: Limits,
}

/// `checks.active.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    Tcp,
    Http,
    Https,
}

impl Settings {
    /// The check of the checker `name` whose keys stand in `shm`.
    pub fn spec(&self, name: &BString, shm: &BString) -> CheckSpec {
        CheckSpec {
            name: shm.clone(),
            probe: self.probe(),
            pace: Pace::lanes(self.healthy_ms, self.unhealthy_ms),
            timeout_ms: self.timeout_ms,
            timeout_scope: TimeoutScope::EachOperation,
            concurrency: self.concurrency.max(1),
            machine: MachineSpec::Counters(self.limits),
            ..CheckSpec::new(Dialect::Resty, name.clone())
        }
    }

    fn probe(&self) -> ProbeSpec {
        let tls = || TlsSpec { sni: self.sni.clone(), verify: self.verify, ..TlsSpec::default() };
        if self.kind == ProbeKind::Tcp {
            return ProbeSpec::Tcp(TcpProbe::default());
        }
        ProbeSpec::Http(HttpProbe {
            method: self.method.clone(),
            path: self.path.clone(),
            headers: self.headers.clone(),
            body: self.body.clone(),
            version: if self.adapts_version { Version::Adaptive } else { Version::V11 },
            order: if self.host_first { HeadOrder::HostFirst } else { HeadOrder::ConnectionFirst },
            pass: Pass::TwoLists {
                healthy: self.healthy.clone(),
                unhealthy: self.unhealthy.clone(),
            },
            tls: (self.kind == ProbeKind::Https).then(tls),
            ..HttpProbe::default()
        })
    }
}

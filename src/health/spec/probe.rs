//! What a probe sends and what it takes for an answer.

use std::sync::Arc;

use bstr::BString;

use crate::health::matching::Match;
use crate::health::statuses::Statuses;

/// What goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ProbeSpec {
    /// Nothing: the peers are judged by requests or heartbeats.
    None,
    Tcp(TcpProbe),
    /// A handshake, and be content.
    Tls(TlsSpec),
    /// `resty.upstream.healthcheck`.
    Raw(RawProbe),
    Http(HttpProbe),
    Grpc(GrpcProbe),
}

impl ProbeSpec {
    /// The word for the kind of probe.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Tcp(_) => "tcp",
            Self::Tls(_) => "tls",
            Self::Raw(RawProbe { tls: Some(_), .. }) => "https",
            Self::Http(HttpProbe { tls: Some(_), .. }) => "https",
            Self::Raw(_) | Self::Http(_) => "http",
            Self::Grpc(GrpcProbe { tls: Some(_), .. }) => "grpcs",
            Self::Grpc(_) => "grpc",
        }
    }

    /// The TLS part, when there is one.
    pub fn tls(&self) -> Option<&TlsSpec> {
        match self {
            Self::None | Self::Tcp(_) => None,
            Self::Tls(tls) => Some(tls),
            Self::Raw(p) => p.tls.as_ref(),
            Self::Http(p) => p.tls.as_ref(),
            Self::Grpc(p) => p.tls.as_ref(),
        }
    }
}

/// Connect, perhaps say something and hear something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpProbe {
    pub send: BString,
    pub expect: Option<Expect>,
}

/// What must come back over a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expect {
    /// The bytes, anywhere in what is received.
    Text(BString),
    Match(Arc<Match>),
}

/// A request sent as it is; of the answer only the first line is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RawProbe {
    pub request: BString,
    /// Healthy statuses, sorted; `None` takes any line for healthy.
    pub valid_statuses: Option<Vec<u64>>,
    pub tls: Option<TlsSpec>,
}

/// A request made of its parts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpProbe {
    pub method: BString,
    pub path: BString,
    /// The Host header; without it the target's, its host name or its address, in this order.
    pub host: Option<BString>,
    /// Ready lines, `Name: value`.
    pub headers: Vec<BString>,
    pub body: BString,
    pub version: Version,
    pub order: HeadOrder,
    pub pass: Pass,
    pub tls: Option<TlsSpec>,
}

impl Default for HttpProbe {
    /// `GET /`, any status from 200 to 399 passes.
    fn default() -> Self {
        Self {
            method: "GET".into(),
            path: "/".into(),
            host: None,
            headers: Vec::new(),
            body: BString::default(),
            version: Version::V11,
            order: HeadOrder::HostFirst,
            pass: Pass::Statuses(Statuses::range(200, 399)),
            tls: None,
        }
    }
}

/// The version of HTTP a probe speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    V10,
    V11,
    /// 1.1; a peer that answers 505 is asked once more with 1.0, and the other way round with 426.
    Adaptive,
    /// HTTP/2, by ALPN or with prior knowledge.
    V2,
}

/// The order of the lines the engine adds to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeadOrder {
    /// Host, Connection, then the configured lines: Kong.
    HostFirst,
    /// Connection, the configured lines, Host: APISIX.
    ConnectionFirst,
}

/// Which answers are healthy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pass {
    AnyLine,
    /// These statuses; every other one is a failure.
    Statuses(Statuses),
    /// A status in neither list says nothing; the healthy list is asked first.
    TwoLists {
        healthy: Statuses,
        unhealthy: Statuses,
    },
    Match(Arc<Match>),
}

/// `grpc.health.v1.Health/Check`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct GrpcProbe {
    pub service: BString,
    pub authority: Option<BString>,
    /// Values of `grpc-status` that pass besides SERVING, such as 12 for "no such method".
    pub accept: Vec<u32>,
    /// Keep a Watch stream open where the peer has it.
    pub watch: bool,
    pub tls: Option<TlsSpec>,
}

/// For how long one connection carries the probes of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Keepalive {
    pub requests: u64,
    pub time_ms: u64,
}

/// TLS of a probe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsSpec {
    /// Without it the probe's Host is sent, except by `resty.upstream.healthcheck`.
    pub sni: Option<BString>,
    /// The name is what the certificate must be for, and does not go into the handshake.
    pub silent: bool,
    pub verify: bool,
}

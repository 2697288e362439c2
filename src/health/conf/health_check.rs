//! `health_check`: NGINX Plus's parameters, and ours for what it lacks.
//!
//! ```text
//!  health_check [name=x] [type=http|https|tcp|tls|grpc|grpcs] [uri=/] [port=n] [match=name]
//!      [interval=5s] [jitter=0] [fails=1] [passes=1] [timeout=2s] [mandatory [persistent]]
//!      [fastinter= downinter= backoff=] [method= host= header= body= http=1.0|1.1|2]
//!      [sni= verify=on|off ca= cert= key=] [grpc_service= grpc_status=n grpc_watch]
//!      [keepalive_time=60s] [proxy_protocol] [slow_start=30s] …
//! ```
//!
//! In an `upstream {}`, or in a location that passes requests to one, as NGINX Plus has it.

use bstr::{BString, ByteSlice};

use super::asked::{Asked, KINDS, Kind};
use super::match_block::unescape;
use super::parameters::{self, Parameter};
use super::passive;
use super::plan::{Drafts, Origin};
use crate::conf::row::{STREAM, STREAM_UPSTREAM, UPSTREAM};
use crate::conf::{Builder, Diag, Directive};
use crate::health::dialect::Dialect;
use crate::health::spec::{
    AllDown, CheckSpec, Expect, GrpcProbe, HttpProbe, Initial, Keepalive, TcpProbe, Version,
};
use crate::net::tls::ClientSpec;

pub(super) fn set(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let mut words = Words::default();
    if b.inside(STREAM) {
        words.kind = Some(Kind::Tcp);
    }
    for parameter in parameters::of(d) {
        words.read(b, &parameter)?;
    }
    let asked = Asked { words, origin: Origin::of(d) };
    if b.context() & (UPSTREAM | STREAM_UPSTREAM) != 0 {
        // In a location its own pass has a say in what is meant.
        asked.conflicts(asked.words.kind.unwrap_or_default())?;
    }
    b.part::<Drafts>().asked.push(asked);
    Ok(())
}

/// What the parameters say; the rest depends on where they stand.
#[derive(Clone)]
pub(super) struct Words {
    pub(super) spec: CheckSpec,
    pub(super) kind: Option<Kind>,
    pub(super) http: HttpProbe,
    pub(super) http_version: Option<Version>,
    pub(super) tcp: TcpProbe,
    pub(super) grpc: GrpcProbe,
    pub(super) sni: Option<BString>,
    pub(super) verify: Option<bool>,
    pub(super) client: ClientSpec,
    pub(super) match_name: Option<BString>,
    pub(super) fails: u64,
    pub(super) passes: u64,
    pub(super) timeout_ms: Option<u64>,
    pub(super) downinter_ms: Option<u64>,
    pub(super) persistent: bool,
    pub(super) mode: Mode,
}

/// `mode=`: whom probes go to, in Angie's words.
#[derive(Clone, Copy, Default)]
pub(super) enum Mode {
    #[default]
    Always,
    /// To peers that requests do not tell enough about.
    Idle,
    /// To peers that failed a request, until they are well.
    OnFail,
}

impl Mode {
    /// Requests that fail count, and have the peer probed.
    pub(super) fn put(self, spec: &mut CheckSpec) {
        let pace = &mut spec.pace;
        match self {
            Self::Always => {}
            Self::Idle => pace.skips_busy = true,
            Self::OnFail => {
                pace.fast_ms.get_or_insert(pace.healthy_ms);
                pace.healthy_ms = 0;
                spec.passive.probe_now = true;
                spec.passive.pass = Some(passive::default_pass());
            }
        }
    }
}

impl Default for Words {
    fn default() -> Self {
        let user_agent = format!("User-Agent: moonbeat-health/{}", env!("CARGO_PKG_VERSION"));
        Self {
            spec: CheckSpec::new(Dialect::Native, ""),
            kind: None,
            http: HttpProbe { headers: vec![user_agent.into()], ..HttpProbe::default() },
            tcp: TcpProbe::default(),
            grpc: GrpcProbe::default(),
            http_version: None,
            sni: None,
            verify: None,
            client: ClientSpec::default(),
            match_name: None,
            fails: 1,
            passes: 1,
            timeout_ms: None,
            downinter_ms: None,
            persistent: false,
            mode: Mode::default(),
        }
    }
}

impl Words {
    fn read(&mut self, b: &Builder<'_>, p: &Parameter<'_>) -> Result<(), Diag> {
        let known = self.read_timing(p)?
            || self.read_request(p)?
            || self.read_tls(b, p)?
            || self.read_policy(p)?;
        if known { Ok(()) } else { Err(p.bad()) }
    }

    /// When, how often, how many.
    fn read_timing(&mut self, p: &Parameter<'_>) -> Result<bool, Diag> {
        let pace = &mut self.spec.pace;
        match p.name {
            b"interval=" => pace.healthy_ms = p.span()?,
            b"downinter=" => self.downinter_ms = Some(p.span()?),
            b"fastinter=" => pace.fast_ms = Some(p.span()?),
            b"no_traffic_interval=" => pace.no_traffic_ms = p.span()?,
            b"mode=" => {
                let modes =
                    [("always", Mode::Always), ("idle", Mode::Idle), ("onfail", Mode::OnFail)];
                self.mode = p.choice(&modes)?;
            }
            b"backoff=" => pace.backoff_max_ms = p.span()?,
            b"jitter=" => pace.jitter_ms = p.msec()?,
            b"fails=" => self.fails = p.number(1, u32::MAX.into())?,
            b"passes=" => self.passes = p.number(1, u32::MAX.into())?,
            b"timeout=" => self.timeout_ms = Some(p.span()?),
            b"concurrency=" => self.spec.concurrency = p.number(1, 1 << 20)? as usize,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What is sent, and what must come back.
    fn read_request(&mut self, p: &Parameter<'_>) -> Result<bool, Diag> {
        match p.name {
            b"name=" => self.spec.name = p.text()?.into(),
            b"type=" => self.kind = Some(p.choice(&KINDS)?),
            b"uri=" => self.http.path = p.text()?.into(),
            b"method=" => self.http.method = p.text()?.into(),
            b"host=" => {
                self.http.host = Some(p.text()?.into());
                self.grpc.authority = Some(p.text()?.into());
            }
            b"header=" => {
                let is_line = p.value.find_byte(b':').is_some_and(|at| at > 0);
                let hint = "it is \"header=Name: value\", with quotes around all of it";
                if !is_line || p.value.contains(&b'\n') {
                    return Err(p.bad_with(hint));
                }
                self.http.headers.push(p.value.into());
            }
            b"body=" => self.http.body = unescape(p.value).into(),
            b"http=" => {
                let versions = [("1.0", Version::V10), ("1.1", Version::V11), ("2", Version::V2)];
                self.http_version = Some(p.choice(&versions)?);
            }
            b"port=" => self.spec.port = Some(p.number(1, 65535)? as u16),
            b"match=" => self.match_name = Some(p.text()?.into()),
            b"send=" => self.tcp.send = unescape(p.value).into(),
            b"expect=" => self.tcp.expect = Some(Expect::Text(unescape(p.text()?).into())),
            b"proxy_protocol" => self.spec.proxy_protocol = true,
            b"grpc_service=" => self.grpc.service = p.value.into(),
            b"grpc_status=" => self.grpc.accept.push(p.number(0, 16)? as u32),
            b"keepalive_time=" => {
                let rule = Keepalive { requests: u64::MAX, time_ms: p.span()? };
                self.spec.keepalive = Some(rule);
            }
            b"grpc_watch" => self.grpc.watch = true,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn read_tls(&mut self, b: &Builder<'_>, p: &Parameter<'_>) -> Result<bool, Diag> {
        match p.name {
            b"sni=" => self.sni = Some(p.text()?.into()),
            b"verify=" => self.verify = Some(p.flag()?),
            b"ca=" => self.client.trusted = Some(b.conf_path(p.text()?)),
            b"crl=" => self.client.crl = Some(b.conf_path(p.text()?)),
            b"cert=" => {
                let path = b.conf_path(p.text()?);
                let pair = self.client.certificate.get_or_insert_default();
                pair.0 = path;
            }
            b"key=" => {
                let path = b.conf_path(p.text()?);
                let pair = self.client.certificate.get_or_insert_default();
                pair.1 = path;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What traffic makes of it.
    fn read_policy(&mut self, p: &Parameter<'_>) -> Result<bool, Diag> {
        let policy = &mut self.spec.policy;
        match p.name {
            b"mandatory" => policy.initial = Initial::Checking,
            b"persistent" => self.persistent = true,
            b"initial=" => {
                let states =
                    [("up", Initial::Up), ("down", Initial::Down), ("checking", Initial::Checking)];
                policy.initial = p.choice(&states)?;
            }
            b"on_all_down=" => {
                policy.all_down = p.choice(&[
                    ("refuse", AllDown::Refuse),
                    ("try_all", AllDown::TryAll),
                    ("backup", AllDown::Backup),
                ])?;
            }
            b"panic=" => policy.panic_percent = p.percent()?,
            b"max_ejection=" => policy.max_ejection_percent = p.percent()?,
            b"slow_start=" => policy.slow_start_ms = p.msec()?,
            b"hold_down=" => policy.hold_down_ms = p.msec()?,
            b"fatal_status=" => {
                let parts = p.value.split_str(b",");
                let mut all = parts.map(|word| self.spec.fatal.statuses.add(word));
                if !all.all(|added| added.is_some()) {
                    return Err(p.bad());
                }
            }
            b"fatal_refused" => self.spec.fatal.refused = true,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

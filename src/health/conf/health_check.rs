//! `health_check`: NGINX Plus's parameters, and ours for what it lacks.
//!
//! ```text
//!  health_check [name=x] [type=http|https|tcp|tls|grpc|grpcs] [uri=/] [port=n] [match=name]
//!      [interval=5s] [jitter=0] [fails=1] [passes=1] [timeout=2s] [mandatory [persistent]]
//!      [fastinter= downinter= backoff=] [method= host= header= body= http=1.0|1.1|2]
//!      [sni= verify=on|off ca= cert= key=] [grpc_service= grpc_status=n grpc_watch]
//!      [keepalive_time=60s] [proxy_protocol] [slow_start=30s] …
//! ```

use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice};

use super::match_block::unescape;
use super::parameters::{self, Parameter};
use super::passive;
use super::plan::{Draft, Drafts, Origin};
use crate::conf::{Builder, Diag, Directive};
use crate::health::dialect::Dialect;
use crate::health::spec::{
    AllDown, CheckSpec, Expect, GrpcProbe, HttpProbe, Initial, Keepalive, MachineSpec, ProbeSpec,
    TcpProbe, TlsSpec, Version,
};
use crate::net::tls::ClientSpec;

pub(super) fn set(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let mut words = Words::default();
    for parameter in parameters::of(d) {
        words.read(b, &parameter)?;
    }
    let draft = words.draft(d)?;
    b.part::<Drafts>().list.push(draft);
    Ok(())
}

/// Fills the gaps that depend on other parameters.
pub(super) fn settle(spec: &mut CheckSpec) {
    // Half the interval between an odd result and the verdict, unless asked for otherwise.
    let pace = &mut spec.pace;
    pace.jitter_ms = pace.jitter_ms.min(pace.healthy_ms.max(pace.unhealthy_ms));
}

/// What the parameters say so far.
struct Words {
    spec: CheckSpec,
    kind: Kind,
    http: HttpProbe,
    tcp: TcpProbe,
    grpc: GrpcProbe,
    tls: TlsSpec,
    client: ClientSpec,
    match_name: Option<BString>,
    fails: u64,
    passes: u64,
    downinter_ms: Option<u64>,
    persistent: bool,
    mode: Mode,
}

/// `mode=`: whom probes go to, in Angie's words.
#[derive(Clone, Copy, Default)]
enum Mode {
    #[default]
    Always,
    /// To peers that requests do not tell enough about.
    Idle,
    /// To peers that failed a request, until they are well.
    OnFail,
}

impl Mode {
    /// Requests that fail count, and have the peer probed.
    fn put(self, spec: &mut CheckSpec) {
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
            kind: Kind::Http,
            http: HttpProbe { headers: vec![user_agent.into()], ..HttpProbe::default() },
            tcp: TcpProbe::default(),
            grpc: GrpcProbe::default(),
            tls: TlsSpec { sni: None, verify: true },
            client: ClientSpec::default(),
            match_name: None,
            fails: 1,
            passes: 1,
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
            b"timeout=" => self.spec.timeout_ms = p.span()?,
            b"concurrency=" => self.spec.concurrency = p.number(1, 1 << 20)? as usize,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What is sent, and what must come back.
    fn read_request(&mut self, p: &Parameter<'_>) -> Result<bool, Diag> {
        match p.name {
            b"name=" => self.spec.name = p.text()?.into(),
            b"type=" => self.kind = p.choice(&KINDS)?,
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
                self.http.version = p.choice(&versions)?;
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
            b"sni=" => self.tls.sni = Some(p.text()?.into()),
            b"verify=" => self.tls.verify = p.flag()?,
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

    fn draft(mut self, d: &Directive) -> Result<Draft, Diag> {
        self.conflicts(d)?;
        let tls = self.kind.is_tls().then(|| self.tls.clone());
        let (mut spec, http_version) = (self.spec, self.http.version);
        spec.pace.unhealthy_ms = self.downinter_ms.unwrap_or(spec.pace.healthy_ms);
        self.mode.put(&mut spec);
        spec.machine = MachineSpec::RiseFall { rise: self.passes, fall: self.fails };
        let mandatory = spec.policy.initial == Initial::Checking;
        spec.policy.persistent = self.persistent || !mandatory;
        spec.probe = match self.kind {
            Kind::Http | Kind::Https => ProbeSpec::Http(HttpProbe { tls, ..self.http }),
            Kind::Tcp => ProbeSpec::Tcp(self.tcp),
            Kind::Tls => ProbeSpec::Tls(self.tls.clone()),
            Kind::Grpc | Kind::Grpcs => ProbeSpec::Grpc(GrpcProbe { tls, ..self.grpc }),
        };
        if self.kind.is_tls() && self.tls.verify && self.client.trusted.is_none() {
            self.client.trusted = Some(system_authorities().ok_or_else(|| {
                let text = "no \"ca\" for a health check that verifies certificates";
                Diag::emerg(text).hint("name a file with ca=, or write verify=off")
            })?);
        }
        let is_http2 = self.kind == Kind::Https && http_version == Version::V2;
        if self.kind == Kind::Grpcs || is_http2 {
            self.client.alpn = vec![b"h2".to_vec()];
        }
        let written = d.args().iter().map(|word| word.text.clone()).collect();
        let origin = Origin { place: d.at.place, written };
        let tls = self.kind.is_tls().then_some(self.client);
        Ok(Draft { spec, match_name: self.match_name, tls, origin })
    }

    /// Parameters that do not go together.
    fn conflicts(&self, d: &Directive) -> Result<(), Diag> {
        let has = |name: &str| d.args().iter().any(|w| w.text.starts_with(name.as_bytes()));
        let kind_is = |kinds: &[Kind]| kinds.contains(&self.kind);
        let only = |names: &[&str], kinds: &[Kind]| {
            names.iter().find(|n| has(n) && !kind_is(kinds)).map(|name| {
                let name = name.trim_end_matches('=');
                let types: Vec<_> = kinds.iter().map(|k| k.name()).collect();
                let text = format!("parameter \"{name}\" cannot be used by this type of check");
                Diag::emerg(text).hint(format!("it is for type={}", types.join(" and ")))
            })
        };
        let http = [Kind::Http, Kind::Https];
        let tls = [Kind::Https, Kind::Tls, Kind::Grpcs];
        let asking = [Kind::Http, Kind::Https, Kind::Grpc, Kind::Grpcs];
        let wrong = only(&["uri=", "method=", "header=", "body=", "http="], &http)
            .or_else(|| only(&["keepalive_time="], &asking))
            .or_else(|| only(&["send=", "expect="], &[Kind::Tcp]))
            .or_else(|| only(&["grpc_"], &[Kind::Grpc, Kind::Grpcs]))
            .or_else(|| only(&["sni=", "verify=", "ca=", "crl=", "cert=", "key="], &tls))
            .or_else(|| only(&["match="], &[Kind::Http, Kind::Https, Kind::Tcp]));
        if let Some(diag) = wrong {
            return Err(diag);
        }
        if self.persistent && self.spec.policy.initial != Initial::Checking {
            // NGINX Plus has "persistent" only beside "mandatory".
            return Err(Diag::emerg("\"persistent\" parameter requires \"mandatory\""));
        }
        let pair = self.client.certificate.as_ref();
        let half = |(cert, key): &(PathBuf, PathBuf)| {
            cert.as_os_str().is_empty() != key.as_os_str().is_empty()
        };
        match pair.is_some_and(half) {
            true => Err(Diag::emerg("parameters \"cert\" and \"key\" belong together")),
            false => Ok(()),
        }
    }
}

/// `type=`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    Https,
    Tcp,
    Tls,
    Grpc,
    Grpcs,
}

impl Kind {
    fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Tls | Self::Grpcs)
    }

    fn name(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

/// Whom the system trusts.
fn system_authorities() -> Option<PathBuf> {
    let known = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];
    known.iter().map(Path::new).find(|p| p.exists()).map(Path::to_path_buf)
}

const KINDS: [(&str, Kind); 6] = [
    ("http", Kind::Http),
    ("https", Kind::Https),
    ("tcp", Kind::Tcp),
    ("tls", Kind::Tls),
    ("grpc", Kind::Grpc),
    ("grpcs", Kind::Grpcs),
];

//! Tells what a configuration's checks do: all of it in words, or by doing it once.
//!
//! ```text
//!  moonbeat -t --explain-health      every check with its defaults and where it was written
//!  moonbeat --check-now UPSTREAM     one probe for each peer, and what went over the wire
//! ```

use std::fmt::Write;
use std::io;
use std::sync::Arc;

use bstr::{BStr, ByteSlice};

use super::conf::{Plan, plans};
use super::outcome::Outcome;
use super::probe::{self, Aim, Memory, trace};
use super::spec::{
    AllDown, CheckSpec, Expect, HttpProbe, Initial, Keepalive, MachineSpec, Pass, ProbeSpec,
    TimeoutScope, Version,
};
use super::target::Target;
use crate::conf::{Scope, Sources};
use crate::upstream::conf::UpstreamConf;
use crate::upstream::{Group, Snapshot};

/// Every check of the configuration in words.
pub fn explain(main: &Scope, sources: &Sources) -> String {
    let mut out = String::new();
    let plans = plans(main);
    for plan in &plans {
        // Writing into a string does not fail.
        let _ = one(&mut out, main, sources, plan);
    }
    let groups = main.part::<UpstreamConf>().groups.all();
    let unchecked: Vec<String> = groups
        .filter(|g| g.is_explicit() && !plans.iter().any(|p| p.spec.upstream == g.name()))
        .map(|g| g.name().to_string())
        .collect();
    if !unchecked.is_empty() {
        let _ = writeln!(out, "not checked by a directive: {}", unchecked.join(", "));
        let _ = writeln!(out, "    scripts and Admin interfaces may add checks when they run");
    }
    out
}

/// Probes every peer of an upstream once, by each of its checks. The transcript goes to `out`;
/// gives back whether all passed, or `None` for an upstream without a check.
pub fn check_now(
    main: &Scope,
    upstream: &BStr,
    out: &mut dyn io::Write,
) -> io::Result<Option<bool>> {
    let groups = &main.part::<UpstreamConf>().groups;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut all = None;
    for plan in plans(main).iter().filter(|p| p.spec.upstream.eq_ignore_ascii_case(upstream)) {
        let Some(group) = groups.explicit_in(plan.realm, upstream) else { continue };
        for target in targets(&group.snapshot(), &plan.spec) {
            let passed = runtime.block_on(probe_once(plan, &target, out))?;
            all = Some(all.unwrap_or(true) && passed);
        }
    }
    Ok(all)
}

async fn probe_once(plan: &Plan, target: &Target, out: &mut dyn io::Write) -> io::Result<bool> {
    let (spec, tls) = (&plan.spec, plan.tls.as_ref());
    writeln!(out, "{} {} by {}", spec.upstream, target.name, title(spec))?;
    trace::begin();
    let aim = Aim::at(target, spec, tls);
    let outcome: Outcome = probe::aimed(spec, &aim, &mut Memory::default()).await;
    for line in trace::end() {
        writeln!(out, "  {line}")?;
    }
    let verdict = match (outcome.is_pass(), outcome.seen()) {
        (true, _) => "pass",
        (false, Some(_)) => "FAIL",
        (false, None) => "does not count",
    };
    let ms = outcome.took.as_secs_f64() * 1000.0;
    writeln!(out, "  {verdict}: {} ({ms:.2} ms)", outcome.line())?;
    Ok(outcome.is_pass())
}

fn one(out: &mut String, main: &Scope, sources: &Sources, plan: &Plan) -> std::fmt::Result {
    let (spec, place) = (&plan.spec, plan.origin.place);
    let file = sources.name(place.file).unwrap_or_default();
    writeln!(out, "upstream \"{}\": {}", spec.upstream, title(spec))?;
    let location = plan.origin.location.as_ref();
    let within = location.map_or(String::new(), |name| format!(", in location {name}"));
    writeln!(out, "    written    {file}:{}{within}", place.line)?;
    let mut line = |name: &str, text: String, words: &[&str]| {
        let is_written = |w: &&str| plan.origin.has(w);
        let default = match location {
            _ if words.iter().any(is_written) => "",
            Some(_) if ["tls", "timeout"].contains(&name) => "  (as in the location)",
            _ => "  (default)",
        };
        writeln!(out, "    {name:<10} {text}{default}")
    };
    line("probe", sends(spec), &["type=", "uri=", "method=", "send=", "grpc_"])?;
    line("passes", passes(spec), &["match=", "expect=", "grpc_status="])?;
    if let Some(tls) = spec.probe.tls() {
        let sni = tls.sni.as_ref().map_or("the host".into(), |n| format!("\"{n}\""));
        let verify = if tls.verify { "verified" } else { "not verified" };
        line("tls", format!("server name: {sni}, certificate {verify}"), &["sni=", "verify="])?;
    }
    line(
        "every",
        every(spec),
        &["interval=", "downinter=", "fastinter=", "backoff=", "mode=", "no_traffic"],
    )?;
    line("connects", connects(spec), &["keepalive_time=", "check_keepalive_requests"])?;
    line("jitter", format!("up to {}", span(spec.pace.jitter_ms)), &["jitter="])?;
    line("timeout", timeout(spec), &["timeout="])?;
    line("turns", turns(spec), &["fails=", "passes=", "rise=", "fall="])?;
    line("begins", begins(spec), &["mandatory", "initial=", "persistent", "default_down="])?;
    line("all down", all_down(spec), &["on_all_down=", "panic=", "max_ejection="])?;
    if spec.policy.slow_start_ms > 0 {
        let text = format!("{} to the full weight", span(spec.policy.slow_start_ms));
        line("recovers", text, &["slow_start="])?;
    }
    if let Some(eject) = &spec.passive.eject {
        let window = match eject.window_ms {
            0 => "in a row".to_string(),
            ms => format!("within {}", span(ms)),
        };
        let (n, base, max) = (eject.failures, span(eject.base_ms), span(eject.max_ms));
        let text = format!("{n} failures {window} eject for {base}, at most {max}");
        line("requests", text, &["failures=", "window=", "ejection="])?;
    }
    let groups = &main.part::<UpstreamConf>().groups;
    if let Some(group) = groups.explicit_in(plan.realm, spec.upstream.as_ref()) {
        peers(out, group, spec)?;
    }
    Ok(())
}

fn peers(out: &mut String, group: &Arc<Group>, spec: &CheckSpec) -> std::fmt::Result {
    for target in targets(&group.snapshot(), spec) {
        let addr = target.addr.as_ref().map_or("no address".to_string(), ToString::to_string);
        let host = probe::host_of(spec, &target);
        let host = host.map_or(String::new(), |h| format!(", Host: {}", h.as_bstr()));
        let backup = if target.backup { ", backup" } else { "" };
        writeln!(out, "    peer       {} at {addr}{host}{backup}", target.server)?;
    }
    Ok(())
}

fn targets(snapshot: &Snapshot, spec: &CheckSpec) -> Vec<Target> {
    Target::all(snapshot, spec.port)
}

/// `health_check "deep" (http)`
fn title(spec: &CheckSpec) -> String {
    let name = if spec.name.is_empty() { String::new() } else { format!(" \"{}\"", spec.name) };
    format!("{}{name} ({})", spec.dialect.name(), spec.probe.name())
}

fn sends(spec: &CheckSpec) -> String {
    let text = match &spec.probe {
        ProbeSpec::None => "nothing: requests alone are looked at".to_string(),
        ProbeSpec::Tcp(tcp) if tcp.send.is_empty() => "connects".to_string(),
        ProbeSpec::Tcp(tcp) => format!("sends {:?}", tcp.send),
        ProbeSpec::Tls(_) => "shakes hands".to_string(),
        ProbeSpec::Raw(raw) => format!("sends {:?}", raw.request),
        ProbeSpec::Http(HttpProbe { method, path, version, .. }) => match version {
            Version::V2 => format!("{method} {path} over HTTP/2"),
            Version::V10 | Version::V11 | Version::Adaptive => format!("{method} {path}"),
        },
        ProbeSpec::Grpc(grpc) => {
            let method = if grpc.watch { "Watch" } else { "Check" };
            format!("grpc.health.v1.Health/{method} of service \"{}\"", grpc.service)
        }
    };
    let proxy = if spec.proxy_protocol { ", behind a PROXY protocol header" } else { "" };
    text + proxy
}

fn passes(spec: &CheckSpec) -> String {
    match &spec.probe {
        ProbeSpec::None => "-".to_string(),
        ProbeSpec::Tcp(tcp) => match &tcp.expect {
            None => "a connection".to_string(),
            Some(Expect::Text(text)) => format!("{text:?} in the answer"),
            Some(Expect::Match(m)) => format!("match \"{}\"", m.name),
        },
        ProbeSpec::Tls(_) => "a handshake".to_string(),
        ProbeSpec::Raw(raw) => match &raw.valid_statuses {
            None => "any answer".to_string(),
            Some(list) => format!("{} statuses", list.len()),
        },
        ProbeSpec::Http(http) => match &http.pass {
            Pass::AnyLine => "any answer".to_string(),
            Pass::Statuses(set) => format!("status {set}"),
            Pass::TwoLists { healthy, .. } => format!("status {healthy}"),
            Pass::Match(m) => format!("match \"{}\"", m.name),
        },
        ProbeSpec::Grpc(grpc) if grpc.accept.is_empty() => "SERVING".to_string(),
        ProbeSpec::Grpc(grpc) => format!("SERVING, or grpc-status {:?}", grpc.accept),
    }
}

fn every(spec: &CheckSpec) -> String {
    let pace = &spec.pace;
    if pace.is_off() {
        return "never".to_string();
    }
    let mut text = format!("{} up, {} down", span(pace.healthy_ms), span(pace.unhealthy_ms));
    if let Some(fast_ms) = pace.fast_ms {
        text.push_str(&format!(", {} wavering", span(fast_ms)));
    }
    if pace.skips_busy {
        text.push_str(", not those that requests went to");
    }
    if pace.no_traffic_ms > 0 {
        text.push_str(&format!(", {} without requests", span(pace.no_traffic_ms)));
    }
    if pace.backoff_max_ms > 0 {
        text.push_str(&format!(", up to {} long down", span(pace.backoff_max_ms)));
    }
    text
}

fn connects(spec: &CheckSpec) -> String {
    match &spec.keepalive {
        None => "for each probe".to_string(),
        Some(Keepalive { requests, time_ms: u64::MAX }) => format!("for {requests} probes"),
        Some(Keepalive { time_ms, .. }) => format!("for the probes of {}", span(*time_ms)),
    }
}

fn timeout(spec: &CheckSpec) -> String {
    let scope = match spec.timeout_scope {
        TimeoutScope::WholeProbe => "the whole probe",
        TimeoutScope::EachOperation => "each operation",
    };
    format!("{} for {scope}", span(spec.timeout_ms))
}

fn turns(spec: &CheckSpec) -> String {
    match &spec.machine {
        MachineSpec::RiseFall { rise, fall } => {
            format!("down after {fall} failures, up after {rise} successes")
        }
        MachineSpec::Counters(l) => format!(
            "down after {} http, {} tcp failures or {} timeouts, up after {} successes",
            l.http_failures, l.tcp_failures, l.timeouts, l.successes
        ),
        MachineSpec::Lease { unhealthy_ms, delete_ms } => {
            format!("down after {}, gone after {}", span(*unhealthy_ms), span(*delete_ms))
        }
    }
}

fn begins(spec: &CheckSpec) -> String {
    let state = match spec.policy.initial {
        Initial::Up => "up",
        Initial::Down => "down",
        Initial::Checking => "checking: gets requests after its first success",
    };
    let kept = if spec.policy.persistent { ", states outlive a reload" } else { "" };
    format!("{state}{kept}")
}

fn all_down(spec: &CheckSpec) -> String {
    let policy = &spec.policy;
    let mut text = match policy.all_down {
        AllDown::Refuse => "requests are refused",
        AllDown::TryAll => "all peers are tried",
        AllDown::Backup => "backups are tried",
    }
    .to_string();
    if policy.panic_percent > 0 {
        text.push_str(&format!(", below {}% up verdicts are ignored", policy.panic_percent));
    }
    if policy.max_ejection_percent < 100 {
        text.push_str(&format!(", at most {}% taken out", policy.max_ejection_percent));
    }
    text
}

fn span(ms: u64) -> String {
    match ms {
        0 => "0".to_string(),
        _ if ms.is_multiple_of(1000) => format!("{}s", ms / 1000),
        _ => format!("{ms}ms"),
    }
}

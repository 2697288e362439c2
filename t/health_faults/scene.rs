//! A check of one peer in this process, and what it says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use moonbeat::base::log;
use moonbeat::health::dialect::Dialect;
use moonbeat::health::report::PeerReport;
use moonbeat::health::{
    Check, CheckSpec, First, HttpProbe, Key, MachineSpec, Open, Pace, ProbeSpec, Subscription,
    TargetSpec, Targets, What, engine,
};
use moonbeat::net::addr::Addr;
use moonbeat::net::tls::ClientTls;

/// How often peers are probed here.
pub(super) const INTERVAL_MS: u64 = 40;

pub(super) struct Scene {
    check: Check,
    key: Key,
    events: Receiver<What>,
    _subscription: Subscription,
}

impl Scene {
    pub(super) fn start(spec: CheckSpec, addr: Addr) -> Result<Self, String> {
        Self::start_at(spec, Some(addr))
    }

    pub(super) fn start_at(spec: CheckSpec, addr: Option<Addr>) -> Result<Self, String> {
        Self::start_trusting(spec, addr, None)
    }

    /// Begins to probe; the first probe is heard of.
    pub(super) fn start_trusting(
        spec: CheckSpec,
        addr: Option<Addr>,
        tls: Option<ClientTls>,
    ) -> Result<Self, String> {
        let target = match addr {
            Some(addr) => TargetSpec::new(addr.to_string(), "a.example", Some(addr)),
            None => TargetSpec::new("no-such.example", "no-such.example", None),
        };
        let engine = engine().map_err(|e| e.to_string())?;
        let check = engine.open(Open {
            spec,
            targets: Targets::List(Vec::new()),
            log: log::main_chain(),
            tls,
            generation: 0,
        });
        let (tell, events) = channel();
        let tell = std::sync::Mutex::new(tell);
        let _subscription = check.subscribe_with_probes(Arc::new(move |event| {
            // Nobody listens any more when the case is over.
            let _ = tell.lock().map(|tell| tell.send(event.what.clone()));
        }));
        check.add(&target);
        Ok(Self { key: target.key(), check, events, _subscription })
    }

    /// The next event of a kind.
    pub(super) fn wait_for(&self, wanted: impl Fn(&What) -> bool) -> Result<What, String> {
        loop {
            match self.events.recv_timeout(PATIENCE) {
                Ok(what) if wanted(&what) => return Ok(what),
                Ok(_) => {}
                Err(_) => return Err(format!("it does not come: {:?}", self.report()?)),
            }
        }
    }

    /// The peer is up at first, goes down after two probes, for this reason, and the page says so.
    pub(super) fn goes_down(&self, reason: &str) -> Result<(), String> {
        let turned = self.wait_for(|what| matches!(what, What::Changed { .. }))?;
        let What::Changed { transition, why, .. } = turned else { return Err("no turn".into()) };
        let report = self.report()?;
        let last = report.results.last().ok_or("no results")?;
        let page = format!("{} {}", last.word, last.text);
        let short = reason.split(' ').next().unwrap_or_default();
        let right = transition.verdict() == Some(false) && transition.count == 2;
        if !right || !why.starts_with(reason) || !page.starts_with(short) {
            return Err(format!("{transition:?} because of {why:?}, not {reason:?}; {page}"));
        }
        match report.up || report.state != "unhealthy" || report.changes.len() != 1 {
            true => Err(format!("{report:?}")),
            false => Ok(()),
        }
    }

    /// The first probe passes, with this word.
    pub(super) fn passes(&self, word: &str) -> Result<(), String> {
        let probed = self.wait_for(|what| matches!(what, What::Probed(_)))?;
        let What::Probed(outcome) = probed else { return Err("no probe".into()) };
        match outcome.is_pass() && outcome.kind.word() == word && self.report()?.up {
            true => Ok(()),
            false => Err(format!("{}, not {word}", outcome.line())),
        }
    }

    pub(super) fn report(&self) -> Result<PeerReport, String> {
        self.check.peer(&self.key).ok_or_else(|| "the peer is not there".to_string())
    }
}

/// The same, of a peer that is expected to be too slow.
pub(super) fn hasty(spec: CheckSpec) -> CheckSpec {
    CheckSpec { timeout_ms: 500, ..spec }
}

/// A check with a quick pace: down after two failures.
pub(super) fn http_spec() -> CheckSpec {
    spec(http(HttpProbe::default()))
}

pub(super) fn http(probe: HttpProbe) -> ProbeSpec {
    ProbeSpec::Http(probe)
}

pub(super) fn spec(probe: ProbeSpec) -> CheckSpec {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("fault{}", COUNT.fetch_add(1, Ordering::Relaxed));
    CheckSpec {
        probe,
        pace: Pace { first: First::AtOnce, ..Pace::every(INTERVAL_MS) },
        // No busy machine takes so long; what is to time out says so.
        timeout_ms: 60_000,
        machine: MachineSpec::RiseFall { rise: 2, fall: 2 },
        ..CheckSpec::new(Dialect::Native, name)
    }
}

/// For hangs only: machines that test may be slow.
const PATIENCE: Duration = Duration::from_secs(120);

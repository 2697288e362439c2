//! `limit_req`: a leaky bucket for each key.

use std::{
    collections::HashMap,
    rc::Rc,
    sync::{Arc, LazyLock},
    time::Duration,
};

use bytes::Bytes;

use crate::{
    base::{clock, log::Level, units},
    conf::{
        Builder, Diag, Directive, Part, Scope, in_bounds,
        row::{HTTP, HTTP_LEVELS, Row, args, flag, row, take},
    },
    http::{
        phase::{Flow, Handler, Phase, Registered, Step},
        request::Request,
        vars::{VarRow, var_live},
    },
};

use super::{Named, Verdicts};
use crate::server::zones::{self, LEVELS, Registry, Zone};

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::Preaccess, handler: &LimitReq }];

pub const VARS: &[VarRow] = &[var_live("limit_req_status", |r, _| {
    Some(Bytes::from_static(r.main().kept::<Verdicts>().req.get()?.as_bytes()))
})];

pub const ROWS: &[Row] = &[
    row("limit_req_zone", HTTP, args(3, 4), |b, d| {
        zones::add::<Request, Bucket>(b, d, &ZONES, true)
    }),
    row("limit_req", HTTP_LEVELS, args(1, 3), set_limit),
    row("limit_req_log_level", HTTP_LEVELS, take(1), |b, d| {
        d.choice_slot(&mut b.part::<LimitReqs>().level, LEVELS)
    }),
    row("limit_req_status", HTTP_LEVELS, take(1), |b, d| {
        d.once(&mut b.part::<LimitReqs>().status, |d| in_bounds(d.number(1)?, 400, Some(599)))
    }),
    flag("limit_req_dry_run", HTTP_LEVELS, |b, d| d.flag_slot(&mut b.part::<LimitReqs>().dry_run)),
];

static ZONES: Registry<Bucket> = LazyLock::new(Default::default);

/// The bucket of one key; thousandths of requests.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    excess: u64,
    last_ms: u64,
}

/// Settings of one block.
#[derive(Default)]
struct LimitReqs {
    limits: Vec<Limit>,
    level: Option<Level>,
    status: Option<u64>,
    dry_run: Option<bool>,
}

#[derive(Clone)]
struct Limit {
    zone: Arc<Named<Bucket>>,
    burst: u64,
    /// Excess up to this is not delayed; `nodelay` is no bound.
    delay: u64,
}

impl Part for LimitReqs {
    fn inherit(&mut self, parent: &Self) {
        if self.limits.is_empty() {
            self.limits.clone_from(&parent.limits);
        }
        self.level = self.level.or(parent.level);
        self.status = self.status.or(parent.status);
        self.dry_run = self.dry_run.or(parent.dry_run);
    }
}

fn set_limit(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let (mut zone, mut burst, mut delay) = (None, 0, 0);
    for index in 1..=d.arg_count() {
        let word = d.arg(index);
        let number = |what: &str, value: &[u8]| {
            let number = units::parse_number(value).filter(|number| *number > 0);
            number.ok_or_else(|| Diag::emerg(format!("invalid {what} \"{word}\"")))
        };
        if let Some(name) = word.strip_prefix(b"zone=") {
            zone = Some(zones::find::<Request, Bucket>(b, name)?);
        } else if let Some(value) = word.strip_prefix(b"burst=") {
            burst = number("burst value", value)? * 1000;
        } else if let Some(value) = word.strip_prefix(b"delay=") {
            delay = number("delay value", value)? * 1000;
        } else if word == "nodelay" {
            delay = u64::MAX;
        } else {
            return Err(d.bad_param(index));
        }
    }
    let missing = || Diag::emerg("\"limit_req\" must have \"zone\" parameter");
    let zone = zone.ok_or_else(missing)?;
    let limits = &mut b.part::<LimitReqs>().limits;
    if limits.iter().any(|known| Arc::ptr_eq(&known.zone, &zone)) {
        return Err(d.wrong("is duplicate"));
    }
    limits.push(Limit { zone, burst, delay });
    Ok(())
}

struct LimitReq;

impl Handler for LimitReq {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<LimitReqs>().is_some_and(|conf| !conf.limits.is_empty())
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        let verdict = r.main().kept::<Verdicts>();
        if verdict.req.get().is_some() {
            return Step::Ready(Flow::Decline);
        }
        let location = r.location();
        let conf = location.scope.part::<LimitReqs>();
        let dry = conf.dry_run == Some(true);
        let level = conf.level.unwrap_or(Level::Error);
        let note = if dry { ", dry run" } else { "" };
        match conf.decide(r) {
            Decision::None => Step::Ready(Flow::Decline),
            Decision::Pass => {
                verdict.req.set(Some("PASSED"));
                Step::Ready(Flow::Decline)
            }
            Decision::Refuse(excess, zone) => {
                let (whole, part) = (excess / 1000, excess % 1000);
                r.log(
                    level,
                    format_args!(
                        "limiting requests{note}, excess: {whole}.{part:03} by zone \"{zone}\""
                    ),
                );
                verdict.req.set(Some(if dry { "REJECTED_DRY_RUN" } else { "REJECTED" }));
                let status = conf.status.unwrap_or(503) as u16;
                Step::Ready(if dry { Flow::Decline } else { Flow::Status(status) })
            }
            Decision::Delay(ms, excess, zone) => {
                let (whole, part) = (excess / 1000, excess % 1000);
                r.log(
                    milder(level),
                    format_args!(
                        "delaying request{note}, excess: {whole}.{part:03}, by zone \"{zone}\""
                    ),
                );
                verdict.req.set(Some(if dry { "DELAYED_DRY_RUN" } else { "DELAYED" }));
                match dry {
                    true => Step::Ready(Flow::Decline),
                    false => Step::wait(async move {
                        tokio::time::sleep(Duration::from_millis(ms)).await;
                        Flow::Decline
                    }),
                }
            }
        }
    }
}

enum Decision<'a> {
    /// No limit has a key for this request.
    None,
    Pass,
    Refuse(u64, &'a bstr::BString),
    Delay(u64, u64, &'a bstr::BString),
}

impl LimitReqs {
    /// Asks all limits; only when none refuses is the request counted.
    fn decide(&self, r: &Rc<Request>) -> Decision<'_> {
        let now_ms = clock::mono_ms();
        let mut counted = Vec::new();
        for limit in &self.limits {
            let key = limit.zone.key.eval(r);
            if key.is_empty() || key.len() > 65_535 {
                continue;
            }
            let excess = limit.zone.excess(&key, now_ms);
            if excess > limit.burst {
                return Decision::Refuse(excess, &limit.zone.zone.name);
            }
            counted.push((limit, key, excess));
        }
        if counted.is_empty() {
            return Decision::None;
        }
        let mut longest: Option<(u64, u64, &bstr::BString)> = None;
        for (limit, key, excess) in counted {
            limit.zone.zone.keep(key, Bucket { excess, last_ms: now_ms }, limit.zone.rate);
            let delay_ms = excess.saturating_sub(limit.delay) * 1000 / limit.zone.rate.max(1);
            if delay_ms > longest.map_or(0, |(most, ..)| most) {
                longest = Some((delay_ms, excess, &limit.zone.zone.name));
            }
        }
        match longest {
            None => Decision::Pass,
            Some((ms, excess, zone)) => Decision::Delay(ms, excess, zone),
        }
    }
}

impl Named<Bucket> {
    /// What the bucket would hold with one request more.
    fn excess(&self, key: &Bytes, now_ms: u64) -> u64 {
        let counters: &HashMap<_, _> = &self.zone.counters();
        let Some(bucket) = counters.get(key) else { return 0 };
        let leaked = self.rate * now_ms.saturating_sub(bucket.last_ms) / 1000;
        (bucket.excess + 1000).saturating_sub(leaked)
    }
}

impl Zone<Bucket> {
    /// Stores a bucket; a full zone forgets the ones that have run dry, then any.
    fn keep(&self, key: Bytes, bucket: Bucket, rate: u64) {
        let mut counters = self.counters();
        if counters.len() >= self.most && !counters.contains_key(&key) {
            let dry = |old: &Bucket| {
                rate * bucket.last_ms.saturating_sub(old.last_ms) / 1000 >= old.excess + 1000
            };
            counters.retain(|_, old| !dry(old));
            if counters.len() >= self.most
                && let Some(any) = counters.keys().next().cloned()
            {
                counters.remove(&any);
            }
        }
        counters.insert(key, bucket);
    }
}

fn milder(level: Level) -> Level {
    match level {
        Level::Error => Level::Warn,
        Level::Warn => Level::Notice,
        _ => Level::Info,
    }
}

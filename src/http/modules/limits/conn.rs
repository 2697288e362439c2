//! `limit_conn`: how many requests of one key are in work.

use std::{
    rc::Rc,
    sync::{Arc, LazyLock},
};

use bytes::Bytes;

use crate::{
    base::log::Level,
    conf::{
        Builder, Diag, Directive, Part, Scope, in_bounds,
        row::{HTTP, HTTP_LEVELS, Row, flag, row, take},
    },
    http::{
        phase::{Flow, Handler, Phase, Registered, Step},
        request::Request,
        vars::{VarRow, var_live},
    },
};

use super::{LEVELS, Named, Registry, Verdicts, Zone, add_zone, find_zone};

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::Preaccess, handler: &LimitConn }];

pub const VARS: &[VarRow] = &[var_live("limit_conn_status", |r, _| {
    Some(Bytes::from_static(r.main().kept::<Verdicts>().conn.get()?.as_bytes()))
})];

pub const ROWS: &[Row] = &[
    row("limit_conn_zone", HTTP, take(2), |b, d| add_zone(b, d, &ZONES, false)),
    row("limit_conn", HTTP_LEVELS, take(2), set_limit),
    row("limit_conn_log_level", HTTP_LEVELS, take(1), |b, d| {
        d.choice_slot(&mut b.part::<LimitConns>().level, LEVELS)
    }),
    row("limit_conn_status", HTTP_LEVELS, take(1), |b, d| {
        d.once(&mut b.part::<LimitConns>().status, |d| in_bounds(d.number(1)?, 400, Some(599)))
    }),
    flag("limit_conn_dry_run", HTTP_LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<LimitConns>().dry_run)
    }),
];

static ZONES: Registry<Count> = LazyLock::new(Default::default);

/// Requests in work.
#[derive(Clone, Copy, Debug, Default)]
struct Count(u64);

/// Settings of one block.
#[derive(Default)]
struct LimitConns {
    limits: Vec<(Arc<Named<Count>>, u64)>,
    level: Option<Level>,
    status: Option<u64>,
    dry_run: Option<bool>,
}

impl Part for LimitConns {
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
    let zone = find_zone::<Count>(b, d.arg(1))?;
    let most = crate::base::units::parse_number(d.arg(2)).filter(|most| *most > 0);
    let invalid = || Diag::emerg(format!("invalid number of connections \"{}\"", d.arg(2)));
    let most = most.ok_or_else(invalid)?;
    if most > 65_535 {
        return Err(Diag::emerg("connection limit must be less 65536"));
    }
    let limits = &mut b.part::<LimitConns>().limits;
    if limits.iter().any(|(known, _)| Arc::ptr_eq(known, &zone)) {
        return Err(d.wrong("is duplicate"));
    }
    limits.push((zone, most));
    Ok(())
}

/// Counts of a request, given back when it is gone.
#[derive(Default)]
struct Counted(std::cell::RefCell<Vec<(Arc<Zone<Count>>, Bytes)>>);

impl Drop for Counted {
    fn drop(&mut self) {
        give_back(self.0.get_mut());
    }
}

fn give_back(counted: &mut Vec<(Arc<Zone<Count>>, Bytes)>) {
    for (zone, key) in counted.drain(..) {
        let mut counters = zone.counters();
        if let Some(count) = counters.get_mut(&key) {
            count.0 = count.0.saturating_sub(1);
            if count.0 == 0 {
                counters.remove(&key);
            }
        }
    }
}

struct LimitConn;

impl Handler for LimitConn {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<LimitConns>().is_some_and(|conf| !conf.limits.is_empty())
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        let verdict = r.main().kept::<Verdicts>();
        if verdict.conn.get().is_some() {
            return Step::Ready(Flow::Decline);
        }
        let location = r.location();
        let conf = location.scope.part::<LimitConns>();
        let dry = conf.dry_run == Some(true);
        let counted = r.main().kept::<Counted>();
        for (named, most) in &conf.limits {
            let key = named.key.eval(r);
            if key.is_empty() || key.len() > 255 {
                continue;
            }
            verdict.conn.set(Some("PASSED"));
            if named.zone.take(&key, *most) {
                counted.0.borrow_mut().push((named.zone.clone(), key));
                continue;
            }
            let note = if dry { ", dry run," } else { "" };
            let name = &named.zone.name;
            r.log(
                conf.level.unwrap_or(Level::Error),
                format_args!("limiting connections{note} by zone \"{name}\""),
            );
            give_back(&mut counted.0.borrow_mut());
            verdict.conn.set(Some(if dry { "REJECTED_DRY_RUN" } else { "REJECTED" }));
            let status = conf.status.unwrap_or(503) as u16;
            return Step::Ready(if dry { Flow::Decline } else { Flow::Status(status) });
        }
        Step::Ready(Flow::Decline)
    }
}

impl Zone<Count> {
    /// Counts one more; false when there are enough, or no room for another key.
    fn take(&self, key: &Bytes, most: u64) -> bool {
        let mut counters = self.counters();
        let full = counters.len() >= self.most;
        match counters.get_mut(key) {
            Some(count) if count.0 >= most => false,
            Some(count) => {
                count.0 += 1;
                true
            }
            None if full => false,
            None => counters.insert(key.clone(), Count(1)).is_none(),
        }
    }
}

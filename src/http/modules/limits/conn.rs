//! `limit_conn`: how many requests of one key are in work.

use std::{rc::Rc, sync::LazyLock};

use bytes::Bytes;

use crate::{
    conf::{
        Part, Scope, in_bounds, inherit,
        row::{HTTP, HTTP_LEVELS, Row, flag, row, take},
    },
    http::{
        phase::{Flow, Handler, Phase, Registered, Step},
        request::Request,
        vars::{VarRow, var_live},
    },
    server::{
        limit_conn::{self, Count, Counted, Verdict},
        zones::{self, LEVELS, Registry},
    },
};

use super::Verdicts;

type Limits = limit_conn::Limits<Request>;

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::Preaccess, handler: &LimitConn }];

pub const VARS: &[VarRow] = &[var_live("limit_conn_status", |r, _| {
    Some(Bytes::from_static(r.main().kept::<Verdicts>().conn.get()?.as_bytes()))
})];

pub const ROWS: &[Row] = &[
    row("limit_conn_zone", HTTP, take(2), |b, d| zones::add::<Request, Count>(b, d, &ZONES, false)),
    row("limit_conn", HTTP_LEVELS, take(2), limit_conn::set::<Request>),
    row("limit_conn_log_level", HTTP_LEVELS, take(1), |b, d| {
        d.choice_slot(&mut b.part::<Limits>().level, LEVELS)
    }),
    row("limit_conn_status", HTTP_LEVELS, take(1), |b, d| {
        d.once(&mut b.part::<Refusal>().status, |d| in_bounds(d.number(1)?, 400, Some(599)))
    }),
    flag("limit_conn_dry_run", HTTP_LEVELS, |b, d| d.flag_slot(&mut b.part::<Limits>().dry_run)),
];

static ZONES: Registry<Count> = LazyLock::new(Default::default);

/// What a request over the limit is answered.
#[derive(Default)]
struct Refusal {
    status: Option<u64>,
}

impl Part for Refusal {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: status);
    }
}

struct LimitConn;

impl Handler for LimitConn {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<Limits>().is_some_and(|conf| !conf.is_empty())
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        let known = r.main().kept::<Verdicts>();
        if known.conn.get().is_some() {
            return Step::Ready(Flow::Decline);
        }
        let location = r.location();
        let counted = r.main().kept::<Counted>();
        let limits = location.scope.part::<Limits>();
        let verdict = limits.judge(r, &counted, |level, note, zone| {
            r.log(level, format_args!("limiting connections{note} by zone \"{zone}\""));
        });
        known.conn.set(verdict.map(Verdict::word));
        if verdict != Some(Verdict::Rejected) {
            return Step::Ready(Flow::Decline);
        }
        let status = location.scope.part::<Refusal>().status.unwrap_or(503) as u16;
        Step::Ready(Flow::Status(status))
    }
}

//! `limit_conn`: how many sessions of one key are open.

use std::rc::Rc;
use std::sync::LazyLock;

use bytes::Bytes;
use futures_util::future::{LocalBoxFuture, ready};

use crate::conf::Scope;
use crate::conf::row::{Row, STREAM, flag, row, take};
use crate::server::limit_conn::{self, Count, Verdict};
use crate::server::vars::var_live;
use crate::server::zones::{self, LEVELS as WORDS, Registry};

use super::build::VarRow;
use super::conf::LEVELS;
use super::content::Downstream;
use super::phase::{Handler, Phase, Registered};
use super::session::Session;

type Limits = limit_conn::Limits<Session>;

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::Preaccess, handler: &LimitConn }];

pub const VARS: &[VarRow] = &[var_live("limit_conn_status", |s, _| {
    Some(Bytes::from_static(s.limited.get()?.word().as_bytes()))
})];

pub const ROWS: &[Row] = &[
    row("limit_conn_zone", STREAM, take(2), |b, d| {
        zones::add::<Session, Count>(b, d, &ZONES, false)
    }),
    row("limit_conn", LEVELS, take(2), limit_conn::set::<Session>),
    row("limit_conn_log_level", LEVELS, take(1), |b, d| {
        d.choice_slot(&mut b.part::<Limits>().level, WORDS)
    }),
    flag("limit_conn_dry_run", LEVELS, |b, d| d.flag_slot(&mut b.part::<Limits>().dry_run)),
];

static ZONES: Registry<Count> = LazyLock::new(Default::default);

struct LimitConn;

impl Handler for LimitConn {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<Limits>().is_some_and(|conf| !conf.is_empty())
    }

    fn run<'a>(
        &'a self,
        s: &'a Rc<Session>,
        _: &'a mut Downstream,
    ) -> LocalBoxFuture<'a, Option<u16>> {
        let server = s.server();
        let limits = server.scope.part::<Limits>();
        let verdict = limits.judge(s, &s.counted, |level, note, zone| {
            s.log(level, format_args!("limiting connections{note} by zone \"{zone}\""));
        });
        s.limited.set(verdict);
        Box::pin(ready((verdict == Some(Verdict::Rejected)).then_some(503)))
    }
}

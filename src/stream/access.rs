//! `allow` and `deny` of sessions.

use std::rc::Rc;

use futures_util::future::{LocalBoxFuture, ready};

use crate::base::log::Level;
use crate::conf::Scope;
use crate::conf::row::{Row, row, take};
use crate::server::access::{self, AccessConf};
use crate::server::vars::Subject;

use super::conf::LEVELS;
use super::content::Downstream;
use super::phase::{Handler, Phase, Registered};
use super::session::Session;

pub const ROWS: &[Row] = &[
    row("allow", LEVELS, take(1), |b, d| access::add(b, d, false)),
    row("deny", LEVELS, take(1), |b, d| access::add(b, d, true)),
];

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::Access, handler: &Access }];

struct Access;

impl Handler for Access {
    fn applies(&self, scope: &Scope) -> bool {
        !scope.part::<AccessConf>().is_empty()
    }

    fn run<'a>(
        &'a self,
        s: &'a Rc<Session>,
        _: &'a mut Downstream,
    ) -> LocalBoxFuture<'a, Option<u16>> {
        let allowed = s.server().scope.part::<AccessConf>().allows(s.client_ip());
        if allowed != Some(false) {
            return Box::pin(ready(None));
        }
        s.log(Level::Error, format_args!("access forbidden by rule"));
        Box::pin(ready(Some(403)))
    }
}

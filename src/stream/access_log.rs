//! `log_format` and `access_log` of sessions.

use std::rc::Rc;

use futures_util::future::{LocalBoxFuture, ready};

use crate::conf::Scope;
use crate::conf::row::{Row, STREAM, at_least, row};
use crate::server::access_log::{self, PathsConf};

use super::conf::LEVELS;
use super::content::Downstream;
use super::phase::{Handler, Phase, Registered};
use super::session::Session;

type AccessLogConf = access_log::AccessLogConf<Session>;

pub const ROWS: &[Row] = &[
    row("log_format", STREAM, at_least(2), access_log::set_format::<Session>),
    row("access_log", LEVELS, at_least(1), access_log::set_log::<Session>),
    row("open_log_file_cache", LEVELS, at_least(1), access_log::set_cache),
];

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::Log, handler: &AccessLog }];

struct AccessLog;

impl Handler for AccessLog {
    fn applies(&self, scope: &Scope) -> bool {
        !scope.part::<AccessLogConf>().is_empty()
    }

    fn run<'a>(
        &'a self,
        s: &'a Rc<Session>,
        _: &'a mut Downstream,
    ) -> LocalBoxFuture<'a, Option<u16>> {
        let server = s.server();
        let paths = server.scope.part::<PathsConf>();
        server.scope.part::<AccessLogConf>().write(s, paths);
        Box::pin(ready(None))
    }
}

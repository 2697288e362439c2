//! `log_format` and `access_log` of requests.

use std::{path::Path, rc::Rc};

use bstr::BStr;

use crate::conf::row::{HTTP, HTTP_LEVELS, IF_LOCATION, LIMIT_EXCEPT, Row, at_least, row};
use crate::conf::{Builder, Diag, Scope};
use crate::http::{
    phase::{Flow, Handler, Phase, Registered, Step},
    request::Request,
};
use crate::server::access_log::{self, Logged, PathsConf};

type AccessLogConf = access_log::AccessLogConf<Request>;

pub const ROWS: &[Row] = &[
    row("log_format", HTTP, at_least(2), access_log::set_format::<Request>),
    row("access_log", LEVELS, at_least(1), access_log::set_log::<Request>),
    row("open_log_file_cache", HTTP_LEVELS, at_least(1), access_log::set_cache),
];

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::Log, handler: &AccessLog }];

/// Gives the `http` block nginx's default log when it names none.
pub fn finish(b: &mut Builder<'_>, http: &mut Scope) -> Result<(), Diag> {
    if !http.part::<AccessLogConf>().is_set() {
        let usual = AccessLogConf::default_to(b, BStr::new("logs/access.log"))?;
        *http.part_mut::<AccessLogConf>() = usual;
    }
    Ok(())
}

struct AccessLog;

impl Handler for AccessLog {
    fn applies(&self, scope: &Scope) -> bool {
        !scope.part::<AccessLogConf>().is_empty()
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        let location = r.location();
        let scope = &location.scope;
        scope.part::<AccessLogConf>().write(r, scope.part::<PathsConf>());
        Step::Ready(Flow::Decline)
    }
}

impl Logged for Request {
    const COMBINED: Option<&'static [u8]> = Some(COMBINED);

    fn prefix(&self) -> &Path {
        &self.http().prefix
    }
}

const LEVELS: u32 = HTTP_LEVELS | IF_LOCATION | LIMIT_EXCEPT;
const COMBINED: &[u8] = br#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent""#;

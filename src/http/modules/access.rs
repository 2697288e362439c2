//! `allow` and `deny` of locations.

use std::rc::Rc;

use crate::base::log::Level;
use crate::conf::Scope;
use crate::conf::row::{HTTP_LEVELS, LIMIT_EXCEPT, Row, row, take};
use crate::http::{
    phase::{Flow, Handler, Phase, Registered, Step},
    request::Request,
};
use crate::server::access::{self, AccessConf};

pub const ROWS: &[Row] = &[
    row("allow", HTTP_LEVELS | LIMIT_EXCEPT, take(1), |b, d| access::add(b, d, false)),
    row("deny", HTTP_LEVELS | LIMIT_EXCEPT, take(1), |b, d| access::add(b, d, true)),
];

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::Access, handler: &Access }];

struct Access;

impl Handler for Access {
    fn applies(&self, scope: &Scope) -> bool {
        !scope.part::<AccessConf>().is_empty()
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        let location = r.location();
        let allowed = location.scope.part::<AccessConf>().allows(r.conn.peer().ip());
        Step::Ready(match allowed {
            None => Flow::Decline,
            Some(true) => Flow::Next,
            Some(false) => {
                if !location.core().satisfy_any() {
                    r.log(Level::Error, format_args!("access forbidden by rule"));
                }
                Flow::Status(403)
            }
        })
    }
}

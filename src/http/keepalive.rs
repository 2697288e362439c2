//! Whether a connection stays open after a request: `keepalive_*` of its location.

use std::rc::Rc;

use bstr::ByteSlice;

use crate::{
    conf::row::{HTTP_LEVELS, Row, at_least, row},
    net::http1::Known,
};

use super::{core::CoreLoc, method::Method, request::Request};

pub const ROWS: &[Row] = &[row("keepalive_disable", HTTP_LEVELS, at_least(1), |b, d| {
    let mask = b.mask(d, &[("none", NONE), ("msie6", MSIE6), ("safari", SAFARI)])?;
    *b.part::<CoreLoc>().keepalive_disable.get_or_insert(0) |= mask;
    Ok(())
})];

/// Lets the connection end with this request where the location's limits want that.
pub fn limit(r: &Rc<Request>) {
    if !r.keepalive.get() {
        return;
    }
    let over = r.with_location(|location| {
        let core = location.core();
        if !r.is_subrequest() {
            r.conn.idle_ms.set(core.keepalive_timeout_ms());
        }
        core.keepalive_timeout_ms() == 0
            || r.conn.requests.get() >= core.keepalive_requests()
            || r.conn.age_ms() > core.keepalive_time_ms()
            || r.headers_in.may_have(Known::UserAgent) && is_disabled(r, core.keepalive_disable())
    });
    if over {
        r.keepalive.set(false);
    }
}

/// Browsers that are known to fail with it.
fn is_disabled(r: &Rc<Request>, mask: u32) -> bool {
    if mask & (MSIE6 | SAFARI) == 0 {
        return false;
    }
    let headers = r.headers_in.borrow();
    let Some(agent) = headers.first("User-Agent") else { return false };
    let msie = agent.find("MSIE ").and_then(|at| agent.get(at + 5..at + 7));
    match msie {
        Some([b'4' | b'5', b'.']) => mask & MSIE6 != 0 && r.method.borrow().is(Method::POST),
        Some([b'6', b'.']) => {
            mask & MSIE6 != 0 && r.method.borrow().is(Method::POST) && agent.find("SV1").is_none()
        }
        Some(_) => false,
        None => {
            mask & SAFARI != 0
                && agent.find("Safari/").is_some()
                && agent.find("Mac OS X").is_some()
                && agent.find("Chrome/").is_none()
        }
    }
}

const NONE: u32 = 1;
const MSIE6: u32 = 2;
const SAFARI: u32 = 4;
/// What holds where nothing is said.
pub const DISABLED: u32 = MSIE6;

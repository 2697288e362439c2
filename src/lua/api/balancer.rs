//! `ngx.balancer`: what a `balancer_by_lua` script says about this try.

use std::ffi::c_int;
use std::net::IpAddr;
use std::rc::Rc;

use super::Topic;
use crate::http::balancer::{self, Chosen, Timeouts, Turn};
use crate::http::proxy::local_address;
use crate::lua::phase::{ANY, Phase};
use crate::lua::raw::{Call, Op, Raise};
use crate::net::addr::Addr;
use crate::upstream::KeepaliveConf;

pub const TOPIC: Topic = Topic::of(&[
    Op { name: "balancer.set_current_peer", phases: ANY, run: set_current_peer },
    Op { name: "balancer.set_more_tries", phases: ANY, run: set_more_tries },
    Op { name: "balancer.get_last_failure", phases: ANY, run: get_last_failure },
    Op { name: "balancer.set_timeouts", phases: ANY, run: set_timeouts },
    Op { name: "balancer.recreate_request", phases: ANY, run: recreate_request },
    Op { name: "balancer.set_upstream_tls", phases: ANY, run: set_upstream_tls },
    Op { name: "balancer.enable_keepalive", phases: ANY, run: enable_keepalive },
    Op { name: "balancer.bind_to_local_addr", phases: ANY, run: bind_to_local_addr },
]);

/// The try being decided; the text is what a script gets instead.
fn turn(c: &Call<'_>) -> Result<Result<Rc<Turn>, &'static str>, Raise> {
    let r = c.request()?;
    if c.ctx()?.phase != Phase::Balancer {
        let passed_on = !r.upstream_trace.borrow().is_empty();
        let why = if passed_on { "API disabled in the current context" } else { NO_UPSTREAM };
        return Ok(Err(why));
    }
    Ok(balancer::turn(r).ok_or(NO_UPSTREAM))
}

macro_rules! turn_or_fail {
    ($c:expr) => {
        match turn($c)? {
            Ok(turn) => turn,
            Err(reason) => return $c.fail(reason),
        }
    };
}

/// `(address, port, host)`.
fn set_current_peer(c: &Call<'_>) -> Result<c_int, Raise> {
    let turn = turn_or_fail!(c);
    let text = String::from_utf8_lossy(c.bytes(1)?).into_owned();
    let port = c.opt_int(2)?.unwrap_or(0);
    let Some(addr) = address(&text, port) else { return c.fail("no host allowed") };
    let host = c.opt_bytes(3)?.map(Into::into);
    *turn.peer.borrow_mut() = Some(Chosen { addr, host });
    c.ret(true)
}

fn address(text: &str, port: i64) -> Option<Addr> {
    if text.starts_with("unix:") {
        return Addr::literal(text.as_bytes());
    }
    if let Some(whole) = Addr::literal(text.as_bytes()) {
        return Some(whole);
    }
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let ip: IpAddr = bare.parse().ok()?;
    let port = u16::try_from(port).ok()?;
    Some(std::net::SocketAddr::new(ip, port).into())
}

fn set_more_tries(c: &Call<'_>) -> Result<c_int, Raise> {
    let turn = turn_or_fail!(c);
    let mut count = c.int(1)?.max(0) as usize;
    let total = (turn.tries_made.get() + turn.tries_left.get()).saturating_sub(1);
    let max = turn.tries_max.get();
    let mut warning = None;
    if max > 0 && total + count > max {
        count = max.saturating_sub(total);
        warning = Some("reduced tries due to limit");
    }
    turn.more_tries.set(count);
    match warning {
        Some(warning) => c.ret((true, warning)),
        None => c.ret(true),
    }
}

fn get_last_failure(c: &Call<'_>) -> Result<c_int, Raise> {
    let turn = match turn(c)? {
        Ok(turn) => turn,
        Err(reason) => return c.ret(((), (), reason)),
    };
    match turn.last_failure.get() {
        None => c.ret(()),
        Some(last) => c.ret((if last.failed { "failed" } else { "next" }, last.status)),
    }
}

/// Seconds, nil for what stays as it is.
fn set_timeouts(c: &Call<'_>) -> Result<c_int, Raise> {
    let turn = match turn(c)? {
        Ok(turn) => turn,
        Err(reason) => return c.ret((false, reason)),
    };
    let ms = |index| Ok(c.opt_num(index)?.map(|seconds| (seconds * 1000.0) as u64));
    let before = turn.timeouts.get();
    turn.timeouts.set(Timeouts {
        connect_ms: ms(1)?.or(before.connect_ms),
        send_ms: ms(2)?.or(before.send_ms),
        read_ms: ms(3)?.or(before.read_ms),
    });
    c.ret(true)
}

fn recreate_request(c: &Call<'_>) -> Result<c_int, Raise> {
    let turn = turn_or_fail!(c);
    turn.recreate_request.set(true);
    c.ret(true)
}

fn set_upstream_tls(c: &Call<'_>) -> Result<c_int, Raise> {
    let turn = turn_or_fail!(c);
    turn.tls.set(Some(c.int(1)? != 0));
    c.ret(true)
}

/// `(idle timeout in seconds, requests)`.
fn enable_keepalive(c: &Call<'_>) -> Result<c_int, Raise> {
    let turn = turn_or_fail!(c);
    if turn.peer.borrow().is_none() {
        return c.fail("no current peer set");
    }
    let idle_timeout_ms = c.opt_num(1)?.map_or(60_000, |seconds| (seconds * 1000.0) as u64);
    let max_requests = c.opt_int(2)?.unwrap_or(100).max(0) as u64;
    let conf = KeepaliveConf {
        idle_timeout_ms: if idle_timeout_ms == 0 { NEVER_MS } else { idle_timeout_ms },
        max_requests: if max_requests == 0 { u64::MAX } else { max_requests },
        ..KeepaliveConf::with_max_idle(turn.idle_max.get())
    };
    *turn.keepalive.borrow_mut() = Some(conf);
    turn.traced.set(true);
    c.ret(true)
}

/// The address of ours the connection shall come from, with a port or without.
fn bind_to_local_addr(c: &Call<'_>) -> Result<c_int, Raise> {
    let turn = turn_or_fail!(c);
    let text = c.bytes(1)?;
    let Some(addr) = local_address(text) else {
        return c.fail(format!("invalid addr {}", String::from_utf8_lossy(text)));
    };
    *turn.bind.borrow_mut() = Some(addr);
    c.ret(true)
}

const NO_UPSTREAM: &str = "no upstream found";
/// A span no connection lives to see the end of.
const NEVER_MS: u64 = u64::MAX / 4;

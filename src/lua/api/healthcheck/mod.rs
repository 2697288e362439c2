//! The native half of `resty.healthcheck`.
//!
//! ```text
//!   lua/resty/healthcheck/*.lua ── id of a seat ──▶ ops ──▶ health::dialect::resty::Book
//!                        ▲── told(id, what, …) ── feed ◀── Told ──┘ from the engine's thread
//! ```

mod feed;
mod open;
mod plan;
mod probe;

use std::ffi::c_int;
use std::sync::Arc;

use bstr::ByteSlice;

use super::Topic;
use crate::health::Reported;
use crate::health::machine::{Limits, Seen, State};
use crate::health::resty::{self, Added, Book, BookError, Entry, Ident};
use crate::lua::phase::{ANY, WITH_CTX, YIELDABLE};
use crate::lua::raw::{Call, Op, Raise, Val};

pub const TOPIC: Topic = Topic::of(&[
    Op { name: "healthcheck.listen", phases: ANY, run: feed::listen },
    Op { name: "healthcheck.open", phases: WITH_CTX, run: open::open },
    Op { name: "healthcheck.free", phases: ANY, run: free },
    Op { name: "healthcheck.active", phases: ANY, run: active },
    Op { name: "healthcheck.add", phases: ANY, run: add },
    Op { name: "healthcheck.restore", phases: ANY, run: restore },
    Op { name: "healthcheck.remove", phases: ANY, run: remove },
    Op { name: "healthcheck.clear", phases: ANY, run: clear },
    Op { name: "healthcheck.delayed_clear", phases: ANY, run: delayed_clear },
    Op { name: "healthcheck.targets", phases: ANY, run: targets },
    Op { name: "healthcheck.snapshot", phases: ANY, run: snapshot },
    Op { name: "healthcheck.status", phases: ANY, run: status },
    Op { name: "healthcheck.counter", phases: ANY, run: counter },
    Op { name: "healthcheck.report", phases: ANY, run: report },
    Op { name: "healthcheck.force", phases: ANY, run: force },
    Op { name: "healthcheck.probe", phases: YIELDABLE, run: probe::probe },
]);

/// The book behind argument 1, the number of a seat.
fn book(c: &Call<'_>) -> Result<Arc<Book>, Raise> {
    let seat = seat(c)?;
    let hub = feed::hub().ok_or(Raise::text("no worker"))?;
    hub.book(seat).ok_or(Raise::text("the checker is gone"))
}

fn seat(c: &Call<'_>) -> Result<u64, Raise> {
    c.int(1).map(|n| n as u64)
}

/// Arguments 2 to 4: address, port, host name. What can be no target is none.
fn ident(c: &Call<'_>) -> Option<Ident> {
    let (ip, hostname) = (c.to_bytes(2)?, c.to_bytes(4)?);
    let port = (c.kind(3) == crate::lua::raw::Kind::Num).then(|| c.to_num(3)).flatten()?;
    Some(Ident { ip: ip.into(), port, hostname: hostname.into() })
}

fn done(c: &Call<'_>, result: Result<(), BookError>) -> Result<c_int, Raise> {
    match result {
        Ok(()) => c.ret(true),
        Err(error) => c.fail(error.to_string()),
    }
}

fn free(c: &Call<'_>) -> Result<c_int, Raise> {
    let seat = seat(c)?;
    // The worker may be ending already; its feed has let go of everything then.
    if let Some(hub) = feed::hub() {
        hub.leave(seat);
    }
    Ok(0)
}

fn active(c: &Call<'_>) -> Result<c_int, Raise> {
    let (seat, active) = (seat(c)?, c.truthy(2));
    book(c)?.set_active(seat, active);
    if let Some(hub) = feed::hub() {
        hub.start(seat, active);
        if !active {
            hub.hide_idle_prober(seat);
        }
    }
    c.ret(true)
}

/// `add(id, ip, port, hostname, up, hostheader, meta)`: what came of it.
fn add(c: &Call<'_>) -> Result<c_int, Raise> {
    let ident = ident(c).ok_or_else(|| c.expected(2, "address"))?;
    let entry = Entry {
        ident,
        hostheader: c.opt_bytes(6)?.map(Into::into),
        meta: c.opt_bytes(7)?.map(Into::into),
        purge_time: None,
    };
    match book(c)?.add(entry, c.truthy(5)) {
        Ok(Added::New) => c.ret(Val::Text("added")),
        Ok(Added::Known) => c.ret(Val::Text("known")),
        Ok(Added::Kept) => c.ret(Val::Text("kept")),
        Err(error) => c.fail(error.to_string()),
    }
}

/// `restore(id, ip, port, hostname, state, hostheader, meta, lanes, purge time)`
fn restore(c: &Call<'_>) -> Result<c_int, Raise> {
    let Some(ident) = ident(c) else { return Ok(0) };
    let state = match c.to_bytes(5) {
        Some(b"unhealthy") => State::Unhealthy,
        Some(b"mostly_healthy") => State::MostlyHealthy,
        Some(b"mostly_unhealthy") => State::MostlyUnhealthy,
        _ => State::Healthy,
    };
    let entry = Entry {
        ident,
        hostheader: c.opt_bytes(6)?.map(Into::into),
        meta: c.opt_bytes(7)?.map(Into::into),
        purge_time: c.opt_num(9)?,
    };
    book(c)?.restore(entry, state, c.num(8)? as i64 as u32);
    Ok(0)
}

fn remove(c: &Call<'_>) -> Result<c_int, Raise> {
    let Some(ident) = ident(c) else { return c.ret(false) };
    match book(c)?.remove(&ident) {
        Ok(known) => c.ret(known),
        Err(error) => c.fail(error.to_string()),
    }
}

fn clear(c: &Call<'_>) -> Result<c_int, Raise> {
    done(c, book(c)?.clear())
}

fn delayed_clear(c: &Call<'_>) -> Result<c_int, Raise> {
    done(c, book(c)?.delayed_clear(c.num(2)?))
}

/// The targets with their inner states, as a checker keeps them.
fn targets(c: &Call<'_>) -> Result<c_int, Raise> {
    let book = book(c)?;
    let of_entry = |e: Entry| {
        let state = book.state(&e.ident).map(|(state, _)| Val::Text(state.name()));
        let mut fields = fields(&e);
        fields.push(("internal_health".into(), state.unwrap_or(Val::Nil)));
        Val::Map(fields)
    };
    c.ret(Val::List(book.entries().into_iter().map(of_entry).collect()))
}

/// `snapshot(name, shm)`: the targets as pages show them, and what scripts keep of each.
fn snapshot(c: &Call<'_>) -> Result<c_int, Raise> {
    let Some(book) = resty::find(c.bytes(1)?, c.bytes(2)?) else { return c.ret(()) };
    let entries = book.entries();
    let metas = entries.iter().map(|e| Val::from(e.meta.as_ref().map(|m| m.as_bytes())));
    let metas =
        Val::List(metas.map(|v| if v == Val::Nil { Val::Bool(false) } else { v }).collect());
    let list = entries.iter().map(|e| {
        let (state, lanes) = book.state(&e.ident).unwrap_or((State::Healthy, Limits::default()));
        let mut fields = fields(e);
        fields.push(("status".into(), state.name().into()));
        fields.push(("counter".into(), counters(lanes)));
        Val::Map(fields)
    });
    c.ret((Val::List(list.collect()), metas))
}

fn fields(e: &Entry) -> Vec<(Val, Val)> {
    vec![
        ("ip".into(), Val::from(e.ident.ip.as_bytes())),
        ("port".into(), Val::from(e.ident.port)),
        ("hostname".into(), Val::from(e.ident.hostname.as_bytes())),
        ("hostheader".into(), Val::from(e.hostheader.as_ref().map(|h| h.as_bytes()))),
        ("purge_time".into(), Val::from(e.purge_time)),
    ]
}

fn counters(lanes: Limits) -> Val {
    Val::Map(vec![
        ("success".into(), lanes.successes.into()),
        ("http_failure".into(), lanes.http_failures.into()),
        ("tcp_failure".into(), lanes.tcp_failures.into()),
        ("timeout_failure".into(), lanes.timeouts.into()),
    ])
}

fn status(c: &Call<'_>) -> Result<c_int, Raise> {
    let Some(ident) = ident(c) else { return c.ret(()) };
    c.ret(book(c)?.is_up(&ident))
}

/// The lanes as one number and the inner state.
fn counter(c: &Call<'_>) -> Result<c_int, Raise> {
    let Some(ident) = ident(c) else { return c.ret(()) };
    match book(c)?.state(&ident) {
        Some((state, lanes)) => c.ret((lanes.packed(), state.name())),
        None => c.ret(()),
    }
}

/// `report(id, ip, port, hostname, lane, limit)`: the count and perhaps a new state; false when it
/// does not count, nil when there is no such target.
fn report(c: &Call<'_>) -> Result<c_int, Raise> {
    let seen = match c.int(5)? {
        1 => Seen::Success,
        2 => Seen::HttpFailure,
        3 => Seen::TcpFailure,
        _ => Seen::Timeout,
    };
    let limit = c.num(6)?.ceil().clamp(1.0, 255.0) as u8;
    let Some(ident) = ident(c) else { return c.ret(()) };
    match book(c)?.report(&ident, seen, limit) {
        Reported::Unknown => c.ret(()),
        Reported::Ignored => c.ret(false),
        Reported::Counted(counted) => {
            let state = counted.transition.map(|t| t.to.name());
            c.ret((counted.count, state))
        }
    }
}

fn force(c: &Call<'_>) -> Result<c_int, Raise> {
    let Some(ident) = ident(c) else { return c.ret(false) };
    c.ret(book(c)?.force(&ident, c.truthy(5)))
}

//! The native half of `resty.upstream.healthcheck`.
//!
//! ```text
//!   spawn(options) ──▶ CheckSpec ──▶ engine.attach ──▶ Lease, kept until the worker goes down
//!   status_page()  ──▶ health::report over the groups of the worker's configuration
//! ```

use std::cell::RefCell;
use std::ffi::c_int;
use std::rc::Rc;
use std::sync::Arc;

use bstr::{BStr, BString, ByteSlice};
use tokio::sync::oneshot;

use super::upstream::{Bound, groups};
use super::{Topic, socket};
use crate::base::log;
use crate::health::dialect::Dialect;
use crate::health::rounds::Table;
use crate::health::{
    Attach, CheckSpec, Engine, First, Lease, MachineSpec, Pace, ProbeSpec, RawProbe, TimeoutScope,
    TlsSpec, engine, report,
};
use crate::lua::ctx;
use crate::lua::phase::{ANY, WITH_CTX};
use crate::lua::raw::{Call, Op, Raise, Reply, Val};
use crate::lua::vm::Worker;
use crate::net::tls::ClientTls;
use crate::shdict::zones;

pub const TOPIC: Topic = Topic::of(&[
    Op { name: "upstream_healthcheck.spawn", phases: WITH_CTX, run: spawn },
    Op { name: "upstream_healthcheck.status_page", phases: ANY, run: status_page },
    Op { name: "upstream_healthcheck.prometheus_status_page", phases: ANY, run: prometheus_page },
    Op { name: "upstream_healthcheck.json_status_page", phases: ANY, run: json_page },
]);

/// The checks a worker asked for.
#[derive(Default)]
struct Leases(RefCell<Vec<Lease>>);

fn spawn(c: &Call<'_>) -> Result<c_int, Raise> {
    let (spec, is_tls) = (spec(c)?, c.truthy(4));
    let groups = groups();
    let Some(group) = groups.find(spec.upstream.as_ref()).cloned() else {
        return c.fail("failed to get primary peers: upstream not found");
    };
    let Some(dict) = zones::find(c.bytes(2)?) else {
        return c.fail(format!("shm \"{}\" not found", c.text_lossy(2)));
    };
    let Ok(engine) = engine() else {
        return c.fail("failed to create timer: no memory");
    };
    let worker = &c.ctx()?.vm.worker;
    if worker.is_exiting() {
        return c.fail("failed to create timer: process exiting");
    }
    let tls = match is_tls.then(|| socket::tls::client(c)) {
        Some(Err(why)) => return c.fail(why),
        Some(Ok(client)) => Some(ClientTls::clone(&client)),
        None => None,
    };
    // `no_timer`: the library runs the first cycle in the caller.
    let (waits, (tell, told)) = (c.truthy(15), oneshot::channel());
    let lease = engine.attach(Attach {
        spec,
        group,
        table: Some(Arc::new(dict) as Arc<dyn Table>),
        log: log::main_chain(),
        debug: c.truthy(14),
        tls,
        generation: worker.part::<Bound>().generation.get(),
        after_round: waits.then_some(tell),
    });
    keep(worker, lease);
    if !waits {
        return c.ret(true);
    }
    c.ask(async move {
        let _ = told.await;
        Reply::one(true)
    })
}

/// Keeps the lease until the worker goes down, as the library's timers end then.
fn keep(worker: &Rc<Worker>, lease: Lease) {
    let leases = worker.part::<Leases>();
    let first = leases.0.borrow().is_empty();
    leases.0.borrow_mut().push(lease);
    if first {
        let worker = worker.clone();
        tokio::task::spawn_local(async move {
            worker.exiting().await;
            leases.0.take();
        });
    }
}

fn spec(c: &Call<'_>) -> Result<CheckSpec, Raise> {
    let tls = c.truthy(4).then(|| -> Result<TlsSpec, Raise> {
        Ok(TlsSpec {
            sni: c.opt_bytes(5)?.map(BString::from),
            verify: c.truthy(6),
            ..TlsSpec::default()
        })
    });
    let probe = RawProbe {
        request: c.bytes(3)?.into(),
        valid_statuses: c.opt_bytes(11)?.map(statuses),
        tls: tls.transpose()?,
    };
    let first = if c.truthy(15) { First::AtOnce } else { First::Soon };
    let upstream = c.bytes(1)?;
    Ok(CheckSpec {
        probe: ProbeSpec::Raw(probe),
        port: c.opt_num(13)?.map(|p| p as u16),
        pace: Pace { first, ..Pace::every(c.num(7)? as u64) },
        timeout_ms: c.num(8)? as u64,
        timeout_scope: TimeoutScope::EachOperation,
        concurrency: c.num(12)? as usize,
        machine: MachineSpec::RiseFall { fall: c.num(9)? as u64, rise: c.num(10)? as u64 },
        shm: Some(c.bytes(2)?.into()),
        ..CheckSpec::new(Dialect::OpenResty, upstream)
    })
}

/// `200,302`; fractions match no status.
fn statuses(text: &[u8]) -> Vec<u64> {
    let number = |word: &[u8]| word.to_str().ok()?.parse().ok();
    let mut list: Vec<u64> = text.split_str(",").filter_map(number).collect();
    list.sort_unstable();
    list.dedup();
    list
}

fn status_page(c: &Call<'_>) -> Result<c_int, Raise> {
    let page = report::status_page(&groups(), has_checker);
    c.ret(Val::Str(page.into()))
}

fn prometheus_page(c: &Call<'_>) -> Result<c_int, Raise> {
    let page = report::prometheus_status_page(&groups(), has_checker);
    c.ret(Val::Str(page.into()))
}

/// Not in the library: states with their reasons, last results and history.
fn json_page(c: &Call<'_>) -> Result<c_int, Raise> {
    let page = report::json_status_page(&groups(), Engine::running().as_deref());
    c.ret(Val::Str(page.into_bytes()))
}

fn has_checker(upstream: &BStr) -> bool {
    let generation = ctx::worker().map_or(0, |w| w.part::<Bound>().generation.get());
    Engine::running().is_some_and(|e| e.has_checker(upstream, generation))
}

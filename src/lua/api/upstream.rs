//! `ngx.upstream`: groups and peers as lua-upstream-nginx-module shows them.
//!
//! ```text
//!   worker start ── bind(groups, generation) ──▶ Bound, a part of the worker
//!   get_primary_peers("foo") ──▶ Groups::find ──▶ snapshot ──▶ list of tables
//! ```

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::rc::Rc;
use std::sync::Arc;

use bstr::ByteSlice;

use super::Topic;
use crate::http::Request;
use crate::lua::ctx;
use crate::lua::phase::ANY;
use crate::lua::raw::{Call, Op, Raise, Val};
use crate::lua::vm::Worker;
use crate::upstream::{Current, Group, Groups, Peer, PeerSet, Server, live};

pub const TOPIC: Topic = Topic::of(&[
    Op { name: "upstream.get_upstreams", phases: ANY, run: upstreams },
    Op { name: "upstream.get_servers", phases: ANY, run: servers },
    Op { name: "upstream.get_primary_peers", phases: ANY, run: primary_peers },
    Op { name: "upstream.get_backup_peers", phases: ANY, run: backup_peers },
    Op { name: "upstream.set_peer_down", phases: ANY, run: set_peer_down },
    Op { name: "upstream.current_upstream_name", phases: ANY, run: current_upstream_name },
]);

/// Tells a worker which configuration it runs. Called before its `init_worker_by_lua`.
pub fn bind(worker: &Worker, groups: Arc<Groups>, generation: u64) {
    let bound = worker.part::<Bound>();
    bound.groups.replace(Some(groups));
    bound.generation.set(generation);
}

/// The configuration of a worker.
#[derive(Default)]
pub(super) struct Bound {
    groups: RefCell<Option<Arc<Groups>>>,
    pub(super) generation: Cell<u64>,
}

/// The groups of the running worker; before one is bound those that are live.
pub(super) fn groups() -> Arc<Groups> {
    let bound = ctx::worker().map(|w| w.part::<Bound>());
    bound.and_then(|b| b.groups.borrow().clone()).unwrap_or_else(live)
}

fn upstreams(c: &Call<'_>) -> Result<c_int, Raise> {
    if !c.is_empty() {
        return Err(Raise::text("no argument expected"));
    }
    let names = groups().iter().map(|g| Val::Str(g.name().into())).collect();
    c.ret(Val::List(names))
}

fn servers(c: &Call<'_>) -> Result<c_int, Raise> {
    match found(c)? {
        Some(group) => c.ret(Val::List(group.servers().iter().map(server).collect())),
        None => c.fail("upstream not found"),
    }
}

fn primary_peers(c: &Call<'_>) -> Result<c_int, Raise> {
    match found(c)? {
        Some(group) => c.ret(peers(&group.snapshot().primary)),
        None => c.fail("upstream not found"),
    }
}

fn backup_peers(c: &Call<'_>) -> Result<c_int, Raise> {
    match found(c)? {
        Some(group) => {
            let snapshot = group.snapshot();
            c.ret(snapshot.backup.as_ref().map_or(Val::List(Vec::new()), peers))
        }
        None => c.fail("upstream not found"),
    }
}

fn set_peer_down(c: &Call<'_>) -> Result<c_int, Raise> {
    if c.len() != 4 {
        return Err(Raise::text("exactly 4 arguments expected"));
    }
    let groups = groups();
    let Some(group) = groups.find(c.bytes(1)?.as_bstr()) else {
        return c.fail("upstream not found");
    };
    let backup = c.truthy(2);
    let snapshot = group.snapshot();
    if backup && snapshot.backup.is_none() {
        return c.fail("no backup peers");
    }
    let id = usize::try_from(c.int(3)?).ok();
    match id.and_then(|id| snapshot.peer(backup, id)) {
        Some(peer) => {
            peer.set_down(c.truthy(4));
            c.ret(true)
        }
        None => c.fail("bad peer id"),
    }
}

fn current_upstream_name(c: &Call<'_>) -> Result<c_int, Raise> {
    let request = c.try_ctx().and_then(|ctx| ctx.request.clone());
    let Some(request) = request.and_then(|r| Rc::downcast::<Request>(r).ok()) else {
        return Err(Raise::text("no request object found"));
    };
    match request.ext::<Current>().group() {
        Some(group) => c.ret(Val::Str(group.name().into())),
        None => c.ret(Val::Nil),
    }
}

/// The group the only argument names.
fn found(c: &Call<'_>) -> Result<Option<Arc<Group>>, Raise> {
    if c.len() != 1 {
        return Err(Raise::text("exactly one argument expected"));
    }
    Ok(groups().find(c.bytes(1)?.as_bstr()).cloned())
}

fn server(s: &Server) -> Val {
    let mut map = Vec::with_capacity(7);
    if !s.name.is_empty() {
        map.push(field("name", Val::Str(s.name.to_vec())));
    }
    let mut addrs: Vec<Val> =
        s.addrs.iter().map(|a| Val::Str(a.to_string().into_bytes())).collect();
    let addr = if addrs.len() == 1 { addrs.remove(0) } else { Val::List(addrs) };
    map.push(field("addr", addr));
    map.push(field("weight", number(s.weight)));
    map.push(field("max_fails", number(s.max_fails)));
    map.push(field("fail_timeout", number(s.fail_timeout_s)));
    for (name, set) in [("backup", s.backup), ("down", s.down)] {
        if set {
            map.push(field(name, Val::Bool(true)));
        }
    }
    Val::Map(map)
}

fn peers(set: &PeerSet) -> Val {
    Val::List(set.peers().iter().enumerate().map(|(id, p)| peer(id, p)).collect())
}

fn peer(id: usize, p: &Peer) -> Val {
    let mut map = vec![
        field("id", Val::Num(id as f64)),
        field("name", Val::Str(p.conf.name.clone().into_bytes())),
        field("weight", number(p.conf.weight)),
        field("current_weight", number(p.current_weight())),
        field("effective_weight", number(p.effective_weight())),
        field("conns", number(p.conns())),
        field("fails", number(p.fails())),
        field("max_fails", number(p.conf.max_fails)),
        field("fail_timeout", number(p.conf.fail_timeout_s)),
    ];
    for (name, at) in [("accessed", p.accessed()), ("checked", p.checked())] {
        if at != 0 {
            map.push(field(name, number(at)));
        }
    }
    if p.is_down() {
        map.push(field("down", Val::Bool(true)));
    }
    Val::Map(map)
}

fn field(name: &'static str, value: Val) -> (Val, Val) {
    (Val::Text(name), value)
}

fn number(n: impl TryInto<i64>) -> Val {
    Val::Num(n.try_into().unwrap_or(i64::MAX) as f64)
}

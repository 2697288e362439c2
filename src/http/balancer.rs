//! The hook that lets somebody else choose the peer of each try, as `balancer_by_lua*` does.
//!
//! ```text
//!  upstream { balancer_by_lua_block … }   ─ row ─▶ Chooser in the group's scope
//!  each try: fill Turn ─▶ Balancer::choose(r, turn) ─▶ Verdict, and what the script wrote
//! ```

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use bstr::BString;

use crate::{
    conf::{
        Builder, Diag, Directive, Part,
        row::{Row, UPSTREAM, args, row, take},
    },
    net::addr::Addr,
    upstream::{self, Group, KeepaliveConf, Seed},
};

use super::{modules::sticky, request::Request, template::Template};

/// Chooses peers. Called once before each try, on the request's thread; it must not wait.
pub trait Balancer: Send + Sync {
    /// Decides about the next try; the decision's details go into `turn`, which [`turn`] finds
    /// again while the script runs.
    fn choose(&self, r: &Rc<Request>, turn: &Rc<Turn>) -> Verdict;

    /// Whether a try over a kept connection that the peer had closed is free, as it is when the
    /// group picks. The balancer then sees it in [`LastFailure::kept`].
    fn forgives_kept(&self) -> bool {
        false
    }
}

/// What a balancer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on: to `turn.peer`, or by the group's own method when there is none.
    Go,
    /// No peer can take it (`ngx.exit(ngx.BUSY)`): `no live upstreams`.
    Busy,
    /// This choice failed (`ngx.exit(ngx.DECLINED)`): counts as a failed try.
    Declined,
    /// End the request with this status (`ngx.exit(ngx.ERROR)` is 500).
    Status(u16),
}

/// One request's conversation with its balancer. Lives as long as the request's pass.
#[derive(Default)]
pub struct Turn {
    /// How the try before ended; none at the first.
    pub last_failure: Cell<Option<LastFailure>>,
    /// Tries made so far, this one included.
    pub tries_made: Cell<usize>,
    /// Tries the group still allows, this one included: nginx's `peer.tries`.
    pub tries_left: Cell<usize>,
    /// `proxy_next_upstream_tries`, 0 for no limit.
    pub tries_max: Cell<usize>,
    /// `set_current_peer`
    pub peer: RefCell<Option<Chosen>>,
    /// `set_more_tries`: added to `tries_left`.
    pub more_tries: Cell<usize>,
    /// `set_timeouts`, for this try.
    pub timeouts: Cell<Timeouts>,
    /// `set_upstream_tls`: whether to speak TLS, whatever `proxy_pass` says.
    pub tls: Cell<Option<bool>>,
    /// `recreate_request`: the request is built anew, with the variables as they are now.
    pub recreate_request: Cell<bool>,
    /// `enable_keepalive`: the connection is kept afterwards, by these limits.
    pub keepalive: RefCell<Option<KeepaliveConf>>,
    /// `balancer_keepalive` of the group.
    pub idle_max: Cell<usize>,
    /// `bind_to_local_addr`
    pub bind: RefCell<Option<Addr>>,
    /// Debug lines tell what becomes of the connection.
    pub traced: Cell<bool>,
}

/// The peer a balancer chose.
#[derive(Clone, Debug)]
pub struct Chosen {
    pub addr: Addr,
    /// The name to present in a TLS handshake, when it is not that of `proxy_pass`.
    pub host: Option<BString>,
}

/// How a try ended that was not the last: `get_last_failure`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastFailure {
    /// False is `"next"`: the peer answered (403, 404), but not what was wanted.
    pub failed: bool,
    pub status: u16,
    /// Over a kept connection, which the peer may have closed just then.
    pub kept: bool,
}

/// Overrides of the location's timeouts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    pub connect_ms: Option<u64>,
    pub send_ms: Option<u64>,
    pub read_ms: Option<u64>,
}

/// The balancer of a group, a part of its `upstream {}` scope.
#[derive(Default)]
pub struct Chooser(pub Option<Arc<dyn Balancer>>);

/// How many idle connections a worker keeps where scripts ask for it.
#[derive(Default)]
struct IdleMax(Option<u64>);

/// The key of `hash`, a part of the group's scope.
#[derive(Default)]
struct HashKey(Option<Template>);

macro_rules! of_its_block {
    ($($kind:ty),+) => {
        $(impl Part for $kind {
            fn inherit(&mut self, _parent: &Self) {}
        })+
    };
}
of_its_block!(Chooser, HashKey, IdleMax);

/// `hash` belongs to the group; its key belongs here, because only requests have variables.
pub const ROWS: &[Row] = &[
    row("hash", UPSTREAM, args(1, 2), set_hash),
    row("balancer_keepalive", UPSTREAM, take(1), |b, d| d.number_slot(&mut b.part::<IdleMax>().0)),
];

/// The turn of the balancer that is running for this request.
pub fn turn(r: &Request) -> Option<Rc<Turn>> {
    r.ext_if_any::<Running>()?.0.borrow().clone()
}

/// The balancer of a group.
pub fn of(group: &Group) -> Option<Arc<dyn Balancer>> {
    group.scope()?.find::<Chooser>()?.0.clone()
}

/// `balancer_keepalive` of a group.
pub fn idle_max(group: &Group) -> usize {
    let said = group.scope().and_then(|scope| scope.find::<IdleMax>()?.0);
    said.map_or(IDLE_MAX, |max| max as usize)
}

/// Runs a balancer with `turn` as the present one.
pub fn choose(balancer: &dyn Balancer, r: &Rc<Request>, turn: &Rc<Turn>) -> Verdict {
    let running = r.ext::<Running>();
    *running.0.borrow_mut() = Some(turn.clone());
    let verdict = balancer.choose(r, turn);
    *running.0.borrow_mut() = None;
    verdict
}

/// What the group's method wants to know about the request.
pub fn seed(r: &Rc<Request>, group: &Group) -> Seed {
    let key = group.scope().and_then(|scope| scope.find::<HashKey>()?.0.as_ref());
    Seed {
        key: key.map_or_else(BString::default, |key| key.eval(r).to_vec().into()),
        client: r.conn.peer().ip(),
        sid: sticky::sid(r, group),
    }
}

#[derive(Default)]
struct Running(RefCell<Option<Rc<Turn>>>);

fn set_hash(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    upstream::conf::set_hash(b, d)?;
    let key = Template::compile(b, d.arg(1))?;
    b.part::<HashKey>().0 = Some(key);
    Ok(())
}

/// OpenResty's `balancer_keepalive`, unless it is said.
const IDLE_MAX: usize = 30;

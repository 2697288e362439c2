//! `memcached_pass` and `memc_pass`: requests answered out of memcached.
//!
//! ```text
//!  $memcached_key ──────────────┐
//!  $memc_cmd, $memc_key, … ─▶ Command ─▶ Passage ─▶ reply ─▶ respond
//! ```
//!
//! `memc_pass` is that of memc-nginx-module: it stores, deletes and counts too.

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;

use crate::{
    conf::{
        Part, inherit,
        row::{HTTP_LEVELS, Row, at_least, row, take},
    },
    http::{
        phase::{Flow, Handler, Step},
        request::Request,
        vars::{VarRow, var_live},
    },
};

pub mod command;
pub mod reply;

use self::command::{Command, Kind};
use super::{
    conf::{PASS_LEVELS, set_pass},
    exchange::Reply,
    family::{Family, Settings},
    forward::{Choices, Forward},
    passage::Passage,
    respond,
    rows::peer_rows,
    settings::Proxy,
    target::Target,
};

/// The settings of `memc_*`.
#[derive(Default)]
pub struct Memc {
    pub proxy: Proxy,
    allowed: Option<Arc<Vec<Kind>>>,
}

/// The settings of `memcached_*`.
#[derive(Default)]
pub struct Memcached {
    pub proxy: Proxy,
    /// Values with one of these flags are compressed.
    gzip_flag: Option<u64>,
}

impl Part for Memc {
    fn inherit(&mut self, parent: &Self) {
        self.proxy.inherit(&parent.proxy);
        inherit!(self, parent: allowed);
    }
}

impl Part for Memcached {
    fn inherit(&mut self, parent: &Self) {
        self.proxy.inherit(&parent.proxy);
        inherit!(self, parent: gzip_flag);
    }
}

impl Settings for Memc {
    fn settings(&mut self) -> &mut Proxy {
        &mut self.proxy
    }
}

impl Settings for Memcached {
    fn settings(&mut self) -> &mut Proxy {
        &mut self.proxy
    }
}

/// The content handlers of locations with `memc_pass`, with `memcached_pass`.
pub struct MemcPass(Family);

pub fn handler(family: Family) -> &'static MemcPass {
    if family == Family::Memc { &MemcPass(Family::Memc) } else { &MemcPass(Family::Memcached) }
}

impl Handler for MemcPass {
    fn applies(&self, _scope: &crate::conf::Scope) -> bool {
        false
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        Step::wait(pass(r, self.0))
    }

    fn adds_slash(&self) -> bool {
        true
    }
}

async fn pass(r: &Rc<Request>, family: Family) -> Flow {
    if let Err(error) = r.read_body().await {
        return Flow::Status(error.0);
    }
    answer(r, family).await.unwrap_or_else(Flow::Status)
}

async fn answer(r: &Rc<Request>, family: Family) -> Result<Flow, u16> {
    let location = r.location();
    let (memc, memcached) = (location.scope.part::<Memc>(), location.scope.part::<Memcached>());
    let (pass, command) = if family == Family::Memc {
        let allowed = memc.allowed.as_ref().map(|allowed| &allowed[..]);
        (&memc.proxy.pass, Command::of_variables(r, allowed)?)
    } else {
        (&memcached.proxy.pass, Command::of_key(r)?)
    };
    let target = Target::find(r, pass.as_ref().ok_or(500u16)?, family).await?;
    let seed = crate::http::balancer::seed(r, &target.group);
    let command = Some(Rc::new(command));
    let choices = Choices { family, command, ..Choices::default() };
    let to = Forward { target, seed, choices };
    let mut passage = Passage::forward(r, family.conf(&location.scope), to)?;
    let reply = passage.answer().await?;
    if reply.head.status == 404 {
        respond::put_aside(&mut passage, reply);
        return Err(404);
    }
    if family == Family::Memc {
        tell_flags(r, &reply);
    } else {
        tell_coding(r, &reply, memcached.gzip_flag.unwrap_or(0));
    }
    Ok(respond::run(&mut passage, reply).await)
}

/// `$memc_flags`
fn tell_flags(r: &Rc<Request>, reply: &Reply) {
    let flags = reply.tail.as_ref().and_then(|tail| tail.flags.clone());
    if let Some(flags) = flags {
        // A configuration that does not mention the variable has no use for it.
        let _ = r.set_var_by_name(b"memc_flags", Some(flags));
    }
}

/// `memcached_gzip_flag`
fn tell_coding(r: &Rc<Request>, reply: &Reply, wanted: u64) {
    let flags = reply.tail.as_ref().and_then(|tail| tail.flags.as_ref());
    let flags = flags.and_then(|flags| std::str::from_utf8(flags).ok()?.parse::<u64>().ok());
    if flags.unwrap_or(0) & wanted != 0 {
        let (name, value) = (Bytes::from_static(b"Content-Encoding"), Bytes::from_static(b"gzip"));
        r.headers_out.borrow_mut().list.add(name, value);
    }
}

pub const MEMC_ROWS: &[Row] = &peer_rows!("memc", Memc);
pub const MEMCACHED_ROWS: &[Row] = &peer_rows!("memcached", Memcached);

/// What only one of them has.
pub const ROWS: &[Row] = &[
    row("memc_pass", PASS_LEVELS, take(1), |b, d| set_pass::<Memc>(b, d, Family::Memc)),
    row("memcached_pass", PASS_LEVELS, take(1), |b, d| {
        set_pass::<Memcached>(b, d, Family::Memcached)
    }),
    row("memc_ignore_client_abort", HTTP_LEVELS, take(1), |b, d| {
        d.flag_slot(&mut b.part::<Memc>().proxy.ignore_client_abort)
    }),
    row("memc_cmds_allowed", HTTP_LEVELS, at_least(1), |b, d| {
        let kind = |at: usize| {
            Kind::of(d.arg(at)).ok_or_else(|| {
                d.wrong_arg(at, format!("unknown memcached command \"{}\"", d.arg(at)))
            })
        };
        let kinds = (1..=d.arg_count()).map(kind).collect::<Result<Vec<_>, _>>()?;
        b.part::<Memc>().allowed = Some(Arc::new(kinds));
        Ok(())
    }),
    row("memcached_gzip_flag", HTTP_LEVELS, take(1), |b, d| {
        d.number_slot(&mut b.part::<Memcached>().gzip_flag)
    }),
];

/// They have a value only once `set` gave them one.
pub const VARS: &[VarRow] = &[
    var_live("memcached_key", |_, _| None).kept_when_set(),
    var_live("memc_cmd", |_, _| None).kept_when_set(),
    var_live("memc_key", |_, _| None).kept_when_set(),
    var_live("memc_value", |_, _| None).kept_when_set(),
    var_live("memc_flags", |_, _| None).kept_when_set(),
    var_live("memc_exptime", |_, _| None).kept_when_set(),
];

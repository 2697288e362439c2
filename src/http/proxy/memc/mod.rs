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
        Builder, Diag, Directive, Part, inherit,
        row::{HTTP_LEVELS, IF_LOCATION, LOCATION, Row, args, at_least, row, take},
    },
    http::{
        build::Content,
        phase::{Flow, Handler, Step},
        request::Request,
        template::Template,
        vars::{VarRow, var_live},
    },
    net::addr::{Url, Want},
    upstream,
};

pub mod command;
pub mod reply;

use self::command::{Command, Kind};
use super::{
    conf::set_bind,
    exchange::Reply,
    forward::{Choices, Forward},
    passage::Passage,
    respond,
    settings::{Family, Fixed, Pass, Proxy, Settings, next},
    target::{self, Target},
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

static MEMC: MemcPass = MemcPass(Family::Memc);
static MEMCACHED: MemcPass = MemcPass(Family::Memcached);

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
    let mut passage = Passage::forward(r, location.clone(), to);
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

/// The rows both families have, by the prefix of their names.
macro_rules! rows {
    ($prefix:literal, $part:ty, $handler:expr) => {
        &[
            row(concat!($prefix, "_pass"), LOCATION | IF_LOCATION, take(1), |b, d| {
                set_pass::<$part>(b, d, $handler)
            }),
            row(concat!($prefix, "_bind"), HTTP_LEVELS, args(1, 2), set_bind::<$part>),
            rows!($prefix, $part, "_socket_keepalive", flag_slot, socket_keepalive),
            rows!($prefix, $part, "_connect_timeout", msec_slot, connect_timeout_ms),
            rows!($prefix, $part, "_send_timeout", msec_slot, send_timeout_ms),
            rows!($prefix, $part, "_read_timeout", msec_slot, read_timeout_ms),
            rows!($prefix, $part, "_buffer_size", size_slot, buffer_size),
            rows!($prefix, $part, "_ignore_client_abort", flag_slot, ignore_client_abort),
            row(concat!($prefix, "_next_upstream"), HTTP_LEVELS, at_least(1), |b, d| {
                let mask = b.mask(d, NEXT)?;
                *b.part::<$part>().proxy.next_upstream.get_or_insert(0) |= mask;
                Ok(())
            }),
            rows!($prefix, $part, "_next_upstream_tries", number_slot, next_upstream_tries),
            rows!($prefix, $part, "_next_upstream_timeout", msec_slot, next_upstream_timeout_ms),
        ]
    };
    ($prefix:literal, $part:ty, $name:literal, $reader:ident, $field:ident) => {
        row(concat!($prefix, $name), HTTP_LEVELS, take(1), |b, d| {
            d.$reader(&mut b.part::<$part>().proxy.$field)
        })
    };
}

pub const MEMC_ROWS: &[Row] = rows!("memc", Memc, &MEMC);
pub const MEMCACHED_ROWS: &[Row] = rows!("memcached", Memcached, &MEMCACHED);

/// What only one of them has.
pub const ROWS: &[Row] = &[
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

fn set_pass<F: Settings>(
    b: &mut Builder<'_>,
    d: &Directive,
    handler: &'static dyn Handler,
) -> Result<(), Diag> {
    if b.part::<F>().settings().pass.is_some() {
        return Err(d.wrong("is duplicate"));
    }
    b.part::<Content>().0 = Some(handler);
    let text = d.arg(1);
    if text.contains(&b'$') {
        let url = Template::compile(b, text)?;
        b.part::<F>().settings().pass = Some(Pass::Variable(url));
        return Ok(());
    }
    let want = Want { no_resolve: true, ..Want::default() };
    let url = Url::parse(text, &want)
        .map_err(|e| d.wrong_arg(1, format!("{e} in upstream \"{text}\"")))?;
    let fixed = Fixed {
        group: upstream::conf::mention(b, d, &url)?,
        origin: target::grpc_origin(&url, false),
        uri: Bytes::new(),
        replaced: 0,
        url: Bytes::copy_from_slice(text),
        location: Bytes::new(),
    };
    b.part::<F>().settings().pass = Some(Pass::Fixed(Arc::new(fixed)));
    Ok(())
}

const NEXT: &[(&str, u32)] = &[
    ("error", next::ERROR),
    ("timeout", next::TIMEOUT),
    ("invalid_response", next::INVALID_HEADER),
    ("not_found", next::HTTP_404),
    ("off", next::OFF),
];

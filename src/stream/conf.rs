//! `stream {}`, `server {}` and the settings of the core.

use crate::conf::row::{MAIN, Row, STREAM, STREAM_SERVER, at_least, block, flag, row, take};
use crate::conf::{Builder, Diag, Directive, Part, Scope, inherit};
use crate::server::listen::{self, Kind, Listens};
use crate::server::names;
use crate::upstream::{Realm, resolve};

use super::build::{self, Features, ServerDrafts, StreamRoot, VarTable};
use super::session::Session;

/// Settings of `ngx_stream_core_module`. Unset fields take nginx's defaults in the accessors.
#[derive(Default)]
pub struct CoreConf {
    proxy_protocol_timeout_ms: Option<u64>,
    preread_buffer_size: Option<usize>,
    preread_timeout_ms: Option<u64>,
    tcp_nodelay: Option<bool>,
    uninitialized_variable_warn: Option<bool>,
}

impl Part for CoreConf {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: proxy_protocol_timeout_ms, preread_buffer_size, preread_timeout_ms,
            tcp_nodelay, uninitialized_variable_warn);
    }
}

impl CoreConf {
    pub fn proxy_protocol_timeout_ms(&self) -> u64 {
        self.proxy_protocol_timeout_ms.unwrap_or(30_000)
    }

    pub fn preread_buffer_size(&self) -> usize {
        self.preread_buffer_size.unwrap_or(16 * 1024)
    }

    pub fn preread_timeout_ms(&self) -> u64 {
        self.preread_timeout_ms.unwrap_or(30_000)
    }

    pub fn tcp_nodelay(&self) -> bool {
        self.tcp_nodelay.unwrap_or(true)
    }

    pub fn warns_uninitialized(&self) -> bool {
        self.uninitialized_variable_warn.unwrap_or(true)
    }
}

pub const ROWS: &[Row] = &[
    block("stream", MAIN, take(0), STREAM, stream_block),
    block("server", STREAM, take(0), STREAM_SERVER, server_block),
    row("listen", STREAM_SERVER, at_least(1), |b, d| listen::set(b, d, Kind::Stream)),
    row("server_name", STREAM_SERVER, at_least(1), names::set::<Session>),
    row("proxy_protocol_timeout", LEVELS, take(1), |b, d| {
        d.msec_slot(&mut b.part::<CoreConf>().proxy_protocol_timeout_ms)
    }),
    row("preread_buffer_size", LEVELS, take(1), |b, d| {
        d.size_slot(&mut b.part::<CoreConf>().preread_buffer_size)
    }),
    row("preread_timeout", LEVELS, take(1), |b, d| {
        d.msec_slot(&mut b.part::<CoreConf>().preread_timeout_ms)
    }),
    flag("tcp_nodelay", LEVELS, |b, d| d.flag_slot(&mut b.part::<CoreConf>().tcp_nodelay)),
    // Tables here have no sizes to choose.
    row("variables_hash_max_size", STREAM, take(1), |_, d| d.number(1).map(drop)),
    row("variables_hash_bucket_size", STREAM, take(1), |_, d| d.number(1).map(drop)),
    row("server_names_hash_max_size", STREAM, take(1), |_, d| d.number(1).map(drop)),
    row("server_names_hash_bucket_size", STREAM, take(1), |_, d| d.number(1).map(drop)),
    row("map_hash_max_size", STREAM, take(1), |_, d| d.number(1).map(drop)),
    row("map_hash_bucket_size", STREAM, take(1), |_, d| d.number(1).map(drop)),
];

/// A `stream` block was met, even if something was wrong in it.
#[derive(Default)]
struct Seen(bool);

impl Part for Seen {
    fn inherit(&mut self, _parent: &Self) {}
}

fn stream_block(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if b.main::<StreamRoot>().0.is_some() || b.main::<Seen>().0 {
        return Err(d.wrong("is duplicate"));
    }
    b.main::<Seen>().0 = true;
    for rows in b.main::<Features>().vars {
        b.main::<VarTable>().register(rows);
    }
    let mut scope = b.block(d, Scope::new());
    resolve::settle(b, &mut scope, Realm::Stream)?;
    for name in b.main::<VarTable>().resolve() {
        b.report(Diag::emerg(format!("unknown \"{name}\" variable")).nowhere());
    }
    build::build(b, scope);
    Ok(())
}

fn server_block(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let mut scope = b.block(d, Scope::new());
    if scope.part_mut::<Listens>().0.is_empty() && b.is_clean(d) {
        return Err(Diag::emerg("no \"listen\" is defined for server").at(d.at.place));
    }
    b.part::<ServerDrafts>().0.push((scope, d.at.place));
    Ok(())
}

/// The levels most settings may stand on.
pub const LEVELS: u32 = STREAM | STREAM_SERVER;

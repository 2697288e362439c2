//! Rows of `lua_socket_*`, and what a socket keeps of them.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::conf::row::{HTTP_LEVELS, flag, take};
use crate::conf::{Part, Row, Scope, inherit, row};
use crate::lua::raw::Call;
use crate::lua::worker;
use crate::net::addr::Addr;
use crate::upstream::names::Names;

/// `lua_socket_*` of a location.
#[derive(Default)]
pub struct SocketConf {
    connect_timeout_ms: Option<u64>,
    send_timeout_ms: Option<u64>,
    read_timeout_ms: Option<u64>,
    keepalive_timeout_ms: Option<u64>,
    buffer_size: Option<usize>,
    pool_size: Option<u64>,
    log_errors: Option<bool>,
}

impl Part for SocketConf {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: connect_timeout_ms, send_timeout_ms, read_timeout_ms,
            keepalive_timeout_ms, buffer_size, pool_size, log_errors);
    }
}

pub const ROWS: &[Row] = &[
    row::row("lua_socket_connect_timeout", HTTP_LEVELS, take(1), |b, d| {
        d.msec_slot(&mut b.part::<SocketConf>().connect_timeout_ms)
    }),
    row::row("lua_socket_send_timeout", HTTP_LEVELS, take(1), |b, d| {
        d.msec_slot(&mut b.part::<SocketConf>().send_timeout_ms)
    }),
    row::row("lua_socket_read_timeout", HTTP_LEVELS, take(1), |b, d| {
        d.msec_slot(&mut b.part::<SocketConf>().read_timeout_ms)
    }),
    row::row("lua_socket_keepalive_timeout", HTTP_LEVELS, take(1), |b, d| {
        d.msec_slot(&mut b.part::<SocketConf>().keepalive_timeout_ms)
    }),
    row::row("lua_socket_buffer_size", HTTP_LEVELS, take(1), |b, d| {
        d.size_slot(&mut b.part::<SocketConf>().buffer_size)
    }),
    row::row("lua_socket_send_lowat", HTTP_LEVELS, take(1), |_, d| d.size(1).map(|_| ())),
    row::row("lua_socket_pool_size", HTTP_LEVELS, take(1), |b, d| {
        d.number_slot(&mut b.part::<SocketConf>().pool_size)
    }),
    flag("lua_socket_log_errors", HTTP_LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<SocketConf>().log_errors)
    }),
];

/// The settings of one socket.
#[derive(Clone, Debug)]
pub struct Settings {
    pub connect_timeout_ms: u64,
    pub send_timeout_ms: u64,
    pub read_timeout_ms: u64,
    pub keepalive_timeout_ms: u64,
    pub pool_size: usize,
    pub log_errors: bool,
    /// The `resolver` of the location.
    names: Option<Names>,
}

/// The settings where a call is made, or where its timer was; else those of the `http` block.
pub fn settings(c: &Call<'_>) -> Settings {
    let of = |scope: &Scope, names| scope.part::<SocketConf>().settings(Some(names));
    match (super::location_of(c), worker::http()) {
        (Some(location), _) => of(&location.scope, Names::of(&location.scope)),
        (None, Some(http)) => of(&http.scope, Names::of(&http.scope)),
        (None, None) => SocketConf::default().settings(None),
    }
}

impl SocketConf {
    fn settings(&self, names: Option<Names>) -> Settings {
        Settings {
            names,
            connect_timeout_ms: self.connect_timeout_ms.unwrap_or(60_000),
            send_timeout_ms: self.send_timeout_ms.unwrap_or(60_000),
            read_timeout_ms: self.read_timeout_ms.unwrap_or(60_000),
            keepalive_timeout_ms: self.keepalive_timeout_ms.unwrap_or(60_000),
            pool_size: self.pool_size.unwrap_or(30) as usize,
            log_errors: self.log_errors.unwrap_or(true),
        }
    }
}

impl Settings {
    /// Asks the `resolver` of the location; like nginx's, it turns the addresses of a name.
    pub async fn resolve(&self, host: &[u8], port: u16) -> Result<Addr, Bytes> {
        if host.is_empty() {
            return Err("failed to parse host name \"\": no host".into());
        }
        let host = String::from_utf8_lossy(host);
        let Some(names) = &self.names else {
            return Err(format!("no resolver defined to resolve \"{host}\"").into());
        };
        let found = names.resolve(&host).await.map_err(Bytes::from)?;
        let first = found.first().copied();
        let ip = first.ok_or_else(|| Bytes::from("no address found for the host"))?;
        Ok(Addr::Inet(SocketAddr::new(ip, port)))
    }
}

//! Rows of the `server` level: `listen`, `server_name`, header limits.

use crate::{
    conf::{
        Part, inherit,
        row::{HTTP, Row, SERVER, at_least, flag, row, take},
    },
    server::{
        listen::{self, Kind, Listen},
        names,
    },
};

use super::request::Request;

/// Settings of a `server` block.
#[derive(Default)]
pub struct ServerCore {
    pub client_header_timeout_ms: Option<u64>,
    pub client_header_buffer_size: Option<usize>,
    pub large_client_header_buffers: Option<(u64, usize)>,
    pub ignore_invalid_headers: Option<bool>,
    pub underscores_in_headers: Option<bool>,
    pub max_headers: Option<u64>,
    pub merge_slashes: Option<bool>,
}

impl Part for ServerCore {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: client_header_timeout_ms, client_header_buffer_size,
            large_client_header_buffers, ignore_invalid_headers, underscores_in_headers,
            merge_slashes, max_headers);
    }
}

pub const ROWS: &[Row] = &[
    row("listen", SERVER, at_least(1), |b, d| listen::set(b, d, Kind::Http)),
    row("server_name", SERVER, at_least(1), names::set::<Request>),
    row("client_header_timeout", HTTP | SERVER, take(1), |b, d| {
        d.msec_slot(&mut b.part::<ServerCore>().client_header_timeout_ms)
    }),
    row("client_header_buffer_size", HTTP | SERVER, take(1), |b, d| {
        d.size_slot(&mut b.part::<ServerCore>().client_header_buffer_size)
    }),
    row("large_client_header_buffers", HTTP | SERVER, take(2), |b, d| {
        d.buffers_slot(&mut b.part::<ServerCore>().large_client_header_buffers)
    }),
    flag("ignore_invalid_headers", HTTP | SERVER, |b, d| {
        d.flag_slot(&mut b.part::<ServerCore>().ignore_invalid_headers)
    }),
    flag("underscores_in_headers", HTTP | SERVER, |b, d| {
        d.flag_slot(&mut b.part::<ServerCore>().underscores_in_headers)
    }),
    row("max_headers", HTTP | SERVER, take(1), |b, d| {
        d.number_slot(&mut b.part::<ServerCore>().max_headers)
    }),
    flag("merge_slashes", HTTP | SERVER, |b, d| {
        d.flag_slot(&mut b.part::<ServerCore>().merge_slashes)
    }),
];

/// What a server without `listen` listens on: `*:80`, or `*:8000` for others than root.
pub fn default_listen() -> Listen {
    Listen::new(std::net::SocketAddr::from(([0, 0, 0, 0], 80)).into())
}

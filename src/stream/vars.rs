//! The variables of sessions.

use bytes::Bytes;

use crate::base::clock;
use crate::server::vars::{var, var_live};

use super::build::VarRow;

pub const VARS: &[VarRow] = &[
    var_live("remote_addr", |s, _| Some(s.peer().ip_text().into())),
    var_live("remote_port", |s, _| Some(port(s.peer().port()))),
    var("server_addr", |s, _| Some(s.local.ip_text().into())),
    var("server_port", |s, _| Some(port(s.local.port()))),
    var_live("server_name", |s, _| Some(s.server().name_text())),
    var_live("bytes_received", |s, _| Some(s.received.get().to_string().into())),
    var_live("bytes_sent", |s, _| Some(s.sent.get().to_string().into())),
    var_live("session_time", |s, _| {
        Some(seconds(clock::mono_ms().saturating_sub(s.started_ms)).into())
    }),
    var_live("status", |s, _| Some(format!("{:03}", s.status.get()).into())),
    var("connection", |s, _| Some(s.number.to_string().into())),
    var("protocol", |s, _| Some(Bytes::from_static(if s.udp { b"UDP" } else { b"TCP" }))),
    var_live("upstream_addr", |s, _| s.trace.each(|a| String::from_utf8_lossy(&a.peer).into())),
    var_live("upstream_connect_time", |s, _| s.trace.each(|a| time(a.connect_ms))),
    var_live("upstream_first_byte_time", |s, _| s.trace.each(|a| time(a.first_byte_ms))),
    var_live("upstream_session_time", |s, _| s.trace.each(|a| time(a.session_ms))),
    var_live("upstream_bytes_sent", |s, _| s.trace.each(|a| a.sent.to_string())),
    var_live("upstream_bytes_received", |s, _| s.trace.each(|a| a.received.to_string())),
];

/// A unix socket has no port, and no value.
fn port(port: u16) -> Bytes {
    if port == 0 { Bytes::new() } else { port.to_string().into() }
}

fn time(ms: Option<u64>) -> String {
    ms.map_or_else(|| "-".into(), seconds)
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

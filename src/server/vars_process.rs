//! Variables that tell about the client's address, the process and the time, whoever asks.

use bytes::Bytes;

use super::vars::{Subject, VarRow, var, var_live};
use crate::base::{clock, date};

/// The variables of one kind of subject.
pub struct Vars<S>(std::marker::PhantomData<S>);

impl<S: Subject> Vars<S> {
    pub const ROWS: &'static [VarRow<S>] = &[
        var_live("binary_remote_addr", |r, _| {
            Some(match r.client_ip() {
                Some(std::net::IpAddr::V4(ip)) => Bytes::copy_from_slice(&ip.octets()),
                Some(std::net::IpAddr::V6(ip)) => Bytes::copy_from_slice(&ip.octets()),
                None => Bytes::from_static(b"unix:"),
            })
        }),
        var("nginx_version", |_, _| Some(Bytes::from_static(b"1.29.4"))),
        var("pid", |_, _| Some(std::process::id().to_string().into())),
        var("hostname", |_, _| {
            let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            Some(name.trim().to_ascii_lowercase().into())
        }),
        var_live("msec", |_, _| {
            let now = clock::wall();
            Some(format!("{}.{:03}", now.secs, now.msec).into())
        }),
        var_live("time_local", |_, _| Some(date::access_log_time(clock::wall().secs).into())),
        var_live("time_iso8601", |_, _| Some(date::iso8601_time(clock::wall().secs).into())),
    ];
}

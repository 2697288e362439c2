//! `set_real_ip_from`: the client's address as a trusted balancer tells it in the PROXY protocol.

use std::rc::Rc;

use bytes::Bytes;
use futures_util::future::{LocalBoxFuture, ready};

use crate::conf::row::{Row, row, take};
use crate::conf::{Part, Scope, inherit};
use crate::server::forwarded::{self, Trusted};
use crate::server::vars::{Subject, var_live};

use super::build::VarRow;
use super::conf::LEVELS;
use super::content::Downstream;
use super::phase::{Handler, Phase, Registered};
use super::session::Session;

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::PostAccept, handler: &RealIp }];

pub const ROWS: &[Row] = &[row("set_real_ip_from", LEVELS, take(1), |b, d| {
    let found = forwarded::trusted(b, d)?;
    b.part::<RealIpConf>().trusted.get_or_insert_default().extend(found);
    Ok(())
})];

pub const VARS: &[VarRow] = &[
    var_live("realip_remote_addr", |s, _| {
        Some(s.replaced_peer().unwrap_or_else(|| s.peer()).ip_text().into())
    }),
    var_live("realip_remote_port", |s, _| {
        let port = s.replaced_peer().unwrap_or_else(|| s.peer()).port();
        Some(if port == 0 { Bytes::new() } else { port.to_string().into() })
    }),
];

/// Whom to believe.
#[derive(Default)]
struct RealIpConf {
    trusted: Option<Vec<Trusted>>,
}

impl Part for RealIpConf {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: trusted);
    }
}

struct RealIp;

impl Handler for RealIp {
    fn applies(&self, scope: &Scope) -> bool {
        scope.part::<RealIpConf>().trusted.is_some()
    }

    fn run<'a>(
        &'a self,
        s: &'a Rc<Session>,
        _: &'a mut Downstream,
    ) -> LocalBoxFuture<'a, Option<u16>> {
        let server = s.server();
        let conf = server.scope.part::<RealIpConf>();
        let told = s.told.get().and_then(|told| told.source.clone());
        let client = s.client_ip();
        let believed = conf.trusted.iter().flatten().any(|trusted| trusted.covers(client));
        if let Some(source) = told.filter(|_| believed) {
            s.replace_peer(source);
        }
        Box::pin(ready(None))
    }
}

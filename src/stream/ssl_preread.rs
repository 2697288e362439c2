//! `ssl_preread`: what a client says first in TLS, read without taking part.
//!
//! ```text
//!  client ─▶ s.preread ─ whole hello? ─▶ $ssl_preread_server_name, _protocol, _alpn_protocols
//! ```

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;

use crate::base::log::Level;
use crate::conf::row::{Row, flag};
use crate::conf::{Part, Scope, inherit};
use crate::net::tls::{First, Hello};
use crate::server::vars::var_live;

use super::build::VarRow;
use super::conf::{CoreConf, LEVELS};
use super::content::Downstream;
use super::phase::{Handler, Phase, Registered};
use super::session::Session;

pub const ROWS: &[Row] =
    &[flag("ssl_preread", LEVELS, |b, d| d.flag_slot(&mut b.part::<Preread>().on))];

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::Preread, handler: &SslPreread }];

pub const VARS: &[VarRow] = &[
    var_live("ssl_preread_protocol", |s, _| {
        let versions = s.hello.get().map(Hello::newest_version)?;
        Some(Bytes::from_static(name_of(versions).as_bytes()))
    }),
    var_live("ssl_preread_server_name", |s, _| {
        let hello = s.hello.get()?;
        Some(Bytes::copy_from_slice(hello.raw_server_name().unwrap_or_default()))
    }),
    var_live("ssl_preread_alpn_protocols", |s, _| {
        let names: Vec<Vec<u8>> = s.hello.get()?.offered_protocols();
        Some(names.join(&b","[..]).into())
    }),
];

#[derive(Default)]
struct Preread {
    on: Option<bool>,
}

impl Part for Preread {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: on);
    }
}

struct SslPreread;

impl Handler for SslPreread {
    fn applies(&self, scope: &Scope) -> bool {
        scope.part::<Preread>().on == Some(true)
    }

    fn run<'a>(
        &'a self,
        s: &'a Rc<Session>,
        down: &'a mut Downstream,
    ) -> LocalBoxFuture<'a, Option<u16>> {
        Box::pin(async move {
            let server = s.server();
            let core = server.scope.part::<CoreConf>();
            let limit = Duration::from_millis(core.preread_timeout_ms());
            // A client that says too little in its time is let go without a word, as in nginx.
            let read = tokio::time::timeout(limit, read(s, down, core.preread_buffer_size()));
            read.await.unwrap_or(Some(200))
        })
    }
}

/// Reads until the hello is whole, or is none.
async fn read(s: &Rc<Session>, down: &mut Downstream, most: usize) -> Option<u16> {
    loop {
        let first = Hello::peek(&s.preread.borrow());
        match first {
            First::Whole(hello) => {
                settle(s, hello);
                return None;
            }
            First::Other => return None,
            First::More => {}
        }
        let have = s.preread.borrow().len();
        if have >= most {
            s.log(Level::Error, format_args!("preread buffer full"));
            return Some(400);
        }
        match down.read_ahead(s, most - have).await {
            Ok(0) | Err(_) => return Some(200),
            Ok(_) => {}
        }
    }
}

/// Keeps what was said; a name may ask for another server.
fn settle(s: &Rc<Session>, hello: Hello) {
    if let Some(name) = hello.raw_server_name()
        && let Some(listening) =
            s.conf.addresses.iter().find(|l| l.spec.addr == s.listen && l.spec.udp == s.udp)
    {
        let (server, groups) = listening.servers.find(&name.to_ascii_lowercase());
        s.set_server(server.clone());
        s.keep_name_groups(groups);
    }
    // Set once: a session has one first flight.
    let _ = s.hello.set(hello);
}

fn name_of(version: u16) -> &'static str {
    match version {
        0x0002 => "SSLv2",
        0x0300 => "SSLv3",
        0x0301 => "TLSv1",
        0x0302 => "TLSv1.1",
        0x0303 => "TLSv1.2",
        0x0304 => "TLSv1.3",
        _ => "",
    }
}

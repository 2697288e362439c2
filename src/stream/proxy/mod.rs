//! `proxy_pass`: a session passed on to a peer of a group.
//!
//! ```text
//!  target ─▶ passage (tries) ─▶ link (TCP | TLS | UDP) ─▶ relay, or exchange of datagrams
//! ```

pub mod conf;
mod datagrams;
mod fault;
mod link;
mod passage;
mod rate;
mod relay;
mod target;
pub mod trace;

use std::rc::Rc;

use futures_util::future::LocalBoxFuture;

use crate::conf::{Diag, Dirs, Scope};

use self::conf::Proxy;
use self::link::Link;
use self::passage::Passage;
use super::content::{Content, Downstream};
use super::session::Session;

/// The content handler of servers with a `proxy_pass`.
pub struct PassOn;

impl Content for PassOn {
    fn run<'a>(&'a self, s: &'a Rc<Session>, down: &'a mut Downstream) -> LocalBoxFuture<'a, u16> {
        Box::pin(pass(s, down))
    }
}

async fn pass(s: &Rc<Session>, down: &mut Downstream) -> u16 {
    s.trace.begin();
    let server = s.server();
    let conf: &Proxy = server.scope.part();
    let group = match target::find(s, conf, &server.scope).await {
        Ok(group) => group,
        Err(status) => return status,
    };
    let mut passage = Passage::new(s, conf, group);
    match down {
        Downstream::Stream(client) => match passage.connect().await {
            Ok(Link::Stream(mut peer)) => relay::run(&mut passage, client, &mut peer).await,
            Ok(Link::Datagrams(_)) => 500,
            Err(status) => status,
        },
        Downstream::Datagrams(client) => datagrams::run(&mut passage, client).await,
        Downstream::Gone => 500,
    }
}

/// Reads the files a finished server names; complaints have no place, as in nginx.
pub fn settle(scope: &mut Scope, dirs: &Dirs) -> Result<(), Diag> {
    let Some(_) = scope.find::<Proxy>().filter(|conf| conf.ssl() && conf.pass.is_some()) else {
        return Ok(());
    };
    let conf = scope.part_mut::<Proxy>();
    if conf.secure.tls.is_none() {
        conf.secure.build::<&[u8]>("proxy", &[], dirs)?;
    }
    Ok(())
}

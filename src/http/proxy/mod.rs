//! `proxy_pass`: requests passed on to HTTP servers, and their answers passed back.
//!
//! ```text
//!  read body ─▶ target ─▶ outgoing ─▶ passage (tries) ─▶ exchange ─▶ respond ─▶ relay | tunnel
//!                                        link, secure ─┘
//! ```

pub mod cache;
pub mod conf;
mod cookie;
mod exchange;
mod fault;
pub mod forward;
pub mod grpc;
mod h2;
mod link;
pub mod memc;
mod outgoing;
mod passage;
mod relay;
mod respond;
mod rewrite;
pub mod secure;
mod settings;
mod target;
mod tunnel;
pub mod vars;

use std::rc::Rc;

use crate::{
    conf::Scope,
    http::{
        phase::{Flow, Handler, Step},
        request::Request,
    },
};

use self::{
    cache::Opened,
    exchange::Reply,
    passage::Passage,
    settings::{Family, Proxy},
    target::Target,
};

/// The content handler of locations with `proxy_pass`.
pub static HANDLER: ProxyPass = ProxyPass;

pub struct ProxyPass;

impl Handler for ProxyPass {
    fn applies(&self, _scope: &Scope) -> bool {
        false
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        Step::wait(pass(r))
    }

    fn adds_slash(&self) -> bool {
        true
    }
}

async fn pass(r: &Rc<Request>) -> Flow {
    if let Err(error) = r.read_body().await {
        return Flow::Status(error.0);
    }
    let location = r.location();
    let Some(pass) = &location.scope.part::<Proxy>().pass else { return Flow::Status(500) };
    let target = match Target::find(r, pass, Family::Http).await {
        Ok(target) => target,
        Err(status) => return Flow::Status(status),
    };
    let conf = location.scope.part::<Proxy>();
    let caching = match cache::open(r, conf, &target).await {
        Opened::Off => None,
        Opened::Hit(stored, status) => return cache::send(r, conf, stored, status).await,
        Opened::Ask(caching) => Some(caching),
        Opened::Status(status) => return Flow::Status(status),
    };
    let mut passage = Passage::new(r, location.clone(), target, Family::Http, caching);
    let answer = passage.answer().await;
    if passage.caching.is_some() {
        return settle(&mut passage, conf, answer).await;
    }
    match answer {
        Ok(reply) => respond::run(&mut passage, reply).await,
        Err(status) => Flow::Status(status),
    }
}

/// An answer the cache may have its own opinion of.
async fn settle(p: &mut Passage<'_>, conf: &Proxy, answer: Result<Reply, u16>) -> Flow {
    let caching = p.caching.as_mut();
    let (stored, status) = match (&answer, caching) {
        (Ok(reply), Some(caching)) => match caching.renewed(conf, &reply.head) {
            Some(stored) => (Some(stored), "REVALIDATED"),
            None => {
                let cause = settings::next::of_status(reply.head.status);
                (cause.and_then(|cause| caching.stale_for(&conf.cache, cause)), "STALE")
            }
        },
        (Err(status), Some(caching)) if *status >= 500 => {
            (caching.stale_for(&conf.cache, p.last_cause), "STALE")
        }
        _ => (None, ""),
    };
    if let Some(stored) = stored {
        if let Ok(reply) = answer {
            respond::put_aside(p, reply);
        }
        // Whoever waits may look again.
        p.caching = None;
        return cache::send(p.r, conf, stored, status).await;
    }
    match answer {
        Ok(reply) => respond::run(p, reply).await,
        Err(status) => Flow::Status(status),
    }
}

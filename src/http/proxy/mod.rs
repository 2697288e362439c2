//! `proxy_pass` and its kin: requests passed on to other servers, and their answers passed back.
//!
//! ```text
//!  read body ─▶ target ─▶ outgoing ─▶ passage (tries) ─▶ exchange ─▶ respond ─▶ relay | tunnel
//!                                        link, secure ─┘
//! ```

pub mod cache;
pub mod cgi;
pub mod conf;
mod cookie;
mod exchange;
mod family;
mod fault;
pub mod forward;
mod framing;
pub mod grpc;
mod h2;
mod link;
pub mod memc;
mod outgoing;
mod passage;
mod reading;
mod relay;
mod respond;
mod rewrite;
mod rows;
pub mod secure;
mod sending;
mod settings;
mod source;
mod store;
mod target;
mod tunnel;
pub mod vars;
mod way;

use std::rc::Rc;

use crate::{
    conf::{Row, Scope},
    http::{
        phase::{Flow, Handler, Step},
        request::Request,
    },
};

use self::{
    cache::Opened,
    cgi::{fastcgi, scgi, uwsgi},
    exchange::Reply,
    family::Family,
    passage::Passage,
    settings::Proxy,
    target::Target,
};

pub use self::{target::local as local_address, way::way_of};

/// All rows of the families of directives.
pub const ROWS: &[&[Row]] = &[
    conf::ROWS,
    conf::PEER_ROWS,
    conf::ANSWER_ROWS,
    conf::BODY_ROWS,
    conf::CACHE_ROWS,
    secure::ROWS,
    secure::PROXY_ROWS,
    grpc::ROWS,
    grpc::PEER_ROWS,
    grpc::ANSWER_ROWS,
    grpc::SSL_ROWS,
    fastcgi::ROWS,
    fastcgi::PEER_ROWS,
    fastcgi::ANSWER_ROWS,
    fastcgi::BODY_ROWS,
    fastcgi::CACHE_ROWS,
    scgi::ROWS,
    scgi::PEER_ROWS,
    scgi::ANSWER_ROWS,
    scgi::BODY_ROWS,
    scgi::CACHE_ROWS,
    uwsgi::ROWS,
    uwsgi::PEER_ROWS,
    uwsgi::ANSWER_ROWS,
    uwsgi::BODY_ROWS,
    uwsgi::CACHE_ROWS,
    uwsgi::SSL_ROWS,
    memc::ROWS,
    memc::MEMCACHED_ROWS,
    memc::MEMC_ROWS,
];

/// The content handler of locations with a `*_pass`.
pub struct PassOn(Family);

impl Handler for PassOn {
    fn applies(&self, _scope: &Scope) -> bool {
        false
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        Step::wait(pass(r, self.0))
    }

    fn adds_slash(&self) -> bool {
        true
    }
}

fn handler(family: Family) -> &'static dyn Handler {
    // Each has an address of its own, by which a location's family is told.
    static HTTP: PassOn = PassOn(Family::Http);
    static GRPC: PassOn = PassOn(Family::Grpc);
    static FASTCGI: PassOn = PassOn(Family::Fastcgi);
    static SCGI: PassOn = PassOn(Family::Scgi);
    static UWSGI: PassOn = PassOn(Family::Uwsgi);
    match family {
        Family::Http => &HTTP,
        Family::Grpc => &GRPC,
        Family::Fastcgi => &FASTCGI,
        Family::Scgi => &SCGI,
        Family::Uwsgi => &UWSGI,
        Family::Memcached | Family::Memc => memc::handler(family),
    }
}

async fn pass(r: &Rc<Request>, family: Family) -> Flow {
    let location = r.location();
    let conf = family.conf(&location.scope);
    if let Err(status) = prepare(r, conf, family).await {
        return Flow::Status(status);
    }
    let Some(pass) = &conf.pass else { return Flow::Status(500) };
    let target = match Target::find(r, pass, family).await {
        Ok(target) => target,
        Err(status) => return Flow::Status(status),
    };
    // What few requests need is not part of the future that all of them carry.
    let opened = match &conf.cache.zone {
        Some(Some(_)) => Box::pin(cache::open(r, conf, &target)).await,
        _ => Opened::Off,
    };
    let caching = match opened {
        Opened::Off => None,
        Opened::Hit(stored, status) => {
            return Box::pin(cache::send(r, family, conf, stored, status)).await;
        }
        Opened::Ask(caching) => Some(caching),
        Opened::Status(status) => return Flow::Status(status),
    };
    let mut passage = match Passage::new(r, conf, target, family, caching) {
        Ok(passage) => passage,
        Err(status) => return Flow::Status(status),
    };
    let answer = passage.answer().await;
    if passage.caching.is_some() {
        return Box::pin(settle(&mut passage, conf, answer)).await;
    }
    match answer {
        Ok(reply) => respond::run(&mut passage, reply).await,
        Err(status) => Flow::Status(status),
    }
}

/// What comes before anybody is asked: the body is read, or will not be.
async fn prepare(r: &Rc<Request>, conf: &Proxy, family: Family) -> Result<(), u16> {
    if family == Family::Grpc {
        // The client may ask for trailers in HTTP/1 too: its response is chunked then.
        r.headers_out.borrow_mut().expects_trailers = true;
    }
    if outgoing::streams(r, conf, family) && !r.has_whole_body() {
        return Ok(());
    }
    r.read_body().await.map_err(|error| error.0)
}

/// An answer the cache may have its own opinion of.
async fn settle(p: &mut Passage<'_>, conf: &Proxy, answer: Result<Box<Reply>, u16>) -> Flow {
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
        return cache::send(p.r, p.family(), conf, stored, status).await;
    }
    match answer {
        Ok(reply) => respond::run(p, reply).await,
        Err(status) => Flow::Status(status),
    }
}

//! `proxy_pass`: requests passed on to HTTP servers, and their answers passed back.
//!
//! ```text
//!  read body ─▶ target ─▶ outgoing ─▶ passage (tries) ─▶ exchange ─▶ respond ─▶ relay | tunnel
//!                                        link, secure ─┘
//! ```

pub mod conf;
mod cookie;
mod exchange;
mod fault;
pub mod forward;
mod link;
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

use self::{passage::Passage, settings::Proxy, target::Target};

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
    let target = match Target::find(r, pass).await {
        Ok(target) => target,
        Err(status) => return Flow::Status(status),
    };
    let mut passage = Passage::new(r, location.clone(), target);
    match passage.answer().await {
        Ok(reply) => respond::run(&mut passage, reply).await,
        Err(status) => Flow::Status(status),
    }
}

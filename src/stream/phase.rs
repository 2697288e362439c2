//! The phases of a session before its content, and who takes part in them.

use std::rc::Rc;

use futures_util::future::LocalBoxFuture;

use crate::conf::Scope;

use super::content::Downstream;
use super::session::Session;

/// In this order; TLS comes between `Access` and `Preread`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    PostAccept,
    Preaccess,
    Access,
    Preread,
    Log,
}

/// Takes part in a phase. `Some` ends the session with that status.
pub trait Handler: Send + Sync {
    /// Whether a server's settings make it do anything.
    fn applies(&self, scope: &Scope) -> bool;

    fn run<'a>(
        &'a self,
        s: &'a Rc<Session>,
        down: &'a mut Downstream,
    ) -> LocalBoxFuture<'a, Option<u16>>;
}

/// A handler and its phase.
pub struct Registered {
    pub phase: Phase,
    pub handler: &'static dyn Handler,
}

/// The handlers of one server that do something.
pub struct Chains(Vec<(Phase, &'static dyn Handler)>);

impl Chains {
    pub fn new(features: &[&[Registered]], scope: &Scope) -> Self {
        let all = features.iter().flat_map(|list| list.iter());
        Self(all.filter(|r| r.handler.applies(scope)).map(|r| (r.phase, r.handler)).collect())
    }

    pub fn of(&self, phase: Phase) -> impl Iterator<Item = &'static dyn Handler> {
        self.0.iter().filter(move |(own, _)| *own == phase).map(|(_, handler)| *handler)
    }
}

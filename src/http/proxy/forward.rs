//! Passing a request to a group that was chosen at run time, by a gateway's own routes.
//!
//! ```text
//!  face: route ─▶ Forward { target, seed, choices } ─▶ forward() ─┬─▶ Ok(Flow): answered
//!        location's proxy_* settings, where no choice was made ──┘└─▶ Err(Failed): its own page
//! ```

use std::{cell::RefCell, rc::Rc};

use bytes::Bytes;

use crate::{
    http::{balancer::Timeouts, phase::Flow, request::Request},
    net::tls::ClientTls,
    upstream::{KeepaliveConf, Seed},
};

use super::{memc::command::Command, outgoing, passage::Passage, respond};

pub use super::{
    family::Family,
    settings::{Origin, next},
    target::Target,
};

/// Where one request goes, and how.
pub struct Forward {
    pub target: Target,
    /// What the group's method needs to know of the request.
    pub seed: Seed,
    pub choices: Choices,
}

/// What is chosen for one request; all else is as the location's `proxy_*` directives say.
#[derive(Default)]
pub struct Choices {
    /// Lines sent in the place of the client's and of nginx's own. An empty value keeps the line
    /// from being sent at all.
    pub lines: Vec<(Bytes, Bytes)>,
    /// The `Host` line, when a balancer may change it with the peer it chooses: it asks for
    /// `recreate_request` then.
    pub host: Option<Rc<RefCell<Bytes>>>,
    /// Whose directives count for what is not chosen.
    pub family: Family,
    pub http_11: Option<bool>,
    pub timeouts: Timeouts,
    /// Tries at most, the first included.
    pub tries: Option<usize>,
    /// What is worth another try, of [`next`].
    pub next_upstream: Option<u32>,
    /// How idle connections are kept, when the group does not say.
    pub keepalive: Option<KeepaliveConf>,
    pub secure: Option<Secure>,
    /// The command, where memcached is spoken.
    pub command: Option<Rc<Command>>,
    /// The cache asks in its own way.
    pub conditional: Option<Conditional>,
}

/// What a cache changes of a request: it wants the whole answer, or to hear that the one it has
/// is still right.
#[derive(Default)]
pub struct Conditional {
    pub modified_since: Option<Bytes>,
    pub none_match: Option<Bytes>,
    /// A HEAD is asked as a GET.
    pub get: bool,
}

/// TLS to the peer.
#[derive(Clone)]
pub struct Secure {
    pub tls: ClientTls,
    pub verify: bool,
    /// The name to ask for and to check.
    pub name: Bytes,
}

/// No peer answered; nothing was sent to the client yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    pub status: u16,
    /// There was no live peer left to try.
    pub no_live: bool,
}

/// Reads the request's body, which gRPC passes on as it comes, and passes the request on.
pub async fn forward(r: &Rc<Request>, to: Forward) -> Result<Flow, Failed> {
    let location = r.location();
    let conf = to.choices.family.conf(&location.scope);
    if !outgoing::streams(r, conf, to.choices.family)
        && let Err(error) = r.read_body().await
    {
        return Err(Failed { status: error.0, no_live: false });
    }
    let passage = Passage::forward(r, conf, to);
    let mut passage = passage.map_err(|status| Failed { status, no_live: false })?;
    match passage.answer().await {
        Ok(reply) => Ok(respond::run(&mut passage, reply).await),
        Err(status) => Err(Failed { status, no_live: passage.no_live }),
    }
}

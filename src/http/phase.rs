//! Phases, handlers and the answer a handler gives.
//!
//! ```text
//!  server rewrite → find config → rewrite → (uri changed? find config again) → preaccess
//!   → access → precontent → content → log
//! ```
//! Which handlers take part in a location is decided once, at load; the runner walks the compiled
//! chain.

use std::{future::Future, pin::Pin, rc::Rc};

use crate::conf::Scope;

use super::{finish, request::Request, route};

/// Phases in the order they run. nginx core's own phases keep its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    ServerRewrite,
    FindConfig,
    Rewrite,
    PostRewrite,
    Preaccess,
    Access,
    Precontent,
    Content,
    Log,
}

pub const PHASES: usize = 9;

/// What a handler says when it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Not for me: the next handler of this phase.
    Decline,
    /// The phase is over, the next one begins.
    Next,
    /// The response has been produced.
    Done,
    /// Finish with this status: `error_page`, or nginx's own page.
    Status(u16),
    /// The URI or the location changed: go on from that phase.
    Restart(Phase),
    /// Close the connection without another byte (`return 444`).
    Close,
}

pub type LocalBoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A handler's answer: at once, or after waiting.
pub enum Step<'a> {
    Ready(Flow),
    Wait(LocalBoxFuture<'a, Flow>),
}

impl<'a> Step<'a> {
    pub fn wait(future: impl Future<Output = Flow> + 'a) -> Self {
        Self::Wait(Box::pin(future))
    }

    pub async fn answer(self) -> Flow {
        match self {
            Self::Ready(flow) => flow,
            Self::Wait(future) => future.await,
        }
    }
}

/// One participant of a phase.
pub trait Handler: Send + Sync {
    /// Whether a location (or server, for `ServerRewrite`) with this configuration needs the
    /// handler.
    fn applies(&self, scope: &Scope) -> bool;

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a>;

    /// Whether `/dir` is redirected to `/dir/` when this handler serves a location `/dir/`.
    fn adds_slash(&self) -> bool {
        false
    }
}

/// A handler and the phase it belongs to; `app` lists all of them in order.
#[derive(Clone, Copy)]
pub struct Registered {
    pub phase: Phase,
    pub handler: &'static dyn Handler,
}

/// All handlers by phase, in the order registered; locations select among them by bit.
#[derive(Clone, Default)]
pub struct Handlers {
    by_phase: [Vec<&'static dyn Handler>; PHASES],
}

/// The handlers of one location: a bit for each entry of `Handlers`.
///
/// Bits and not a list: an `if` may exchange the location in the middle of a phase, and the
/// position must keep its meaning.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chain {
    bits: [u64; PHASES],
}

impl Handlers {
    pub fn new(all: &[&[Registered]]) -> Self {
        let mut handlers = Self::default();
        for item in all.iter().copied().flatten() {
            handlers.by_phase[item.phase as usize].push(item.handler);
        }
        handlers
    }

    /// Selects what applies to `scope`.
    pub fn chain(&self, scope: &Scope) -> Chain {
        let mut chain = Chain::default();
        for (bits, handlers) in chain.bits.iter_mut().zip(&self.by_phase) {
            for (at, handler) in handlers.iter().enumerate() {
                if handler.applies(scope) {
                    *bits |= 1 << at;
                }
            }
        }
        chain
    }

    /// The first selected handler at position `from` or later, and its position.
    pub fn next(
        &self,
        phase: Phase,
        chain: &Chain,
        from: usize,
    ) -> Option<(usize, &'static dyn Handler)> {
        let bits = chain.bits[phase as usize].checked_shr(from as u32)?;
        if bits == 0 {
            return None;
        }
        let at = from + bits.trailing_zeros() as usize;
        Some((at, self.by_phase[phase as usize][at]))
    }
}

/// Runs a request from `start` until its response is complete, through redirects and error pages.
pub async fn run(r: &Rc<Request>, start: Phase) {
    let mut phase = start;
    loop {
        let flow = walk(r, phase).await;
        match finish::conclude(r, flow) {
            Some(next) => phase = next,
            None if r.postponed.borrow().is_empty() => return,
            None => return r.subrequests_done().await,
        }
    }
}

/// Walks the phases once.
async fn walk(r: &Rc<Request>, start: Phase) -> Flow {
    let mut phase = start;
    loop {
        let flow = match phase {
            Phase::FindConfig => route::find_location(r),
            Phase::PostRewrite => post_rewrite(r),
            Phase::Access => access(r).await,
            Phase::Content => return content(r).await,
            _ => handlers(r, phase).await,
        };
        phase = match flow {
            Flow::Decline | Flow::Next => following(phase),
            Flow::Restart(Phase::FindConfig) => Phase::FindConfig,
            other => return other,
        };
    }
}

/// Runs the handlers of a phase in order; `Next` when all declined.
async fn handlers(r: &Rc<Request>, phase: Phase) -> Flow {
    let mut at = 0;
    loop {
        let Some((position, handler)) = r.next_handler(phase, at) else { return Flow::Next };
        match handler.run(r).answer().await {
            Flow::Decline => at = position + 1,
            other => return other,
        }
    }
}

/// nginx's access checker: subrequests are exempt, `satisfy any` takes the first grant.
async fn access(r: &Rc<Request>) -> Flow {
    if r.is_subrequest() {
        return Flow::Next;
    }
    let flow = judge_access(r).await;
    let delay_ms = r.with_location(|location| location.core().auth_delay_ms());
    if flow == Flow::Status(401) && delay_ms > 0 {
        // `auth_delay`: who guesses passwords learns slowly whether one was right.
        let delay = std::time::Duration::from_millis(delay_ms);
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = r.conn.closed_by_client() => {}
        }
        crate::base::clock::update();
    }
    flow
}

async fn judge_access(r: &Rc<Request>) -> Flow {
    let any = r.with_location(|location| location.core().satisfy_any());
    let mut denied = None;
    let mut at = 0;
    while let Some((position, handler)) = r.next_handler(Phase::Access, at) {
        at = position + 1;
        match (handler.run(r).answer().await, any) {
            (Flow::Decline, _) => {}
            (Flow::Next, true) => return Flow::Next,
            (Flow::Next, false) => {}
            (Flow::Status(code @ (401 | 403)), true) => {
                // A client that may log in is told so.
                denied = denied.filter(|known| *known == 401).or(Some(code));
            }
            (other, _) => return other,
        }
    }
    match denied {
        Some(code) => {
            r.log(crate::base::log::Level::Error, format_args!("access forbidden by rule"));
            Flow::Status(code)
        }
        None => Flow::Next,
    }
}

/// After the rewrite phase: a changed URI looks for its location again, at most ten times.
fn post_rewrite(r: &Rc<Request>) -> Flow {
    if !r.uri_changed.replace(false) {
        return Flow::Next;
    }
    if !r.count_uri_change() {
        r.log(
            crate::base::log::Level::Error,
            format_args!(
                "rewrite or internal redirection cycle while processing \"{}\"",
                bstr::BStr::new(&*r.uri.borrow())
            ),
        );
        return Flow::Status(500);
    }
    Flow::Restart(Phase::FindConfig)
}

/// The location's own content handler, else the general ones (index, static files).
async fn content(r: &Rc<Request>) -> Flow {
    let own = r.content_handler();
    if let Some(handler) = own {
        return handler.run(r).answer().await;
    }
    match handlers(r, Phase::Content).await {
        Flow::Next | Flow::Decline => {
            if r.uri.borrow().ends_with(b"/") {
                r.log(
                    crate::base::log::Level::Error,
                    format_args!("directory index of \"{}\" is forbidden", route::mapped_path(r)),
                );
                return Flow::Status(403);
            }
            Flow::Status(404)
        }
        other => other,
    }
}

fn following(phase: Phase) -> Phase {
    match phase {
        Phase::ServerRewrite => Phase::FindConfig,
        Phase::FindConfig => Phase::Rewrite,
        Phase::Rewrite => Phase::PostRewrite,
        Phase::PostRewrite => Phase::Preaccess,
        Phase::Preaccess => Phase::Access,
        Phase::Access => Phase::Precontent,
        _ => Phase::Content,
    }
}

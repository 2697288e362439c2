//! Subrequests: requests inside a request, kept for their caller or spoken into its output.

use std::rc::Rc;

use super::{
    finish,
    phase::{self, LocalBoxFuture, Phase},
    request::{Request, SubrequestSpec},
};

/// Makes a subrequest and, unless it is captured, gives it its place in the parent's output.
///
/// `None` when subrequests are nested more than fifty deep.
pub fn begin(parent: &Rc<Request>, spec: SubrequestSpec) -> Option<Rc<Request>> {
    let sub = Request::subrequest(parent, spec)?;
    if sub.capture.is_none() {
        parent.postpone_subrequest(&sub);
    }
    Some(sub)
}

/// Runs a subrequest beside its parent, which waits for it at its own end.
pub fn start(sub: Rc<Request>) {
    tokio::task::spawn_local(drive(sub));
}

/// Runs a subrequest to its end. Boxed, because subrequests make subrequests.
pub fn drive(sub: Rc<Request>) -> LocalBoxFuture<'static, ()> {
    Box::pin(async move {
        // What the last one was busy with is no fact about this one.
        sub.conn.action.set("");
        phase::run(&sub, Phase::ServerRewrite).await;
        if let Some(capture) = &sub.capture {
            capture.status.set(sub.status());
            if !capture.ended.get() {
                capture.truncated.set(true);
            }
        }
        if !sub.last_sent.get() {
            sub.last_sent.set(true);
        }
        sub.finish_postponed();
        if sub.with_location(|location| location.core().log_subrequest()) {
            finish::log_phase(&sub).await;
        }
        sub.clear_ext();
    })
}

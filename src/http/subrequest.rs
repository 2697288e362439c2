//! Subrequests: requests inside a request, kept for their caller or spoken into its output.

use std::rc::Rc;

use super::{
    body::Body,
    finish,
    phase::{self, Flow, LocalBoxFuture, Phase},
    redirect,
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
    drive_from(sub, Phase::ServerRewrite)
}

/// `post_action`: something is asked when the response is out; nobody sees the answer.
pub async fn post_action(r: &Rc<Request>) {
    let Some(target) = r.with_location(|location| location.core().post_action.clone()) else {
        return;
    };
    let is_named = target.first() == Some(&b'@');
    let (uri, args) = match is_named {
        true => (r.uri.borrow().clone(), Some(r.args.borrow().clone())),
        false => redirect::split_args(&target),
    };
    let spec = SubrequestSpec {
        method: r.method.borrow().clone(),
        uri,
        args: args.unwrap_or_default(),
        headers: r.headers_in.borrow().clone(),
        body: Body::shared(&r.body),
        vars: r.vars.borrow().clone(),
        capture: Some(Rc::default()),
    };
    let Some(sub) = begin(r, spec) else { return };
    let flow = if is_named { redirect::named(&sub, &target) } else { Flow::Decline };
    match flow {
        Flow::Restart(phase) => drive_from(sub, phase).await,
        Flow::Decline => drive(sub).await,
        // There is no such location; the log says so.
        _ => {}
    }
}

fn drive_from(sub: Rc<Request>, phase: Phase) -> LocalBoxFuture<'static, ()> {
    Box::pin(async move {
        // What the last one was busy with is no fact about this one.
        sub.conn.action.set("");
        phase::run(&sub, phase).await;
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

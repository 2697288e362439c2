//! The content handler: from a request to a call to an answer.
//!
//! ```text
//!  request ─▶ path ─▶ params ─▶ login? token? ─▶ route ─▶ act ─▶ keep ─▶ answer
//! ```

use std::cell::RefCell;
use std::rc::Rc;

use bstr::ByteSlice;
use bytes::Bytes;

use crate::conf::Scope;
use crate::face::audit;
use crate::http::{Flow, Handler, Request, Step};

use super::answer::{Answer, Version};
use super::call::Call;
use super::conf::{NacosNaming, Options};
use super::fault::Fault;
use super::naming::naming;
use super::params::Params;
use super::{auth, keep, openapi, probe, route};

/// Serves the naming API.
pub static HANDLER: NamingHandler = NamingHandler;

pub struct NamingHandler;

impl Handler for NamingHandler {
    fn applies(&self, _scope: &Scope) -> bool {
        true
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        Step::wait(serve(r))
    }
}

async fn serve(r: &Rc<Request>) -> Flow {
    let path = api_path(r);
    let method = r.method.borrow().name.to_str_lossy().into_owned();
    let method = if method == "HEAD" { "GET" } else { method.as_str() };
    let (version, answer) = answer(r, &path, method).await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(Fault::Body(status)) => return Flow::Status(status),
        Err(fault) => Answer::fault(version, &r.uri.borrow().to_str_lossy(), &fault),
    };
    // Beats are no changes, and too many.
    if method != "GET" && !path.ends_with("/beat") {
        audit::note(r, "nacos", answer.status);
    }
    if let Some(allow) = answer.allow {
        r.headers_out.borrow_mut().list.set("Allow", allow);
    }
    r.answer(answer.status, Some(Bytes::from_static(answer.kind.as_bytes())), answer.body)
}

async fn answer(r: &Rc<Request>, path: &str, method: &str) -> (Version, Result<Answer, Fault>) {
    let location = r.location();
    let options = location.scope.part::<NacosNaming>().0.as_ref();
    let defaults = Options::default();
    let options = options.unwrap_or(&defaults);
    if openapi::is_description(path) && method == "GET" {
        return (Version::V1, Ok(openapi::answer()));
    }
    if auth::is_login(path) {
        let login = match method {
            "POST" => Params::read(r).await.and_then(|p| auth::login(options.auth.as_ref(), &p)),
            _ => Err(Fault::Method(&["POST"])),
        };
        return (Version::V1, login);
    }
    let (version, act) = route::find(path, method);
    let act = match act {
        Ok(act) => act,
        Err(fault) => return (version, Err(fault)),
    };
    let params = match Params::read(r).await {
        Ok(params) => params,
        Err(fault) => return (version, Err(fault)),
    };
    if let Some(account) = &options.auth
        && let Err(fault) = auth::check(account, r, &params)
    {
        return (version, Err(fault));
    }
    let call =
        Call { version, params: &params, options, naming: naming(), touched: RefCell::default() };
    let answer = act(&call);
    let touched = call.touched.take();
    if answer.is_ok() {
        let kept = keep::keep(&touched).await;
        touched.iter().for_each(|what| probe::sync(what.service()));
        if let Err(fault) = kept {
            return (version, Err(fault));
        }
    }
    (version, answer)
}

/// The path below the location, or below Nacos' usual context.
fn api_path(r: &Rc<Request>) -> String {
    let uri = r.uri.borrow();
    let name = r.with_location(|location| location.name.clone());
    let below = uri.strip_prefix(&name[..]).unwrap_or(&uri);
    let below = below.strip_prefix(b"/").unwrap_or(below);
    let below = below.strip_prefix(b"nacos/").unwrap_or(below);
    below.to_str_lossy().trim_end_matches('/').to_owned()
}

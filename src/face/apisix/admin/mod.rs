//! The Admin API: who may, what is asked, and how it is answered.
//!
//! ```text
//!  key? ─▶ path ─▶ collection ─┬─ GET ─▶ read          ┐
//!                              └─ others ─▶ write ─▶ rules ─▶ Store ─▶ Live has it ─▶ shape
//! ```

mod auth;
mod openapi;
mod patch;
mod plugins;
mod read;
mod rules;
mod shape;
mod write;

use std::rc::Rc;
use std::sync::Arc;

use bstr::ByteSlice;
use bytes::Bytes;
use serde_json::{Value, json};

use super::conf::Admin;
use super::live::Live;
use super::names::{Collection, SERVER};
use super::schema;
use crate::conf::Scope;
use crate::face::{audit, json};
use crate::http::{Flow, Handler, Request, Step, phase::LocalBoxFuture};
use crate::store::{Store, StoreError};

pub use self::rules::check;
pub use self::shape::Version;

/// The content handler of locations with `apisix_admin`.
pub static HANDLER: AdminApi = AdminApi;

pub struct AdminApi;

impl Handler for AdminApi {
    fn applies(&self, _scope: &Scope) -> bool {
        false
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        let future: LocalBoxFuture<'a, Flow> = Box::pin(serve(r));
        Step::Wait(future)
    }
}

/// What an answer consists of.
struct Answer {
    status: u16,
    body: Option<Value>,
}

impl Answer {
    fn new(status: u16, body: Value) -> Self {
        Self { status, body: Some(body) }
    }

    fn error(status: u16, text: impl Into<String>) -> Self {
        Self::new(status, json!({ "error_msg": text.into() }))
    }

    fn not_found() -> Self {
        Self::new(404, json!({ "message": "Key not found" }))
    }
}

impl From<StoreError> for Answer {
    fn from(error: StoreError) -> Self {
        Self::error(503, error.to_string())
    }
}

/// What an answer is made of beside the request.
struct Desk {
    version: Version,
    store: Store,
    live: Arc<Live>,
}

async fn serve(r: &Rc<Request>) -> Flow {
    let location = r.location();
    let Some(conf) = &location.scope.part::<Admin>().0 else { return Flow::Status(500) };
    let method = r.method.borrow().name.clone();
    let answer = match auth::check(r, conf) {
        Err(answer) => answer,
        Ok(()) => match conf.desk() {
            Some((live, store)) => {
                let desk = Desk { version: conf.version, store, live };
                dispatch(r, &desk, &method).await
            }
            None => Answer::error(501, "the configuration is read from a file"),
        },
    };
    if &*method != b"GET" {
        audit::note(r, "apisix admin", answer.status);
    }
    send(r, conf.version, answer)
}

async fn dispatch(r: &Rc<Request>, desk: &Desk, method: &[u8]) -> Answer {
    let uri = r.uri.borrow().clone();
    if method == b"GET" && uri.ends_with(b"/openapi.json") {
        return Answer::new(200, openapi::document(desk.version));
    }
    let Some(path) = uri.to_str().ok().and_then(|uri| uri.split_once("/apisix/admin/")) else {
        return Answer::error(404, "not found");
    };
    let mut parts = path.1.splitn(3, '/').map(|part| part.trim_end_matches('/'));
    let name = parts.next().unwrap_or_default();
    let id = parts.next().filter(|id| !id.is_empty());
    let below = parts.next().filter(|below| !below.is_empty());
    match (name, method) {
        ("plugins", b"GET") => return plugins(id),
        ("schema", b"POST") if id == Some("validate") => {
            return write::validate(r, below.unwrap_or_default()).await;
        }
        ("schema", b"GET") => return kind_schema(id.unwrap_or_default()),
        _ => {}
    }
    let Some(collection) = Collection::of(name) else {
        return match desk.version {
            Version::V3 => Answer::error(404, format!("Unsupported resource type: {name}")),
            Version::V2 => Answer::error(404, "not found"),
        };
    };
    match method {
        b"GET" => read::answer(r, desk, collection, id),
        b"PUT" | b"POST" | b"PATCH" | b"DELETE" => {
            write::answer(r, desk, collection, id, below, method).await
        }
        _ => Answer::error(404, "not found"),
    }
}

fn plugins(id: Option<&str>) -> Answer {
    match id {
        Some("list") => Answer::new(200, json!(["limit-count"])),
        Some("limit-count") => Answer::new(200, schema::of(schema::Kind::LimitCount).clone()),
        Some(_) => Answer::error(404, "plugin not found in plugin_list"),
        None => Answer::error(400, "not supported"),
    }
}

fn kind_schema(name: &str) -> Answer {
    match Collection::of_kind(name) {
        Some(collection) => Answer::new(200, schema::of(collection.schema()).clone()),
        None => Answer::error(400, "not found schema"),
    }
}

/// What `/schema/{kind}` has.
fn kind_schema_names() -> Vec<&'static str> {
    Collection::ALL.into_iter().map(Collection::singular).collect()
}

fn send(r: &Rc<Request>, version: Version, answer: Answer) -> Flow {
    {
        let mut out = r.headers_out.borrow_mut();
        out.drop_line(b"Server");
        out.list.add("Server", SERVER);
        out.list.add("X-API-VERSION", version.name());
    }
    match answer.body {
        None => r.answer(answer.status, None, Bytes::new()),
        Some(body) => answer_json(r, answer.status, &body),
    }
}

/// APISIX writes no charset behind the media type.
pub fn answer_json(r: &Rc<Request>, status: u16, body: &Value) -> Flow {
    let kind = Bytes::from_static(b"application/json");
    r.answer(status, Some(kind), body.to_string().into())
}

/// The body as JSON; none for an empty one.
async fn body(r: &Rc<Request>) -> Result<Option<Value>, Answer> {
    let refused = |refused| match refused {
        json::Refused::TooBig(size) => Answer::error(
            400,
            format!(
                "invalid request body: request size {size} is greater than the maximum size \
                 {BODY_MOST_BYTES} allowed"
            ),
        ),
        json::Refused::Status(status) => Answer::error(status, "invalid request body"),
    };
    let text = json::read(r, BODY_MOST_BYTES).await.map_err(refused)?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        let echo = text.to_str_lossy();
        let body = json!({
            "error_msg": format!("invalid request body: {error}"), "req_body": echo,
        });
        Answer::new(400, body)
    })
}

const BODY_MOST_BYTES: u64 = 1_572_864;

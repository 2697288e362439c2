//! The Admin API: a location with `kong_admin` answers Kong's calls.
//!
//! ```text
//!  request ─ key? ─ Call ─▶ route by path ─┬─▶ entities ─▶ store
//!                                          ├─▶ health ─▶ checks
//!                                          ├─▶ status, metrics, openapi
//!                                          └─▶ tse: Tencent's cloud API (POST / with X-TC-Action)
//!          ◀── Reply, and an audit line for each write
//! ```

mod call;
mod entities;
mod health;
mod openapi;
mod page;
mod reply;
mod rules;
mod status;
mod tse;

use std::rc::Rc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use self::call::Call;
use self::entities::Desk;
use self::reply::{Body, Outcome, Reply};
use super::Preset;
use super::catalog::{Catalog, Entity, Sort};
use super::conf::Keys;
use super::live::Live;
use super::metrics;
use crate::conf::Scope;
use crate::face::{audit, json as face_json};
use crate::http::{Flow, Handler, Request, Step};

/// The whole API.
pub static HANDLER: Admin = Admin { reads_only: false };
/// `/status` and `/metrics`.
pub static STATUS: Admin = Admin { reads_only: true };

pub struct Admin {
    reads_only: bool,
}

impl Handler for Admin {
    fn applies(&self, _scope: &Scope) -> bool {
        false
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        Step::wait(self.serve(r))
    }
}

impl Admin {
    async fn serve(&self, r: &Rc<Request>) -> Flow {
        let Some(live) = Live::current() else { return Flow::Status(503) };
        let is_cloud = live.options.preset == Preset::Tse && !self.reads_only;
        if is_cloud && r.headers_in.borrow().contains(b"X-TC-Action") {
            let reply = tse::serve(r, &live).await;
            audit::note(r, "kong tse", reply.status);
            return send(r, reply);
        }
        let method = r.method.borrow().name.clone();
        let reply = match admit(r) {
            Err(refused) => refused,
            Ok(()) => match self.answer(r, &live).await {
                Ok(reply) | Err(reply) => reply,
            },
        };
        if !matches!(&method[..], b"GET" | b"HEAD" | b"OPTIONS") {
            audit::note(r, "kong admin", reply.status);
        }
        send(r, reply)
    }

    async fn answer(&self, r: &Rc<Request>, live: &Live) -> Outcome {
        let call = Call::read(r, BODY_MAX).await?;
        let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
        match path[..] {
            ["status"] | ["status", "ready"] | ["metrics"] => {
                allow(&call, "GET, HEAD, OPTIONS", || match path[..] {
                    ["metrics"] => Reply::metrics(metrics::text(live)),
                    _ => Reply::ok(status::status(live)),
                })
            }
            _ if self.reads_only => Err(Reply::not_found()),
            [] => allow(&call, "GET, HEAD, OPTIONS", || Reply::ok(status::node(live))),
            ["openapi.json"] => {
                allow(&call, "GET, HEAD, OPTIONS", || Reply::ok(openapi::document(&live.options)))
            }
            ["schemas", plural] => match sort_of(plural) {
                Some(sort) => allow(&call, "GET, HEAD, OPTIONS", || {
                    Reply::ok(openapi::entity(sort, live.options.preset))
                }),
                None => Err(Reply::not_found()),
            },
            ["upstreams", upstream, ref rest @ ..] if !rest.is_empty() => {
                health::serve(live, &call, upstream, rest).await
            }
            ["services", service, "routes"] => nested_routes(live, &call, service).await,
            ["services", service, "routes", route] => {
                let catalog = live.catalog();
                let own = found(&catalog, Sort::Services, service)?;
                let route = found(&catalog, Sort::Routes, route)?;
                match route.refers("service") == Some(own.id.as_str()) {
                    true => one(live, &call, Sort::Routes, &route.id).await,
                    false => Err(Reply::not_found()),
                }
            }
            ["routes", route, "service"] => {
                let catalog = live.catalog();
                let route = found(&catalog, Sort::Routes, route)?;
                let service = route.refers("service").ok_or_else(Reply::not_found)?;
                one(live, &call, Sort::Services, service).await
            }
            ["targets"] => allow(&call, "GET, HEAD, OPTIONS", || {
                let catalog = live.catalog();
                let all = catalog.all(Sort::Targets).cloned();
                page::page(&call, all, |entity| Value::Object(entity.value.clone()))
                    .map_or_else(|refused| refused, Reply::ok)
            }),
            [plural] => match sort_of(plural) {
                Some(sort) => collection(live, &call, sort).await,
                None => Err(Reply::not_found()),
            },
            [plural, key] => match sort_of(plural) {
                Some(sort) => one(live, &call, sort, key).await,
                None => Err(Reply::not_found()),
            },
            _ => Err(Reply::not_found()),
        }
    }
}

/// A list, and what is added to it.
async fn collection(live: &Live, call: &Call, sort: Sort) -> Outcome {
    match call.method.as_str() {
        "GET" | "HEAD" => {
            live.refresh();
            let catalog = live.catalog();
            let all = catalog.all(sort).cloned();
            page::page(call, all, |entity| Value::Object(entity.value.clone())).map(Reply::ok)
        }
        "POST" => {
            let made = Desk { live }.create(sort, &call.body, Map::new()).await?;
            Ok(warned(live, sort, &made, Reply::json(201, made.clone())))
        }
        "OPTIONS" => Ok(options("GET, HEAD, OPTIONS, POST")),
        _ => Err(Reply::method_not_allowed("GET, HEAD, OPTIONS, POST")),
    }
}

/// One entity by id or name.
async fn one(live: &Live, call: &Call, sort: Sort, key: &str) -> Outcome {
    let desk = Desk { live };
    match call.method.as_str() {
        "GET" | "HEAD" => {
            live.refresh();
            let catalog = live.catalog();
            Ok(Reply::ok(Value::Object(found(&catalog, sort, key)?.value.clone())))
        }
        "PATCH" => {
            let made = desk.patch(sort, key, &call.body).await?;
            Ok(warned(live, sort, &made, Reply::ok(made.clone())))
        }
        "PUT" => {
            let made = desk.put(sort, key, &call.body, Map::new()).await?;
            Ok(warned(live, sort, &made, Reply::ok(made.clone())))
        }
        "DELETE" => desk.delete(sort, key).await.map(|()| Reply::no_content()),
        "OPTIONS" => Ok(options(ONE)),
        _ => Err(Reply::method_not_allowed(ONE)),
    }
}

async fn nested_routes(live: &Live, call: &Call, service: &str) -> Outcome {
    let catalog = live.catalog();
    let own = found(&catalog, Sort::Services, service)?.id.clone();
    match call.method.as_str() {
        "GET" | "HEAD" => {
            let all = catalog.of(Sort::Routes, "service", &own).cloned();
            page::page(call, all, |entity| Value::Object(entity.value.clone())).map(Reply::ok)
        }
        "POST" => {
            let fixed = Map::from_iter([("service".to_string(), json!({ "id": own }))]);
            let made = Desk { live }.create(Sort::Routes, &call.body, fixed).await?;
            Ok(Reply::json(201, made))
        }
        "OPTIONS" => Ok(options("GET, HEAD, OPTIONS, POST")),
        _ => Err(Reply::method_not_allowed("GET, HEAD, OPTIONS, POST")),
    }
}

/// Tells whoever relies on passive checks alone what that means.
fn warned(live: &Live, sort: Sort, made: &Value, reply: Reply) -> Reply {
    let name = made.get("name").and_then(Value::as_str).unwrap_or_default();
    let upstream = live.upstream(name).filter(|_| sort == Sort::Upstreams);
    match upstream.is_some_and(|upstream| upstream.is_one_way()) {
        true => reply.with("Warning", format!("299 - \"{ONE_WAY}\"")),
        false => reply,
    }
}

fn found<'a>(catalog: &'a Catalog, sort: Sort, key: &str) -> Result<&'a Entity, Reply> {
    catalog.find(sort, key).map(|entity| &**entity).ok_or_else(Reply::not_found)
}

/// Runs a read for the methods that read.
fn allow(call: &Call, allowed: &str, read: impl FnOnce() -> Reply) -> Outcome {
    match call.method.as_str() {
        "GET" | "HEAD" => Ok(read()),
        "OPTIONS" => Ok(options(allowed)),
        _ => Err(Reply::method_not_allowed(allowed)),
    }
}

fn options(allowed: &str) -> Reply {
    Reply::no_content().with("Allow", allowed.to_string())
}

/// Targets have no paths of their own but the list: they belong to upstreams.
fn sort_of(plural: &str) -> Option<Sort> {
    Sort::ALL.into_iter().find(|sort| sort.plural() == plural && *sort != Sort::Targets)
}

/// Whether the caller shows a key of this location, if it wants one.
fn admit(r: &Rc<Request>) -> Result<(), Reply> {
    let location = r.location();
    let Some(keys) = &location.scope.part::<Keys>().admin else { return Ok(()) };
    let headers = r.headers_in.borrow();
    let shown = KEY_HEADERS.iter().find_map(|name| headers.first(name));
    let Some(shown) = shown else {
        return Err(Reply::message(401, "No API key found in request"));
    };
    // All keys are tried, so that the time does not tell which one it was.
    match keys.iter().fold(false, |opens, key| opens | key.opens(shown)) {
        true => Ok(()),
        false => Err(Reply::message(401, "Unauthorized")),
    }
}

fn send(r: &Rc<Request>, reply: Reply) -> Flow {
    for (name, value) in reply.headers {
        r.headers_out.borrow_mut().list.add(name, value);
    }
    match reply.body {
        Body::Json(value) => face_json::answer(r, reply.status, &value),
        Body::Metrics(text) => {
            let kind = Bytes::from_static(b"text/plain; charset=UTF-8");
            r.answer(reply.status, Some(kind), text.into())
        }
        Body::None => r.answer(reply.status, None, Bytes::new()),
    }
}

const ONE: &str = "DELETE, GET, HEAD, OPTIONS, PATCH, PUT";
/// The header of Kong Enterprise, and the one of its key-auth plugin.
const KEY_HEADERS: [&str; 2] = ["Kong-Admin-Token", "apikey"];
/// `client_body_buffer_size` and `client_max_body_size` of Kong's Admin API.
const BODY_MAX: u64 = 10 * 1024 * 1024;
const ONE_WAY: &str = "passive checks alone never bring a target back: \
    set active.unhealthy.interval, or call the healthy endpoint of the target";

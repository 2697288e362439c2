//! The Control API: health checks, schemas, and what is configured.
//!
//! ```text
//!  GET /v1/healthcheck[/routes/1]   JSON, or HTML for browsers
//!  GET /v1/schema /v1/routes /v1/route/1 …     POST /v1/gc     /status /status/ready
//! ```

use std::fmt::Write as _;
use std::rc::Rc;

use bstr::ByteSlice;
use bytes::Bytes;
use serde_json::{Value, json};

use super::admin::answer_json;
use super::conf::Views;
use super::model::{Item, NodeSpec, Table};
use super::names::Collection;
use super::schema;
use super::view::{NodeView, View};
use crate::base::escape;
use crate::conf::Scope;
use crate::http::{Flow, Handler, Request, Step};

/// The content handler of locations with `apisix_control`.
pub static HANDLER: ControlApi = ControlApi;

pub struct ControlApi;

impl Handler for ControlApi {
    fn applies(&self, _scope: &Scope) -> bool {
        false
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        Step::Ready(serve(r))
    }
}

fn serve(r: &Rc<Request>) -> Flow {
    let location = r.location();
    let Some(conf) = &location.scope.part::<Views>().0 else { return Flow::Status(500) };
    let Some(live) = conf.live() else { return Flow::Status(503) };
    let table = live.table();
    let uri = r.uri.borrow().clone();
    let method = r.method.borrow().name.clone();
    let path: Vec<&str> = uri.to_str().unwrap_or_default().trim_matches('/').split('/').collect();
    match (&*method, &path[..]) {
        (b"GET" | b"HEAD", ["v1", "healthcheck"]) => all_checks(r, &table, conf.old_shape),
        (b"GET" | b"HEAD", ["v1", "healthcheck", kind]) => match known(kind) {
            true => error(r, 404, &format!("missing src id for src type {kind}")),
            false => error(r, 400, &format!("invalid src type {kind}")),
        },
        (b"GET" | b"HEAD", ["v1", "healthcheck", kind, id]) => {
            one_check(r, &table, kind, id, conf.old_shape)
        }
        (b"GET" | b"HEAD", ["v1", "schema"]) => answer_json(r, 200, &schema::all()),
        (b"GET" | b"HEAD", ["v1", plural]) => match Collection::of(plural) {
            Some(collection) => {
                let items = table.items(collection).into_iter().map(shown).collect();
                answer_json(r, 200, &list(items))
            }
            None if *plural == "plugin_metadatas" => answer_json(r, 200, &json!({})),
            None => Flow::Status(404),
        },
        (b"GET" | b"HEAD", ["v1", kind, id]) => match Collection::of_kind(kind) {
            Some(collection) => match table.item(collection, id) {
                Some(item) => answer_json(r, 200, &shown(item)),
                None => error(r, 404, &format!("{kind}[{id}] not found")),
            },
            None if *kind == "plugin_metadata" => {
                error(r, 404, &format!("plugin metadata[{id}] not found"))
            }
            None => Flow::Status(404),
        },
        // Nothing here has to be collected or loaded anew; who asks for it is told it is done.
        (b"POST", ["v1", "gc"]) => r.answer(200, None, Bytes::new()),
        (b"PUT", ["v1", "plugins", "reload"]) => {
            r.answer(200, Some(Bytes::from_static(b"text/plain")), Bytes::from_static(b"done"))
        }
        (b"GET" | b"HEAD", ["status"] | ["status", "ready"]) => {
            answer_json(r, 200, &json!({ "status": "ok" }))
        }
        _ => Flow::Status(404),
    }
}

fn all_checks(r: &Rc<Request>, table: &Table, old_shape: bool) -> Flow {
    let mut views = View::all(table);
    if wants_html(r) {
        return html(r, &views);
    }
    if old_shape {
        views.retain(View::is_started);
    }
    let views = views.iter().map(|view| render(view, old_shape)).collect();
    answer_json(r, 200, &list(views))
}

/// An empty table of Lua is an object in JSON.
fn list(items: Vec<Value>) -> Value {
    if items.is_empty() { json!({}) } else { Value::Array(items) }
}

fn one_check(r: &Rc<Request>, table: &Table, kind: &str, id: &str, old_shape: bool) -> Flow {
    if !known(kind) {
        return error(r, 400, &format!("invalid src type {kind}"));
    }
    // Stream routes are a type of APISIX's that has no documents here.
    let collection =
        Collection::of(kind).filter(|collection| table.item(*collection, id).is_some());
    let Some(collection) = collection else {
        return error(r, 404, &format!("{kind}[{id}] not found"));
    };
    match View::of(table, collection, id).filter(|view| !old_shape || view.is_started()) {
        None => error(r, 404, &format!("no checker for {kind}[{id}]")),
        Some(view) if wants_html(r) => html(r, &[view]),
        Some(view) => answer_json(r, 200, &render(&view, old_shape)),
    }
}

fn render(view: &View, old_shape: bool) -> Value {
    if old_shape { view.old_json() } else { view.json() }
}

fn known(kind: &str) -> bool {
    kind == "stream_routes" || Collection::of(kind).is_some()
}

fn shown(item: &Item) -> Value {
    let value = item.value();
    json!({
        "key": &*item.key,
        "value": value,
        "createdIndex": item.created,
        "modifiedIndex": item.modified,
        "orig_modifiedIndex": item.modified,
        "update_count": 0,
        "has_domain": has_domain(&value),
        "clean_handlers": {},
    })
}

/// Whether a node has a name instead of an address.
fn has_domain(document: &Value) -> bool {
    let upstream = document.get("upstream").unwrap_or(document);
    let nodes = NodeSpec::list(upstream.get("nodes").unwrap_or(&Value::Null), 80);
    nodes.iter().any(|node| node.ip().is_none())
}

fn error(r: &Rc<Request>, status: u16, text: &str) -> Flow {
    answer_json(r, status, &json!({ "error_msg": text }))
}

fn wants_html(r: &Rc<Request>) -> bool {
    let accept = r.headers_in.borrow().joined(b"Accept", b",");
    accept.is_some_and(|accept| accept.contains_str("text/html"))
}

fn html(r: &Rc<Request>, views: &[View]) -> Flow {
    let mut rows = String::new();
    let mut index = 0;
    for view in views {
        for node in view.nodes() {
            index += 1;
            row(&mut rows, index, view, &node);
        }
    }
    let text = format!(
        "<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n<title>{TITLE}</title>\n\
         </head>\n<body>\n<h1>{TITLE}</h1>\n<table border=\"1\">\n<tr bgcolor=\"#C0C0C0\">\
         <th>Index</th><th>Upstream</th><th>Check type</th><th>Host</th><th>Status</th>\
         <th>Success counts</th><th>TCP Failures</th><th>HTTP Failures</th>\
         <th>TIMEOUT Failures</th></tr>\n{rows}</table>\n</body>\n</html>\n"
    );
    r.answer(200, Some(Bytes::from_static(b"text/html")), text.into())
}

fn row(rows: &mut String, index: usize, view: &View, node: &NodeView) {
    let colour = if node.is_good() { "" } else { " bgcolor=\"#FF0000\"" };
    let [success, http, tcp, timeout] = node.lanes;
    let name = escape::html(view.name().as_bytes());
    let host = format!("{}:{}", node.ip, node.port);
    // A String takes everything.
    let _ = writeln!(
        rows,
        "<tr{colour}><td>{index}</td><td>{}</td><td>{}</td><td>{host}</td><td>{}</td>\
         <td>{success}</td><td>{tcp}</td><td>{http}</td><td>{timeout}</td></tr>",
        name.as_bstr(),
        view.kind(),
        node.status,
    );
}

const TITLE: &str = "APISIX upstream check status";

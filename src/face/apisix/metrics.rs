//! The metrics page: what Prometheus scrapes at `/apisix/prometheus/metrics`, of APISIX's names
//! those that need no plugin.
//!
//! ```text
//!  apisix_http_requests_total, apisix_nginx_http_current_connections{state=…}
//!  apisix_etcd_modify_indexes{key=…}, apisix_etcd_reachable, apisix_node_info{…}
//!  apisix_upstream_status{name="/apisix/routes/1",ip="127.0.0.1",port="1980"} 1
//! ```

use std::fmt::Write as _;
use std::rc::Rc;

use bytes::Bytes;

use super::conf::Views;
use super::model::Table;
use super::names::{Collection, SERVER};
use super::view::View;
use crate::conf::Scope;
use crate::http::{Flow, Handler, Request, Step, modules::stub_status};
use crate::store::Store;

/// The content handler of locations with `apisix_metrics`.
pub static HANDLER: Metrics = Metrics;

pub struct Metrics;

impl Handler for Metrics {
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
    let mut text = traffic() + &indexes(&table, live.store());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let version = SERVER.trim_start_matches("APISIX/");
    let labels = format!("{{hostname=\"{}\",version=\"{version}\"}}", host.trim());
    gauge(&mut text, "node_info", "Info of APISIX node", &[(labels, 1)]);
    text.push_str(
        "# HELP apisix_upstream_status Upstream status from health check\n\
         # TYPE apisix_upstream_status gauge\n",
    );
    for view in View::all(&table) {
        let name = view.name().replace('\\', "\\\\").replace('"', "\\\"");
        for node in view.nodes() {
            let (ip, port, good) = (&node.ip, node.port, u8::from(node.is_good()));
            // A String takes everything.
            let _ = writeln!(
                text,
                "apisix_upstream_status{{name=\"{name}\",ip=\"{ip}\",port=\"{port}\"}} {good}"
            );
        }
    }
    r.answer(200, Some(Bytes::from_static(b"text/plain; charset=utf-8")), text.into())
}

/// Connections and requests of the whole process.
fn traffic() -> String {
    let counts = stub_status::totals();
    // Every connection that is accepted is handled.
    let states = [
        ("active", counts.active),
        ("accepted", counts.accepted),
        ("handled", counts.accepted),
        ("reading", counts.reading),
        ("writing", counts.writing()),
        ("waiting", counts.waiting),
    ];
    let states = states.map(|(state, count)| (format!("{{state=\"{state}\"}}"), count));
    let mut text = String::new();
    let help = "The total number of client requests since APISIX started";
    gauge(&mut text, "http_requests_total", help, &[(String::new(), counts.requests)]);
    let help = "Number of HTTP connections";
    gauge(&mut text, "nginx_http_current_connections", help, &states);
    text
}

/// How new the documents are, where they come from a store.
fn indexes(table: &Table, store: Option<&Store>) -> String {
    let mut text = String::new();
    let Some(store) = store else { return text };
    let newest = |collection: Collection| {
        let items = table.items(collection);
        items.into_iter().map(|item| item.modified).max().unwrap_or(0)
    };
    let mut rows: Vec<(String, u64)> =
        Collection::ALL.into_iter().map(|c| (c.plural().to_owned(), newest(c))).collect();
    let most = rows.iter().map(|(_, index)| *index).max().unwrap_or(0);
    rows.push(("max_modify_index".into(), most));
    let rows: Vec<(String, u64)> =
        rows.into_iter().map(|(key, index)| (format!("{{key=\"{key}\"}}"), index)).collect();
    let help = "Config server etcd reachable from APISIX, 0 is unreachable";
    gauge(&mut text, "etcd_reachable", help, &[(String::new(), store.is_reachable().into())]);
    gauge(&mut text, "etcd_modify_indexes", "Etcd modify index for APISIX keys", &rows);
    text
}

fn gauge(text: &mut String, name: &str, help: &str, rows: &[(String, u64)]) {
    // A String takes everything.
    let _ = write!(text, "# HELP apisix_{name} {help}\n# TYPE apisix_{name} gauge\n");
    for (labels, value) in rows {
        let _ = writeln!(text, "apisix_{name}{labels} {value}");
    }
}

//! The metrics page: what Prometheus scrapes at `/apisix/prometheus/metrics`.
//!
//! ```text
//!  apisix_upstream_status{name="/apisix/routes/1",ip="127.0.0.1",port="1980"} 1
//! ```

use std::fmt::Write as _;
use std::rc::Rc;

use bytes::Bytes;

use super::conf::Views;
use super::view::View;
use crate::conf::Scope;
use crate::http::{Flow, Handler, Request, Step};

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
    let mut text = String::from(
        "# HELP apisix_upstream_status Upstream status from health check\n\
         # TYPE apisix_upstream_status gauge\n",
    );
    for view in View::all(&live.table()) {
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

//! What is known of the checks, as the Control API and the metrics show it.
//!
//! ```text
//!  Table ─ resources with checks, in order ─▶ View { name, kind, nodes: [NodeView] }
//! ```

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::checks::host_header;
use super::model::{Node, Table, Upstream};
use super::names::Collection;

/// The checks of one resource.
pub struct View {
    pub collection: Collection,
    pub id: Arc<str>,
    upstream: Arc<Upstream>,
}

/// One node under check.
pub struct NodeView {
    pub ip: String,
    pub port: u16,
    pub hostname: String,
    /// The `Host` of its probes, where that is not the hostname.
    pub hostheader: Option<String>,
    pub status: &'static str,
    /// Successes, then failures by HTTP, TCP and time.
    pub lanes: [u8; 4],
}

impl View {
    /// All resources that have checks, in the order the Control API lists them.
    pub fn all(table: &Table) -> Vec<Self> {
        let of = |collection: Collection| {
            let items = table.items(collection).into_iter();
            items.filter_map(move |item| Self::of(table, collection, &item.id))
        };
        Collection::ALL.into_iter().flat_map(of).collect()
    }

    /// The checks of a resource; none when it has none.
    pub fn of(table: &Table, collection: Collection, id: &str) -> Option<Self> {
        let upstream = table.upstream_in(collection, id)?;
        upstream.checks.as_ref()?;
        Some(Self { collection, id: id.into(), upstream: upstream.clone() })
    }

    /// `/apisix/routes/1`
    pub fn name(&self) -> &str {
        &self.upstream.key
    }

    pub fn is_started(&self) -> bool {
        self.upstream.checker().is_some()
    }

    /// `active.type`, else `passive.type`.
    pub fn kind(&self) -> &str {
        let checks = self.upstream.checks.as_ref();
        let active = checks.and_then(|checks| checks.active.as_ref()).map(|active| &active.kind);
        let passive = || checks.and_then(|checks| checks.passive.as_ref()).map(|p| &p.kind);
        active.or_else(passive).map_or("http", |kind| kind.as_str())
    }

    pub fn nodes(&self) -> Vec<NodeView> {
        let Some(checker) = self.upstream.checker() else { return Vec::new() };
        let set = self.upstream.set.load();
        let mut seen = HashSet::new();
        let view = |node: &Node| {
            let report = checker.state(node)?;
            Some(NodeView {
                ip: node.ip_text(),
                port: checker.port_of(node),
                hostname: checker.hostname_of(node),
                hostheader: host_header(&self.upstream, node),
                status: report.state,
                lanes: report.lanes,
            })
        };
        // Nodes whose probes go to one place are one target.
        let first = |node: &&Node| seen.insert((node.ip, checker.port_of(node)));
        set.nodes.list.iter().filter(first).filter_map(view).collect()
    }

    /// The present shape.
    pub fn json(&self) -> Value {
        let nodes: Vec<Value> = self.nodes().iter().map(NodeView::json).collect();
        // An empty table of Lua is an object in JSON.
        let nodes = if nodes.is_empty() { json!({}) } else { Value::Array(nodes) };
        json!({ "name": self.name(), "type": self.kind(), "nodes": nodes })
    }

    /// The shape of APISIX 2.3 to 3.2.
    pub fn old_json(&self) -> Value {
        let set = self.upstream.set.load();
        let all: Vec<Value> = set.nodes.list.iter().map(|node| node.spec.written()).collect();
        let up = set.nodes.list.iter().filter(|node| node.is_up());
        let up: Vec<Value> = up.map(|node| node.spec.written()).collect();
        json!({
            "name": format!("upstream#{}", self.name()),
            "src_type": self.collection.plural(),
            "src_id": &*self.id,
            "nodes": all,
            "healthy_nodes": up,
        })
    }
}

impl NodeView {
    pub fn is_good(&self) -> bool {
        matches!(self.status, "healthy" | "mostly_healthy")
    }

    fn json(&self) -> Value {
        let [success, http_failure, tcp_failure, timeout_failure] = self.lanes;
        let mut node = Map::new();
        node.insert("ip".into(), json!(self.ip));
        node.insert("port".into(), json!(self.port));
        node.insert("hostname".into(), json!(self.hostname));
        if let Some(line) = &self.hostheader {
            node.insert("hostheader".into(), json!(line));
        }
        node.insert("status".into(), json!(self.status));
        let counter = json!({
            "success": success, "http_failure": http_failure,
            "tcp_failure": tcp_failure, "timeout_failure": timeout_failure,
        });
        node.insert("counter".into(), counter);
        Value::Object(node)
    }
}

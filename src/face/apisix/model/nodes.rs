//! The nodes of an upstream and what is known of them while they serve.
//!
//! ```text
//!  {"127.0.0.1:80": 1} │ [{host, port, weight, priority}] ─▶ NodeSpec ─ resolved ─▶ Node
//!  Nodes: ranks by priority, highest first; peers carry the verdicts of the checks
//! ```

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

use bstr::BString;
use serde_json::Value;

use crate::net::addr::Addr;
use crate::upstream::{Ewma, Peer, PeerConf, Server};

/// A node as the document says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSpec {
    /// Without brackets.
    pub host: String,
    pub port: u16,
    pub weight: u32,
    pub priority: i64,
    /// The form the document has it in, for the Control API: as text, which takes less room.
    written: Box<str>,
}

impl NodeSpec {
    /// Reads both forms of `nodes`; a node without a port has the scheme's.
    pub fn list(nodes: &Value, usual_port: u16) -> Vec<Self> {
        match nodes {
            Value::Object(map) => {
                let node = |(name, weight): (&String, &Value)| {
                    let (host, port) = split(name, usual_port);
                    let weight = small(weight.as_f64());
                    let written = serde_json::json!({
                        "host": host, "port": port, "weight": weight, "priority": 0,
                    });
                    let written = written.to_string().into();
                    Self { host, port, weight, priority: 0, written }
                };
                map.iter().map(node).collect()
            }
            Value::Array(list) => {
                list.iter().filter_map(|node| Self::of(node, usual_port)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn of(node: &Value, usual_port: u16) -> Option<Self> {
        let host = node.get("host")?.as_str()?.trim_matches(['[', ']']).to_owned();
        let port = node.get("port").and_then(Value::as_f64).map(|port| port as u16);
        let priority = node.get("priority").and_then(Value::as_f64).unwrap_or(0.0) as i64;
        let weight = small(node.get("weight").and_then(Value::as_f64));
        let port = port.unwrap_or(usual_port);
        Some(Self { host, port, weight, priority, written: node.to_string().into() })
    }

    pub fn written(&self) -> Value {
        serde_json::from_str(&self.written).unwrap_or_default()
    }

    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The host as it stands in front of a port.
    pub fn host_text(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

/// A node that has an address.
pub struct Node {
    pub spec: NodeSpec,
    pub ip: IpAddr,
    pub peer: Arc<Peer>,
    /// Whom the checks' verdict is written to: nodes whose probes go to one place share it.
    verdict: Arc<Peer>,
    /// Requests on their way.
    pub active: AtomicU32,
    pub latency: Ewma,
}

impl Node {
    pub fn is_up(&self) -> bool {
        !self.verdict.is_down()
    }

    /// The address; that of IPv6 in brackets.
    pub fn ip_text(&self) -> String {
        if self.ip.is_ipv6() { format!("[{}]", self.ip) } else { self.ip.to_string() }
    }

    /// `127.0.0.1:1980`
    pub fn name(&self) -> &str {
        &self.peer.conf.name
    }
}

/// All nodes of an upstream, by priority.
#[derive(Default)]
pub struct Nodes {
    pub list: Vec<Node>,
    /// Places in the list, highest priority first.
    pub ranks: Vec<Rank>,
}

/// The nodes of one priority.
#[derive(Default)]
pub struct Rank {
    pub members: Vec<usize>,
    /// Whose turn it is, of each member: smooth weighted round robin.
    pub turns: Mutex<Vec<i64>>,
    /// Points of the consistent hash: place on the ring, member.
    pub ring: std::sync::OnceLock<Vec<(u32, usize)>>,
}

impl Nodes {
    /// Makes nodes ready; those of `old` that stay keep what is known of them. `probe_port` is
    /// the port that all are probed at, if not their own.
    pub fn build(
        specs: &[(NodeSpec, IpAddr)],
        old: Option<&Self>,
        probe_port: Option<u16>,
    ) -> Self {
        let mut list: Vec<Node> = Vec::new();
        let mut probed: HashMap<(IpAddr, u16), Arc<Peer>> = HashMap::new();
        let mut ranks: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (spec, ip) in specs {
            let addr = Addr::Inet((*ip, spec.port).into());
            let conf = PeerConf {
                name: addr.to_string(),
                server: BString::from(spec.host.as_str()),
                addr,
                weight: i64::from(spec.weight),
                max_fails: 0,
                fail_timeout_s: 10,
                max_conns: 0,
                slow_start_ms: 0,
                down: false,
                drain: false,
                route: None,
            };
            let same = |node: &&Node| {
                node.peer.conf.addr == conf.addr && node.peer.conf.server == conf.server
            };
            let known = old.and_then(|old| old.list.iter().find(same));
            let peer = match known {
                Some(known) => Peer::adopt(conf, &known.peer, true),
                None => Peer::new(conf),
            };
            let latency = known.map(|known| known.latency.clone()).unwrap_or_default();
            ranks.entry(-spec.priority).or_default().push(list.len());
            let peer = Arc::new(peer);
            let place = (*ip, probe_port.unwrap_or(spec.port));
            list.push(Node {
                spec: spec.clone(),
                ip: *ip,
                verdict: probed.entry(place).or_insert_with(|| peer.clone()).clone(),
                peer,
                active: AtomicU32::new(0),
                latency,
            });
        }
        let rank = |members: Vec<usize>| {
            let turns = Mutex::new(vec![0; members.len()]);
            Rank { members, turns, ..Rank::default() }
        };
        Self { list, ranks: ranks.into_values().map(rank).collect() }
    }

    /// The addresses a name has been found to have.
    pub fn addresses(&self, host: &str) -> Vec<IpAddr> {
        let named = self.list.iter().filter(|node| node.spec.host == host);
        let mut all: Vec<IpAddr> = named.map(|node| node.ip).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The servers of the group that carries requests to these nodes.
    pub fn servers(&self) -> Vec<Server> {
        let server = |node: &Node| {
            let conf = &node.peer.conf;
            Server {
                weight: conf.weight,
                max_fails: 0,
                ..Server::new(conf.server.clone(), vec![conf.addr.clone()])
            }
        };
        self.list.iter().map(server).collect()
    }
}

fn small(weight: Option<f64>) -> u32 {
    // Weights are checked to be integers from 0 on; a larger one than fits is as good as this.
    weight.unwrap_or(0.0).clamp(0.0, f64::from(WEIGHT_MOST)) as u32
}

/// Splits `host:port`, `[::1]:port`, or a host alone.
fn split(name: &str, usual_port: u16) -> (String, u16) {
    let (host, port) = match name.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().ok())
        }
        _ => (name, None),
    };
    (host.trim_matches(['[', ']']).to_owned(), port.unwrap_or(usual_port))
}

const WEIGHT_MOST: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_are_read() {
        let map = json!({ "127.0.0.1:1980": 1, "foo.com": 2, "[::1]:81": 0 });
        let shown: Vec<_> =
            NodeSpec::list(&map, 443).into_iter().map(|n| (n.host, n.port, n.weight)).collect();
        let expected = [("127.0.0.1".into(), 1980, 1), ("::1".into(), 81, 0)];
        assert_eq!(shown[..2], expected);
        assert_eq!(shown[2], ("foo.com".to_owned(), 443, 2));
        let list = json!([{ "host": "[::1]", "port": 1, "weight": 1, "priority": -1 }]);
        let node = &NodeSpec::list(&list, 80)[0];
        assert_eq!((&*node.host, node.port, node.priority), ("::1", 1, -1));
        assert_eq!(node.host_text(), "[::1]");
    }
}

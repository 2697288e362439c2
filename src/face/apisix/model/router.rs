//! Finds routes by path, and by host where many share a path.
//!
//! ```text
//!  uri ─▶ exact ─▶ else prefixes, longest first ─▶ among equals: highest priority that takes it
//!         hash     radix tree                      all, or those of the host when there are many
//! ```
//! What a request costs must not depend on how many routes there are.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use super::prefixes::{Prefixes, Tree};
use super::route::{HostRule, Route};

/// The router.
#[derive(Default)]
pub struct Router {
    exact: HashMap<Box<[u8]>, Rung>,
    prefixes: Prefixes<Rung>,
}

/// The routes of one path, highest priority first.
#[derive(Default)]
struct Rung {
    routes: Vec<Arc<Route>>,
    hosts: Option<Box<Hosts>>,
}

/// Places in a rung, by the hosts they ask for.
#[derive(Default)]
struct Hosts {
    exact: HashMap<Box<[u8]>, Vec<usize>>,
    /// `.foo.com` of `*.foo.com`
    suffixes: HashMap<Box<[u8]>, Vec<usize>>,
    others: Vec<usize>,
}

impl Router {
    pub fn build<'a>(routes: impl Iterator<Item = &'a Arc<Route>>) -> Self {
        let mut router = Self::default();
        let mut tree = Tree::<Rung>::default();
        for route in routes.filter(|route| route.enabled) {
            for uri in &route.uris {
                let rung = match uri.split_once('*') {
                    Some((prefix, _)) => tree.of(prefix.as_bytes()),
                    None => router.exact.entry(uri.as_bytes().into()).or_default(),
                };
                rung.routes.push(route.clone());
            }
        }
        router.exact.values_mut().for_each(Rung::order);
        router.prefixes = tree.freeze(Rung::order);
        router
    }

    /// The first route for this path that takes the request.
    pub fn find(
        &self,
        uri: &[u8],
        host: &[u8],
        takes: impl Fn(&Route) -> bool,
    ) -> Option<&Arc<Route>> {
        let exact = self.exact.get(uri).and_then(|rung| rung.find(host, &takes));
        exact.or_else(|| {
            let mut passed = self.prefixes.passed(uri).into_iter().rev();
            passed.find_map(|rung| rung.find(host, &takes))
        })
    }
}

impl Rung {
    fn order(&mut self) {
        self.routes.sort_by_key(|route| Reverse(route.priority));
        if self.routes.len() < MANY {
            return;
        }
        let mut hosts = Hosts::default();
        for (at, route) in self.routes.iter().enumerate() {
            hosts.add(at, route);
        }
        self.hosts = Some(Box::new(hosts));
    }

    fn find(&self, host: &[u8], takes: &impl Fn(&Route) -> bool) -> Option<&Arc<Route>> {
        let at = match &self.hosts {
            None => self.routes.iter().position(|route| takes(route))?,
            Some(hosts) => hosts.find(host, |at| takes(&self.routes[at]))?,
        };
        self.routes.get(at)
    }
}

impl Hosts {
    fn add(&mut self, at: usize, route: &Route) {
        // Without hosts of its own a route may have those of its service.
        if route.hosts.is_empty() {
            self.others.push(at);
        }
        for rule in &route.hosts {
            let list = match rule {
                HostRule::Exact(name) => self.exact.entry(name.as_bytes().into()).or_default(),
                HostRule::Suffix(name) if name.starts_with('.') => {
                    self.suffixes.entry(name.as_bytes().into()).or_default()
                }
                HostRule::Suffix(_) => &mut self.others,
            };
            if list.last() != Some(&at) {
                list.push(at);
            }
        }
    }

    /// The first place, of all that may fit the host, that is taken.
    fn find(&self, host: &[u8], takes: impl Fn(usize) -> bool) -> Option<usize> {
        let mut lists: Vec<&[usize]> = vec![&self.others];
        lists.extend(self.exact.get(host).map(Vec::as_slice));
        let dots = host.iter().enumerate().filter(|(_, byte)| **byte == b'.');
        lists.extend(dots.filter_map(|(at, _)| self.suffixes.get(&host[at..])).map(Vec::as_slice));
        loop {
            let first = |list: &&mut &[usize]| list.first().copied().unwrap_or(usize::MAX);
            let list = lists.iter_mut().min_by_key(first)?;
            let (at, rest) = list.split_first()?;
            *list = rest;
            if takes(*at) {
                return Some(*at);
            }
        }
    }
}

/// From so many routes of one path on, their hosts are looked up.
const MANY: usize = 8;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Item;
    use super::*;
    use crate::face::apisix::names::Collection;

    fn route(id: usize, document: Value) -> Arc<Route> {
        let mut value = document;
        value["upstream"] = json!({ "nodes": { "127.0.0.1:1": 1 } });
        let (id, key) = (id.to_string().into(), format!("/apisix/routes/{id}").into());
        let collection = Collection::Routes;
        let text = value.to_string().into();
        let item = Item { collection, id, key, text, created: 1, modified: 1 };
        Arc::new(Route::build(item, None).unwrap())
    }

    fn id<'a>(router: &'a Router, uri: &str, host: &str) -> Option<&'a str> {
        let host = host.as_bytes();
        let takes =
            |route: &Route| route.hosts.is_empty() || route.hosts.iter().any(|h| h.takes(host));
        router.find(uri.as_bytes(), host, takes).map(|route| &*route.item.id)
    }

    #[test]
    fn exact_then_the_longest_prefix_then_priority() {
        let documents = [
            json!({ "uri": "/*" }),
            json!({ "uri": "/foo/*" }),
            json!({ "uri": "/foo/bar*" }),
            json!({ "uri": "/foo/bar" }),
            json!({ "uri": "/fo*" }),
            json!({ "uris": ["/foo/*", "/x"], "priority": 5, "host": "a.com" }),
        ];
        let routes: Vec<_> = documents.into_iter().enumerate().map(|(i, d)| route(i, d)).collect();
        let router = Router::build(routes.iter());
        let cases = [
            ("/", "", "0"),
            ("/foo/bar", "", "3"),
            ("/foo/barn", "", "2"),
            ("/foo/baz", "", "1"),
            ("/foo/baz", "a.com", "5"),
            ("/x", "a.com", "5"),
            ("/x", "b.com", "0"),
            ("/foo", "", "4"),
            ("/f", "", "0"),
        ];
        for (uri, host, wanted) in cases {
            assert_eq!(id(&router, uri, host), Some(wanted), "{uri} {host}");
        }
        assert_eq!(id(&router, "", ""), None);
    }

    #[test]
    fn many_of_one_path_are_told_apart_by_host() {
        let mut routes: Vec<_> = (0..20)
            .map(|i| route(i, json!({ "uri": "/*", "host": format!("h{i}.com") })))
            .collect();
        routes.push(route(20, json!({ "uri": "/*", "host": "*.h3.com" })));
        routes.push(route(21, json!({ "uri": "/*", "host": "*3.com", "priority": -1 })));
        routes.push(route(22, json!({ "uri": "/*", "priority": -2 })));
        routes.push(route(23, json!({ "uri": "/*", "host": "x.h3.com", "priority": 1 })));
        let router = Router::build(routes.iter());
        let cases = [
            ("h7.com", "7"),
            ("a.h3.com", "20"),
            ("x.h3.com", "23"),
            ("z3.com", "21"),
            ("q", "22"),
        ];
        for (host, wanted) in cases {
            assert_eq!(id(&router, "/any", host), Some(wanted), "{host}");
        }
    }
}

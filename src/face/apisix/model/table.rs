//! Everything at one moment, and the router over the routes.
//!
//! ```text
//!  uri ─▶ exact ─▶ else prefixes, longest first ─▶ among equals: highest priority that takes it
//! ```

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Item;
use super::route::{Route, Service, checked};
use super::upstream::Upstream;
use crate::base::log::{Level, emit};
use crate::face::apisix::names::Collection;

/// All routes, services and upstreams; replaced as a whole.
#[derive(Clone, Default)]
pub struct Table {
    pub routes: BTreeMap<Arc<str>, Arc<Route>>,
    pub services: BTreeMap<Arc<str>, Arc<Service>>,
    pub upstreams: BTreeMap<Arc<str>, (Item, Arc<Upstream>)>,
    pub router: Arc<Router>,
}

impl Table {
    /// Takes in a document; one that is wrong is logged, and what was there before stays.
    pub fn put(&mut self, item: Item) {
        let (key, id) = (item.key.clone(), item.id.clone());
        if let Err(why) = self.try_put(item) {
            emit(Level::Error, format_args!("failed to check item data of [{key}] err: {why}"));
            // An id that is new and wrong is as good as absent.
            let _ = id;
        }
    }

    fn try_put(&mut self, item: Item) -> Result<(), String> {
        let id = item.id.clone();
        match item.collection {
            Collection::Routes => {
                let route = Route::build(item, self.routes.get(&id))?;
                self.routes.insert(id, Arc::new(route));
            }
            Collection::Services => {
                let service = Service::build(item, self.services.get(&id))?;
                self.services.insert(id, Arc::new(service));
            }
            Collection::Upstreams => {
                let old = self.upstreams.get(&id).map(|(_, upstream)| upstream);
                let upstream = Upstream::build(&item.key, &checked(&item)?, old)?;
                self.upstreams.insert(id, (item, Arc::new(upstream)));
            }
        }
        Ok(())
    }

    pub fn remove(&mut self, collection: Collection, id: &str) {
        match collection {
            Collection::Routes => drop(self.routes.remove(id)),
            Collection::Services => drop(self.services.remove(id)),
            Collection::Upstreams => drop(self.upstreams.remove(id)),
        }
    }

    /// Makes the router fit the routes.
    pub fn index(&mut self) {
        self.router = Arc::new(Router::build(self.routes.values()));
    }

    /// The items of a collection, in the order of their ids.
    pub fn items(&self, collection: Collection) -> Vec<&Item> {
        match collection {
            Collection::Routes => self.routes.values().map(|route| &route.item).collect(),
            Collection::Services => self.services.values().map(|service| &service.item).collect(),
            Collection::Upstreams => self.upstreams.values().map(|(item, _)| item).collect(),
        }
    }

    pub fn item(&self, collection: Collection, id: &str) -> Option<&Item> {
        match collection {
            Collection::Routes => self.routes.get(id).map(|route| &route.item),
            Collection::Services => self.services.get(id).map(|service| &service.item),
            Collection::Upstreams => self.upstreams.get(id).map(|(item, _)| item),
        }
    }

    /// The upstream object inside a document.
    pub fn upstream_in(&self, collection: Collection, id: &str) -> Option<&Arc<Upstream>> {
        match collection {
            Collection::Routes => self.routes.get(id)?.upstream.as_ref(),
            Collection::Services => self.services.get(id)?.upstream.as_ref(),
            Collection::Upstreams => self.upstreams.get(id).map(|(_, upstream)| upstream),
        }
    }

    /// The service a route names.
    pub fn service_of(&self, route: &Route) -> Option<&Arc<Service>> {
        self.services.get(route.service_id.as_ref()?)
    }

    /// The upstream requests of a route go to.
    pub fn upstream_of<'a>(&'a self, route: &'a Route) -> Option<&'a Arc<Upstream>> {
        let by_id = |id: &Option<Arc<str>>| {
            id.as_ref().and_then(|id| self.upstreams.get(id)).map(|(_, upstream)| upstream)
        };
        let service = self.service_of(route);
        route
            .upstream
            .as_ref()
            .or_else(|| by_id(&route.upstream_id))
            .or_else(|| service?.upstream.as_ref())
            .or_else(|| by_id(&service?.upstream_id))
    }

    /// Somebody who names this service or upstream.
    pub fn user_of(&self, collection: Collection, id: &str) -> Option<(Collection, Arc<str>)> {
        let is = |have: &Option<Arc<str>>| have.as_deref() == Some(id);
        let route = |route: &&Arc<Route>| match collection {
            Collection::Routes => false,
            Collection::Services => is(&route.service_id),
            Collection::Upstreams => is(&route.upstream_id),
        };
        if let Some(route) = self.routes.values().find(route) {
            return Some((Collection::Routes, route.item.id.clone()));
        }
        let service = |service: &&Arc<Service>| {
            collection == Collection::Upstreams && is(&service.upstream_id)
        };
        let service = self.services.values().find(service)?;
        Some((Collection::Services, service.item.id.clone()))
    }
}

/// Finds routes by path.
#[derive(Default)]
pub struct Router {
    exact: HashMap<Box<[u8]>, Vec<Arc<Route>>>,
    prefixes: HashMap<Box<[u8]>, Vec<Arc<Route>>>,
    /// Of the prefixes, longest first.
    lengths: Vec<usize>,
}

impl Router {
    pub fn build<'a>(routes: impl Iterator<Item = &'a Arc<Route>>) -> Self {
        let mut router = Self::default();
        for route in routes.filter(|route| route.enabled) {
            for uri in &route.uris {
                let (map, path) = match uri.split_once('*') {
                    Some((prefix, _)) => (&mut router.prefixes, prefix),
                    None => (&mut router.exact, uri.as_str()),
                };
                map.entry(path.as_bytes().into()).or_default().push(route.clone());
            }
        }
        for list in router.exact.values_mut().chain(router.prefixes.values_mut()) {
            list.sort_by_key(|route| Reverse(route.priority));
        }
        router.lengths = router.prefixes.keys().map(|prefix| prefix.len()).collect();
        router.lengths.sort_unstable_by_key(|length| Reverse(*length));
        router.lengths.dedup();
        router
    }

    /// The first route for this path that takes the request.
    pub fn find(&self, uri: &[u8], takes: impl Fn(&Route) -> bool) -> Option<&Arc<Route>> {
        let first = |list: &'_ Vec<Arc<Route>>| list.iter().position(|route| takes(route));
        if let Some(list) = self.exact.get(uri)
            && let Some(at) = first(list)
        {
            return list.get(at);
        }
        for length in &self.lengths {
            if let Some(list) = uri.get(..*length).and_then(|head| self.prefixes.get(head))
                && let Some(at) = first(list)
            {
                return list.get(at);
            }
        }
        None
    }
}

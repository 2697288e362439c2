//! Everything at one moment, and the router over the routes.
//!
//! ```text
//!  Item ─ put ─▶ routes, services, upstreams ─ index ─▶ Router
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Item;
use super::limit::Limit;
use super::route::{Route, Service, checked};
use super::router::Router;
use super::upstream::Upstream;
use crate::base::log::{Level, emit};
use crate::face::apisix::names::Collection;

/// All routes, services and upstreams; replaced as a whole.
#[derive(Clone, Default)]
pub struct Table {
    pub routes: BTreeMap<Arc<str>, Arc<Route>>,
    pub services: BTreeMap<Arc<str>, Arc<Service>>,
    pub upstreams: BTreeMap<Arc<str>, Arc<Shared>>,
    pub router: Arc<Router>,
    /// The router is of routes that are no more.
    routes_changed: bool,
}

/// An upstream that is a document of its own.
pub struct Shared {
    item: Item,
    upstream: Arc<Upstream>,
}

impl Table {
    /// Takes in a document; one that is wrong is logged, and what was there before stays.
    pub fn put(&mut self, item: Item) -> bool {
        let key = item.key.clone();
        let put = self.try_put(item);
        if let Err(why) = &put {
            emit(Level::Error, format_args!("failed to check item data of [{key}] err: {why}"));
        }
        put.is_ok()
    }

    fn try_put(&mut self, item: Item) -> Result<(), String> {
        let id = item.id.clone();
        match item.collection {
            Collection::Routes => {
                let route = Route::build(item, self.routes.get(&id))?;
                self.routes.insert(id, Arc::new(route));
                self.routes_changed = true;
            }
            Collection::Services => {
                let service = Service::build(item, self.services.get(&id))?;
                self.services.insert(id, Arc::new(service));
            }
            Collection::Upstreams => {
                let old = self.upstreams.get(&id).map(|shared| &shared.upstream);
                let upstream = Upstream::build(&item.key, &checked(&item)?, old)?;
                let shared = Shared { item, upstream: Arc::new(upstream) };
                self.upstreams.insert(id, Arc::new(shared));
            }
        }
        Ok(())
    }

    pub fn remove(&mut self, collection: Collection, id: &str) {
        match collection {
            Collection::Routes => self.routes_changed |= self.routes.remove(id).is_some(),
            Collection::Services => drop(self.services.remove(id)),
            Collection::Upstreams => drop(self.upstreams.remove(id)),
        }
    }

    /// Makes the router fit the routes.
    pub fn index(&mut self) {
        if std::mem::take(&mut self.routes_changed) {
            self.router = Arc::new(Router::build(self.routes.values()));
        }
    }

    /// The items of a collection, in the order of their ids.
    pub fn items(&self, collection: Collection) -> Vec<&Item> {
        match collection {
            Collection::Routes => self.routes.values().map(|route| &route.item).collect(),
            Collection::Services => self.services.values().map(|service| &service.item).collect(),
            Collection::Upstreams => self.upstreams.values().map(|shared| &shared.item).collect(),
        }
    }

    pub fn item(&self, collection: Collection, id: &str) -> Option<&Item> {
        match collection {
            Collection::Routes => self.routes.get(id).map(|route| &route.item),
            Collection::Services => self.services.get(id).map(|service| &service.item),
            Collection::Upstreams => self.upstreams.get(id).map(|shared| &shared.item),
        }
    }

    /// The limits of a collection's documents.
    pub fn limits(&self, collection: Collection) -> Vec<(&Item, &Limit)> {
        fn of<'a>(item: &'a Item, limit: &'a Option<Arc<Limit>>) -> Option<(&'a Item, &'a Limit)> {
            limit.as_deref().map(|limit| (item, limit))
        }
        match collection {
            Collection::Routes => {
                self.routes.values().filter_map(|route| of(&route.item, &route.limit)).collect()
            }
            Collection::Services => {
                self.services.values().filter_map(|s| of(&s.item, &s.limit)).collect()
            }
            Collection::Upstreams => Vec::new(),
        }
    }

    /// The upstream object inside a document.
    pub fn upstream_in(&self, collection: Collection, id: &str) -> Option<&Arc<Upstream>> {
        match collection {
            Collection::Routes => self.routes.get(id)?.upstream.as_ref(),
            Collection::Services => self.services.get(id)?.upstream.as_ref(),
            Collection::Upstreams => self.upstreams.get(id).map(|shared| &shared.upstream),
        }
    }

    /// The service a route names.
    pub fn service_of(&self, route: &Route) -> Option<&Arc<Service>> {
        self.services.get(route.service_id.as_ref()?)
    }

    /// The upstream requests of a route go to.
    pub fn upstream_of<'a>(&'a self, route: &'a Route) -> Option<&'a Arc<Upstream>> {
        let by_id = |id: &Option<Arc<str>>| {
            id.as_ref().and_then(|id| self.upstreams.get(id)).map(|shared| &shared.upstream)
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

//! The entities of the store as they are now, found by id and by name.
//!
//! ```text
//!  /kong/upstreams/ID, /kong/targets/ID, /kong/services/ID, /kong/routes/ID   the entity, JSON
//!  /kong/names/upstreams/NAME = ID                                      keeps names unique
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::store::{Entry, Range};

/// The collections of the Admin API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sort {
    Upstreams,
    Targets,
    Services,
    Routes,
}

impl Sort {
    pub const ALL: [Self; 4] = [Self::Upstreams, Self::Targets, Self::Services, Self::Routes];

    /// The word in paths and keys.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Upstreams => "upstreams",
            Self::Targets => "targets",
            Self::Services => "services",
            Self::Routes => "routes",
        }
    }

    pub fn singular(self) -> &'static str {
        match self {
            Self::Upstreams => "upstream",
            Self::Targets => "target",
            Self::Services => "service",
            Self::Routes => "route",
        }
    }

    pub fn key(self, id: &str) -> String {
        format!("{ROOT}{}/{id}", self.plural())
    }

    pub fn name_key(self, name: &str) -> String {
        format!("{ROOT}names/{}/{name}", self.plural())
    }
}

/// One entity.
#[derive(Clone, Debug)]
pub struct Entity {
    pub id: String,
    /// The store's revision of it.
    pub modified: u64,
    pub value: Map<String, Value>,
}

impl Entity {
    pub fn name(&self) -> Option<&str> {
        self.text("name")
    }

    pub fn text(&self, field: &str) -> Option<&str> {
        self.value.get(field)?.as_str()
    }

    /// The id of the entity a field mentions.
    pub fn refers(&self, field: &str) -> Option<&str> {
        self.value.get(field)?.get("id")?.as_str()
    }
}

/// All entities at one revision.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    pub revision: u64,
    lists: [BTreeMap<String, Arc<Entity>>; 4],
    names: [HashMap<String, String>; 4],
}

impl Catalog {
    /// What a range of the store says; entities that did not change are taken over.
    pub fn read(range: &Range, old: &Self) -> Self {
        let mut catalog = Self { revision: range.revision, ..Self::default() };
        for entry in &range.entries {
            let Some((sort, id)) = place(&entry.key) else { continue };
            let known = old.lists[sort as usize].get(id);
            let same = known.filter(|entity| entity.modified == entry.modified).cloned();
            let Some(entity) = same.or_else(|| parse(id, entry).map(Arc::new)) else { continue };
            if let Some(name) = entity.name() {
                catalog.names[sort as usize].insert(name.to_string(), id.to_string());
            }
            catalog.lists[sort as usize].insert(id.to_string(), entity);
        }
        catalog
    }

    /// All of one collection, in the order of their ids.
    pub fn all(&self, sort: Sort) -> impl Iterator<Item = &Arc<Entity>> {
        self.lists[sort as usize].values()
    }

    /// An entity by its id or its name.
    pub fn find(&self, sort: Sort, key: &str) -> Option<&Arc<Entity>> {
        let list = &self.lists[sort as usize];
        list.get(key).or_else(|| list.get(self.names[sort as usize].get(key)?))
    }

    /// Those that mention this entity in `field`.
    pub fn of<'a, 'b>(
        &'a self,
        sort: Sort,
        field: &'b str,
        id: &'b str,
    ) -> impl Iterator<Item = &'a Arc<Entity>> + use<'a, 'b> {
        self.all(sort).filter(move |entity| entity.refers(field) == Some(id))
    }

    /// A target of an upstream by its id or by `host:port`.
    pub fn target(&self, upstream: &str, key: &str) -> Option<&Arc<Entity>> {
        let mut of = self.of(Sort::Targets, "upstream", upstream);
        of.find(|target| target.id == key || target.text("target") == Some(key))
    }
}

/// Everything of Kong's stands below this key.
pub const ROOT: &str = "/kong/";

fn place(key: &str) -> Option<(Sort, &str)> {
    let (plural, id) = key.strip_prefix(ROOT)?.split_once('/')?;
    let sort = Sort::ALL.into_iter().find(|sort| sort.plural() == plural)?;
    Some((sort, id))
}

fn parse(id: &str, entry: &Entry) -> Option<Entity> {
    let value = serde_json::from_slice(&entry.value).ok()?;
    Some(Entity { id: id.to_string(), modified: entry.modified, value })
}

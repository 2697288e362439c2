//! The collections of the Admin API and their words.
//!
//! ```text
//!  /apisix/admin/routes/1     collection "routes", kind "route", key /apisix/routes/1
//! ```

use super::schema::Kind;

/// A collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Collection {
    Routes,
    Services,
    Upstreams,
}

impl Collection {
    /// In the order the Control API lists them.
    pub const ALL: [Self; 3] = [Self::Routes, Self::Services, Self::Upstreams];

    pub fn of(plural: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.plural() == plural)
    }

    pub fn of_kind(singular: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.singular() == singular)
    }

    pub fn plural(self) -> &'static str {
        match self {
            Self::Routes => "routes",
            Self::Services => "services",
            Self::Upstreams => "upstreams",
        }
    }

    pub fn singular(self) -> &'static str {
        match self {
            Self::Routes => "route",
            Self::Services => "service",
            Self::Upstreams => "upstream",
        }
    }

    pub fn schema(self) -> Kind {
        match self {
            Self::Routes => Kind::Route,
            Self::Services => Kind::Service,
            Self::Upstreams => Kind::Upstream,
        }
    }

    /// `/apisix/routes/1`
    pub fn key(self, id: &str) -> String {
        format!("{PREFIX}{}/{id}", self.plural())
    }

    /// The collection and the id of a key below `prefix`.
    pub fn split<'a>(prefix: &str, key: &'a str) -> Option<(Self, &'a str)> {
        let (plural, id) = key.strip_prefix(prefix)?.split_once('/')?;
        Some((Self::of(plural)?, id)).filter(|(_, id)| !id.is_empty())
    }
}

/// Where everything of APISIX's stands in the store.
pub const PREFIX: &str = "/apisix/";
/// What the `Server` line of answers says.
pub const SERVER: &str = "APISIX/3.18.0";

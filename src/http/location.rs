//! Servers and locations as they are after loading: merged, compiled, immutable.

use std::{collections::HashMap, sync::Arc};

use bstr::BString;
use bytes::Bytes;

use crate::{
    base::{log, regex::Regex},
    conf::{Place, Scope},
    server::{
        names::{self, Named, ServerName},
        tls::ServerSide,
    },
};

use super::{
    core::CoreLoc,
    output::FilterSet,
    phase::{Chain, Handler},
    prefixes::Prefixes,
    template::Template,
};

/// One `location`, `if` or `limit_except` block, or the level of a server above its locations.
pub struct Location {
    pub name: BString,
    pub kind: LocationKind,
    pub scope: Scope,
    /// Read several times in every request, so it stands apart from the other features' settings.
    pub(super) core: CoreLoc,
    pub chain: Chain,
    pub filters: FilterSet,
    pub content_handler: Option<&'static dyn Handler>,
    /// The log of this block or one around it; nothing is that of the main level, which is
    /// known only when the whole configuration is.
    pub log: Option<Arc<log::Chain>>,
    pub children: LocationTree,
    /// `if` blocks inside, addressed by the rewrite program.
    pub conditional: Vec<Arc<Location>>,
    /// `limit_except`: methods allowed by the location itself, and the block for the others.
    pub limit_except: Option<(u32, Arc<Location>)>,
}

/// How a location matches.
#[derive(Debug)]
pub enum LocationKind {
    /// The server level, or a block without a pattern.
    Nameless,
    Exact,
    Prefix,
    /// `^~`
    PrefixNoRegex,
    Regex(Regex),
    Named,
}

/// The locations of one level in the order nginx asks them.
#[derive(Default)]
pub struct LocationTree {
    pub exact: HashMap<BString, Arc<Location>>,
    pub prefixes: Prefixes,
    /// In the order of the file.
    pub regexes: Vec<Arc<Location>>,
    /// Some location `/dir/` answers `/dir` with a redirect.
    pub adds_slash: bool,
}

/// One `server` block.
pub struct Server {
    /// Where the block stands, for complaints about the whole of it.
    pub place: Place,
    /// The server level as a location: what is in force before a location is found.
    pub root: Arc<Location>,
    pub names: Vec<ServerName>,
    pub named: HashMap<Bytes, Arc<Location>>,
    pub client_header_timeout_ms: u64,
    pub client_header_buffer_size: usize,
    pub large_client_header_buffers: (usize, usize),
    pub ignore_invalid_headers: bool,
    pub underscores_in_headers: bool,
    pub max_headers: usize,
    pub merge_slashes: bool,
    pub tls: ServerSide,
}

/// One code of an `error_page`.
#[derive(Clone, Debug)]
pub struct ErrorPage {
    pub code: u16,
    /// `=200` gives that; `=` alone gives 0: whatever the page itself says.
    pub overwrite: Option<u16>,
    pub uri: Template,
}

impl Location {
    /// Where messages about requests in this block go.
    pub fn log(&self) -> Arc<log::Chain> {
        self.log.clone().unwrap_or_else(log::main_chain)
    }

    pub fn core(&self) -> &CoreLoc {
        &self.core
    }
}

impl LocationTree {
    /// The locations of this level.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Location>> {
        self.exact.values().chain(self.prefixes.iter()).chain(&self.regexes)
    }

    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty() && self.regexes.is_empty()
    }

    /// The longest prefix location of this level that `uri` begins with.
    pub fn longest_prefix(&self, uri: &[u8]) -> Option<&Arc<Location>> {
        self.prefixes.longest(uri)
    }
}

impl Named for Server {
    fn names(&self) -> &[ServerName] {
        &self.names
    }
}

impl Server {
    /// `$server_name`: the first name as written.
    pub fn name_text(&self) -> Bytes {
        names::first(&self.names)
    }
}

//! From the drafts of an `http` block to the immutable configuration requests run on.
//!
//! ```text
//!  http { server { location … } }  ─ rows ─▶ drafts (Scope each) ─ inherit ─▶ HttpConf
//! ```

use std::{cell::RefCell, collections::HashMap, path::PathBuf, sync::Arc};

use bstr::BString;
use bytes::Bytes;

use crate::{
    conf::{Builder, Diag, Dirs, Part, Place, Scope},
    net::listen::ListenSpec,
    process::errorlog::ErrorLog,
    server::{
        listen::{self, Listen, Listens},
        names::ServerNames,
        tls,
    },
};

use super::{
    core::CoreLoc,
    h2::conf::Http2,
    location::{Location, LocationKind, LocationTree, Server},
    modules::charset,
    output::{Filter, Filters},
    phase::{Handler, Handlers, Registered},
    prefixes::Prefixes,
    proxy,
    server_conf::ServerCore,
    tls::HandshakeHook,
    vars::{VarRow, VarTable},
};

/// What requests of one loaded configuration share.
pub struct HttpConf {
    pub vars: VarTable,
    pub handlers: Handlers,
    pub filters: Filters,
    /// The `http` level itself, after its own defaults.
    pub scope: Scope,
    pub servers: Vec<Arc<Server>>,
    pub addresses: Vec<Listening>,
    /// Where relative paths start (`-p`).
    pub prefix: PathBuf,
}

/// A `listen` address and who answers there.
pub type Listening = listen::Listening<Server>;

impl Listening {
    /// Whether any connection here may turn out to be HTTP/2.
    pub fn may_speak_h2(&self) -> bool {
        // In TLS a server chosen by name may do so though the default one does not.
        self.ssl || self.speaks_h2(&self.servers.default)
    }

    /// Whether a connection whose client asked for that server may speak HTTP/2.
    pub fn speaks_h2(&self, server: &Server) -> bool {
        self.http2 || server.root.scope.part::<Http2>().enabled == Some(true)
    }
}

/// What features bring into the `http` block; filled by `app` before the configuration is read.
#[derive(Default)]
pub struct Features {
    pub handlers: &'static [&'static [Registered]],
    pub filters: &'static [&'static dyn Filter],
    pub vars: &'static [&'static [VarRow]],
    /// Run at the end of the `http` block, with its scope.
    pub finishers: &'static [Finish],
}

/// A feature's last word about an `http` block.
pub type Finish = fn(&mut Builder<'_>, &mut Scope) -> Result<(), Diag>;

/// The result, in the main scope.
#[derive(Default)]
pub struct HttpRoot(pub Option<Arc<HttpConf>>);

/// The content handler a directive of this block chose.
#[derive(Default)]
pub struct Content(pub Option<&'static dyn Handler>);

/// `server` blocks met so far; in the `http` scope.
#[derive(Default)]
pub struct ServerDrafts(pub Vec<ServerDraft>);

pub struct ServerDraft {
    pub scope: Scope,
    pub place: Place,
}

/// `location`, `if` and `limit_except` blocks met so far; in the scope of their parent.
#[derive(Default)]
pub struct LocationDrafts {
    pub locations: Vec<LocationDraft>,
    pub conditional: Vec<LocationDraft>,
    pub limit_except: Option<(u32, LocationDraft)>,
}

pub struct LocationDraft {
    pub name: BString,
    pub kind: LocationKind,
    pub scope: Scope,
}

macro_rules! not_inherited {
    ($($kind:ty),+) => {
        $(impl Part for $kind {
            fn inherit(&mut self, _parent: &Self) {}
        })+
    };
}
not_inherited!(Features, HttpRoot, Content, ServerDrafts, LocationDrafts);

/// Compiles the finished `http` scope; called by the `http` row.
pub fn build(b: &mut Builder<'_>, mut scope: Scope) -> Result<(), Diag> {
    let features = b.main::<Features>();
    let handlers = Handlers::new(features.handlers);
    let filters = Filters::new(features.filters);
    let defaults = Scope::new();
    let drafts = std::mem::take(&mut scope.part_mut::<ServerDrafts>().0);
    scope.inherit(&defaults);
    let complaints = RefCell::default();
    let dirs = b.dirs().clone();
    let compiler =
        Compiler { handlers: &handlers, filters: &filters, dirs: &dirs, complaints: &complaints };
    let mut servers = Vec::new();
    for draft in drafts {
        match compiler.server(draft, &scope) {
            Ok(server) => servers.push(server),
            Err(diag) => b.report(diag),
        }
    }
    complaints.take().into_iter().for_each(|diag| b.report(diag));
    if let Some(diag) = servers.iter().find_map(|(server, _)| missing_map(&scope, &server.root)) {
        b.report(diag);
    }
    let addresses = listen::group(b, &servers);
    addresses.iter().for_each(|listening| check_certificate(b, listening));
    let vars = std::mem::take(b.main::<VarTable>());
    let servers = servers.into_iter().map(|(server, _)| server).collect();
    let prefix = b.dirs().prefix.clone();
    let conf = HttpConf { vars, handlers, filters, scope, servers, addresses, prefix };
    b.main::<HttpRoot>().0 = Some(Arc::new(conf));
    Ok(())
}

/// The first location that would convert between character sets without a table for it.
fn missing_map(http: &Scope, location: &Location) -> Option<Diag> {
    let inner = location.children.iter().chain(&location.conditional);
    let own = charset::missing_map(http, &location.scope);
    own.or_else(|| inner.into_iter().find_map(|inner| missing_map(http, inner)))
}

struct Compiler<'a> {
    handlers: &'a Handlers,
    filters: &'a Filters,
    dirs: &'a Dirs,
    /// What is wrong with the locations.
    complaints: &'a RefCell<Vec<Diag>>,
}

impl Compiler<'_> {
    fn server(
        &self,
        mut draft: ServerDraft,
        http: &Scope,
    ) -> Result<(Arc<Server>, Vec<Listen>), Diag> {
        draft.scope.inherit(http);
        let tls = tls::load(&draft.scope, &["http/1.1", "http/1.0"])?;
        let core = std::mem::take(draft.scope.part_mut::<ServerCore>());
        let listens = std::mem::take(&mut draft.scope.part_mut::<Listens>().0);
        let names = std::mem::take(&mut draft.scope.part_mut::<ServerNames>().0);
        let inner = std::mem::take(draft.scope.part_mut::<LocationDrafts>());
        let root = LocationDraft {
            name: BString::default(),
            kind: LocationKind::Nameless,
            scope: draft.scope,
        };
        let mut named = HashMap::new();
        let root = self.location(root, inner, &mut named);
        let server = Server {
            place: draft.place,
            root,
            names,
            named,
            client_header_timeout_ms: core.client_header_timeout_ms.unwrap_or(60_000),
            client_header_buffer_size: core.client_header_buffer_size.unwrap_or(1024),
            large_client_header_buffers: core
                .large_client_header_buffers
                .map_or((4, 8192), |(count, size)| (count as usize, size)),
            ignore_invalid_headers: core.ignore_invalid_headers.unwrap_or(true),
            underscores_in_headers: core.underscores_in_headers.unwrap_or(false),
            max_headers: core.max_headers.unwrap_or(1000) as usize,
            merge_slashes: core.merge_slashes.unwrap_or(true),
            tls,
        };
        Ok((Arc::new(server), listens))
    }

    /// Merges and compiles a location whose own scope is complete.
    fn location(
        &self,
        draft: LocationDraft,
        inner: LocationDrafts,
        named: &mut HashMap<Bytes, Arc<Location>>,
    ) -> Arc<Location> {
        let mut child = |drafts: LocationDraft| self.child(drafts, &draft.scope, named);
        let conditional = inner.conditional.into_iter().map(&mut child).collect();
        let limit_except = inner.limit_except.map(|(methods, mut except)| {
            // The target of a proxy_pass is in force there too.
            let around = draft.scope.part::<Content>().0.filter(|handler| handler.adds_slash());
            let own = &mut except.scope.part_mut::<Content>().0;
            *own = own.or(around);
            (methods, child(except))
        });
        let mut children = LocationTree::default();
        let mut prefixes = Vec::new();
        for location in inner.locations {
            let location = child(location);
            children.adds_slash |= location.name.ends_with(b"/")
                && location.content_handler.is_some_and(|handler| handler.adds_slash());
            match location.kind {
                LocationKind::Exact => _ = children.exact.insert(location.name.clone(), location),
                LocationKind::Regex(_) => children.regexes.push(location),
                LocationKind::Prefix | LocationKind::PrefixNoRegex => {
                    prefixes.push(location);
                }
                LocationKind::Named | LocationKind::Nameless => {}
            }
        }
        children.prefixes = Prefixes::new(prefixes);
        let is_named = matches!(draft.kind, LocationKind::Named);
        let chain = self.handlers.chain(&draft.scope);
        let filters = self.filters.select(&draft.scope);
        let mut scope = draft.scope;
        let location = Arc::new(Location {
            chain,
            filters,
            core: std::mem::take(scope.part_mut::<CoreLoc>()),
            content_handler: scope.part::<Content>().0,
            log: scope.part::<ErrorLog>().own_chain().cloned(),
            name: draft.name,
            kind: draft.kind,
            scope,
            children,
            conditional,
            limit_except,
        });
        if is_named {
            named.insert(Bytes::copy_from_slice(&location.name), location.clone());
        }
        location
    }

    fn child(
        &self,
        mut draft: LocationDraft,
        parent: &Scope,
        named: &mut HashMap<Bytes, Arc<Location>>,
    ) -> Arc<Location> {
        draft.scope.inherit(parent);
        if let Err(diag) = proxy::secure::settle(&mut draft.scope, self.dirs) {
            self.complaints.borrow_mut().push(diag);
        }
        let inner = std::mem::take(draft.scope.part_mut::<LocationDrafts>());
        self.location(draft, inner, named)
    }
}

/// Where TLS is spoken somebody must have a certificate, or refuse.
fn check_certificate(b: &mut Builder<'_>, listening: &Listening) {
    let server = &listening.servers.default;
    let hooked = server.root.scope.part::<HandshakeHook>().0.is_some();
    if listening.ssl && server.tls.tls.is_none() && !server.tls.rejects && !hooked {
        let text = "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive";
        b.report(Diag::emerg(text).at(server.place));
    }
}

impl HttpConf {
    /// Calls `see` with every location and its server.
    pub fn each_location(&self, see: &mut dyn FnMut(&Server, &Location)) {
        fn all(server: &Server, location: &Location, see: &mut dyn FnMut(&Server, &Location)) {
            see(server, location);
            location.children.iter().for_each(|child| all(server, child, see));
        }
        for server in &self.servers {
            all(server, &server.root, see);
            server.named.values().for_each(|location| all(server, location, see));
        }
    }

    /// Sockets to bind.
    pub fn sockets(&self) -> Vec<ListenSpec> {
        listen::sockets(&self.addresses)
    }
}

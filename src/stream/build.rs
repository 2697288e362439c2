//! From the drafts of a `stream` block to the immutable configuration sessions run on.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::log::{self, Chain};
use crate::conf::{Builder, Diag, Part, Place, Scope};
use crate::net::listen::ListenSpec;
use crate::process::errorlog::ErrorLog;
use crate::server::listen::{self, Listens};
use crate::server::names::{self, Named, ServerName, ServerNames};
use crate::server::tls::{self, ServerSide};
use crate::server::vars;

use super::content::Content;
use super::phase::{Chains, Registered};
use super::proxy;
use super::session::Session;

pub type VarTable = vars::VarTable<Session>;
pub type VarRow = vars::VarRow<Session>;

/// What sessions of one loaded configuration share.
pub struct StreamConf {
    pub vars: VarTable,
    pub addresses: Vec<Listening>,
    /// Where relative paths start (`-p`).
    pub prefix: PathBuf,
}

/// A `listen` address and who answers there.
pub type Listening = listen::Listening<Server>;

/// One `server` block.
pub struct Server {
    pub place: Place,
    pub scope: Scope,
    pub names: Vec<ServerName>,
    pub tls: ServerSide,
    pub chains: Chains,
    pub content: Option<&'static dyn Content>,
    log: Option<Arc<Chain>>,
}

impl Server {
    /// Where messages about sessions here go; the main log is known only when all was read.
    pub fn log(&self) -> Arc<Chain> {
        self.log.clone().unwrap_or_else(log::main_chain)
    }

    pub fn name_text(&self) -> Bytes {
        names::first(&self.names)
    }
}

impl Named for Server {
    fn names(&self) -> &[ServerName] {
        &self.names
    }
}

impl StreamConf {
    /// Sockets to bind.
    pub fn sockets(&self) -> Vec<ListenSpec> {
        listen::sockets(&self.addresses)
    }
}

/// What features bring into the `stream` block; filled by `app` before the configuration is read.
#[derive(Default)]
pub struct Features {
    pub handlers: &'static [&'static [Registered]],
    pub vars: &'static [&'static [VarRow]],
}

/// The result, in the main scope.
#[derive(Default)]
pub struct StreamRoot(pub Option<Arc<StreamConf>>);

/// The content handler a directive of this block chose.
#[derive(Default)]
pub struct Chosen(pub Option<&'static dyn Content>);

/// `server` blocks met so far; in the `stream` scope.
#[derive(Default)]
pub struct ServerDrafts(pub Vec<(Scope, Place)>);

macro_rules! not_inherited {
    ($($kind:ty),+) => {
        $(impl Part for $kind {
            fn inherit(&mut self, _parent: &Self) {}
        })+
    };
}
not_inherited!(Features, StreamRoot, Chosen, ServerDrafts);

/// Compiles the finished `stream` scope; called by the `stream` row.
pub fn build(b: &mut Builder<'_>, mut scope: Scope) {
    let handlers = b.main::<Features>().handlers;
    let drafts = std::mem::take(&mut scope.part_mut::<ServerDrafts>().0);
    scope.inherit(&Scope::new());
    let mut servers = Vec::new();
    for (draft, place) in drafts {
        match server(b, handlers, draft, place, &scope) {
            Ok(server) => servers.push(server),
            Err(diag) => b.report(diag),
        }
    }
    let addresses = listen::group(b, &servers);
    addresses.iter().for_each(|listening| check_certificate(b, listening));
    let vars = std::mem::take(b.main::<VarTable>());
    let prefix = b.dirs().prefix.clone();
    b.main::<StreamRoot>().0 = Some(Arc::new(StreamConf { vars, addresses, prefix }));
}

fn server(
    b: &mut Builder<'_>,
    handlers: &[&[Registered]],
    mut scope: Scope,
    place: Place,
    above: &Scope,
) -> Result<(Arc<Server>, Vec<listen::Listen>), Diag> {
    scope.inherit(above);
    proxy::settle(&mut scope, b.dirs())?;
    let tls = tls::load(&scope, super::tls::alpn(&scope))?;
    let listens = std::mem::take(&mut scope.part_mut::<Listens>().0);
    let names = std::mem::take(&mut scope.part_mut::<ServerNames>().0);
    let content = scope.part::<Chosen>().0;
    if content.is_none() {
        b.report(Diag::emerg("no handler for server").at(place));
    }
    let log = scope.part::<ErrorLog>().own_chain().cloned();
    let chains = Chains::new(handlers, &scope);
    Ok((Arc::new(Server { place, scope, names, tls, chains, content, log }), listens))
}

/// Where TLS is spoken somebody must have a certificate, or refuse.
fn check_certificate(b: &mut Builder<'_>, listening: &Listening) {
    let server = &listening.servers.default;
    if listening.ssl && server.tls.tls.is_none() && !server.tls.rejects {
        let text = "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive";
        b.report(Diag::emerg(text).at(server.place));
    }
}

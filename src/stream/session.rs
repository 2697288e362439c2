//! One session: a client's connection, or its run of datagrams, and all that is known about it.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use bstr::BStr;
use bytes::{Bytes, BytesMut};

use crate::base::clock;
use crate::base::log::Level;
use crate::base::regex::Regex;
use crate::net::addr::Addr;
use crate::net::proxy_protocol::Told;
use crate::net::tls::{self, ServerTls};
use crate::server::access_log::Logged;
use crate::server::limit_conn::{Counted, Verdict};
use crate::server::names::ServerName;
use crate::server::proxy_protocol::SpokenFor;
use crate::server::regex::Groups;
use crate::server::vars::{self, Subject, VarSlots, VarTable};
use crate::server::vars_ssl::Secured;

use super::build::{Server, StreamConf};
use super::conf::CoreConf;
use super::proxy::trace::Trace;

/// A session, owned by its task.
pub struct Session {
    pub conf: Arc<StreamConf>,
    /// nginx's connection serial, the `*1` of log lines.
    pub number: u64,
    server: RefCell<Arc<Server>>,
    /// The client, or whom a trusted proxy speaks for.
    peer: RefCell<Addr>,
    replaced: RefCell<Option<Addr>>,
    pub local: Addr,
    /// The address listened on, as log lines tell it.
    pub listen: Addr,
    pub udp: bool,
    pub started_ms: u64,
    /// Bytes from the client and to it.
    pub received: Cell<u64>,
    pub sent: Cell<u64>,
    pub status: Cell<u16>,
    /// What is being done; nginx's words behind `while`.
    pub action: Cell<&'static str>,
    pub told: OnceCell<Told>,
    pub tls: OnceCell<Rc<tls::Session>>,
    /// What the client said first in a TLS that is not ours.
    pub hello: OnceCell<tls::Hello>,
    pub limited: Cell<Option<Verdict>>,
    pub counted: Counted,
    pub trace: Trace,
    /// What was read ahead of the content.
    pub preread: RefCell<BytesMut>,
    values: Rc<VarSlots>,
    captures: RefCell<Groups>,
}

impl Session {
    pub fn new(
        conf: Arc<StreamConf>,
        server: Arc<Server>,
        number: u64,
        (peer, local, listen): (Addr, Addr, Addr),
        udp: bool,
    ) -> Rc<Self> {
        let values = Rc::new(VarSlots::new(conf.vars.slots()));
        Rc::new(Self {
            conf,
            number,
            server: RefCell::new(server),
            peer: RefCell::new(peer),
            replaced: RefCell::default(),
            local,
            listen,
            udp,
            started_ms: clock::mono_ms(),
            received: Cell::default(),
            sent: Cell::default(),
            status: Cell::default(),
            action: Cell::new("initializing session"),
            told: OnceCell::new(),
            tls: OnceCell::new(),
            hello: OnceCell::new(),
            limited: Cell::default(),
            counted: Counted::default(),
            trace: Trace::default(),
            preread: RefCell::default(),
            values,
            captures: RefCell::default(),
        })
    }

    pub fn server(&self) -> Arc<Server> {
        self.server.borrow().clone()
    }

    /// The client has asked for another server by name.
    pub fn set_server(&self, server: Arc<Server>) {
        *self.server.borrow_mut() = server;
    }

    /// Keeps the groups of the `server_name` that matched.
    pub fn keep_name_groups(self: &Rc<Self>, groups: Groups) {
        if groups.is_empty() {
            return;
        }
        let server = self.server();
        for name in &server.names {
            if let ServerName::Regex(regex, _) = name {
                vars::keep_named_groups(self, regex, &groups);
            }
        }
        *self.captures.borrow_mut() = groups;
    }

    pub fn peer(&self) -> Addr {
        self.peer.borrow().clone()
    }

    /// Who is connected, though somebody else is spoken for.
    pub fn replaced_peer(&self) -> Option<Addr> {
        self.replaced.borrow().clone()
    }

    pub fn replace_peer(&self, peer: Addr) {
        let original = self.peer.replace(peer);
        *self.replaced.borrow_mut() = Some(original);
    }

    pub fn count_received(&self, bytes: usize) {
        self.received.set(self.received.get() + bytes as u64);
    }

    pub fn count_sent(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
    }

    /// Writes `text while …, client: …, server: …, upstream: "…", bytes from/to …`.
    pub fn log(&self, level: Level, text: fmt::Arguments<'_>) {
        let log = self.server.borrow().log();
        if level == Level::Debug {
            log.write(level, Some(self.number), text);
        } else if log.enabled(level) {
            log.write(level, Some(self.number), format_args!("{text}{}", Tail(self)));
        }
    }

    /// The same without the tail.
    pub fn log_bare(&self, level: Level, text: fmt::Arguments<'_>) {
        self.server.borrow().log().write(level, Some(self.number), text);
    }
}

/// The facts nginx puts behind each message about a session.
struct Tail<'a>(&'a Session);

impl fmt::Display for Tail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.0;
        match s.action.get() {
            "" => {}
            action => write!(f, " while {action}")?,
        }
        let kind = if s.udp { "udp " } else { "" };
        write!(f, ", {kind}client: {}, server: {}", s.peer.borrow().ip_text(), s.listen)?;
        s.trace.write_tail(f, s.received.get(), s.sent.get())
    }
}

impl Subject for Session {
    fn table(&self) -> &VarTable<Self> {
        &self.conf.vars
    }

    fn values(&self) -> Rc<VarSlots> {
        self.values.clone()
    }

    fn group(&self, index: usize) -> Option<Bytes> {
        self.captures.borrow().get(index).cloned().flatten()
    }

    fn keep_groups(self: &Rc<Self>, regex: &Regex, groups: Groups) {
        vars::keep_named_groups(self, regex, &groups);
        *self.captures.borrow_mut() = groups;
    }

    fn uninitialized(&self, name: &BStr) {
        if self.server.borrow().scope.part::<CoreConf>().warns_uninitialized() {
            self.log(Level::Warn, format_args!("using uninitialized \"{name}\" variable"));
        }
    }

    fn client_ip(&self) -> Option<IpAddr> {
        self.peer.borrow().ip()
    }
}

impl Secured for Session {
    fn session(&self) -> Option<Rc<tls::Session>> {
        self.tls.get().cloned()
    }

    fn settings(&self) -> Option<ServerTls> {
        self.server.borrow().tls.tls.clone()
    }
}

impl SpokenFor for Session {
    fn told(&self) -> Option<&Told> {
        self.told.get()
    }
}

impl Logged for Session {
    const COMBINED: Option<&'static [u8]> = None;

    fn prefix(&self) -> &Path {
        &self.conf.prefix
    }
}

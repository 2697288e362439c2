//! Variables of requests: the table of `server::vars`, with a request as its subject.

use std::{net::IpAddr, rc::Rc};

use bstr::BStr;
use bytes::Bytes;

use crate::{
    base::{log::Level, regex::Regex},
    net::{
        proxy_protocol::Told,
        tls::{ServerTls, Session},
    },
    server::{
        proxy_protocol::SpokenFor,
        regex::Groups,
        vars::{self, Subject},
        vars_ssl::Secured,
    },
};

use super::request::Request;

pub use crate::server::vars::{VarRef, VarSlots, VarWriteError};

pub type Read = vars::Read<Request>;
pub type Write = vars::Write<Request>;
pub type VarRow = vars::VarRow<Request>;
pub type VarTable = vars::VarTable<Request>;

/// A read-only variable whose value does not change during a request.
pub const fn var(name: &'static str, read: Read) -> VarRow {
    vars::var(name, read)
}

/// A read-only variable that is computed at each use.
pub const fn var_live(name: &'static str, read: Read) -> VarRow {
    vars::var_live(name, read)
}

impl Subject for Request {
    fn table(&self) -> &VarTable {
        &self.conn.http.vars
    }

    fn values(&self) -> Rc<VarSlots> {
        self.vars.borrow().clone()
    }

    fn group(&self, index: usize) -> Option<Bytes> {
        self.captures.borrow().get(index).cloned().flatten()
    }

    fn keep_groups(self: &Rc<Self>, regex: &Regex, groups: Groups) {
        vars::keep_named_groups(self, regex, &groups);
        *self.captures.borrow_mut() = groups.into_iter().collect();
    }

    fn client_ip(&self) -> Option<IpAddr> {
        self.conn.peer().ip()
    }

    fn forwarded_for(&self) -> Vec<Bytes> {
        self.headers_in.borrow().all(b"X-Forwarded-For").cloned().collect()
    }

    fn uninitialized(&self, name: &BStr) {
        if self.with_location(|location| location.core().uninitialized_variable_warn()) {
            self.log(Level::Warn, format_args!("using uninitialized \"{name}\" variable"));
        }
    }
}

impl Secured for Request {
    fn session(&self) -> Option<Rc<Session>> {
        super::tls::session(&self.conn)
    }

    fn settings(&self) -> Option<ServerTls> {
        self.conn.chosen_tls.get().cloned().or_else(|| self.server().tls.tls.clone())
    }
}

impl SpokenFor for Request {
    fn told(&self) -> Option<&Told> {
        self.conn.proxy_protocol.get()
    }
}

impl Request {
    /// Reads a variable the configuration mentioned.
    pub fn var(self: &Rc<Self>, at: VarRef) -> Option<Bytes> {
        vars::read(self, at)
    }

    /// Reads a variable by name, as `ngx.var.NAME` does.
    pub fn var_by_name(self: &Rc<Self>, name: &[u8]) -> Option<Bytes> {
        vars::read_by_name(self, name)
    }

    /// Writes a variable the configuration mentioned.
    pub fn set_var(self: &Rc<Self>, at: VarRef, value: Option<Bytes>) {
        vars::write(self, at, value);
    }

    /// Writes a variable by name.
    pub fn set_var_by_name(
        self: &Rc<Self>,
        name: &[u8],
        value: Option<Bytes>,
    ) -> Result<(), VarWriteError> {
        vars::write_by_name(self, name, value)
    }
}

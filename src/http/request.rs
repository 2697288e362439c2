//! One request: all its state, owned by its task on one worker thread.
//!
//! ```text
//!  connection ── main request ──┬── subrequest ── subrequest
//!                               └── subrequest
//! ```
//! Always behind `Rc`; every field has its own cell, and no borrow is held over an `.await` or a
//! call into Lua.

use std::{
    any::{Any, TypeId},
    cell::{Cell, RefCell},
    fmt,
    ops::Range,
    rc::Rc,
    sync::Arc,
};

use bytes::Bytes;
use smallvec::SmallVec;

use crate::base::{clock, log::Level};

use super::{
    body::Body,
    build::HttpConf,
    capture::Capture,
    conn::Conn,
    headers::{Headers, HeadersOut},
    headers_in::HeadersIn,
    location::{Location, Server},
    method::Method,
    output::Postponed,
    phase::{Handler, Phase},
    vars::VarSlots,
};

/// What came with the request line.
#[derive(Clone, Debug, Default)]
pub struct RequestLine {
    /// The raw head, request line included, for `ngx.req.raw_header`.
    pub raw_head: Bytes,
    /// The line, when the head has none: that of HTTP/2 is made up.
    pub apart: Option<Bytes>,
    /// Where in the head the whole line without its end stands.
    pub text: Range<usize>,
    /// Where in the head the target stands.
    pub target: Range<usize>,
    /// Length of the request line with its end inside `raw_head`.
    pub line_bytes: usize,
    /// 9 (no version given), 1000 or 1001, as `$server_protocol` tells.
    pub version: u16,
}

impl RequestLine {
    /// The whole line without its end, as `$request` shows it.
    pub fn text(&self) -> Bytes {
        self.holder().slice(self.text.clone())
    }

    /// The target as it came, as `$request_uri` shows it.
    pub fn target(&self) -> Bytes {
        self.holder().slice(self.target.clone())
    }

    fn holder(&self) -> &Bytes {
        self.apart.as_ref().unwrap_or(&self.raw_head)
    }
}

/// What a feature keeps with a request, by its type.
type Context = (TypeId, Rc<dyn Any>);

/// A request or subrequest.
pub struct Request {
    pub conn: Rc<Conn>,
    parent: Option<Rc<Request>>,
    main: Option<Rc<Request>>,
    server: RefCell<Arc<Server>>,
    /// Nothing while it is the server's own: counting what is shared between threads is dear.
    location: RefCell<Option<Arc<Location>>>,
    content_handler: RefCell<Option<&'static dyn Handler>>,

    pub line: RequestLine,
    pub method: RefCell<Method>,
    /// Decoded and normalised; bytes.
    pub uri: RefCell<Bytes>,
    pub args: RefCell<Bytes>,
    /// Set when the URI is the client's, untouched; `proxy_pass` may then send it as it came.
    pub valid_unparsed_uri: Cell<bool>,
    /// The URI still begins with the name of the location it was found for.
    pub valid_location: Cell<bool>,
    /// The path was percent-encoded in some place: sent on, it has to be encoded anew.
    pub quoted_uri: Cell<bool>,
    pub headers_in: HeadersIn,
    /// Host as the virtual server was chosen by: lower case, without port.
    pub host: RefCell<Option<Bytes>>,
    pub headers_out: RefCell<HeadersOut>,
    pub body: Body,

    pub vars: RefCell<Rc<VarSlots>>,
    /// Groups of the last regex match (`$1`), whole match first.
    pub captures: RefCell<Vec<Option<Bytes>>>,
    ext: RefCell<SmallVec<[Context; 4]>>,
    kept: RefCell<Vec<Context>>,

    pub started: clock::Wall,
    pub started_mono_ms: u64,
    pub internal: Cell<bool>,
    pub header_sent: Cell<bool>,
    pub last_sent: Cell<bool>,
    pub header_only: Cell<bool>,
    pub keepalive: Cell<bool>,
    pub chunked: Cell<bool>,
    pub uri_changed: Cell<bool>,
    /// `try_files` chose a file below the alias of a regex location.
    pub adds_uri_to_alias: Cell<bool>,
    uri_changes_left: Cell<u8>,
    subrequests_left: Cell<u8>,
    /// Status chosen by an error page in the making (`error_page 404 = /x` keeps or replaces it).
    pub err_status: Cell<u16>,
    pub error_page_used: Cell<bool>,
    /// The request failed on the connection; nothing more can be sent.
    pub connection_error: Cell<bool>,
    pub body_bytes_sent: Cell<u64>,
    pub postponed: RefCell<Postponed>,
    /// Where a captured subrequest's response goes.
    pub capture: Option<Rc<Capture>>,
    pub logged: Cell<bool>,
    /// Background subrequests and requests made by timers have no client.
    pub filter_need_in_memory: Cell<bool>,
    pub upstream_trace: RefCell<Vec<super::upstream_trace::Try>>,
    pub upstream: RefCell<super::upstream_trace::Facts>,
}

/// How a subrequest begins.
pub struct SubrequestSpec {
    pub method: Method,
    pub uri: Bytes,
    pub args: Bytes,
    pub headers: Headers,
    pub body: Body,
    pub vars: Rc<VarSlots>,
    pub capture: Option<Rc<Capture>>,
}

impl Request {
    // A request is large: built where it is wanted, it is copied once less.
    #[inline(always)]
    pub fn new(
        conn: Rc<Conn>,
        server: Arc<Server>,
        line: RequestLine,
        method: Method,
        headers: impl Into<HeadersIn>,
    ) -> Self {
        let vars = Rc::new(VarSlots::new(conn.http.vars.slots()));
        Self {
            conn,
            parent: None,
            main: None,
            location: RefCell::new(None),
            server: RefCell::new(server),
            content_handler: RefCell::new(None),
            line,
            method: RefCell::new(method),
            uri: RefCell::default(),
            args: RefCell::default(),
            valid_unparsed_uri: Cell::new(true),
            valid_location: Cell::new(true),
            quoted_uri: Cell::new(false),
            headers_in: headers.into(),
            host: RefCell::default(),
            headers_out: RefCell::default(),
            body: Body::default(),
            vars: RefCell::new(vars),
            captures: RefCell::default(),
            ext: RefCell::default(),
            kept: RefCell::default(),
            started: clock::wall(),
            started_mono_ms: clock::mono_ms(),
            internal: Cell::new(false),
            header_sent: Cell::new(false),
            last_sent: Cell::new(false),
            header_only: Cell::new(false),
            keepalive: Cell::new(false),
            chunked: Cell::new(false),
            uri_changed: Cell::new(false),
            adds_uri_to_alias: Cell::new(false),
            uri_changes_left: Cell::new(URI_CHANGES_MAX + 1),
            subrequests_left: Cell::new(SUBREQUESTS_MAX),
            err_status: Cell::new(0),
            error_page_used: Cell::new(false),
            connection_error: Cell::new(false),
            body_bytes_sent: Cell::new(0),
            postponed: RefCell::default(),
            capture: None,
            logged: Cell::new(false),
            filter_need_in_memory: Cell::new(false),
            upstream_trace: RefCell::default(),
            upstream: RefCell::default(),
        }
    }

    /// A child of `parent` that begins at the server rewrite phase; `None` when nested too deep.
    pub fn subrequest(parent: &Rc<Self>, spec: SubrequestSpec) -> Option<Rc<Self>> {
        let left = parent.subrequests_left.get().checked_sub(1).filter(|left| *left > 0)?;
        let mut sub = Self::new(
            parent.conn.clone(),
            parent.server(),
            parent.line.clone(),
            spec.method,
            spec.headers,
        );
        sub.parent = Some(parent.clone());
        sub.main = Some(parent.main().clone());
        sub.subrequests_left.set(left);
        sub.uri = RefCell::new(spec.uri);
        sub.args = RefCell::new(spec.args);
        sub.host = RefCell::new(parent.host.borrow().clone());
        sub.valid_unparsed_uri.set(false);
        sub.internal.set(true);
        sub.body = spec.body;
        sub.vars = RefCell::new(spec.vars);
        sub.capture = spec.capture;
        Some(Rc::new(sub))
    }

    pub fn main(self: &Rc<Self>) -> &Rc<Self> {
        self.main.as_ref().unwrap_or(self)
    }

    pub fn parent(&self) -> Option<&Rc<Self>> {
        self.parent.as_ref()
    }

    pub fn is_subrequest(&self) -> bool {
        self.parent.is_some()
    }

    pub fn server(&self) -> Arc<Server> {
        self.server.borrow().clone()
    }

    pub fn location(&self) -> Arc<Location> {
        match &*self.location.borrow() {
            Some(location) => location.clone(),
            None => self.server.borrow().root.clone(),
        }
    }

    /// Reads the location without counting a reference.
    pub fn with_location<T>(&self, read: impl FnOnce(&Location) -> T) -> T {
        match &*self.location.borrow() {
            Some(location) => read(location),
            None => read(&self.server.borrow().root),
        }
    }

    /// Reads the server without counting a reference.
    pub fn with_server<T>(&self, read: impl FnOnce(&Server) -> T) -> T {
        read(&self.server.borrow())
    }

    pub fn http(&self) -> &Arc<HttpConf> {
        &self.conn.http
    }

    /// Whether no location was found, or none was looked for yet.
    pub fn is_in_server_root(&self) -> bool {
        let location = self.location.borrow();
        location.as_ref().is_none_or(|found| Arc::ptr_eq(found, &self.server.borrow().root))
    }

    pub fn set_server(&self, server: Arc<Server>) {
        *self.location.borrow_mut() = None;
        *self.server.borrow_mut() = server;
    }

    /// Enters a location; its content handler becomes the request's.
    pub fn set_location(&self, location: Arc<Location>) {
        *self.content_handler.borrow_mut() = location.content_handler;
        *self.location.borrow_mut() = Some(location);
    }

    /// Enters an `if` block: without a content handler of its own the one around it stays.
    pub fn enter_conditional(&self, location: Arc<Location>) {
        if location.content_handler.is_some() {
            *self.content_handler.borrow_mut() = location.content_handler;
        }
        *self.location.borrow_mut() = Some(location);
    }

    pub fn content_handler(&self) -> Option<&'static dyn Handler> {
        *self.content_handler.borrow()
    }

    pub fn next_handler(&self, phase: Phase, from: usize) -> Option<(usize, &'static dyn Handler)> {
        self.with_location(|location| self.conn.http.handlers.next(phase, &location.chain, from))
    }

    /// The feature context of type `T`, made when first asked for.
    pub fn ext<T: Any + Default>(&self) -> Rc<T> {
        if let Some(found) = self.ext_if_any::<T>() {
            return found;
        }
        let made = Rc::new(T::default());
        self.ext.borrow_mut().push((TypeId::of::<T>(), made.clone()));
        made
    }

    pub fn ext_if_any<T: Any>(&self) -> Option<Rc<T>> {
        let id = TypeId::of::<T>();
        let ext = self.ext.borrow();
        let found = ext.iter().find(|(have, _)| *have == id)?;
        found.1.clone().downcast::<T>().ok()
    }

    /// Like `ext`, but kept through internal redirects: it lives as long as the request.
    pub fn kept<T: Any + Default>(&self) -> Rc<T> {
        let id = TypeId::of::<T>();
        let mut kept = self.kept.borrow_mut();
        let known = kept.iter().find(|(have, _)| *have == id).map(|(_, found)| found.clone());
        if let Some(Ok(found)) = known.map(Rc::downcast::<T>) {
            return found;
        }
        let made = Rc::new(T::default());
        kept.push((id, made.clone()));
        made
    }

    /// What `kept` made, if it did.
    pub fn kept_if_any<T: Any>(&self) -> Option<Rc<T>> {
        let id = TypeId::of::<T>();
        let kept = self.kept.borrow();
        let found = kept.iter().find(|(have, _)| *have == id)?;
        found.1.clone().downcast::<T>().ok()
    }

    /// Forgets all feature contexts, as an internal redirect does in nginx.
    pub fn clear_ext(&self) {
        self.ext.borrow_mut().clear();
    }

    /// Takes one of the ten URI changes a request may make.
    pub fn count_uri_change(&self) -> bool {
        let left = self.uri_changes_left.get().saturating_sub(1);
        self.uri_changes_left.set(left);
        left > 0
    }

    pub fn status(&self) -> u16 {
        let status = self.headers_out.borrow().status;
        match (status, self.err_status.get()) {
            (0, 0) if self.line.version == 9 => 9,
            (0, 0) => 0,
            (_, error) if error != 0 => error,
            (status, _) => status,
        }
    }

    pub fn set_status(&self, status: u16) {
        let mut out = self.headers_out.borrow_mut();
        out.status = status;
        out.status_line = None;
    }

    /// Logs with nginx's tail: client, server, request, subrequest, upstream, host, referrer.
    pub fn log(&self, level: Level, text: fmt::Arguments<'_>) {
        super::request_log::write(self, level, text);
    }
}

/// nginx allows ten internal redirects of one request.
const URI_CHANGES_MAX: u8 = 10;
/// nginx allows fifty levels of subrequests.
const SUBREQUESTS_MAX: u8 = 51;

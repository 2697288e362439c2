//! The Lua of a TLS handshake with a client: hello, session, certificate.
//!
//! ```text
//!  http::tls hook ─▶ client_hello ─▶ session_fetch ─▶ certificate ─▶ ServerTls ─▶ handshake
//!                         every script sees the same Shaking ◀──┐          │
//!                                                         session_store ◀──┘
//! ```

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;

use super::ask::{Leave, Outcome};
use super::chunk::Script;
use super::ctx::{Ctx, enter};
use super::phase::Phase;
use super::raw::Func;
use super::sched;
use super::worker;
use crate::base::log::Level;
use crate::conf::{Part, inherit};
use crate::http::location::{Location, Server};
use crate::http::tls::{Chosen, Handshake};
use crate::net::addr::Addr;
use crate::net::tls::{Certificate, Chain, Hello, Key, LoadError, Refusal, ServerTls, Sessions};

/// The scripts of a server block.
#[derive(Default)]
pub struct SslScripts {
    pub client_hello: Option<Arc<Script>>,
    pub certificate: Option<Arc<Script>>,
    pub session_fetch: Option<Arc<Script>>,
    pub session_store: Option<Arc<Script>>,
}

impl Part for SslScripts {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: client_hello, certificate, session_fetch, session_store);
    }
}

/// One handshake, as its scripts see it and change it.
pub struct Shaking {
    pub hello: Hello,
    pub peer: Addr,
    pub local: Addr,
    pub tls: RefCell<ServerTls>,
    /// What `set_cert` and `set_priv_key` have handed over so far.
    pub draft: RefCell<Draft>,
    pub sessions: Arc<Sessions>,
    /// The name and the content of the session in question.
    pub session_id: RefCell<Vec<u8>>,
    pub session: RefCell<Vec<u8>>,
    /// `ngx.ctx` of all scripts of the connection.
    pub table: Rc<RefCell<Option<Rc<Func>>>>,
    server: Arc<Server>,
    number: u64,
    client: String,
    listen: String,
    resumes: Cell<bool>,
}

/// Certificates a script puts together.
#[derive(Default)]
pub struct Draft {
    pub done: Vec<Certificate>,
    pub chain: Option<Chain>,
    pub key: Option<Key>,
    pub ocsp: Option<Vec<u8>>,
    /// Something was cleared or set: the configured certificates do not count any more.
    pub touched: bool,
}

impl Draft {
    /// Forgets everything, also what is configured.
    pub fn clear(&mut self) {
        *self = Self { touched: true, ocsp: self.ocsp.take(), ..Self::default() };
    }

    /// Puts a chain and a key together once both are there.
    pub fn join(&mut self) -> Result<(), LoadError> {
        self.touched = true;
        if let (Some(chain), Some(key)) = (&self.chain, &self.key) {
            self.done = vec![Certificate::new(chain.clone(), key.clone_key())?];
        }
        Ok(())
    }
}

/// What the connection keeps for its requests.
pub struct Keepsake {
    pub table: Rc<RefCell<Option<Rc<Func>>>>,
}

/// The hook of [`crate::http::tls`].
pub fn choose(handshake: Handshake) -> LocalBoxFuture<'static, Result<Chosen, Refusal>> {
    Box::pin(run(handshake))
}

async fn run(h: Handshake) -> Result<Chosen, Refusal> {
    let shaking = Rc::new(Shaking::new(h));
    let scope = &shaking.server.root.scope;
    let scripts = scope.part::<SslScripts>();
    if let Some(script) = &scripts.client_hello
        && !shaking.enter(script, Phase::SslClientHello).await
    {
        return Err(Refusal::Hello);
    }
    if let Some(script) = &scripts.session_fetch
        && let Some(id) = shaking.wanted_session()
    {
        shaking.session_id.replace(id);
        // Whatever becomes of it, a full handshake is always possible.
        shaking.enter(script, Phase::SslSessFetch).await;
    }
    shaking.certificate(scripts).await?;
    let mut tls = shaking.tls.borrow().clone();
    if scripts.session_fetch.is_some() || scripts.session_store.is_some() {
        tls = tls.with_sessions(&shaking.sessions);
    }
    let keepsake: Rc<dyn Any> = Rc::new(Keepsake { table: Rc::clone(&shaking.table) });
    let then = scripts.session_store.clone().map(|script| {
        let shaking = Rc::clone(&shaking);
        Box::new(move || shaking.store(&script)) as Box<dyn FnOnce()>
    });
    Ok(Chosen { tls, then, keepsake: Some(keepsake) })
}

impl Shaking {
    fn new(h: Handshake) -> Self {
        Self {
            client: h.peer.ip_text(),
            hello: h.hello,
            peer: h.peer,
            local: h.local,
            tls: RefCell::new(h.tls),
            draft: RefCell::default(),
            sessions: Arc::default(),
            session_id: RefCell::default(),
            session: RefCell::default(),
            table: Rc::default(),
            server: h.server,
            number: h.number,
            listen: h.listen,
            resumes: Cell::new(false),
        }
    }

    /// The settings the scripts run under.
    pub fn home(&self) -> Arc<Location> {
        self.server.root.clone()
    }

    /// Writes a line to the log of the server, with lua-nginx-module's words behind it.
    pub fn log(&self, phase: Phase, level: Level, text: &str) {
        let (context, client, listen) = (phase.context_name(), &self.client, &self.listen);
        let line = format_args!("{text}, context: {context}, client: {client}, server: {listen}");
        self.server.root.log().write(level, Some(self.number), line);
    }

    pub fn log_level(&self) -> Level {
        self.server.root.log().level()
    }

    /// A session was offered to the handshake.
    pub fn resume(&self, session: Vec<u8>) {
        self.sessions.offer(session);
        self.resumes.set(true);
    }

    /// The number of the protocol version both sides will speak.
    pub fn version(&self) -> u16 {
        self.tls.borrow().version_for(&self.hello)
    }

    /// The name of the session the client wants to go on with, if servers are to look for it.
    fn wanted_session(&self) -> Option<Vec<u8>> {
        let tls = self.tls.borrow();
        let id = if tls.version_for(&self.hello) == TLS13 {
            self.hello.first_psk().filter(|_| !tls.gives_tickets())?
        } else {
            let ticket = self.hello.extension(SESSION_TICKET).unwrap_or_default();
            Some(self.hello.session_id()).filter(|_| ticket.is_empty() || !tls.gives_tickets())?
        };
        (!id.is_empty()).then(|| id.to_vec())
    }

    async fn certificate(self: &Rc<Self>, scripts: &SslScripts) -> Result<(), Refusal> {
        let Some(script) = &scripts.certificate else {
            // Only the server whose settings are in force has one: it cannot speak for this name.
            return if self.server.tls.tls.is_some() || scripts.client_hello.is_some() {
                Ok(())
            } else {
                let name = String::from_utf8_lossy(&self.server.name_text()).into_owned();
                self.server.root.log().write(
                    Level::Alert,
                    Some(self.number),
                    format_args!("no ssl_certificate_by_lua* defined in server {name}"),
                );
                Err(Refusal::Certificate)
            };
        };
        // OpenSSL asks for no certificate when a session goes on.
        if self.resumes.get() {
            return Ok(());
        }
        if !self.enter(script, Phase::SslCert).await {
            return Err(Refusal::Certificate);
        }
        self.settle();
        Ok(())
    }

    /// Makes the certificates a script has put together those of the handshake.
    fn settle(&self) {
        let draft = self.draft.take();
        let touched = draft.touched || draft.ocsp.is_some();
        if !touched {
            return;
        }
        let mut certificates = match draft.touched {
            true => draft.done,
            false => self.tls.borrow().certificates().to_vec(),
        };
        if let Some(response) = draft.ocsp {
            certificates = certificates.iter().map(|c| c.with_ocsp(response.clone())).collect();
        }
        let changed = self.tls.borrow().with_certificates(certificates);
        self.tls.replace(changed);
    }

    /// Runs a script to its end; false if the handshake must not go on.
    async fn enter(self: &Rc<Self>, script: &Script, phase: Phase) -> bool {
        let Some(ctx) = self.ctx(phase) else { return false };
        let func = match script.load(&ctx.vm, None) {
            Ok(func) => func,
            Err(e) => {
                self.log(phase, Level::Error, &e.to_string());
                return false;
            }
        };
        match sched::run(&ctx, &func, &[]).await {
            Outcome::Done => true,
            Outcome::Leave(Leave::Exit(code)) => code == OK,
            Outcome::Leave(_) | Outcome::Error => false,
        }
    }

    /// Shows the sessions the handshake has made to `ssl_session_store_by_lua`.
    fn store(self: &Rc<Self>, script: &Script) {
        for (id, session) in self.sessions.take_made() {
            self.session_id.replace(id);
            self.session.replace(session);
            let Some(ctx) = self.ctx(Phase::SslSessStore) else { return };
            let done = script.load(&ctx.vm, None).map_err(|e| e.to_string()).and_then(|func| {
                let _entered = enter(&ctx);
                ctx.vm.host.call(&func, &[], |_| ())
            });
            if let Err(message) = done {
                let text = format!("failed to run session_store_by_lua*: {message}");
                self.log(Phase::SslSessStore, Level::Error, &text);
            }
        }
    }

    fn ctx(self: &Rc<Self>, phase: Phase) -> Option<Rc<Ctx>> {
        let ctx = Ctx::of_handshake(&worker::vm()?, phase, Rc::clone(self));
        Some(ctx)
    }
}

const OK: i32 = 0;
const TLS13: u16 = 0x0304;
const SESSION_TICKET: u16 = 35;

//! The Lua of a TLS handshake with an upstream.
//!
//! ```text
//!  http::proxy::secure ─ the server wants a certificate ─▶ proxy_ssl_certificate_by_lua ─▶ Choice
//!                      ─ its chain is judged ───────────▶ proxy_ssl_verify_by_lua ─▶ the verdict
//! ```

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;

use super::ask::{Leave, Outcome};
use super::chunk::Script;
use super::ctx::Ctx;
use super::handshake::Draft;
use super::phase::Phase;
use super::{sched, worker};
use crate::base::log::Level;
use crate::conf::{Part, inherit};
use crate::http::Request;
use crate::net::tls::{Chain, Choice};

/// The scripts of a location.
#[derive(Default)]
pub struct ProxyScripts {
    pub certificate: Option<Arc<Script>>,
    pub verify: Option<Arc<Script>>,
}

impl Part for ProxyScripts {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: certificate, verify);
    }
}

/// The handshake of a request, as its scripts see it.
#[derive(Default)]
pub struct ProxyTls {
    /// The number of the protocol version; 0 before it is known.
    pub version: Cell<u16>,
    pub draft: RefCell<Draft>,
    /// What the upstream has shown.
    pub chain: RefCell<Chain>,
    /// OpenSSL's number of the verdict.
    pub verdict: Cell<u32>,
}

/// `proxy_ssl_certificate_by_lua`
pub fn certificate(r: Rc<Request>, version: u16) -> LocalBoxFuture<'static, Choice> {
    Box::pin(async move {
        let script = r.with_location(|l| l.scope.part::<ProxyScripts>().certificate.clone());
        let Some(script) = script else { return Choice::Configured };
        let state = r.ext::<ProxyTls>();
        state.version.set(version);
        state.draft.take();
        if !enter(&r, &script, Phase::ProxySslCert, "loading proxy ssl certificate by lua").await {
            return Choice::Refuse;
        }
        let draft = state.draft.take();
        match draft.done.into_iter().next() {
            _ if !draft.touched => Choice::Configured,
            Some(certificate) => Choice::Show(certificate),
            None => Choice::Nothing,
        }
    })
}

/// `proxy_ssl_verify_by_lua`: gets the verdict so far and gives the one that counts.
pub fn verify(
    r: Rc<Request>,
    version: u16,
    chain: Chain,
    verdict: u32,
) -> LocalBoxFuture<'static, Option<u32>> {
    Box::pin(async move {
        let script = r.with_location(|l| l.scope.part::<ProxyScripts>().verify.clone());
        let Some(script) = script else { return Some(verdict) };
        let state = r.ext::<ProxyTls>();
        state.version.set(version);
        state.chain.replace(chain);
        state.verdict.set(verdict);
        let goes_on = enter(&r, &script, Phase::ProxySslVerify, "loading proxy ssl verify by lua");
        goes_on.await.then(|| state.verdict.get())
    })
}

/// Runs a script to its end; false if the handshake must not go on.
async fn enter(r: &Rc<Request>, script: &Script, phase: Phase, action: &'static str) -> bool {
    let Some(vm) = worker::vm_for(r) else { return false };
    let func = match script.load(&vm, Some(r)) {
        Ok(func) => func,
        Err(e) => {
            r.log(Level::Error, format_args!("{e}"));
            return false;
        }
    };
    let before = r.conn.action.replace(action);
    let ctx = Ctx::new(&vm, phase, Some(Rc::clone(r)));
    let outcome = sched::run(&ctx, &func, &[]).await;
    r.conn.action.set(before);
    match outcome {
        Outcome::Done => true,
        Outcome::Leave(Leave::Exit(code)) => code == OK,
        Outcome::Leave(_) | Outcome::Error => false,
    }
}

const OK: i32 = 0;

//! A client's certificate chosen while the handshake waits (`proxy_ssl_certificate_by_lua`).
//!
//! ```text
//!  worker thread                              helper thread
//!  connect_choosing ─ spawns ───────────────▶ the handshake … the server wants a certificate
//!  choose(version).await ◀─ Question ──────── Chooser::resolve blocks
//!                         ── Choice ────────▶ goes on
//! ```
//!
//! The TLS library asks for a certificate in a plain call, code that chooses one may wait for
//! anything: so only such handshakes run on a thread that may be held up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::TlsError;
use super::client::{ClientTls, Connected, connect};
use super::server::Certificate;
use crate::net::stream::Socket;

/// What to show a server that wants a certificate.
#[derive(Clone, Debug)]
pub enum Choice {
    /// What the configuration says.
    Configured,
    Nothing,
    Show(Certificate),
    /// Rather no connection at all.
    Refuse,
}

/// Shakes hands as [`connect`] does; `choose` is asked when the server wants a certificate, and
/// gets the number of the protocol version.
pub async fn connect_choosing<Fut>(
    socket: Socket,
    tls: &ClientTls,
    name: Option<&str>,
    choose: impl FnOnce(u16) -> Fut,
) -> Result<Connected, TlsError>
where
    Fut: Future<Output = Choice>,
{
    let (questions, mut asked) = unbounded_channel();
    let tls =
        tls.with_chooser(Chooser { questions, given: None, is_tls13: AtomicBool::new(false) });
    let name = name.map(str::to_string);
    let runtime = Handle::current();
    let mut shaking = tokio::task::spawn_blocking(move || {
        runtime.block_on(connect(socket, &tls, name.as_deref()))
    });
    let mut refused = false;
    let mut choose = Some(choose);
    loop {
        tokio::select! {
            shaken = &mut shaking => {
                if refused {
                    let words = "error:0A000179:SSL routines::cert cb error";
                    return Err(TlsError::Handshake(words.into()));
                }
                return shaken.unwrap_or(Err(TlsError::Closed));
            }
            Some(question) = asked.recv() => {
                let choice = match choose.take() {
                    Some(choose) => choose(question.version).await,
                    None => Choice::Configured,
                };
                refused = matches!(choice, Choice::Refuse);
                // A handshake that has ended meanwhile needs no answer.
                let _ = question.answer.send(choice);
            }
        }
    }
}

/// Asks the worker thread.
#[derive(Debug)]
pub(super) struct Chooser {
    questions: UnboundedSender<Question>,
    given: Option<Arc<dyn ResolvesClientCert>>,
    /// Told by the first secret the library logs, long before a certificate is wanted.
    is_tls13: AtomicBool,
}

struct Question {
    version: u16,
    answer: mpsc::Sender<Choice>,
}

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Question").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Chooser {
    pub(super) fn before(self, given: Arc<dyn ResolvesClientCert>) -> Self {
        Self { given: Some(given), ..self }
    }
}

impl ResolvesClientCert for Chooser {
    fn resolve(&self, issuers: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let version = if self.is_tls13.load(Ordering::Relaxed) { TLS13 } else { TLS12 };
        let (answer, answered) = mpsc::channel();
        self.questions.send(Question { version, answer }).ok()?;
        // Whoever gave up waiting for the handshake has dropped the other end.
        match answered.recv().ok()? {
            Choice::Configured => self.given.as_ref()?.resolve(issuers, schemes),
            Choice::Nothing | Choice::Refuse => None,
            Choice::Show(certificate) => Some(certificate.signer()),
        }
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl rustls::KeyLog for Chooser {
    fn log(&self, label: &str, _: &[u8], _: &[u8]) {
        if label.ends_with("HANDSHAKE_TRAFFIC_SECRET") {
            self.is_tls13.store(true, Ordering::Relaxed);
        }
    }
}

const TLS12: u16 = 0x0303;
const TLS13: u16 = 0x0304;

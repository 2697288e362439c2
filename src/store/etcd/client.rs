//! Questions to a cluster: which member, with which token, and what a refusal means.
//!
//! ```text
//!  call(path, JSON) ─▶ idle or new Link to the member that worked last, else the next one
//!                      └ "invalid auth token" ─▶ authenticate ─▶ once more
//! ```

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::http::{Link, Tls};
use super::spec::Spec;
use super::wire::{AuthAnswer, Refusal};
use crate::net::tls::{ClientSpec, ClientTls};

/// Who asks.
pub struct Client {
    spec: Arc<Spec>,
    tls: Option<Tls>,
    idle: RefCell<Vec<(usize, Link)>>,
    /// The member that worked last.
    member: Cell<usize>,
    token: RefCell<Option<String>>,
}

/// Why there is no answer, or a refusal.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Nothing was asked yet.
    #[error("{0}")]
    Dial(String),
    #[error("{}", crate::base::errno::Errno(.0))]
    Io(#[from] std::io::Error),
    #[error("the connection was closed")]
    Closed,
    #[error("no answer in time")]
    Timeout,
    #[error("{0}")]
    Http(String),
    #[error("the answer cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the answer is too long")]
    Long,
    #[error("{text}")]
    Refused { code: u64, text: String },
}

/// Whether a question may be asked twice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Read,
    /// Done or not, nobody knows, once it was sent.
    Write,
}

impl Client {
    pub fn new(spec: &Arc<Spec>) -> Result<Self, Fault> {
        let mut tls = None;
        if spec.endpoints.iter().any(|endpoint| endpoint.https) {
            let files = &spec.tls;
            let wanted = ClientSpec {
                trusted: files.ca.clone(),
                certificate: files.certificate.clone(),
                depth: Some(TLS_DEPTH),
                ..ClientSpec::default()
            };
            let client = ClientTls::build(&wanted).map_err(|e| Fault::Dial(e.to_string()))?;
            tls = Some(Tls { client, verify: !files.unverified, name: files.name.clone() });
        }
        let (idle, member, token) = (RefCell::default(), Cell::new(0), RefCell::new(None));
        Ok(Self { spec: spec.clone(), tls, idle, member, token })
    }

    /// Asks, and reads the whole answer.
    pub async fn call<T: DeserializeOwned>(
        &self,
        kind: Kind,
        path: &str,
        question: &impl Serialize,
    ) -> Result<T, Fault> {
        let question = serde_json::to_vec(question)?;
        let answer = self.with_token(|| self.somewhere(kind, path, &question)).await?;
        Ok(serde_json::from_slice(&answer)?)
    }

    /// Asks for an answer that does not end; its first line has not come yet.
    pub async fn stream(&self, path: &str, question: &impl Serialize) -> Result<Lines, Fault> {
        let question = &serde_json::to_vec(question)?;
        let begin = || async {
            let token = self.token.borrow().clone();
            let mut link = self.open(self.member.get()).await?;
            let asked = link.ask(path, token.as_deref(), question);
            let status = timeout(self.spec.timeout, asked).await.map_err(|_| Fault::Timeout)??;
            match status {
                200 => Ok(Lines { link, read: BytesMut::new() }),
                status => Err(refusal(status, &self.rest(&mut link).await?)),
            }
        };
        self.with_token(begin).await
    }

    /// The next question goes to another member.
    pub fn turn(&self) {
        self.member.set((self.member.get() + 1) % self.spec.endpoints.len().max(1));
    }

    /// Does it once more with a new token when etcd does not know the one we have.
    async fn with_token<T, F>(&self, ask: impl Fn() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        if self.spec.user.is_some() && self.token.borrow().is_none() {
            self.authenticate().await?;
        }
        match ask().await {
            Err(fault) if self.spec.user.is_some() && fault.is_about_token() => {
                self.authenticate().await?;
                ask().await
            }
            other => other,
        }
    }

    async fn authenticate(&self) -> Result<(), Fault> {
        let Some((name, password)) = &self.spec.user else { return Ok(()) };
        self.token.replace(None);
        let question = serde_json::json!({ "name": name, "password": password }).to_string();
        let path = "/v3/auth/authenticate";
        let answer = self.somewhere(Kind::Read, path, question.as_bytes()).await?;
        let answer: AuthAnswer = serde_json::from_slice(&answer)?;
        self.token.replace(Some(answer.token));
        Ok(())
    }

    /// Asks one member after the other until one answers.
    async fn somewhere(&self, kind: Kind, path: &str, question: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut failed = Fault::Closed;
        for _ in 0..self.spec.endpoints.len() {
            let asked = timeout(self.spec.timeout, self.once(path, question)).await;
            let fault = match asked.unwrap_or(Err(Fault::Timeout)) {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            let elsewhere = match kind {
                Kind::Read => fault.is_of_member(),
                Kind::Write => matches!(fault, Fault::Dial(_)),
            };
            if fault.is_of_member() {
                self.turn();
            }
            failed = fault;
            if !elsewhere {
                break;
            }
        }
        Err(failed)
    }

    async fn once(&self, path: &str, question: &[u8]) -> Result<Vec<u8>, Fault> {
        let member = self.member.get();
        let token = self.token.borrow().clone();
        let mut link = match self.take_idle(member) {
            Some(link) => link,
            None => self.open(member).await?,
        };
        let status = link.ask(path, token.as_deref(), question).await?;
        let answer = self.rest(&mut link).await?;
        if link.lasting {
            let mut idle = self.idle.borrow_mut();
            idle.truncate(IDLE_MOST - 1);
            idle.push((member, link));
        }
        if status == 200 { Ok(answer) } else { Err(refusal(status, &answer)) }
    }

    fn take_idle(&self, member: usize) -> Option<Link> {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|(of, link)| *of == member && link.is_open());
        idle.pop().map(|(_, link)| link)
    }

    async fn open(&self, member: usize) -> Result<Link, Fault> {
        let endpoint = self.spec.endpoints.get(member);
        let endpoint = endpoint.ok_or_else(|| Fault::Dial("no endpoint".into()))?;
        // Time is left to ask another member instead.
        let limit = (self.spec.timeout / 2).min(CONNECT_MOST);
        let opened = timeout(limit, Link::open(endpoint, self.tls.as_ref())).await;
        let late = || Fault::Dial(format!("no connection to {endpoint} in time"));
        opened.map_err(|_| late())?
    }

    async fn rest(&self, link: &mut Link) -> Result<Vec<u8>, Fault> {
        let mut answer = Vec::new();
        while let Some(piece) = link.piece().await? {
            answer.extend_from_slice(&piece);
            if answer.len() > ANSWER_MOST_BYTES {
                return Err(Fault::Long);
            }
        }
        Ok(answer)
    }
}

impl Fault {
    /// Another member may do better.
    fn is_of_member(&self) -> bool {
        match self {
            Self::Refused { code, .. } => matches!(*code, CANCELLED | DEADLINE | UNAVAILABLE),
            _ => true,
        }
    }

    fn is_about_token(&self) -> bool {
        match self {
            Self::Refused { code, text } => {
                *code == UNAUTHENTICATED || text.contains("invalid auth token")
            }
            _ => false,
        }
    }

    /// The revision that was asked for is gone, or has not been yet.
    pub fn is_out_of_range(&self) -> bool {
        matches!(self, Self::Refused { code: OUT_OF_RANGE, .. })
    }
}

/// An answer that comes line by line.
pub struct Lines {
    link: Link,
    read: BytesMut,
}

impl Lines {
    pub async fn next(&mut self) -> Result<BytesMut, Fault> {
        let mut looked = 0;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.read[looked..]) {
                let line = self.read.split_to(looked + at);
                self.read.advance(1);
                return Ok(line);
            }
            looked = self.read.len();
            if looked > ANSWER_MOST_BYTES {
                return Err(Fault::Long);
            }
            let piece = self.link.piece().await?.ok_or(Fault::Closed)?;
            self.read.extend_from_slice(&piece);
        }
    }
}

fn refusal(status: u16, answer: &[u8]) -> Fault {
    match serde_json::from_slice::<Refusal>(answer) {
        Ok(Refusal { error, message, code }) if code != 0 => {
            let text = if error.is_empty() { message } else { error };
            Fault::Refused { code, text }
        }
        _ => Fault::Http(format!("the answer has status {status}")),
    }
}

/// Numbers of gRPC.
const CANCELLED: u64 = 1;
const DEADLINE: u64 = 4;
const OUT_OF_RANGE: u64 = 11;
const UNAVAILABLE: u64 = 14;
const UNAUTHENTICATED: u64 = 16;
const TLS_DEPTH: u32 = 4;
const IDLE_MOST: usize = 32;
const CONNECT_MOST: Duration = Duration::from_secs(2);
const ANSWER_MOST_BYTES: usize = 512 * 1024 * 1024;

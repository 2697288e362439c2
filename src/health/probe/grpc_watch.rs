//! `grpc.health.v1.Health/Watch`: a stream that stays open and tells each change by itself.
//!
//! ```text
//!   first probe: HEADERS, DATA ─▶ first message ─▶ Outcome, the stream is kept
//!   between:     message | end ─▶ the bell rings ─▶ a probe at once, which reads what was said
//!   each probe:  nothing new   ─▶ PING ─▶ PONG   ─▶ the last status again
//! ```
//!
//! A stream that has ended says nothing about the peer: the probe opens another one. So does a
//! connection found dead, but silence is a timeout. UNIMPLEMENTED means asking by Check.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, BytesMut};
use h2::client::ResponseFuture;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::grpc::{self, MESSAGE_MAX_BYTES, Reply};
use super::kept::Memory;
use super::session::{self, Session, within};
use super::{Aim, Bell, Limits, trace};
use crate::health::outcome::{Kind, Outcome};
use crate::health::spec::GrpcProbe;

/// Probes by the stream; `None` when the peer knows no such method.
pub(super) async fn probe(
    spec: &GrpcProbe,
    aim: &Aim<'_>,
    limits: Limits,
    memory: &mut Memory,
) -> Result<Option<Outcome>, Outcome> {
    if let Some(mut watching) = memory.take_watching() {
        let said = watching.listen(limits).await?;
        if let Some(status) = said {
            memory.keep_watching(watching);
            return Ok(Some(grpc::judge_status(status)));
        }
        trace::step(|| "the stream has ended".into());
    }
    let mut watching = Watching::open(spec, aim, limits).await?;
    let first = timeout(limits.left(), watching.first()).await;
    match first.map_err(|_| Outcome::new(Kind::ReceiveTimeout).detail("timeout"))? {
        Said::Status(status) => {
            memory.keep_watching(watching);
            Ok(Some(grpc::judge_status(status)))
        }
        Said::Ended(reply) if reply.grpc_status == Some(UNIMPLEMENTED) => Ok(None),
        // It may have said something first, all in one piece.
        Said::Ended(reply) if reply.grpc_status == Some(0) => match watching.status() {
            Some(status) => Ok(Some(grpc::judge_status(status))),
            None => Err(Outcome::new(Kind::BadGrpc).detail("the Watch ended without a word")),
        },
        Said::Ended(reply) => Ok(Some(grpc::judge(spec, &reply))),
        Said::Failed(failed) => Err(failed),
    }
}

/// An open stream and what was said on it.
pub(super) struct Watching {
    session: Session,
    said: Arc<Shared>,
    reader: JoinHandle<()>,
    /// How many words of it were taken to account.
    heard: u64,
}

impl Watching {
    async fn open(spec: &GrpcProbe, aim: &Aim<'_>, limits: Limits) -> Result<Self, Outcome> {
        let host = aim.host(spec.authority.as_ref());
        let mut session = Session::open(aim, spec.tls.as_ref(), &host, limits).await?;
        let request = grpc::request(spec, aim, WATCH)?;
        let asked = session.send(request, grpc::frame(&spec.service));
        let response = within(limits, asked, Kind::BadGrpc).await?;
        let said = Arc::new(Shared::default());
        let reader = tokio::spawn(read(response, said.clone(), aim.bell.clone()));
        Ok(Self { session, said, reader, heard: 0 })
    }

    /// Something was said that no probe has taken to account.
    pub(super) fn has_news(&self) -> bool {
        self.said.lock().count > self.heard
    }

    /// The last status that came.
    fn status(&self) -> Option<u64> {
        self.said.lock().status
    }

    /// The first word on it.
    async fn first(&mut self) -> Said {
        let shared = self.said.clone();
        loop {
            let told = shared.told.notified();
            if let Some(said) = self.take() {
                return said;
            }
            told.await;
        }
    }

    /// The status now; `None` when the stream is no more.
    async fn listen(&mut self, limits: Limits) -> Result<Option<u64>, Outcome> {
        if !self.has_news() && !self.session.is_over() {
            match within(limits, self.session.ping(), Kind::BadGrpc).await {
                Err(late) if late.kind == Kind::ReceiveTimeout => return Err(late),
                Err(_) => return Ok(None),
                Ok(()) => {}
            }
        }
        Ok(match self.take() {
            Some(Said::Status(status)) => Some(status),
            Some(Said::Ended(_) | Said::Failed(_)) | None => None,
        })
    }

    fn take(&mut self) -> Option<Said> {
        let said = self.said.lock();
        self.heard = said.count;
        said.last.clone()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// The last word of a peer.
#[derive(Clone, Debug)]
enum Said {
    Status(u64),
    Ended(Arc<Reply>),
    Failed(Outcome),
}

#[derive(Default)]
struct Shared {
    words: Mutex<Words>,
    told: Notify,
}

#[derive(Default)]
struct Words {
    last: Option<Said>,
    status: Option<u64>,
    count: u64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, said: Said, bell: Option<&Bell>) {
        let mut words = self.lock();
        if let Said::Status(status) = said {
            words.status = Some(status);
        }
        words.last = Some(said);
        words.count += 1;
        let is_first = words.count == 1;
        drop(words);
        self.told.notify_one();
        // Somebody waits for the first word.
        if let Some(ring) = bell
            && !is_first
        {
            ring();
        }
    }
}

/// Reads the stream to its end.
async fn read(response: ResponseFuture, said: Arc<Shared>, bell: Option<Bell>) {
    let mut reply = Reply::default();
    let ended = messages(response, &mut reply, |status| {
        said.tell(Said::Status(status), bell.as_ref());
    });
    let last = match ended.await {
        Ok(()) => Said::Ended(Arc::new(reply)),
        Err(error) => {
            let kind = if error.is_io() { Kind::ReceiveFailed } else { Kind::BadGrpc };
            Said::Failed(Outcome::new(kind).detail(error.to_string()))
        }
    };
    said.tell(last, bell.as_ref());
}

async fn messages(
    response: ResponseFuture,
    reply: &mut Reply,
    mut each: impl FnMut(u64),
) -> Result<(), h2::Error> {
    let response = response.await?;
    reply.http_status = response.status().as_u16();
    reply.read(response.headers());
    let mut received = response.into_body();
    let mut buf = BytesMut::new();
    while let Some(data) = session::next(&mut received).await? {
        buf.extend_from_slice(&data);
        while let Some(length) = whole_message(&buf) {
            if let Some(status) = grpc::serving_status(&buf[..length]) {
                each(status);
            }
            buf.advance(length);
        }
        if buf.len() > MESSAGE_MAX_BYTES {
            return Err(h2::Reason::FRAME_SIZE_ERROR.into());
        }
    }
    if let Some(trailers) = received.trailers().await? {
        reply.read(&trailers);
    }
    Ok(())
}

/// The length of the first message with its prefix, once all of it is there.
fn whole_message(buf: &[u8]) -> Option<usize> {
    let prefix: [u8; 4] = buf.get(1..5)?.try_into().ok()?;
    let length = 5 + u32::from_be_bytes(prefix) as usize;
    (buf.len() >= length).then_some(length)
}

const WATCH: &str = "/grpc.health.v1.Health/Watch";
const UNIMPLEMENTED: u32 = 12;

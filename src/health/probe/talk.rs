//! One request and its answer over HTTP/1, on a connection that is kept or made for it.
//!
//! ```text
//!   kept? ─ send ─▶ nothing came back, closed ──▶ connect [▶ handshake] ─ send ─▶ answer ─▶ judge
//!             └───▶ answer ─▶ judge                                                   keep ◀─┘
//! ```

use bstr::BString;

use super::answer::Answer;
use super::kept::{Age, Line, Memory};
use super::{Aim, Limits, raw, tcp, tls, trace};
use crate::health::outcome::{Kind, Outcome};
use crate::health::passive::kind_of;
use crate::health::spec::{Keepalive, Pass, RawProbe, TlsSpec};
use crate::net::stream::Stream;

/// What is sent, to whom, and who judges what comes back.
pub(super) struct Call<'a> {
    pub(super) request: &'a [u8],
    /// The request is a HEAD: its answer has no body.
    pub(super) is_head: bool,
    pub(super) judge: Judge<'a>,
    /// With the name to ask for.
    pub(super) tls: Option<(&'a TlsSpec, Option<&'a [u8]>)>,
    pub(super) keepalive: Option<&'a Keepalive>,
    pub(super) limits: Limits,
}

/// Who judges an answer.
#[derive(Clone, Copy)]
pub(super) enum Judge<'a> {
    Pass(&'a Pass),
    Raw(&'a RawProbe),
}

impl Call<'_> {
    /// Makes the call.
    pub(super) async fn make(
        &self,
        aim: &Aim<'_>,
        memory: &mut Memory,
    ) -> Result<Outcome, Outcome> {
        if let Some((stream, age)) = memory.take_stream(self.keepalive) {
            let (said, dead) = self.talk(stream, age, memory).await;
            if !dead {
                return said;
            }
            trace::step(|| "the kept connection is dead".into());
        }
        // Boxed: probes on kept connections need none of this.
        let stream = Box::pin(self.open(aim)).await?;
        self.talk(stream, Age::new(), memory).await.0
    }

    async fn open(&self, aim: &Aim<'_>) -> Result<Stream, Outcome> {
        let stream = tcp::open(aim, self.limits).await?;
        match self.tls {
            None => Ok(stream),
            Some((wanted, name)) => {
                tls::handshake(stream, wanted, name, aim.tls, self.limits).await
            }
        }
    }

    /// Also tells whether the connection was gone before anything was answered.
    async fn talk(
        &self,
        mut stream: Stream,
        age: Age,
        memory: &mut Memory,
    ) -> (Result<Outcome, Outcome>, bool) {
        if let Err(failed) = tcp::send(&mut stream, self.request, self.limits).await {
            let dead = failed.kind == Kind::SendFailed;
            return (Err(failed), dead);
        }
        let mut answer = Answer::new(stream, self.limits, self.is_head);
        let said = self.judge.hear(&mut answer).await;
        let dead = answer.is_untouched()
            && said.as_ref().is_err_and(|failed| failed.kind == Kind::ReceiveFailed);
        if self.keepalive.is_some()
            && is_whole(&said)
            && let Some(stream) = answer.settle().await
        {
            memory.keep(Line::Http1(stream), age, self.keepalive);
        }
        (said, dead)
    }
}

impl Judge<'_> {
    async fn hear(self, answer: &mut Answer) -> Result<Outcome, Outcome> {
        match self {
            Self::Pass(Pass::Match(tests)) => answer.judge(tests).await,
            Self::Pass(pass @ Pass::Statuses(_)) => {
                let status = answer.status().await?;
                Ok(Outcome::new(kind_of(pass, status)).status(status.into()))
            }
            // The Lua libraries look at the first line, whatever it says.
            Self::Pass(pass @ (Pass::AnyLine | Pass::TwoLists { .. })) => {
                Ok(judge_line(pass, &answer.line().await?))
            }
            Self::Raw(spec) => Ok(raw::judge(spec, &answer.line().await?)),
        }
    }
}

/// Judges a first line by its status.
pub(super) fn judge_line(pass: &Pass, line: &BString) -> Outcome {
    match raw::status_of(line).and_then(|s| s.try_into().ok()) {
        Some(status) => Outcome::new(kind_of(pass, status)).status(status.into()),
        None if *pass == Pass::AnyLine => Outcome::new(Kind::Passed),
        None => Outcome::new(Kind::BadLine).detail(line),
    }
}

/// The answer came as far as its judge wanted, good or bad.
fn is_whole(said: &Result<Outcome, Outcome>) -> bool {
    let judged = [Kind::BadStatus, Kind::BadHeader, Kind::BadBody];
    said.as_ref().map_or_else(|failed| judged.contains(&failed.kind), |_| true)
}

//! Calls in frames: gRPC over any HTTP that has trailers, and Connect's streams.
//!
//! ```text
//!  gRPC      200, frames, trailers grpc-status and grpc-message
//!  Connect   200, frames, a last frame {} or {"error":{…}}
//! ```

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::time::Instant;

use crate::base::clock;
use crate::http::{Chunk, Flow, OutputError, Request};

use super::code::{Code, Failure};
use super::handler::{Call, Rpc};
use super::media::{Media, Protocol};
use super::status::Status;
use super::stopping::{self, Open};
use super::{board, coding, deadline, frame};

/// Answers one call.
pub async fn serve(r: &Rc<Request>, call: Call) -> Flow {
    let begun = Instant::from_std(clock::instant());
    let ended = match limit(r) {
        Ok(limit) => {
            // A century stands for no limit; the clock could not count much further.
            let until = begun + limit.unwrap_or(CENTURY).min(CENTURY);
            match tokio::time::timeout_at(until, run(r, call)).await {
                Ok(ended) => ended,
                Err(_) => Err(End::Failure(deadline::exceeded())),
            }
        }
        Err(failure) => {
            // Some clients miss an answer that comes before they have said all.
            let _ = r.read_body().await;
            Err(End::Failure(failure))
        }
    };
    match ended {
        Ok(()) => finish(r, &call.media, None),
        Err(End::Failure(failure)) => finish(r, &call.media, Some(failure)),
        Err(End::Gone) => Flow::Done,
        Err(End::Status(status)) => Flow::Status(status),
    }
}

/// Answers a call of something that is not there.
pub fn fail(r: &Rc<Request>, media: &Media, failure: Failure) -> Flow {
    // What is left of the body is of no interest; a broken one is the next read's trouble.
    let _ = r.discard_body();
    finish(r, media, Some(failure))
}

enum End {
    Failure(Failure),
    /// The client has left.
    Gone,
    /// The body could not be read.
    Status(u16),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<OutputError> for End {
    fn from(error: OutputError) -> Self {
        match error {
            OutputError::Status(status) => Self::Status(status),
            OutputError::HeaderSent | OutputError::Broken => Self::Gone,
        }
    }
}

async fn run(r: &Rc<Request>, call: Call) -> Result<(), End> {
    let names = encoding_names(call.media.protocol);
    let encoding = r.headers_in.borrow().first(names.0).cloned();
    r.read_body().await.map_err(|error| End::Status(error.0))?;
    coding::check(encoding.as_ref())?;
    let body = r.body.bytes().map_err(|_| End::Status(500))?;
    let (flag, message) = frame::unwrap_one(&body)?;
    let message = match flag {
        0 => message.to_vec(),
        frame::PACKED if encoding.is_some() => coding::unpack(encoding.as_ref(), message)?,
        frame::PACKED => {
            let text = "protocol error: sent compressed message without compression support";
            return Err(Failure::new(Code::INTERNAL, text).into());
        }
        _ => return Err(Failure::invalid("protocol error: invalid envelope flags").into()),
    };
    let service = call.decode(&message)?;
    if call.rpc == Rpc::Watch {
        return watch(r, call, &service).await;
    }
    let answer = call.answer(&service)?;
    head(r, &call.media)?;
    Ok(r.output(Chunk::data(frame::wrap(0, &answer)))?)
}

/// Tells the status, and every change of it, until somebody ends the stream. A slow reader misses
/// what was over before it could take it.
async fn watch(r: &Rc<Request>, call: Call, service: &str) -> Result<(), End> {
    let _open = Open::new();
    let mut watched = board::watch(service, call.options.threshold);
    head(r, &call.media)?;
    let mut told = None;
    loop {
        let now = *watched.borrow_and_update();
        tell(r, call, &mut told, now)?;
        let news = async {
            // The sender lives while there are receivers, on this thread.
            let changed = watched.changed().await.is_ok();
            r.flushed().await.is_ok() && changed
        };
        tokio::select! {
            more = news => if !more { return Err(End::Gone) },
            _ = r.conn.closed_by_client() => return Err(End::Gone),
            () = stopping::ended() => break,
        }
    }
    tell(r, call, &mut told, Status::NotServing)?;
    Err(Failure::new(Code::CANCELED, "Stream has ended.").into())
}

fn tell(
    r: &Rc<Request>,
    call: Call,
    told: &mut Option<Status>,
    now: Status,
) -> Result<(), OutputError> {
    if told.replace(now) == Some(now) {
        return Ok(());
    }
    let data = frame::wrap(0, &call.encode(now)).into();
    r.output(Chunk { data, flush: true, ..Chunk::default() })
}

fn head(r: &Rc<Request>, media: &Media) -> Result<(), OutputError> {
    {
        let mut out = r.headers_out.borrow_mut();
        out.status = 200;
        out.content_type = Some(Bytes::from_static(media.name.as_bytes()));
        out.expects_trailers = media.protocol == Protocol::Grpc;
        out.list.set(encoding_names(media.protocol).1, "gzip");
    }
    r.send_header()
}

fn finish(r: &Rc<Request>, media: &Media, failure: Option<Failure>) -> Flow {
    if !r.header_sent.get()
        && let Err(error) = head(r, media)
    {
        return error.flow();
    }
    let end = match media.protocol {
        Protocol::Grpc => {
            let trailers = &mut r.headers_out.borrow_mut().trailers;
            let code = failure.as_ref().map_or(0, |failure| failure.code.0);
            trailers.add("grpc-status", code.to_string());
            if let Some(failure) = failure {
                trailers.add("grpc-message", percent_encoded(&failure.text));
            }
            Bytes::new()
        }
        Protocol::Connect | Protocol::Unary => {
            let body = failure.map_or_else(
                || json!({}),
                |f| json!({ "error": { "code": f.code.name(), "message": f.text } }),
            );
            frame::wrap(frame::END, body.to_string().as_bytes()).into()
        }
    };
    match r.output(Chunk { data: end, flush: true, last: true, ..Chunk::default() }) {
        Ok(()) => Flow::Done,
        Err(error) => error.flow(),
    }
}

fn limit(r: &Rc<Request>) -> Result<Option<Duration>, Failure> {
    let headers = r.headers_in.borrow();
    if let Some(text) = headers.first("grpc-timeout") {
        return deadline::of_grpc(text).map(Some);
    }
    headers.first("Connect-Timeout-Ms").map(|text| deadline::of_unary(text)).transpose()
}

/// The header that names a request's encoding, and the one that says what is understood.
fn encoding_names(protocol: Protocol) -> (&'static str, &'static str) {
    match protocol {
        Protocol::Grpc => ("grpc-encoding", "grpc-accept-encoding"),
        Protocol::Connect | Protocol::Unary => {
            ("Connect-Content-Encoding", "Connect-Accept-Encoding")
        }
    }
}

/// gRPC's form of a message in a header.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

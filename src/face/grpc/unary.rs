//! Unary calls of Triple and Connect: the body is the message, errors are HTTP's and JSON.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use crate::http::{Flow, Request};

use super::code::{Code, Failure};
use super::handler::Call;
use super::{coding, deadline};

/// Answers one call.
pub async fn serve(r: &Rc<Request>, call: Call) -> Flow {
    let answered = match limit(r) {
        Ok(None) => answer(r, call).await,
        Ok(Some(limit)) => match tokio::time::timeout(limit, answer(r, call)).await {
            Ok(answered) => answered,
            Err(_) => Err(End::Failure(deadline::exceeded())),
        },
        Err(failure) => {
            // Some clients miss an answer that comes before they have said all.
            let _ = r.read_body().await;
            Err(End::Failure(failure))
        }
    };
    match answered {
        Ok(message) => {
            r.headers_out.borrow_mut().list.set("Accept-Encoding", "gzip");
            let kind = Bytes::from_static(call.media.name.as_bytes());
            r.answer(200, Some(kind), message.into())
        }
        Err(End::Status(status)) => Flow::Status(status),
        Err(End::Failure(failure)) => {
            let status = failure.code.http(call.options.connect_status);
            let body = json!({ "code": failure.code.name(), "message": failure.text });
            let kind = Bytes::from_static(b"application/json");
            r.answer(status, Some(kind), body.to_string().into())
        }
    }
}

/// How a call ended badly.
enum End {
    Failure(Failure),
    /// The body could not be read.
    Status(u16),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

async fn answer(r: &Rc<Request>, call: Call) -> Result<Vec<u8>, End> {
    r.read_body().await.map_err(|error| End::Status(error.0))?;
    check_head(r)?;
    let body = r.body.bytes().map_err(|_| End::Status(500))?;
    let encoding = r.headers_in.borrow().first("Content-Encoding").cloned();
    let message = coding::unpack(encoding.as_ref(), &body)?;
    let service = call.decode(&message)?;
    Ok(call.answer(&service)?)
}

fn check_head(r: &Rc<Request>) -> Result<(), Failure> {
    let headers = r.headers_in.borrow();
    for (name, wanted) in VERSIONS {
        if let Some(version) = headers.first(name).filter(|version| version[..] != **wanted) {
            let version = String::from_utf8_lossy(version);
            let wanted = String::from_utf8_lossy(wanted);
            let text = format!("{name} must be {wanted:?}: got {version:?}");
            return Err(Failure::invalid(text));
        }
    }
    for name in ["tri-service-group", "tri-service-version"] {
        if headers.first(name).is_some_and(|value| !value.is_empty()) {
            let text = "no implementation of grpc.health.v1.Health for this group and version";
            return Err(Failure::new(Code::UNIMPLEMENTED, text));
        }
    }
    Ok(())
}

fn limit(r: &Rc<Request>) -> Result<Option<Duration>, Failure> {
    let headers = r.headers_in.borrow();
    let told = ["Triple-Timeout-Ms", "Connect-Timeout-Ms"];
    let told = told.into_iter().find_map(|name| headers.first(name));
    told.map(|text| deadline::of_unary(text)).transpose()
}

const VERSIONS: &[(&str, &[u8])] =
    &[("Triple-Protocol-Version", b"0.1.0"), ("Connect-Protocol-Version", b"1")];

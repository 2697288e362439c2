//! The content handler: which call it is, and in which protocol.
//!
//! ```text
//!  path ── unknown ──▶ 404, gRPC: UNIMPLEMENTED
//!  method ── not POST ──▶ 405        content type ── not taken ──▶ 415 and what is
//! ```

use std::rc::Rc;

use bytes::Bytes;

use crate::conf::Scope;
use crate::http::{Flow, Handler, Request, Step};

use super::code::{Code, Failure};
use super::conf::{GrpcHealth, Options};
use super::media::{self, Codec, Media, Protocol};
use super::status::{self, Status};
use super::{json, proto, stream, unary};

/// Serves the health protocol.
pub static HANDLER: HealthHandler = HealthHandler;

pub struct HealthHandler;

impl Handler for HealthHandler {
    fn applies(&self, _scope: &Scope) -> bool {
        true
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        Step::wait(serve(r))
    }
}

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rpc {
    Check,
    List,
    Watch,
}

/// One call: what, how, and under which options.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub rpc: Rpc,
    pub media: Media,
    pub options: Options,
}

async fn serve(r: &Rc<Request>) -> Flow {
    let options = r.with_location(|location| location.scope.part::<GrpcHealth>().0);
    let options = options.unwrap_or_default();
    let media = r.headers_in.borrow().first("Content-Type").and_then(|kind| Media::find(kind));
    let Some(rpc) = called(r) else { return unknown(r, media) };
    if r.method.borrow().name != "POST" {
        return refuse(r, 405, "Allow", "POST");
    }
    let streams = rpc == Rpc::Watch;
    match media.filter(|media| media.fits(streams)) {
        None => {
            // Some clients miss an answer that comes before they have said all.
            let _ = r.read_body().await;
            refuse(r, 415, "Accept-Post", &media::accepted(streams))
        }
        Some(media) if media.protocol == Protocol::Unary => {
            unary::serve(r, Call { rpc, media, options }).await
        }
        Some(media) => stream::serve(r, Call { rpc, media, options }).await,
    }
}

impl Call {
    /// The service a message asks for.
    pub fn decode(&self, message: &[u8]) -> Result<String, Failure> {
        let decoded = match self.media.codec {
            Codec::Json => json::decode_request(message),
            Codec::Proto => proto::decode_request(message).ok_or_else(|| {
                format!("{}proto: cannot parse invalid wire-format data", json::UNMARSHAL)
            }),
        };
        decoded.map_err(Failure::invalid)
    }

    pub fn encode(&self, status: Status) -> Vec<u8> {
        match self.media.codec {
            Codec::Json => json::encode_status(status),
            Codec::Proto => proto::encode_status(status),
        }
    }

    /// The one answer of Check and List.
    pub fn answer(&self, service: &str) -> Result<Vec<u8>, Failure> {
        if self.rpc == Rpc::List {
            let list = status::all(self.options.threshold);
            if list.len() > LIST_MAX {
                let text = format!("server health list exceeds maximum capacity: {LIST_MAX}");
                return Err(Failure::new(Code::RESOURCE_EXHAUSTED, text));
            }
            return Ok(match self.media.codec {
                Codec::Json => json::encode_list(&list),
                Codec::Proto => proto::encode_list(&list),
            });
        }
        match status::of(service, self.options.threshold) {
            Some(status) => Ok(self.encode(status)),
            None if self.options.compat_code17 => {
                let text = "rpc error: code = NotFound desc = unknown service";
                Err(Failure::new(Code(17), text))
            }
            None => Err(Failure::new(Code::NOT_FOUND, "unknown service")),
        }
    }
}

/// The method of the path; Dubbo-go takes its first letter in either case.
fn called(r: &Rc<Request>) -> Option<Rpc> {
    let uri = r.uri.borrow();
    match uri.strip_prefix(SERVICE)? {
        b"Check" | b"check" => Some(Rpc::Check),
        b"List" | b"list" => Some(Rpc::List),
        b"Watch" | b"watch" => Some(Rpc::Watch),
        _ => None,
    }
}

/// Something else was called.
fn unknown(r: &Rc<Request>, media: Option<Media>) -> Flow {
    if let Some(media) = media.filter(|media| media.protocol == Protocol::Grpc) {
        let path = String::from_utf8_lossy(&r.uri.borrow()).into_owned();
        let text = format!("unknown method {path}");
        return stream::fail(r, &media, Failure::new(Code::UNIMPLEMENTED, text));
    }
    let kind = Bytes::from_static(b"text/plain; charset=utf-8");
    r.answer(404, Some(kind), Bytes::from_static(b"404 page not found\n"))
}

fn refuse(r: &Rc<Request>, status: u16, name: &'static str, value: &str) -> Flow {
    r.headers_out.borrow_mut().list.set(name, value.to_owned());
    r.answer(status, Some(Bytes::from_static(b"text/plain")), Bytes::new())
}

const SERVICE: &[u8] = b"/grpc.health.v1.Health/";
const LIST_MAX: usize = 100;

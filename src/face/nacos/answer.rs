//! Answers in the envelope of each version.
//!
//! ```text
//!            v1                        v2, v3
//!  ok        ok                        {"code":0,"message":"success","data":"ok"}
//!  value     {…}                       {"code":0,"message":"success","data":{…}}
//!  fault     text                      {"code":21001,"message":"weight error","data":text}
//! ```

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use super::fault::{Code, Fault};

/// The generation of the API a path belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    V1,
    V2,
    V3,
}

/// A response that is ready to be sent.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub kind: &'static str,
    pub body: Bytes,
    /// The methods a refused one should have been.
    pub allow: Option<String>,
}

impl Answer {
    /// The word every writing call is answered with.
    pub fn ok(version: Version) -> Self {
        match version {
            Version::V1 => Self::text("ok"),
            Version::V2 | Version::V3 => Self::value(version, &"ok"),
        }
    }

    /// A bare text, whatever the version.
    pub fn text(text: impl Into<Bytes>) -> Self {
        Self { status: 200, kind: TEXT, body: text.into(), allow: None }
    }

    pub fn value<T: Serialize>(version: Version, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => Self::json(envelope(version, &json)),
            Err(e) => Self::fault(version, "", &Fault::bad(Code::SERVER, e.to_string())),
        }
    }

    /// JSON that is in its envelope already.
    pub fn json(body: Bytes) -> Self {
        Self { status: 200, kind: JSON, body, allow: None }
    }

    pub fn fault(version: Version, path: &str, fault: &Fault) -> Self {
        let text = fault.to_string();
        match fault {
            Fault::Illegal(_) => Self { status: 400, ..Self::text(text) },
            Fault::Missing { .. } if version == Version::V1 => {
                Self { status: 400, ..Self::text(text) }
            }
            Fault::Missing { name, kind } => {
                let text = format!("Required parameter '{name}' type {kind} is not present");
                Self::coded(400, Code::MISSING, &text)
            }
            Fault::Api { status, .. } if version == Version::V1 => {
                Self { status: *status, ..Self::text(text) }
            }
            Fault::Api { status, code, text } => Self::coded(*status, *code, text),
            Fault::Forbidden(why) if version == Version::V1 => {
                Self::page(403, "Forbidden", why, path)
            }
            Fault::Forbidden(why) => Self::coded(403, Code::ACCESS_DENIED, why),
            Fault::NoPath => Self::page(404, "Not Found", "No message available", path),
            Fault::Method(allowed) => {
                let text = "Request method is not supported";
                let allow = Some(allowed.join(", "));
                Self { allow, ..Self::page(405, "Method Not Allowed", text, path) }
            }
            Fault::Body(status) => {
                Self::page(*status, "Bad Request", "the body could not be read", path)
            }
        }
    }

    fn coded(status: u16, code: Code, text: &str) -> Self {
        let body = CodedBody { code: code.0, message: code.1, data: text };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        Self { status, ..Self::json(body.into()) }
    }

    /// The error object of the framework Nacos stands on.
    fn page(status: u16, error: &str, message: &str, path: &str) -> Self {
        let body = json!({ "status": status, "error": error, "message": message, "path": path });
        Self { status, ..Self::json(body.to_string().into()) }
    }
}

/// Puts rendered JSON into the envelope of a version.
pub fn envelope(version: Version, json: &[u8]) -> Bytes {
    match version {
        Version::V1 => Bytes::copy_from_slice(json),
        Version::V2 | Version::V3 => [ENVELOPE, json, b"}"].concat().into(),
    }
}

#[derive(Serialize)]
struct CodedBody<'a> {
    code: u32,
    message: &'static str,
    data: &'a str,
}

const ENVELOPE: &[u8] = br#"{"code":0,"message":"success","data":"#;
const TEXT: &str = "text/plain;charset=UTF-8";
const JSON: &str = "application/json;charset=UTF-8";

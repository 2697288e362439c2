//! A request to the Admin API, read: segments of the path, arguments, the body as an object.

use std::rc::Rc;

use serde_json::{Map, Value};

use super::super::form;
use super::reply::Reply;
use crate::base::escape;
use crate::face::json::{self, Refused};
use crate::http::Request;

/// What was asked.
pub struct Call {
    pub method: String,
    /// The path below the location's own, decoded.
    pub path: Vec<String>,
    args: Vec<(String, String)>,
    pub body: Given,
}

/// What the body said.
pub struct Given {
    pub object: Map<String, Value>,
    /// Every value is a text still.
    pub is_form: bool,
    /// The bytes, for whoever signs them.
    pub bytes: bytes::Bytes,
}

impl Call {
    /// Reads the request; bodies longer than the limit are refused.
    pub async fn read(r: &Rc<Request>, limit: u64) -> Result<Self, Reply> {
        let bytes = json::read(r, limit).await.map_err(|refused| match refused {
            Refused::TooBig(_) => Reply::message(413, "Payload too large"),
            Refused::Status(400) => Reply::message(400, "Bad request"),
            Refused::Status(status) => Reply::message(status, "The body could not be read"),
        })?;
        let method = String::from_utf8_lossy(&r.method.borrow().name).into_owned();
        let (pairs, _) = escape::decode_args(&r.args.borrow(), ARGS_MAX);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let args = pairs.iter().map(|(name, value)| {
            (text(name), value.as_deref().map_or_else(|| "true".into(), text))
        });
        let args = args.collect();
        let body = Given::parse(r, bytes)?;
        Ok(Self { method, path: segments(r), args, body })
    }

    pub fn arg(&self, name: &str) -> Option<&str> {
        self.args.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Given {
    /// What a call inside the house gives.
    pub fn of(object: Map<String, Value>) -> Self {
        Self { object, is_form: false, bytes: bytes::Bytes::new() }
    }

    fn parse(r: &Rc<Request>, bytes: bytes::Bytes) -> Result<Self, Reply> {
        let empty = |is_form| Self { object: Map::new(), is_form, bytes: bytes.clone() };
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(empty(false));
        }
        let headers = r.headers_in.borrow();
        let kind = headers.first("Content-Type").cloned().unwrap_or_default();
        let kind = String::from_utf8_lossy(&kind).to_ascii_lowercase();
        if kind.starts_with("application/x-www-form-urlencoded") {
            return Ok(Self { object: form::read(&bytes), ..empty(true) });
        }
        if kind.starts_with("multipart/") {
            return Err(Reply::message(415, "Unsupported media type: send JSON or a form"));
        }
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(object)) => Ok(Self { object, ..empty(false) }),
            _ => Err(Reply::message(400, "Cannot parse JSON body")),
        }
    }
}

/// The segments of the path. A slash that was sent as `%2F` is not told from a plain one; no key
/// of Kong's holds one.
fn segments(r: &Rc<Request>) -> Vec<String> {
    let uri = r.uri.borrow();
    let base = r.with_location(|location| location.name.clone());
    let own = uri.strip_prefix(base.as_slice()).unwrap_or(&uri);
    let parts = own.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
    parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

const ARGS_MAX: usize = 100;

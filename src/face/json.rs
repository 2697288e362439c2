//! What all faces that speak JSON share: reading a body within a limit, and answering.
//!
//! ```text
//!  request ─ read(r, limit) ─▶ Bytes or Refused        value ─ answer(r, status) ─▶ Flow
//! ```

use std::rc::Rc;

use bytes::Bytes;
use serde::Serialize;

use crate::base::log::Level;
use crate::http::{Flow, Request};

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Longer than the limit; how long, when the client said it.
    TooBig(u64),
    /// The connection's affair: end with this status.
    Status(u16),
}

/// Reads the whole request body, if it is not longer than `limit` bytes.
pub async fn read(r: &Rc<Request>, limit: u64) -> Result<Bytes, Refused> {
    if let Some(length) = r.body.expected_length().filter(|length| *length > limit) {
        return Err(Refused::TooBig(length));
    }
    r.read_body().await.map_err(|error| Refused::Status(error.0))?;
    let length = r.body.length();
    if length > limit {
        return Err(Refused::TooBig(length));
    }
    r.body.bytes().map_err(|error| {
        r.log(Level::Crit, format_args!("request body file: {error}"));
        Refused::Status(500)
    })
}

/// Answers with a value as JSON.
pub fn answer(r: &Rc<Request>, status: u16, value: &impl Serialize) -> Flow {
    match serde_json::to_vec(value) {
        Ok(text) => r.answer(status, Some(Bytes::from_static(JSON)), text.into()),
        Err(error) => {
            r.log(Level::Alert, format_args!("an answer could not be written: {error}"));
            Flow::Status(500)
        }
    }
}

const JSON: &[u8] = b"application/json; charset=utf-8";

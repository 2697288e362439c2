//! `ngx.ocsp`: what to ask an authority about a certificate, and what its answer is worth.

use std::ffi::c_int;

use crate::lua::api::Topic;
use crate::lua::phase::ANY;
use crate::lua::raw::{Call, Op, Raise};
use crate::net::tls::ocsp::{self, OcspError};
use crate::net::tls::{self, Chain};

pub const TOPIC: Topic = Topic::of(&[
    Op { name: "ocsp.responder", phases: ANY, run: responder },
    Op { name: "ocsp.request", phases: ANY, run: request },
    Op { name: "ocsp.validate", phases: ANY, run: validate },
]);

type Answer = Result<c_int, Raise>;

/// A chain in DER, one certificate after the other.
fn chain(der: &[u8]) -> Result<Chain, OcspError> {
    tls::certs_of_der(der).filter(|chain| !chain.is_empty()).ok_or(OcspError::Leaf)
}

/// `(chain, most bytes)`: the URL, or nothing, or nil and the reason.
fn responder(c: &Call<'_>) -> Answer {
    let most = usize::try_from(c.int(2)?).unwrap_or(0);
    match chain(c.bytes(1)?).and_then(|chain| ocsp::responder_url(&chain)) {
        Ok(Some(url)) if url.len() > most => c.ret((&url[..most], "truncated")),
        Ok(Some(url)) => c.ret(url),
        Ok(None) => c.ret(()),
        Err(e) => c.fail(e.to_string()),
    }
}

/// `(chain, most bytes)`: the request in DER, or nil and the reason.
fn request(c: &Call<'_>) -> Answer {
    let most = usize::try_from(c.int(2)?).unwrap_or(0);
    match chain(c.bytes(1)?).and_then(|chain| ocsp::request(&chain)) {
        Ok(text) if text.len() > most => {
            c.fail(format!("output buffer too small: {} > {most}", text.len()))
        }
        Ok(text) => c.ret(text),
        Err(e) => c.fail(e.to_string()),
    }
}

/// `(response, chain)`: true and when the next one is due, or nil and the reason.
fn validate(c: &Call<'_>) -> Answer {
    let response = c.bytes(1)?;
    match chain(c.bytes(2)?).and_then(|chain| ocsp::validate(response, &chain)) {
        Ok(next_update) => c.ret((true, next_update.map(|at| at as f64))),
        Err(e) => c.fail(e.to_string()),
    }
}

//! TC3-HMAC-SHA256: how calls of the cloud API are signed.
//!
//! ```text
//!  canonical request ─ SHA-256 ─┐
//!  time, date/service/tc3_request ┴▶ text ─ HMAC(key of key, date, service) ─▶ signature
//! ```

use std::rc::Rc;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::super::super::conf::Secret;
use super::super::call::Call;
use super::Fault;
use crate::base::clock;
use crate::face::key;
use crate::http::Request;

/// Checks the signature of a call.
pub(super) fn check(r: &Rc<Request>, call: &Call, secrets: &[Secret]) -> Result<(), Fault> {
    let header = |name: &str| {
        let headers = r.headers_in.borrow();
        String::from_utf8_lossy(headers.first(name).map_or(&b""[..], |v| v)).into_owned()
    };
    let authorization = header("Authorization");
    let signed = Signed::parse(&authorization).ok_or_else(|| {
        Fault::new("AuthFailure", "The Authorization header is not one of TC3-HMAC-SHA256.")
    })?;
    let time = header("X-TC-Timestamp");
    let age_s = time.parse::<i64>().ok().map(|time| (clock::fresh_wall().secs - time).abs());
    if age_s.is_none_or(|age_s| age_s > AGE_MAX_S) {
        return Err(Fault::new("AuthFailure", "The signature is expired."));
    }
    let mut lines = String::new();
    for name in signed.headers.split(';') {
        lines.push_str(&format!("{name}:{}\n", header(name).trim().to_lowercase()));
    }
    let (uri, args) = (r.uri.borrow(), r.args.borrow());
    let canonical = format!(
        "{}\n{}\n{}\n{lines}\n{}\n{}",
        call.method,
        String::from_utf8_lossy(&uri),
        String::from_utf8_lossy(&args),
        signed.headers,
        hex(&Sha256::digest(&call.body.bytes)),
    );
    let scope = format!("{}/{}/tc3_request", signed.date, signed.service);
    let text =
        format!("{ALGORITHM}\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let good = secrets.iter().filter(|secret| secret.id == signed.id).any(|secret| {
        let wanted = hex(&signature(&secret.key, &signed, &text));
        key::same(wanted.as_bytes(), signed.signature.as_bytes())
    });
    match good {
        true => Ok(()),
        false => Err(Fault::new("AuthFailure", "The signature does not match.")),
    }
}

/// The parts of the Authorization header.
struct Signed<'a> {
    id: &'a str,
    date: &'a str,
    service: &'a str,
    headers: &'a str,
    signature: &'a str,
}

impl<'a> Signed<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix(ALGORITHM)?.trim();
        let part = |name: &str| {
            let mut parts = rest.split(',').map(str::trim);
            parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
        };
        let mut credential = part("Credential")?.split('/');
        let (id, date) = (credential.next()?, credential.next()?);
        let (service, last) = (credential.next()?, credential.next()?);
        let (headers, signature) = (part("SignedHeaders")?, part("Signature")?);
        (last == "tc3_request").then_some(Self { id, date, service, headers, signature })
    }
}

fn signature(secret: &[u8], signed: &Signed<'_>, text: &str) -> Vec<u8> {
    let first = mac(&[b"TC3", secret].concat(), signed.date.as_bytes());
    let second = mac(&first, signed.service.as_bytes());
    mac(&mac(&second, b"tc3_request"), text.as_bytes())
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    // HMAC takes keys of every length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const ALGORITHM: &str = "TC3-HMAC-SHA256";
const AGE_MAX_S: i64 = 300;

//! OCSP as servers that staple need it: where to ask, what to ask, whether an answer is any good.
//!
//! ```text
//!  leaf, issuer ─▶ responder_url ─▶ (a script asks it with) request ─▶ validate(answer) ─▶ stapled
//! ```
//!
//! As OpenResty does, an answer is checked for its signature, its age and its verdict about the
//! leaf; whether the one who signed it may do so is left to the clients it is stapled for.

use aws_lc_rs::signature::{RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, UnparsedPublicKey};
use sha1::{Digest, Sha1};
use thiserror::Error;

use crate::base::clock;

use super::Chain;
use super::verify::verifies;
use super::x509::{Cert, Reader, Signed, time};

/// Why there is nothing to ask or nothing to staple, in OpenResty's words.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum OcspError {
    #[error("d2i_X509_bio() failed")]
    Leaf,
    #[error("no issuer certificate in chain")]
    NoIssuer,
    #[error("issuer certificate not next to leaf")]
    NotNext,
    #[error("d2i_OCSP_RESPONSE() failed")]
    Malformed,
    #[error("OCSP response not successful ({0}: {name})", name = status_name(*.0))]
    Refused(u8),
    #[error("OCSP_response_get1_basic() failed")]
    NotBasic,
    #[error("OCSP_basic_verify() failed")]
    Signature,
    #[error("certificate status not found in the OCSP response")]
    OtherCertificate,
    #[error("certificate status \"{0}\" in the OCSP response")]
    Bad(&'static str),
    #[error("OCSP_check_validity() failed")]
    Age,
}

/// Where the leaf's authority answers questions about it, if it says so.
pub fn responder_url(chain: &Chain) -> Result<Option<Vec<u8>>, OcspError> {
    let leaf = leaf(chain)?;
    let Some(access) = leaf.extension(AUTHORITY_ACCESS) else { return Ok(None) };
    let (leaf, issuer) = first_two(chain)?;
    if issuer.subject != leaf.issuer {
        return Err(OcspError::NotNext);
    }
    let mut access = Reader(Reader(access).expect(SEQUENCE).unwrap_or_default());
    while let Some(one) = access.expect(SEQUENCE) {
        let mut one = Reader(one);
        if one.expect(OID) == Some(OCSP) {
            return Ok(one.optional(URI).map(<[u8]>::to_vec));
        }
    }
    Ok(None)
}

/// The question about the leaf.
pub fn request(chain: &Chain) -> Result<Vec<u8>, OcspError> {
    let (leaf, issuer) = first_two(chain)?;
    let id = id(&leaf, &issuer)?;
    // A list of one request in the part that could be signed.
    let list = wrapped(SEQUENCE, &wrapped(SEQUENCE, &id));
    Ok(wrapped(SEQUENCE, &wrapped(SEQUENCE, &list)))
}

/// Checks an answer about the leaf; gives when the next one is due, if it says so.
pub fn validate(response: &[u8], chain: &Chain) -> Result<Option<i64>, OcspError> {
    let basic = basic(response)?;
    let (leaf, issuer) = first_two(chain)?;
    let carried = certificates(basic.certs);
    let own = chain.iter().filter_map(|der| Cert::parse(der));
    let mut known = carried.iter().copied().chain(own);
    if !known.any(|cert| basic.is_from(&cert) && basic.is_signed_by(&cert)) {
        return Err(OcspError::Signature);
    }
    let id = id(&leaf, &issuer)?;
    let wanted = Reader(&id).expect(SEQUENCE).unwrap_or_default();
    let single = basic.about(wanted).ok_or(OcspError::OtherCertificate)?;
    match single.status {
        GOOD => {}
        REVOKED => return Err(OcspError::Bad("revoked")),
        _ => return Err(OcspError::Bad("unknown")),
    }
    let now = clock::wall().secs;
    let is_early = single.this_update > now + CLOCK_SKEW_S;
    if is_early || single.next_update.is_some_and(|next| next < now - CLOCK_SKEW_S) {
        return Err(OcspError::Age);
    }
    Ok(single.next_update)
}

fn leaf(chain: &Chain) -> Result<Cert<'_>, OcspError> {
    chain.first().and_then(|der| Cert::parse(der)).ok_or(OcspError::Leaf)
}

/// The leaf and what stands right behind it; only who looks for the responder asks whether it is
/// the issuer.
fn first_two(chain: &Chain) -> Result<(Cert<'_>, Cert<'_>), OcspError> {
    let leaf = leaf(chain)?;
    let issuer = chain.get(1).and_then(|der| Cert::parse(der)).ok_or(OcspError::NoIssuer)?;
    Ok((leaf, issuer))
}

/// The CertID: hashes of the issuer's name and key, and the leaf's serial number.
fn id(leaf: &Cert<'_>, issuer: &Cert<'_>) -> Result<Vec<u8>, OcspError> {
    let (_, key) = issuer.key().ok_or(OcspError::NoIssuer)?;
    let name = Sha1::digest(wrapped(SEQUENCE, leaf.issuer));
    let mut body = SHA1.to_vec();
    body.extend(wrapped(OCTET_STRING, &name));
    body.extend(wrapped(OCTET_STRING, &Sha1::digest(key)));
    body.extend(wrapped(INTEGER, leaf.serial));
    Ok(wrapped(SEQUENCE, &body))
}

/// A BasicOCSPResponse.
struct Basic<'a> {
    responder: (u8, &'a [u8]),
    responses: &'a [u8],
    certs: &'a [u8],
    signed: Signed<'a>,
}

struct Single {
    status: u8,
    this_update: i64,
    next_update: Option<i64>,
}

fn basic(response: &[u8]) -> Result<Basic<'_>, OcspError> {
    let mut outer = Reader(Reader(response).expect(SEQUENCE).ok_or(OcspError::Malformed)?);
    let status = outer.expect(ENUMERATED).and_then(|value| value.first().copied());
    let status = status.ok_or(OcspError::Malformed)?;
    if status != 0 {
        return Err(OcspError::Refused(status));
    }
    let mut parts = || {
        let mut bytes = Reader(Reader(outer.optional(CONTEXT_0)?).expect(SEQUENCE)?);
        bytes.expect(OID).filter(|kind| *kind == BASIC)?;
        let bytes = bytes.expect(OCTET_STRING)?;
        let mut basic = Reader(Reader(bytes).expect(SEQUENCE)?);
        let (message, data) = basic.whole(SEQUENCE)?;
        let algorithm = basic.expect(SEQUENCE)?;
        let signature = basic.expect(BIT_STRING)?.get(1..)?;
        let certs = match basic.optional(CONTEXT_0) {
            Some(list) => Reader(list).expect(SEQUENCE)?,
            None => &[],
        };
        let mut data = Reader(data);
        data.optional(CONTEXT_0);
        let responder = data.next()?;
        time(&mut data)?;
        let responses = data.expect(SEQUENCE)?;
        let signed = Signed { message, algorithm, signature };
        Some(Basic { responder, responses, certs, signed })
    };
    parts().ok_or(OcspError::NotBasic)
}

impl Basic<'_> {
    /// Whether it names this certificate as the one it is signed with.
    fn is_from(&self, cert: &Cert<'_>) -> bool {
        let (kind, value) = self.responder;
        match (kind, cert.key()) {
            (BY_NAME, _) => Reader(value).expect(SEQUENCE) == Some(cert.subject),
            (BY_KEY, Some((_, key))) => {
                Reader(value).expect(OCTET_STRING) == Some(&Sha1::digest(key)[..])
            }
            _ => false,
        }
    }

    fn is_signed_by(&self, cert: &Cert<'_>) -> bool {
        if self.signed.algorithm != SHA1_WITH_RSA {
            return verifies(&self.signed, cert);
        }
        // Old responders still sign so, and the TLS library does not take it any more.
        let key = cert.key().map_or(&[][..], |(_, key)| key);
        let key = UnparsedPublicKey::new(&RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, key);
        key.verify(self.signed.message, self.signed.signature).is_ok()
    }

    fn about(&self, wanted: &[u8]) -> Option<Single> {
        let mut all = Reader(self.responses);
        while let Some(one) = all.expect(SEQUENCE) {
            let mut one = Reader(one);
            if !same_id(one.expect(SEQUENCE)?, wanted) {
                continue;
            }
            let (status, _) = one.next()?;
            let this_update = time(&mut one)?;
            let next_update = match one.optional(CONTEXT_0) {
                Some(wrapped) => Some(time(&mut Reader(wrapped))?),
                None => None,
            };
            return Some(Single { status, this_update, next_update });
        }
        None
    }
}

/// The parameters of the digest may be left out or NULL.
fn same_id(one: &[u8], other: &[u8]) -> bool {
    let parts = |id| {
        let mut id = Reader(id);
        let digest = Reader(id.expect(SEQUENCE)?).expect(OID)?;
        Some((digest, id.expect(OCTET_STRING)?, id.expect(OCTET_STRING)?, id.expect(INTEGER)?))
    };
    parts(one).is_some_and(|one| Some(one) == parts(other))
}

fn certificates(mut list: &[u8]) -> Vec<Cert<'_>> {
    let mut certs = Vec::new();
    while let Some(length) = super::x509::whole_length(list) {
        certs.extend(Cert::parse(&list[..length]));
        list = &list[length..];
    }
    certs
}

/// An element of DER.
fn wrapped(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match body.len() {
        short @ 0..=0x7f => out.push(short as u8),
        long => {
            let bytes = long.to_be_bytes();
            let from = bytes.iter().position(|byte| *byte != 0).unwrap_or(0);
            out.push(0x80 | (bytes.len() - from) as u8);
            out.extend_from_slice(&bytes[from..]);
        }
    }
    out.extend_from_slice(body);
    out
}

fn status_name(status: u8) -> &'static str {
    match status {
        1 => "malformedrequest",
        2 => "internalerror",
        3 => "trylater",
        5 => "sigrequired",
        6 => "unauthorized",
        _ => "(UNKNOWN)",
    }
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const ENUMERATED: u8 = 0x0a;
const CONTEXT_0: u8 = 0xa0;
const BY_NAME: u8 = 0xa1;
const BY_KEY: u8 = 0xa2;
const URI: u8 = 0x86;
const GOOD: u8 = 0x80;
const REVOKED: u8 = 0xa1;

/// id-pe-authorityInfoAccess, id-ad-ocsp, id-pkix-ocsp-basic.
const AUTHORITY_ACCESS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 1];
const OCSP: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1];
const BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
/// The AlgorithmIdentifier of SHA-1, with NULL for parameters.
const SHA1: &[u8] = &[0x30, 9, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0];
/// What is in the AlgorithmIdentifier of sha1WithRSAEncryption.
const SHA1_WITH_RSA: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5, 5, 0];
/// How far clocks may be apart.
const CLOCK_SKEW_S: i64 = 300;

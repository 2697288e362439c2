//! Judging a peer's certificate, in the numbers and words of OpenSSL's `X509_V_ERR_*`.
//!
//! ```text
//!  chain ─▶ an anchor itself? signed by one? ─▶ the library's verifier ─▶ name (SAN, then CN)
//!                                                  │ no: who is missing? 18 19 20 …
//!                                                  ▼
//!                                             VerifyError { code, text }
//! ```
//!
//! The library refuses version 1 certificates, which `openssl x509 -req` makes unless told
//! otherwise. They are taken in two simple cases: the certificate is an anchor, or an anchor that
//! may sign has signed it.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, Error};

use super::default_provider;
use super::pem::Roots;
use super::x509::{Cert, Signed};
use crate::base::clock;

/// Why a certificate is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {text}")]
pub struct VerifyError {
    /// OpenSSL's number; 62 for a name that does not match.
    pub code: u32,
    pub text: &'static str,
}

impl VerifyError {
    /// Whether only the name was wrong: OpenResty and nginx have words of their own for it.
    pub fn is_name(&self) -> bool {
        self.code == HOSTNAME_MISMATCH
    }

    /// Whether only an authority is missing, which `ssl_verify_client optional_no_ca` forgives.
    pub fn is_unknown_authority(&self) -> bool {
        matches!(self.code, SELF_SIGNED..=UNVERIFIED_LEAF)
    }

    pub fn from_code(code: u32) -> Self {
        let text = TEXTS.iter().find(|row| row.0 == code).map_or("certificate rejected", |r| r.1);
        Self { code, text }
    }
}

/// Whose certificate is judged: it says what it may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Server,
    Client,
}

/// The trust of one configuration.
#[derive(Clone, Debug)]
pub(super) struct Trust {
    pub(super) roots: Arc<Roots>,
    pub(super) crls: Arc<Vec<CertificateRevocationListDer<'static>>>,
    /// How many certificates may stand between the peer's and an anchor.
    pub(super) depth: u32,
}

impl Trust {
    /// Judges the chain a peer has shown; with a name, that too.
    pub(super) fn judge(
        &self,
        peer: Peer,
        chain: &[CertificateDer<'_>],
        name: Option<&str>,
    ) -> Result<(), VerifyError> {
        let fail = |code| Err(VerifyError::from_code(code));
        let Some((leaf, others)) = chain.split_first() else { return fail(UNSPECIFIED) };
        let Some(cert) = Cert::parse(leaf) else { return fail(UNSPECIFIED) };
        let now = clock::fresh_wall().secs;
        let is_root = self.roots.certs.iter().any(|known| known == leaf) && cert.is_self_issued();
        let is_old = cert.is_version_1() && self.crls.is_empty();
        if is_root || (is_old && self.is_signed_by_anchor(&cert, now)) {
            dates(&cert, now)?;
        } else {
            self.by_library(peer, leaf, others, &cert)?;
            self.check_depth(&cert, others)?;
        }
        match name {
            Some(name) if !cert.is_for(name) => fail(HOSTNAME_MISMATCH),
            _ => Ok(()),
        }
    }

    fn by_library(
        &self,
        peer: Peer,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        cert: &Cert<'_>,
    ) -> Result<(), VerifyError> {
        let missing = || VerifyError::from_code(self.missing_issuer(peer, cert, others));
        // The builders refuse an empty store: then nobody is trusted.
        let verdict = match peer {
            Peer::Server => self.server_by_library(leaf, others),
            Peer::Client => self.client_by_library(leaf, others),
        };
        let verdict = verdict.ok_or_else(missing)?;
        match verdict {
            Ok(()) => Ok(()),
            Err(Error::InvalidCertificate(why)) => match library_code(&why) {
                // The name is judged later, with OpenSSL's rules.
                Some(HOSTNAME_MISMATCH) => Ok(()),
                Some(code) => Err(VerifyError::from_code(code)),
                None => Err(missing()),
            },
            Err(_) => Err(missing()),
        }
    }

    fn server_by_library(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
    ) -> Option<Result<(), Error>> {
        let store = Arc::new(self.roots.store.clone());
        let verifier = WebPkiServerVerifier::builder_with_provider(store, default_provider())
            .with_crls(self.crls.iter().cloned())
            .allow_unknown_revocation_status()
            .enforce_revocation_expiration()
            .build()
            .ok()?;
        let any_name = ServerName::try_from(NO_NAME).expect("the constant is a name");
        Some(verifier.verify_server_cert(leaf, others, &any_name, &[], now()).map(drop))
    }

    fn client_by_library(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
    ) -> Option<Result<(), Error>> {
        let store = Arc::new(self.roots.store.clone());
        let verifier = WebPkiClientVerifier::builder_with_provider(store, default_provider())
            .with_crls(self.crls.iter().cloned())
            .allow_unknown_revocation_status()
            .enforce_revocation_expiration()
            .build()
            .ok()?;
        Some(verifier.verify_client_cert(leaf, others, now()).map(drop))
    }

    fn is_signed_by_anchor(&self, cert: &Cert<'_>, now: i64) -> bool {
        let anchors = self.roots.certs.iter().filter_map(|der| Cert::parse(der));
        anchors
            .filter(|a| a.subject == cert.issuer && a.may_sign())
            .any(|anchor| dates(&anchor, now).is_ok() && signed_by(cert, &anchor))
    }

    /// OpenSSL's finer words for "nobody I know has signed this".
    fn missing_issuer(&self, peer: Peer, cert: &Cert<'_>, others: &[CertificateDer<'_>]) -> u32 {
        if cert.is_self_issued() {
            return if others.is_empty() { SELF_SIGNED } else { SELF_SIGNED_IN_CHAIN };
        }
        let last = path(cert, others);
        match last.is_self_issued() {
            true => SELF_SIGNED_IN_CHAIN,
            // A server goes on judging after the first complaint; the last one counts.
            false if peer == Peer::Client && last.subject == cert.subject => UNVERIFIED_LEAF,
            false => NO_LOCAL_ISSUER,
        }
    }

    fn check_depth(
        &self,
        cert: &Cert<'_>,
        others: &[CertificateDer<'_>],
    ) -> Result<(), VerifyError> {
        let between = path_length(cert, others, &self.roots.certs);
        match between > self.depth {
            true => Err(VerifyError::from_code(CHAIN_TOO_LONG)),
            false => Ok(()),
        }
    }
}

fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(clock::fresh_wall().secs.unsigned_abs()))
}

fn dates(cert: &Cert<'_>, now: i64) -> Result<(), VerifyError> {
    if now < cert.not_before {
        return Err(VerifyError::from_code(NOT_YET_VALID));
    }
    if now > cert.not_after {
        return Err(VerifyError::from_code(EXPIRED));
    }
    Ok(())
}

fn signed_by(cert: &Cert<'_>, issuer: &Cert<'_>) -> bool {
    verifies(&cert.signed, issuer)
}

/// Whether a signature was made with the key of this certificate.
pub(super) fn verifies(signed: &Signed<'_>, issuer: &Cert<'_>) -> bool {
    let Some((key_id, key)) = issuer.key() else { return false };
    default_provider().signature_verification_algorithms.all.iter().any(|algorithm| {
        algorithm.public_key_alg_id().as_ref() == key_id
            && algorithm.signature_alg_id().as_ref() == signed.algorithm
            && algorithm.verify_signature(key, signed.message, signed.signature).is_ok()
    })
}

/// The last certificate reached from `cert` by following issuers among the ones that were sent.
fn path<'a>(cert: &Cert<'a>, others: &'a [CertificateDer<'_>]) -> Cert<'a> {
    let mut last = *cert;
    for _ in 0..others.len() {
        let known = others.iter().filter_map(|der| Cert::parse(der));
        let next = known.into_iter().find(|c| c.subject == last.issuer && !last.is_self_issued());
        match next {
            Some(next) => last = next,
            None => break,
        }
    }
    last
}

/// How many certificates stand between the peer's and an anchor.
fn path_length(
    cert: &Cert<'_>,
    others: &[CertificateDer<'_>],
    roots: &[CertificateDer<'_>],
) -> u32 {
    let is_anchor = |issuer: &[u8]| {
        roots.iter().filter_map(|der| Cert::parse(der)).any(|c| c.subject == issuer)
    };
    let mut issuer = cert.issuer;
    for length in 0..=others.len() as u32 {
        if is_anchor(issuer) {
            return length;
        }
        let next = others.iter().filter_map(|der| Cert::parse(der)).find(|c| c.subject == issuer);
        match next {
            Some(next) => issuer = next.issuer,
            None => return length,
        }
    }
    others.len() as u32
}

fn library_code(why: &CertificateError) -> Option<u32> {
    use CertificateError as E;
    Some(match why {
        E::Expired | E::ExpiredContext { .. } => EXPIRED,
        E::NotValidYet | E::NotValidYetContext { .. } => NOT_YET_VALID,
        E::Revoked => REVOKED,
        E::ExpiredRevocationList | E::ExpiredRevocationListContext { .. } => CRL_EXPIRED,
        E::UnknownRevocationStatus => NO_CRL,
        E::BadSignature => BAD_SIGNATURE,
        E::NotValidForName | E::NotValidForNameContext { .. } => HOSTNAME_MISMATCH,
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => INVALID_PURPOSE,
        E::UnhandledCriticalExtension => UNHANDLED_EXTENSION,
        _ => return None,
    })
}

/// A name no certificate has, for the library wants one.
const NO_NAME: &str = "name.invalid";

const UNSPECIFIED: u32 = 1;
const NO_CRL: u32 = 3;
const BAD_SIGNATURE: u32 = 7;
const NOT_YET_VALID: u32 = 9;
const EXPIRED: u32 = 10;
const CRL_EXPIRED: u32 = 12;
const SELF_SIGNED: u32 = 18;
const SELF_SIGNED_IN_CHAIN: u32 = 19;
const NO_LOCAL_ISSUER: u32 = 20;
const UNVERIFIED_LEAF: u32 = 21;
const CHAIN_TOO_LONG: u32 = 22;
const REVOKED: u32 = 23;
const INVALID_PURPOSE: u32 = 26;
const UNHANDLED_EXTENSION: u32 = 34;
const HOSTNAME_MISMATCH: u32 = 62;

const TEXTS: &[(u32, &str)] = &[
    (UNSPECIFIED, "unspecified certificate verification error"),
    (NO_CRL, "unable to get certificate CRL"),
    (BAD_SIGNATURE, "certificate signature failure"),
    (NOT_YET_VALID, "certificate is not yet valid"),
    (EXPIRED, "certificate has expired"),
    (CRL_EXPIRED, "CRL has expired"),
    (SELF_SIGNED, "self-signed certificate"),
    (SELF_SIGNED_IN_CHAIN, "self-signed certificate in certificate chain"),
    (NO_LOCAL_ISSUER, "unable to get local issuer certificate"),
    (UNVERIFIED_LEAF, "unable to verify the first certificate"),
    (CHAIN_TOO_LONG, "certificate chain too long"),
    (REVOKED, "certificate revoked"),
    (INVALID_PURPOSE, "unsuitable certificate purpose"),
    (UNHANDLED_EXTENSION, "unhandled critical extension"),
    (HOSTNAME_MISMATCH, "hostname mismatch"),
];

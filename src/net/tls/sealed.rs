//! Private keys behind a passphrase (`ssl_password_file`).
//!
//! ```text
//!  ENCRYPTED PRIVATE KEY ─ PBES2: PBKDF2, AES-CBC ─┐
//!  DEK-Info: AES-…-CBC ─ OpenSSL's own: MD5 ───────┴─▶ PKCS#8, or the older forms
//! ```

use std::num::NonZeroU32;

use aws_lc_rs::{
    cipher::{
        AES_128, AES_192, AES_256, Algorithm, DecryptionContext, PaddedBlockDecryptingKey,
        UnboundCipherKey,
    },
    iv::FixedLength,
    pbkdf2,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use md5::{Digest, Md5};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};

use super::x509::{INTEGER, OCTET_STRING, OID, Reader, SEQUENCE};

/// Opens the first sealed key of a PEM text with one of the passphrases.
pub fn open(text: &[u8], passwords: &[Vec<u8>]) -> Option<PrivateKeyDer<'static>> {
    let text = std::str::from_utf8(text).ok()?;
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    passwords.iter().find_map(|password| match label {
        "ENCRYPTED PRIVATE KEY" => {
            let key = pbes2(&unwrapped(body)?, password)?;
            Some(PrivatePkcs8KeyDer::from(key).into())
        }
        "RSA PRIVATE KEY" => Some(PrivatePkcs1KeyDer::from(traditional(body, password)?).into()),
        "EC PRIVATE KEY" => Some(PrivateSec1KeyDer::from(traditional(body, password)?).into()),
        _ => None,
    })
}

/// The lines of a file of passphrases.
pub fn passwords(text: &[u8]) -> Vec<Vec<u8>> {
    let lines = text.split(|byte| *byte == b'\n');
    let line = |line: &[u8]| line.strip_suffix(b"\r").unwrap_or(line).to_vec();
    lines.filter(|text| !text.is_empty()).map(line).collect()
}

fn unwrapped(body: &str) -> Option<Vec<u8>> {
    let joined: String = body.split_ascii_whitespace().collect();
    STANDARD.decode(joined).ok()
}

fn pbes2(der: &[u8], password: &[u8]) -> Option<Vec<u8>> {
    let mut info = Reader(Reader(der).expect(SEQUENCE)?);
    let mut algorithm = Reader(info.expect(SEQUENCE)?);
    let sealed = info.expect(OCTET_STRING)?;
    if algorithm.expect(OID)? != PBES2 {
        return None;
    }
    let mut params = Reader(algorithm.expect(SEQUENCE)?);
    let mut derivation = Reader(params.expect(SEQUENCE)?);
    let mut scheme = Reader(params.expect(SEQUENCE)?);
    if derivation.expect(OID)? != PBKDF2 {
        return None;
    }
    let (cipher, bytes) = match scheme.expect(OID)? {
        AES_128_CBC => (&AES_128, 16),
        AES_192_CBC => (&AES_192, 24),
        AES_256_CBC => (&AES_256, 32),
        _ => return None,
    };
    let iv = scheme.expect(OCTET_STRING)?;
    let mut derivation = Reader(derivation.expect(SEQUENCE)?);
    let salt = derivation.expect(OCTET_STRING)?;
    let rounds = derivation
        .expect(INTEGER)?
        .iter()
        .try_fold(0u32, |n, byte| n.checked_mul(256).map(|n| n + u32::from(*byte)))?;
    let rounds = NonZeroU32::new(rounds).filter(|rounds| rounds.get() <= ROUNDS_MAX)?;
    derivation.optional(INTEGER);
    let hash = match derivation.optional(SEQUENCE).map(|prf| Reader(prf).expect(OID)) {
        None => pbkdf2::PBKDF2_HMAC_SHA1,
        Some(Some(HMAC_SHA1)) => pbkdf2::PBKDF2_HMAC_SHA1,
        Some(Some(HMAC_SHA256)) => pbkdf2::PBKDF2_HMAC_SHA256,
        Some(Some(HMAC_SHA384)) => pbkdf2::PBKDF2_HMAC_SHA384,
        Some(Some(HMAC_SHA512)) => pbkdf2::PBKDF2_HMAC_SHA512,
        Some(_) => return None,
    };
    let mut key = [0; 32];
    pbkdf2::derive(hash, rounds, salt, password, &mut key[..bytes]);
    decrypt(cipher, &key[..bytes], iv, sealed)
}

/// `Proc-Type: 4,ENCRYPTED`, as OpenSSL wrote keys before PKCS#8.
fn traditional(body: &str, password: &[u8]) -> Option<Vec<u8>> {
    let (head, body) = body.split_once("\n\n").or_else(|| body.split_once("\r\n\r\n"))?;
    let info = head.lines().find_map(|line| line.strip_prefix("DEK-Info: "))?;
    let (name, iv) = info.trim().split_once(',')?;
    let (cipher, bytes) = match name {
        "AES-128-CBC" => (&AES_128, 16),
        "AES-192-CBC" => (&AES_192, 24),
        "AES-256-CBC" => (&AES_256, 32),
        _ => return None,
    };
    let iv = (0..iv.len() / 2).map(|at| u8::from_str_radix(iv.get(at * 2..at * 2 + 2)?, 16).ok());
    let iv: Vec<u8> = iv.collect::<Option<_>>()?;
    let mut key: Vec<u8> = Vec::new();
    while key.len() < bytes {
        let last = &key[key.len().saturating_sub(16)..];
        let salt = iv.get(..8)?;
        let digest = Md5::new().chain_update(last).chain_update(password).chain_update(salt);
        key.extend_from_slice(&digest.finalize());
    }
    decrypt(cipher, &key[..bytes], &iv, &unwrapped(body)?)
}

fn decrypt(cipher: &'static Algorithm, key: &[u8], iv: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let key = UnboundCipherKey::new(cipher, key).ok()?;
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?;
    let iv: [u8; 16] = iv.try_into().ok()?;
    let mut text = sealed.to_vec();
    let context = DecryptionContext::Iv128(FixedLength::from(iv));
    let opened = key.decrypt(&mut text, context).ok()?.to_vec();
    // Padding may be right by chance; a key is a sequence.
    (opened.first() == Some(&SEQUENCE)).then_some(opened)
}

const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13];
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 12];
const HMAC_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 7];
const HMAC_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 9];
const HMAC_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 10];
const HMAC_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 11];
const AES_128_CBC: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 2];
const AES_192_CBC: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 22];
const AES_256_CBC: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 42];
/// Far above what tools write; a file must not keep a start waiting for ever.
const ROUNDS_MAX: u32 = 10_000_000;

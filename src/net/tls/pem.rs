//! Certificates and keys from PEM files, with OpenSSL's words when they cannot be had.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use crate::base::errno;

use super::sealed;

/// Why a file gave no certificate or key; the text is nginx's.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot load {what} \"{path}\": {}", open_words(.path, .error))]
    Open { what: &'static str, path: String, error: io::Error },
    #[error(
        "cannot load certificate \"{0}\": PEM_read_bio_X509_AUX() failed \
         (SSL: error:0480006C:PEM routines::no start line:Expecting: TRUSTED CERTIFICATE)"
    )]
    NoCertificate(String),
    #[error(
        "cannot load certificate key \"{0}\": PEM_read_bio_PrivateKey() failed \
         (SSL: error:1E08010C:DECODER routines::unsupported)"
    )]
    NoKey(String),
    #[error(
        "SSL_CTX_use_PrivateKey(\"{0}\") failed \
         (SSL: error:05800074:x509 certificate routines::key values mismatch)"
    )]
    Mismatch(String),
    #[error("open() \"{path}\" failed {why}")]
    Passwords { path: String, why: String },
    #[error("{call}(\"{path}\") failed (SSL: {why})")]
    Authorities { call: &'static str, path: String, why: String },
    #[error(
        "SSL_CTX_set_cipher_list(\"{0}\") failed \
         (SSL: error:0A0000B9:SSL routines::no cipher match)"
    )]
    Ciphers(String),
    #[error("SSL: {0}")]
    Refused(String),
}

/// The file of the authorities the system trusts.
pub fn system_authorities() -> Option<PathBuf> {
    let known = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];
    known.iter().map(Path::new).find(|path| path.exists()).map(Path::to_path_buf)
}

/// The certificates of a file, the server's own first.
pub fn load_certs(path: &Path) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let text = read("certificate", path)?;
    parse_certs(&text).ok_or_else(|| LoadError::NoCertificate(path.display().to_string()))
}

pub(super) fn parse_certs(text: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let certs: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    certs.ok().filter(|certs| !certs.is_empty())
}

pub(super) fn parse_key(text: &[u8]) -> Option<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(text).ok()
}

/// The first private key of a file, which one of the passphrases may open.
pub fn load_key(path: &Path, passwords: &[Vec<u8>]) -> Result<PrivateKeyDer<'static>, LoadError> {
    let text = read("certificate key", path)?;
    sealed::open(&text, passwords)
        .or_else(|| PrivateKeyDer::from_pem_slice(&text).ok())
        .ok_or_else(|| LoadError::NoKey(path.display().to_string()))
}

/// The passphrases of an `ssl_password_file`.
pub fn passwords(path: Option<&Path>) -> Result<Vec<Vec<u8>>, LoadError> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let failed = |error: io::Error| LoadError::Passwords {
        path: path.display().to_string(),
        why: errno::Errno(&error).to_string(),
    };
    fs::read(path).map(|text| sealed::passwords(&text)).map_err(failed)
}

/// Trust anchors, as certificates and in the library's form.
#[derive(Clone, Debug)]
pub(super) struct Roots {
    pub(super) certs: Vec<CertificateDer<'static>>,
    pub(super) store: RootCertStore,
}

/// Reads `ssl_client_certificate`, `ssl_trusted_certificate`, `lua_ssl_trusted_certificate`.
pub(super) fn load_roots(path: &Path) -> Result<Roots, LoadError> {
    let call = "SSL_CTX_load_verify_locations";
    let shown = path.display().to_string();
    let text = fs::read(path).map_err(|error| LoadError::Authorities {
        call,
        path: shown.clone(),
        why: open_words(&shown, &error),
    })?;
    let certs = parse_certs(&text).ok_or_else(|| LoadError::Authorities {
        call,
        path: shown,
        why: "error:05880020:x509 certificate routines::BIO lib".into(),
    })?;
    Ok(Roots::of(certs))
}

impl Roots {
    pub(super) fn of(certs: Vec<CertificateDer<'static>>) -> Self {
        let mut store = RootCertStore::empty();
        // Anchors the library cannot use still count for certificates trusted as they are.
        store.add_parsable_certificates(certs.iter().cloned());
        Self { certs, store }
    }
}

/// The certificates in a PEM text.
pub fn certs_of(text: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    parse_certs(text)
}

/// The first private key in a PEM text.
pub fn key_of(text: &[u8]) -> Option<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(text).ok()
}

/// A private key in its binary form.
pub fn key_of_der(der: &[u8]) -> Option<PrivateKeyDer<'static>> {
    PrivateKeyDer::try_from(der.to_vec()).ok()
}

/// Certificates one after the other in their binary form.
pub fn certs_of_der(mut der: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let mut certs = Vec::new();
    while !der.is_empty() {
        let length = super::x509::whole_length(der)?;
        let (first, rest) = der.split_at_checked(length)?;
        super::x509::Cert::parse(first)?;
        certs.push(CertificateDer::from(first.to_vec()));
        der = rest;
    }
    Some(certs).filter(|certs| !certs.is_empty())
}

/// Reads `ssl_crl`, `lua_ssl_crl`.
pub(super) fn load_crls(
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, LoadError> {
    let shown = path.display().to_string();
    let failed = |why: String| LoadError::Authorities {
        call: "X509_LOOKUP_load_file",
        path: shown.clone(),
        why,
    };
    let text = fs::read(path).map_err(|e| failed(open_words(&shown, &e)))?;
    let crls: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&text).collect();
    crls.map_err(|e| failed(e.to_string()))
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, LoadError> {
    fs::read(path).map_err(|error| LoadError::Open {
        what,
        path: path.display().to_string(),
        error,
    })
}

/// How OpenSSL 3 tells that a file cannot be opened.
fn open_words(path: &str, error: &io::Error) -> String {
    let text = errno::text(error);
    let code = error.raw_os_error().unwrap_or_default();
    format!(
        "BIO_new_file() failed (SSL: error:8{code:07X}:system library::{text}:\
         calling fopen({path}, r) error:10000080:BIO routines::no such file)"
    )
}

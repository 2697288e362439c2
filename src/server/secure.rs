//! TLS towards upstreams: the settings of `proxy_ssl_*` and its kin, in http and in stream.
//!
//! ```text
//!  rows ─▶ SecureConf<S> ─ inherit ─ build (files are read) ─▶ ClientTls ─ handshake
//! ```

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use bstr::{BStr, BString, ByteSlice};
use bytes::Bytes;

use super::template::Template;
use super::vars::Subject;
use crate::conf::{Builder, Diag, Directive, Dirs, inherit};
use crate::net::tls::{self, ClientSpec, ClientTls, LoadError, Protocols, Suites};

/// `proxy_ssl_*`
pub struct SecureConf<S> {
    pub verify: Option<bool>,
    pub verify_depth: Option<u64>,
    pub server_name: Option<bool>,
    pub name: Option<Template<S>>,
    pub trusted_certificate: Option<PathBuf>,
    pub crl: Option<PathBuf>,
    pub certificate: Option<Template<S>>,
    pub certificate_key: Option<Template<S>>,
    pub protocols: Option<Protocols>,
    pub ciphers: Option<BString>,
    pub session_reuse: Option<bool>,
    pub password_file: Option<PathBuf>,
    /// Paths of certificates start here.
    dir: Option<Arc<PathBuf>>,
    pub tls: Option<ClientTls>,
}

impl<S> Default for SecureConf<S> {
    fn default() -> Self {
        Self {
            verify: None,
            verify_depth: None,
            server_name: None,
            name: None,
            trusted_certificate: None,
            crl: None,
            certificate: None,
            certificate_key: None,
            protocols: None,
            ciphers: None,
            session_reuse: None,
            password_file: None,
            dir: None,
            tls: None,
        }
    }
}

impl<S: Subject> SecureConf<S> {
    pub fn inherit(&mut self, parent: &Self) {
        if !self.has_own_settings() {
            self.tls.clone_from(&parent.tls);
        }
        inherit!(self, parent: verify, verify_depth, server_name, name, trusted_certificate, crl,
            certificate, certificate_key, protocols, ciphers, session_reuse, password_file,
            dir);
    }

    /// Whether this block says something the handshake's settings depend on.
    fn has_own_settings(&self) -> bool {
        self.verify.is_some()
            || self.verify_depth.is_some()
            || self.trusted_certificate.is_some()
            || self.crl.is_some()
            || self.certificate.is_some()
            || self.certificate_key.is_some()
            || self.protocols.is_some()
            || self.ciphers.is_some()
            || self.session_reuse.is_some()
            || self.password_file.is_some()
    }

    /// Certificate and key, when they are set.
    fn own_certificate(&self) -> Option<(&Template<S>, &Template<S>)> {
        let certificate = self.certificate.as_ref().filter(|c| !c.text.is_empty())?;
        Some((certificate, self.certificate_key.as_ref()?))
    }

    pub fn spec(&self, family: &str) -> Result<ClientSpec, String> {
        let verifies = self.verify.unwrap_or(false);
        if verifies && self.trusted_certificate.is_none() {
            return Err(format!("no {family}_ssl_trusted_certificate for {family}_ssl_verify"));
        }
        if let Some(certificate) = self.certificate.as_ref().filter(|c| !c.text.is_empty())
            && self.certificate_key.is_none()
        {
            let name = BStr::new(&certificate.text);
            let text = format!("no \"{family}_ssl_certificate_key\" is defined for certificate");
            return Err(format!("{text} \"{name}\""));
        }
        let suites = match &self.ciphers {
            None => Suites::default(),
            Some(list) => Suites::parse(&list.to_str_lossy())
                .ok_or_else(|| LoadError::Ciphers(list.to_string()).to_string())?,
        };
        let certificate = self.own_certificate().filter(|(cert, key)| {
            // With variables in them they are read at each handshake.
            cert.is_constant() && key.is_constant()
        });
        Ok(ClientSpec {
            protocols: self.protocols.unwrap_or_default(),
            suites,
            trusted: self.trusted_certificate.clone().filter(|_| verifies),
            crl: self.crl.clone().filter(|_| verifies),
            depth: self.verify_depth.map(|n| u32::try_from(n).unwrap_or(u32::MAX)),
            certificate: certificate
                .map(|(cert, key)| (self.path(&cert.text), self.path(&key.text))),
            password_file: self.password_file.clone(),
            alpn: Vec::new(),
            no_session_reuse: !self.session_reuse.unwrap_or(true),
        })
    }

    fn path(&self, name: &[u8]) -> PathBuf {
        let name = name.to_path_lossy();
        self.dir.as_ref().map_or_else(|| name.to_path_buf(), |dir| dir.join(&name))
    }

    /// Reads the files this block names, unless a block above has.
    pub fn build<A: AsRef<[u8]>>(
        &mut self,
        family: &str,
        alpn: &[A],
        dirs: &Dirs,
    ) -> Result<(), Diag> {
        self.dir.get_or_insert_with(|| Arc::new(dirs.conf.clone()));
        let nowhere = |text: String| Diag::emerg(text).nowhere();
        let mut spec = self.spec(family).map_err(nowhere)?;
        spec.alpn.extend(alpn.iter().map(|name| name.as_ref().to_vec()));
        let tls = ClientTls::build(&spec).map_err(|e| nowhere(e.to_string()))?;
        self.tls = Some(tls);
        Ok(())
    }

    /// The settings with the certificate that variables name for this subject.
    pub fn with_certificate(&self, r: &Rc<S>, tls: &ClientTls) -> Result<ClientTls, LoadError> {
        let Some((certificate, key)) = self.own_certificate() else { return Ok(tls.clone()) };
        if certificate.is_constant() && key.is_constant() {
            return Ok(tls.clone());
        }
        let (certificate, key) = (certificate.eval(r), key.eval(r));
        if certificate.is_empty() {
            return Ok(tls.clone());
        }
        let certs = tls::load_certs(&self.path(&certificate))?;
        let passwords = tls::passwords(self.password_file.as_deref())?;
        tls.with_certificate(certs, &tls::load_key(&self.path(&key), &passwords)?)
    }
}

/// The name alone of `name:443` and `[::1]:443`.
pub fn without_port(name: Bytes) -> Bytes {
    let after = match name.first() {
        Some(b'[') => memchr::memchr(b']', &name).unwrap_or(0),
        _ => 0,
    };
    match memchr::memchr(b':', &name[after..]) {
        Some(colon) => name.slice(..after + colon),
        None => name,
    }
}

/// A setting with variables.
pub fn template<S: Subject>(
    b: &mut Builder<'_>,
    d: &Directive,
    conf: for<'b> fn(&'b mut Builder<'_>) -> &'b mut SecureConf<S>,
    slot: fn(&mut SecureConf<S>) -> &mut Option<Template<S>>,
) -> Result<(), Diag> {
    let value = Template::compile(b, d.arg(1))?;
    d.once(slot(conf(b)), |_| Ok(value))
}

/// A file beside the configuration.
pub fn path<S: Subject>(
    b: &mut Builder<'_>,
    d: &Directive,
    conf: for<'b> fn(&'b mut Builder<'_>) -> &'b mut SecureConf<S>,
    slot: fn(&mut SecureConf<S>) -> &mut Option<PathBuf>,
) -> Result<(), Diag> {
    let path = b.conf_path(d.arg(1));
    d.once(slot(conf(b)), |_| Ok(path))
}

/// `proxy_ssl_protocols`
pub fn protocols(d: &Directive, slot: &mut Option<Protocols>) -> Result<(), Diag> {
    d.once(slot, |d| {
        for index in 1..=d.arg_count() {
            let word = [d.arg(index).as_bytes()];
            Protocols::from_words(word).ok_or_else(|| d.bad_value(index))?;
        }
        let words = d.args().iter().map(|word| word.text.as_bytes());
        Ok(Protocols::from_words(words).unwrap_or_default())
    })
}

/// The rows of one family of directives: `proxy_ssl_*`, `grpc_ssl_*`.
macro_rules! secure_rows {
    ($prefix:literal, $levels:expr, $conf:path) => {{
        use $crate::{
            conf::row::{Row, args, at_least, flag, row, take},
            server::secure::{path, protocols, template},
        };
        const ROWS: &[Row] = &[
            flag(concat!($prefix, "_ssl_verify"), $levels, |b, d| {
                d.flag_slot(&mut $conf(b).verify)
            }),
            row(concat!($prefix, "_ssl_verify_depth"), $levels, take(1), |b, d| {
                d.number_slot(&mut $conf(b).verify_depth)
            }),
            flag(concat!($prefix, "_ssl_server_name"), $levels, |b, d| {
                d.flag_slot(&mut $conf(b).server_name)
            }),
            row(concat!($prefix, "_ssl_ciphers"), $levels, take(1), |b, d| {
                d.str_slot(&mut $conf(b).ciphers)
            }),
            flag(concat!($prefix, "_ssl_session_reuse"), $levels, |b, d| {
                d.flag_slot(&mut $conf(b).session_reuse)
            }),
            row(concat!($prefix, "_ssl_name"), $levels, take(1), |b, d| {
                template(b, d, $conf, |conf| &mut conf.name)
            }),
            row(concat!($prefix, "_ssl_certificate"), $levels, take(1), |b, d| {
                template(b, d, $conf, |conf| &mut conf.certificate)
            }),
            row(concat!($prefix, "_ssl_certificate_key"), $levels, take(1), |b, d| {
                template(b, d, $conf, |conf| &mut conf.certificate_key)
            }),
            row(concat!($prefix, "_ssl_trusted_certificate"), $levels, take(1), |b, d| {
                path(b, d, $conf, |conf| &mut conf.trusted_certificate)
            }),
            row(concat!($prefix, "_ssl_crl"), $levels, take(1), |b, d| {
                path(b, d, $conf, |conf| &mut conf.crl)
            }),
            row(concat!($prefix, "_ssl_protocols"), $levels, at_least(1), |b, d| {
                protocols(d, &mut $conf(b).protocols)
            }),
            row(concat!($prefix, "_ssl_password_file"), $levels, take(1), |b, d| {
                path(b, d, $conf, |conf| &mut conf.password_file)
            }),
            row(concat!($prefix, "_ssl_certificate_cache"), $levels, args(1, 3), |_, _| Ok(())),
            row(concat!($prefix, "_ssl_conf_command"), $levels, take(2), |b, d| {
                let name = concat!($prefix, "_ssl_conf_command");
                b.warn(format!("\"{name} {}\" is ignored", d.arg(1)));
                Ok(())
            }),
        ];
        ROWS
    }};
}
pub(crate) use secure_rows;

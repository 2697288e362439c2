//! Certificates for servers of a case, made with the `openssl` program.

use std::path::PathBuf;
use std::process::Command;

use super::server::Prefix;

/// A key, and a certificate for 127.0.0.1 and localhost that vouches for itself.
pub struct Pair {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Pair {
    /// Makes a pair below a folder; its files are named after `name`.
    pub fn make(prefix: &Prefix, name: &str) -> Result<Pair, String> {
        let at = |end: &str| prefix.path().join("conf").join(format!("{name}.{end}"));
        let pair = Pair { cert: at("crt"), key: at("key") };
        let output = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(&pair.key)
            .arg("-out")
            .arg(&pair.cert)
            .output()
            .map_err(|e| format!("openssl: {e}"))?;
        match output.status.success() {
            true => Ok(pair),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    pub fn cert(&self) -> String {
        self.cert.to_string_lossy().into_owned()
    }

    pub fn key(&self) -> String {
        self.key.to_string_lossy().into_owned()
    }
}

//! Where etcd is and what is ours in it.
//!
//! ```text
//!  Spec { endpoints, user, TLS, prefixes }      Names: /apisix/routes/1 ◀─▶ PREFIX/routes/1
//! ```

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// What `store_etcd` says.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Spec {
    pub endpoints: Vec<Endpoint>,
    /// Of one question and its answer.
    pub timeout: Duration,
    pub user: Option<(String, String)>,
    pub tls: TlsFiles,
    /// Where the keys of a root stand, when that is not its own name.
    pub prefixes: Vec<(&'static str, String)>,
}

/// One member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    pub https: bool,
    pub host: String,
    pub port: u16,
}

/// What a TLS connection to etcd needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsFiles {
    pub ca: Option<PathBuf>,
    pub certificate: Option<(PathBuf, PathBuf)>,
    pub unverified: bool,
    pub name: Option<String>,
}

impl Spec {
    /// The prefix in etcd of a root like `/apisix/`.
    pub fn prefix(&self, root: &str) -> String {
        let other = self.prefixes.iter().find(|(name, _)| *name == root);
        other.map_or_else(|| root.to_owned(), |(_, prefix)| prefix.clone())
    }

    /// The endpoints, for messages.
    pub fn shown(&self) -> String {
        let all: Vec<String> = self.endpoints.iter().map(Endpoint::to_string).collect();
        all.join(", ")
    }
}

impl fmt::Debug for Spec {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// The two names of a key: ours and etcd's.
pub struct Names {
    root: &'static str,
    prefix: String,
}

impl Names {
    pub fn new(root: &'static str, prefix: String) -> Self {
        Self { root, prefix }
    }

    /// Everything that is ours: from here, up to but without there.
    pub fn range(&self) -> (Vec<u8>, Vec<u8>) {
        let from = self.prefix.clone().into_bytes();
        let mut end = from.clone();
        // The prefix ends with a slash, so its last byte has a next one.
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        (from, end)
    }

    pub fn foreign(&self, key: &str) -> Option<Vec<u8>> {
        let rest = key.strip_prefix(self.root)?;
        Some([self.prefix.as_bytes(), rest.as_bytes()].concat())
    }

    /// None for keys that are no text, which nobody here has written.
    pub fn own(&self, key: &[u8]) -> Option<String> {
        let rest = std::str::from_utf8(key.strip_prefix(self.prefix.as_bytes())?).ok()?;
        Some(format!("{}{rest}", self.root))
    }
}

//! `ssl_protocols` and `ssl_ciphers`: OpenSSL's words for what the TLS library offers.
//!
//! Of OpenSSL's cipher language the words people write are understood: names, groups, `!`, `-`,
//! `+`.
//! Suites that are not offered here (CBC, static RSA, 3DES) simply do not count.

use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, SupportedProtocolVersion};

/// The protocol versions to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocols {
    pub tls12: bool,
    pub tls13: bool,
}

impl Default for Protocols {
    fn default() -> Self {
        Self { tls12: true, tls13: true }
    }
}

impl Protocols {
    /// What a list of nginx's words leaves: `None` for a word nginx does not know. The versions
    /// before 1.2 are known, but nobody speaks them here.
    pub fn from_words<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let mut chosen = Self { tls12: false, tls13: false };
        for word in words {
            // nginx does not look at the case of such words.
            match &word.to_ascii_lowercase()[..] {
                b"tlsv1.2" => chosen.tls12 = true,
                b"tlsv1.3" => chosen.tls13 = true,
                b"sslv2" | b"sslv3" | b"tlsv1" | b"tlsv1.1" => {}
                _ => return None,
            }
        }
        Some(chosen)
    }

    /// Versions for the library; TLS 1.2 only counts while a suite for it is left.
    pub(super) fn versions(self, suites: &Suites) -> Vec<&'static SupportedProtocolVersion> {
        let mut versions = Vec::new();
        if self.tls13 {
            versions.push(&TLS13);
        }
        if self.tls12 && !suites.tls12.is_empty() {
            versions.push(&TLS12);
        }
        versions
    }
}

/// The cipher suites of TLS 1.2 that may be used; as in OpenSSL, those of TLS 1.3 always may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suites {
    tls12: Vec<CipherSuite>,
}

impl Default for Suites {
    fn default() -> Self {
        Self { tls12: ROWS.iter().filter(|row| row.tls12).map(|row| row.suite).collect() }
    }
}

impl Suites {
    /// Reads an OpenSSL cipher list. `None` if no word of it is known, which OpenSSL refuses.
    pub fn parse(list: &str) -> Option<Self> {
        let mut chosen: Vec<CipherSuite> = Vec::new();
        let mut banned: Vec<CipherSuite> = Vec::new();
        let mut known = false;
        for word in list.split([':', ',', ' ']).filter(|w| !w.is_empty() && !w.starts_with('@')) {
            let (sign, name) = match word.as_bytes()[0] {
                b'!' | b'-' | b'+' => word.split_at(1),
                _ => ("", word),
            };
            let found: Vec<_> =
                ROWS.iter().filter(|row| row.tls12 && row.is_in(name)).map(|r| r.suite).collect();
            match sign {
                "!" => banned.extend(&found),
                "-" => chosen.retain(|suite| !found.contains(suite)),
                "+" => {}
                _ => {
                    known |= !found.is_empty() || looks_like_openssl(name);
                    chosen.extend(found.iter().filter(|s| !chosen.contains(s)).collect::<Vec<_>>());
                }
            }
        }
        chosen.retain(|suite| !banned.contains(suite));
        known.then_some(Self { tls12: chosen })
    }

    pub(super) fn allows(&self, suite: CipherSuite) -> bool {
        let is_tls13 = ROWS.iter().any(|row| row.suite == suite && !row.tls12);
        is_tls13 || self.tls12.contains(&suite)
    }
}

/// OpenSSL's name of a suite, as `$ssl_cipher` shows it.
pub(super) fn name(suite: CipherSuite) -> &'static str {
    ROWS.iter().find(|row| row.suite == suite).map_or("", |row| row.name)
}

struct Row {
    name: &'static str,
    suite: CipherSuite,
    tls12: bool,
}

impl Row {
    /// Whether a word of a cipher list means this suite; words joined by `+` must all do.
    fn is_in(&self, word: &str) -> bool {
        word.split('+').all(|part| {
            part == self.name
                || EVERYTHING.contains(&part)
                || GROUPS.iter().any(|(group, piece)| *group == part && self.name.contains(piece))
        })
    }
}

/// A suite OpenSSL may know though it is not offered here.
fn looks_like_openssl(name: &str) -> bool {
    name.split(['-', '_', '+']).any(|part| PIECES.contains(&part))
}

const fn row(name: &'static str, suite: CipherSuite, tls12: bool) -> Row {
    Row { name, suite, tls12 }
}

const ROWS: &[Row] = &[
    row("TLS_AES_256_GCM_SHA384", CipherSuite::TLS13_AES_256_GCM_SHA384, false),
    row("TLS_CHACHA20_POLY1305_SHA256", CipherSuite::TLS13_CHACHA20_POLY1305_SHA256, false),
    row("TLS_AES_128_GCM_SHA256", CipherSuite::TLS13_AES_128_GCM_SHA256, false),
    row(
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        true,
    ),
    row("ECDHE-RSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, true),
    row(
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        true,
    ),
    row(
        "ECDHE-RSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        true,
    ),
    row(
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        true,
    ),
    row("ECDHE-RSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, true),
];

const EVERYTHING: &[&str] = &[
    "ALL",
    "DEFAULT",
    "HIGH",
    "COMPLEMENTOFALL",
    "ECDHE",
    "EECDH",
    "kEECDH",
    "kECDHE",
    "TLSv1.2",
    "AEAD",
];

/// Group words and the piece of a suite's name they stand for.
const GROUPS: &[(&str, &str)] = &[
    ("AES", "AES"),
    ("AESGCM", "GCM"),
    ("AES128", "AES128"),
    ("AES256", "AES256"),
    ("CHACHA20", "CHACHA20"),
    ("ECDSA", "-ECDSA-"),
    ("aECDSA", "-ECDSA-"),
    ("RSA", "-RSA-"),
    ("aRSA", "-RSA-"),
    ("SHA256", "SHA256"),
    ("SHA384", "SHA384"),
];

const PIECES: &[&str] = &[
    "AES",
    "AES128",
    "AES256",
    "SHA",
    "SHA1",
    "SHA256",
    "SHA384",
    "MD5",
    "RC4",
    "DES",
    "3DES",
    "CAMELLIA",
    "CAMELLIA128",
    "CAMELLIA256",
    "SEED",
    "DHE",
    "EDH",
    "ECDH",
    "ADH",
    "PSK",
    "SRP",
    "RSA",
    "LOW",
    "MEDIUM",
    "EXP",
    "EXPORT",
    "EXPORT40",
    "EXPORT56",
    "NULL",
    "aNULL",
    "eNULL",
    "SSLv2",
    "SSLv3",
    "TLSv1",
    "CBC3",
    "DSS",
    "ARIA128",
    "ARIA256",
    "CCM",
    "CCM8",
    "POLY1305",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Option<Vec<&'static str>> {
        Suites::parse(list).map(|s| s.tls12.into_iter().map(name).collect())
    }

    #[test]
    fn lists_people_write() {
        let six = ROWS.iter().filter(|r| r.tls12).count();
        for list in ["HIGH:!aNULL:!MD5", "DEFAULT", "ALL:!EXPORT56", "EECDH+AESGCM:EECDH+CHACHA20"]
        {
            assert_eq!(names(list).map(|n| n.len()), Some(six), "{list}");
        }
        assert_eq!(
            names("ECDHE-RSA-AES128-GCM-SHA256:AES128-SHA"),
            Some(vec!["ECDHE-RSA-AES128-GCM-SHA256"])
        );
        assert_eq!(names("AES256-SHA"), Some(vec![]));
        assert_eq!(names("HIGH:!ECDSA:!CHACHA20:!AES256").map(|n| n.len()), Some(1));
        assert_eq!(names("nonsense"), None);
    }

    #[test]
    fn old_protocols_are_known_but_not_spoken() {
        let words = |list: &'static str| Protocols::from_words(list.split(' ').map(str::as_bytes));
        assert_eq!(words("TLSv1 TLSv1.2"), Some(Protocols { tls12: true, tls13: false }));
        assert_eq!(words("TLSv9"), None);
        let none = words("SSLv3").unwrap();
        assert!(none.versions(&Suites::default()).is_empty());
    }
}

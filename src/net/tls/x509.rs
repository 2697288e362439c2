//! As much of X.509 as names and verdicts need: who, issued by whom, until when, for which names.
//!
//! The TLS library refuses version 1 certificates and names in the subject; OpenSSL takes both, and
//! scripts rely on it. Signatures and chains are still judged by the library.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::base::date;

/// The parts of a certificate, borrowed from its DER form.
#[derive(Clone, Copy, Debug)]
pub struct Cert<'a> {
    /// 0 for version 1, as in the encoding.
    version: u8,
    pub serial: &'a [u8],
    pub issuer: &'a [u8],
    pub subject: &'a [u8],
    /// Seconds since 1970.
    pub not_before: i64,
    pub not_after: i64,
    /// The whole SubjectPublicKeyInfo.
    spki: &'a [u8],
    extensions: &'a [u8],
    /// What was signed, with which algorithm, and the signature.
    pub(super) signed: Signed<'a>,
}

/// A signature and what it covers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed<'a> {
    pub(super) message: &'a [u8],
    pub(super) algorithm: &'a [u8],
    pub(super) signature: &'a [u8],
}

impl<'a> Cert<'a> {
    /// Reads a certificate; `None` if it is not one.
    pub fn parse(der: &'a [u8]) -> Option<Self> {
        let mut outer = Reader(Reader(der).expect(SEQUENCE)?);
        let (message, inner) = outer.whole(SEQUENCE)?;
        let algorithm = outer.expect(SEQUENCE)?;
        let signature = outer.expect(BIT_STRING)?.get(1..)?;
        let mut tbs = Reader(inner);
        let version = match tbs.optional(context(0)) {
            Some(wrapped) => *Reader(wrapped).expect(INTEGER)?.last()?,
            None => 0,
        };
        let serial = tbs.expect(INTEGER)?;
        tbs.expect(SEQUENCE)?;
        let issuer = tbs.expect(SEQUENCE)?;
        let mut validity = Reader(tbs.expect(SEQUENCE)?);
        let (not_before, not_after) = (time(&mut validity)?, time(&mut validity)?);
        let subject = tbs.expect(SEQUENCE)?;
        let (_, spki) = tbs.whole(SEQUENCE)?;
        tbs.optional(0x81);
        tbs.optional(0x82);
        let extensions = match tbs.optional(context(3)) {
            Some(wrapped) => Reader(wrapped).expect(SEQUENCE)?,
            None => &[],
        };
        let signed = Signed { message, algorithm, signature };
        Some(Self {
            version,
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            spki,
            extensions,
            signed,
        })
    }

    pub fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    pub(super) fn is_version_1(&self) -> bool {
        self.version == 0
    }

    /// Whether the certificate may have signed others: it says so, or it is a root from before
    /// certificates could say so.
    pub(super) fn may_sign(&self) -> bool {
        match self.extension(OID_BASIC_CONSTRAINTS) {
            Some(value) => {
                let mut parts = Reader(Reader(value).expect(SEQUENCE).unwrap_or_default());
                parts.optional(BOOLEAN).is_some_and(|flag| flag != [0])
            }
            None => self.is_version_1() && self.is_self_issued(),
        }
    }

    /// The algorithm and the bits of the public key.
    pub(super) fn key(&self) -> Option<(&'a [u8], &'a [u8])> {
        let mut spki = Reader(self.spki);
        let algorithm = spki.expect(SEQUENCE)?;
        Some((algorithm, spki.expect(BIT_STRING)?.get(1..)?))
    }

    /// Whether the certificate is for this name or address, as OpenSSL's `X509_check_host` says:
    /// the alternative names decide; the subject's common name only where there are none.
    pub fn is_for(&self, name: &str) -> bool {
        let wanted_ip: Option<IpAddr> = name.parse().ok();
        let mut has_dns_names = false;
        let alternatives = self.extension(OID_SAN).unwrap_or_default();
        let mut names = Reader(Reader(alternatives).expect(SEQUENCE).unwrap_or_default());
        while let Some((tag, value)) = names.next() {
            match tag {
                0x82 => {
                    has_dns_names = true;
                    if wanted_ip.is_none() && matches(value, name) {
                        return true;
                    }
                }
                0x87 if wanted_ip.is_some_and(|ip| same_ip(value, ip)) => return true,
                _ => {}
            }
        }
        !has_dns_names
            && wanted_ip.is_none()
            && names_in(self.subject).any(|(oid, value)| oid == OID_CN && matches(value, name))
    }

    /// The name as `$ssl_client_s_dn` shows it: RFC 2253, the last part first.
    pub fn subject_text(&self) -> String {
        name_text(self.subject)
    }

    pub fn issuer_text(&self) -> String {
        name_text(self.issuer)
    }

    /// The name as `$ssl_client_s_dn_legacy` shows it: `/C=US/CN=a`.
    pub fn subject_oneline(&self) -> String {
        oneline(self.subject)
    }

    pub fn issuer_oneline(&self) -> String {
        oneline(self.issuer)
    }

    /// The serial number in hexadecimal.
    pub fn serial_text(&self) -> String {
        let mut bytes = self.serial;
        while let [0, rest @ ..] = bytes
            && !rest.is_empty()
        {
            bytes = rest;
        }
        bytes.iter().fold(String::new(), |mut out, byte| {
            let _ = write!(out, "{byte:02X}");
            out
        })
    }

    pub(super) fn extension(&self, wanted: &[u8]) -> Option<&'a [u8]> {
        let mut all = Reader(self.extensions);
        while let Some((SEQUENCE, one)) = all.next() {
            let mut one = Reader(one);
            let oid = one.expect(OID)?;
            one.optional(BOOLEAN);
            if oid == wanted {
                return one.expect(OCTET_STRING);
            }
        }
        None
    }
}

/// Walks tag, length, value.
/// How many bytes the first element takes, with its head.
pub(super) fn whole_length(der: &[u8]) -> Option<usize> {
    Reader(der).step().map(|(_, whole, _)| whole.len())
}

/// Elements of DER, one after the other.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (tag, _, value) = self.step()?;
        Some((tag, value))
    }

    pub(super) fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, value)| value)
    }

    /// The element with its head, and its value.
    pub(super) fn whole(&mut self, tag: u8) -> Option<(&'a [u8], &'a [u8])> {
        let (found, whole, value) = self.step()?;
        (found == tag).then_some((whole, value))
    }

    pub(super) fn optional(&mut self, tag: u8) -> Option<&'a [u8]> {
        (self.0.first() == Some(&tag)).then(|| self.expect(tag)).flatten()
    }

    fn step(&mut self) -> Option<(u8, &'a [u8], &'a [u8])> {
        let (tag, first) = (*self.0.first()?, *self.0.get(1)?);
        let (head, length) = match first {
            0..=0x7f => (2, usize::from(first)),
            0x81..=0x84 => {
                let count = usize::from(first & 0x7f);
                let bytes = self.0.get(2..2 + count)?;
                (2 + count, bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b)))
            }
            _ => return None,
        };
        let end = head.checked_add(length)?;
        let (whole, value) = (self.0.get(..end)?, self.0.get(head..end)?);
        self.0 = &self.0[end..];
        Some((tag, whole, value))
    }
}

/// A host name against a name of a certificate; a star stands for the whole first label.
fn matches(pattern: &[u8], name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).as_bytes();
    if pattern.eq_ignore_ascii_case(name) {
        return true;
    }
    let Some(tail) = pattern.strip_prefix(b"*") else { return false };
    let dot = name.iter().position(|b| *b == b'.');
    // OpenSSL wants two more labels behind the star.
    let labels = tail.iter().filter(|b| **b == b'.').count();
    dot.is_some_and(|at| at > 0 && labels >= 2 && name[at..].eq_ignore_ascii_case(tail))
}

fn same_ip(value: &[u8], ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => value == ip.octets(),
        IpAddr::V6(ip) => value == ip.octets(),
    }
}

/// The attributes of a distinguished name.
fn names_in(name: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut sets = Reader(name);
    std::iter::from_fn(move || sets.expect(SET)).flat_map(|set| {
        let mut attributes = Reader(set);
        std::iter::from_fn(move || {
            let mut one = Reader(attributes.expect(SEQUENCE)?);
            Some((one.expect(OID)?, one.next()?.1))
        })
    })
}

fn oneline(name: &[u8]) -> String {
    names_in(name).fold(String::new(), |mut out, (oid, value)| {
        let _ = write!(out, "/{}={}", key(oid), String::from_utf8_lossy(value));
        out
    })
}

fn key(oid: &[u8]) -> &'static str {
    ATTRIBUTES.iter().find(|row| row.0 == oid).map_or("OID", |row| row.1)
}

fn name_text(name: &[u8]) -> String {
    let mut parts: Vec<String> = names_in(name)
        .map(|(oid, value)| {
            let key = key(oid);
            let mut text = String::new();
            for c in String::from_utf8_lossy(value).chars() {
                if ",+\"\\<>;".contains(c) {
                    text.push('\\');
                }
                text.push(c);
            }
            format!("{key}={text}")
        })
        .collect();
    parts.reverse();
    parts.join(",")
}

/// UTCTime or GeneralizedTime, always in UTC.
pub(super) fn time(reader: &mut Reader<'_>) -> Option<i64> {
    let (tag, value) = reader.next()?;
    let text = std::str::from_utf8(value).ok()?.strip_suffix('Z')?;
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, at) = match tag {
        UTC_TIME => {
            let short = number(0, 2)?;
            (if short < 50 { 2000 + short } else { 1900 + short }, 2)
        }
        GENERALIZED_TIME => (number(0, 4)?, 4),
        _ => return None,
    };
    let part = |index: usize| number(at + 2 * index, at + 2 * index + 2);
    date::seconds(year, part(0)?, part(1)?, part(2)? * 3600 + part(3)? * 60 + part(4)?)
}

const fn context(number: u8) -> u8 {
    0xa0 | number
}

const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

const OID_CN: &[u8] = &[0x55, 4, 3];
const OID_BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
const OID_SAN: &[u8] = &[0x55, 0x1d, 17];
const ATTRIBUTES: &[(&[u8], &str)] = &[
    (OID_CN, "CN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "street"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names() {
        for (pattern, name, same) in [
            ("a.example", "A.example", true),
            ("*.a.example", "b.a.example", true),
            ("*.a.example", "a.example", false),
            ("*.a.example", "c.b.a.example", false),
            ("*.example", "a.example", false),
            ("b*.a.example", "bc.a.example", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name), same, "{pattern} {name}");
        }
    }

    #[test]
    fn broken_input_is_refused() {
        for der in [&b""[..], b"\x30", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", b"\x30\x02\x05"] {
            assert!(Cert::parse(der).is_none());
        }
    }
}

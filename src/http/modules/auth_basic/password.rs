//! Stored passwords: `{PLAIN}`, `{SHA}`, `{SSHA}`, `$apr1$`, `$1$`. Others match nothing.

use base64::Engine;
use bstr::ByteSlice;
use md5::{Digest, Md5};
use sha1::Sha1;

/// Whether a password is the one that was stored.
pub fn matches(given: &[u8], stored: &[u8]) -> bool {
    if let Some(plain) = stored.strip_prefix(b"{PLAIN}") {
        return same(given, plain);
    }
    if let Some(sha) = stored.strip_prefix(b"{SHA}") {
        return same(&Sha1::digest(given), &decoded(sha));
    }
    if let Some(salted) = stored.strip_prefix(b"{SSHA}") {
        let salted = decoded(salted);
        let Some((digest, salt)) = salted.split_at_checked(20) else { return false };
        return same(&Sha1::digest([given, salt].concat()), digest);
    }
    for magic in [&b"$apr1$"[..], b"$1$"] {
        if let Some(rest) = stored.strip_prefix(magic) {
            let salt = rest.split_str("$").next().unwrap_or_default();
            let salt = &salt[..salt.len().min(8)];
            return same(&md5_crypt(given, magic, salt), stored);
        }
    }
    false
}

fn decoded(text: &[u8]) -> Vec<u8> {
    // What is no base64 matches no digest.
    base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default()
}

/// Compares without telling by time where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (x, y)| all | (x ^ y)) == 0
}

/// The MD5-based crypt of FreeBSD and Apache.
fn md5_crypt(password: &[u8], magic: &[u8], salt: &[u8]) -> Vec<u8> {
    let inner = Md5::digest([password, salt, password].concat());
    let mut text = [password, magic, salt].concat();
    text.extend(inner.iter().cycle().take(password.len()));
    let mut bits = password.len();
    while bits > 0 {
        text.push(if bits & 1 == 1 { 0 } else { password.first().copied().unwrap_or(0) });
        bits >>= 1;
    }
    let mut digest: [u8; 16] = Md5::digest(&text).into();
    for round in 0..1000 {
        let mut text = Vec::with_capacity(64);
        text.extend_from_slice(if round & 1 == 1 { password } else { &digest });
        if round % 3 != 0 {
            text.extend_from_slice(salt);
        }
        if round % 7 != 0 {
            text.extend_from_slice(password);
        }
        text.extend_from_slice(if round & 1 == 1 { &digest } else { password });
        digest = Md5::digest(&text).into();
    }
    let mut out = [magic, salt, b"$"].concat();
    for [a, b, c] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        let group = [digest[a], digest[b], digest[c]]
            .iter()
            .fold(0, |all, byte| all << 8 | u32::from(*byte));
        put(&mut out, group, 4);
    }
    put(&mut out, u32::from(digest[11]), 2);
    out
}

fn put(out: &mut Vec<u8>, mut group: u32, digits: usize) {
    for _ in 0..digits {
        out.push(ALPHABET[(group & 63) as usize]);
        group >>= 6;
    }
}

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stored_forms() {
        assert!(matches(b"good", b"{PLAIN}good"));
        assert!(matches(b"password", b"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="));
        assert!(matches(b"good", b"$apr1$7XJKzgvF$MkbxyDwu2fKrOflFfBJMY0"));
        let long = b"a longer password, of thirty-four";
        assert!(matches(long, b"$1$abcdefgh$FANyTt43Xo6XXGoxg5WsH0"));
        assert!(!matches(b"bad", b"{PLAIN}good"));
        assert!(!matches(b"", b"!"));
    }
}

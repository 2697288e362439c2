//! Quoting for SQL and JSON.

use bstr::ByteSlice;

use crate::base::escape;

/// A MySQL string; dollar signs are escaped, too.
pub fn sql(text: &[u8]) -> Vec<u8> {
    escape::quote_sql(text).replace(b"$", br"\$")
}

/// A PostgreSQL string with escapes; bytes of broken UTF-8 are written in octal.
pub fn pgsql(text: &[u8]) -> Vec<u8> {
    if text.is_empty() {
        return b"''".to_vec();
    }
    let quoted = [b"E", &sql(text)[..]].concat();
    if std::str::from_utf8(&quoted).is_ok() {
        return quoted;
    }
    let mut out = Vec::with_capacity(quoted.len() * 2);
    for byte in quoted {
        match byte.is_ascii() {
            true => out.push(byte),
            false => out.extend_from_slice(format!("\\\\{byte:03o}").as_bytes()),
        }
    }
    out
}

/// A JSON string; nothing is `null`.
pub fn json(text: &[u8]) -> Vec<u8> {
    if text.is_empty() {
        return b"null".to_vec();
    }
    let mut out = Vec::with_capacity(text.len() + 2);
    out.push(b'"');
    for &byte in text {
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0..32 => {
                out.extend_from_slice(format!("\\u00{byte:02x}").as_bytes());
                continue;
            }
            _ => {
                out.push(byte);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.push(b'"');
    out
}

//! Escaping for pages, JSON, log lines and SQL.
//!
//! ```text
//!   html <a>  ─▶ &lt;a&gt;     json \n ─▶ \n     log \n ─▶ \x0A     quote_sql it's ─▶ 'it\'s'
//! ```

use std::borrow::Cow;

use super::{Set, hex_high, hex_low};

/// `<`, `>`, `&` and `"` as entities.
pub fn html(text: &[u8]) -> Cow<'_, [u8]> {
    replaced(text, |byte, out| {
        let entity: &[u8] = match byte {
            b'<' => b"&lt;",
            b'>' => b"&gt;",
            b'&' => b"&amp;",
            b'"' => b"&quot;",
            _ => return false,
        };
        out.extend_from_slice(entity);
        true
    })
}

/// The inside of a JSON string, as `log_format … escape=json` writes it.
pub fn json(text: &[u8]) -> Cow<'_, [u8]> {
    replaced(text, |byte, out| {
        let short = match byte {
            b'\\' | b'"' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0..=0x1f => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[hex_high(byte), hex_low(byte)]);
                return true;
            }
            _ => return false,
        };
        out.extend_from_slice(&[b'\\', short]);
        true
    })
}

/// The default escaping of access logs: quotes, backslashes and unprintable bytes as `\xXX`.
pub fn log(text: &[u8]) -> Cow<'_, [u8]> {
    replaced(text, |byte, out| {
        let escaped = LOG.contains(byte);
        if escaped {
            out.extend_from_slice(&[b'\\', b'x', hex_high(byte), hex_low(byte)]);
        }
        escaped
    })
}

/// A quoted MySQL string: `ngx.quote_sql_str`.
pub fn quote_sql(text: &[u8]) -> Vec<u8> {
    let inside = replaced(text, |byte, out| {
        let short = match byte {
            0 => b'0',
            0x08 => b'b',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            26 => b'Z',
            b'\\' | b'\'' | b'"' => byte,
            _ => return false,
        };
        out.extend_from_slice(&[b'\\', short]);
        true
    });
    [b"'".as_slice(), &inside, b"'"].concat()
}

/// Lets `escape` write some bytes its way (it tells which) and copies the others.
fn replaced(text: &[u8], escape: impl Fn(u8, &mut Vec<u8>) -> bool) -> Cow<'_, [u8]> {
    let mut out = Vec::new();
    let Some(first) = text.iter().position(|&byte| escape(byte, &mut out)) else {
        return Cow::Borrowed(text);
    };
    let mut whole = Vec::with_capacity(text.len() + 16);
    whole.extend_from_slice(&text[..first]);
    whole.append(&mut out);
    for &byte in &text[first + 1..] {
        if !escape(byte, &mut whole) {
            whole.push(byte);
        }
    }
    Cow::Owned(whole)
}

static LOG: Set = Set::unprintable().and(b"\"\\");

//! The target list as the library's shared dictionary holds it.
//!
//! ```text
//!   [ {ip, port, hostname, hostheader, meta, purge_time} ] ──▶ bytes of LuaJIT's string.buffer
//! ```
//!
//! Other workers, other processes and scripts read it with `require("string.buffer").decode`.

use bstr::BString;

use super::Ident;

/// A target as the script gave it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub ident: Ident,
    pub hostheader: Option<BString>,
    /// A value of the script's own, encoded by it.
    pub meta: Option<BString>,
    /// When it is removed, in seconds of wall time.
    pub purge_time: Option<f64>,
}

/// The list as one string.
pub fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 * entries.len() + 8);
    if entries.is_empty() {
        out.push(TAB_EMPTY);
        return out;
    }
    // An array that begins with item 1.
    out.push(TAB_ARRAY);
    number(&mut out, entries.len() + 1);
    entries.iter().for_each(|entry| one(&mut out, entry));
    out
}

fn one(out: &mut Vec<u8>, entry: &Entry) {
    let optional = [entry.hostheader.is_some(), entry.meta.is_some(), entry.purge_time.is_some()];
    out.push(TAB_HASH);
    number(out, 3 + optional.iter().filter(|there| **there).count());
    string(out, b"ip");
    string(out, &entry.ident.ip);
    string(out, b"port");
    float(out, entry.ident.port);
    string(out, b"hostname");
    string(out, &entry.ident.hostname);
    if let Some(header) = &entry.hostheader {
        string(out, b"hostheader");
        string(out, header);
    }
    if let Some(meta) = &entry.meta {
        string(out, b"meta");
        out.extend_from_slice(meta);
    }
    if let Some(time) = entry.purge_time {
        string(out, b"purge_time");
        float(out, time);
    }
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    number(out, STRING + text.len());
    out.extend_from_slice(text);
}

fn float(out: &mut Vec<u8>, n: f64) {
    if n.fract() == 0.0 && n.abs() < f64::from(i32::MAX) {
        out.push(INT);
        out.extend_from_slice(&(n as i32).to_le_bytes());
    } else {
        out.push(NUM);
        out.extend_from_slice(&n.to_le_bytes());
    }
}

/// The format's short notation of counts.
fn number(out: &mut Vec<u8>, n: usize) {
    match n {
        0..0xe0 => out.push(n as u8),
        0xe0..0x1fe0 => {
            let n = n - 0xe0;
            out.extend_from_slice(&[0xe0 | (n >> 8) as u8, n as u8]);
        }
        _ => {
            out.push(0xff);
            out.extend_from_slice(&(n as u32).to_le_bytes());
        }
    }
}

const INT: u8 = 0x06;
const NUM: u8 = 0x07;
const TAB_EMPTY: u8 = 0x08;
const TAB_HASH: u8 = 0x09;
const TAB_ARRAY: u8 = 0x0c;
const STRING: usize = 0x20;

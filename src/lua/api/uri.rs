//! URIs that scripts hand over: what makes them unsafe.

use std::rc::Rc;

use bstr::BStr;

use crate::base::escape::{Unescape, unescape_uri};
use crate::base::log::Level;
use crate::http::Request;

/// Splits `uri?args` and decodes the path; `None` (and a log line) for a path that climbs.
pub fn split_unsafe(r: &Rc<Request>, target: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (path, args) = match memchr::memchr(b'?', target) {
        Some(at) => (&target[..at], &target[at + 1..]),
        None => (target, &b""[..]),
    };
    let path = match memchr::memchr(b'%', path) {
        Some(_) => unescape_uri(path, Unescape::All),
        None => path.to_vec(),
    };
    if path.is_empty() || climbs(&path) || path.contains(&0) {
        let shown = BStr::new(target);
        r.log(Level::Error, format_args!("unsafe URI \"{shown}\" was detected"));
        return None;
    }
    Some((path, args.to_vec()))
}

/// A first byte that must not stand in a header line.
pub fn unsafe_byte(text: &[u8]) -> Option<u8> {
    text.iter().copied().find(|b| (*b < 0x20 && *b != b'\t') || *b == 0x7f)
}

/// `..` as a part of the path.
fn climbs(path: &[u8]) -> bool {
    path.split(|b| *b == b'/' || *b == b'\\').any(|part| part == b"..")
}

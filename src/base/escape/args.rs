//! Query strings and urlencoded bodies as pairs, with the limits of `ngx.req.get_uri_args`.
//!
//! ```text
//!   "a=1&b&=x&c=%20"  ─▶  (a, Some 1) (b, None) (c, Some " ")     a pair without a key is no pair
//! ```

use super::lua_unescape;

/// A key and its value; a key without an equals sign has none (`true` in Lua).
pub type Pair = (Vec<u8>, Option<Vec<u8>>);

/// The pairs of a query string in their order, pairs without a key included.
#[derive(Debug)]
pub struct Pairs<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Pairs<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        Self { rest: Some(text) }
    }
}

impl Iterator for Pairs<'_> {
    type Item = Pair;

    fn next(&mut self) -> Option<Pair> {
        let rest = self.rest.take()?;
        let end = memchr::memchr(b'&', rest);
        self.rest = end.map(|at| &rest[at + 1..]);
        let pair = &rest[..end.unwrap_or(rest.len())];
        Some(match memchr::memchr(b'=', pair) {
            Some(at) => (lua_unescape(&pair[..at]), Some(lua_unescape(&pair[at + 1..]))),
            None => (lua_unescape(pair), None),
        })
    }
}

/// Decodes for `ngx.decode_args` and `ngx.req.get_post_args`; 0 means no limit. The flag tells
/// that the limit was hit.
///
/// Pairs without a key count, and an ampersand right at the limit is a truncation already.
pub fn decode_args(text: &[u8], max: usize) -> (Vec<Pair>, bool) {
    let mut pairs = Pairs::new(text);
    let mut out = Vec::new();
    let mut count = 0;
    while let Some(pair) = pairs.next() {
        if !pair.0.is_empty() {
            out.push(pair);
        }
        count += 1;
        if max > 0 && count == max && pairs.rest.is_some() {
            return (out, true);
        }
    }
    (out, false)
}

/// Decodes for `ngx.req.get_uri_args`: here the ampersands decide about truncation, and pairs
/// without a key do not count.
pub fn decode_uri_args(text: &[u8], max: usize) -> (Vec<Pair>, bool) {
    let pieces = memchr::memchr_iter(b'&', text).count() + 1;
    let truncated = max > 0 && pieces > max && pieces > 1;
    let named = Pairs::new(text).filter(|(key, _)| !key.is_empty());
    let limit = if max > 0 { max } else { usize::MAX };
    (named.take(limit).collect(), truncated)
}

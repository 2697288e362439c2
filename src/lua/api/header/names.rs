//! Header names as scripts write them, and as they go on the wire.
//!
//! ```text
//!   "X-Cache" ─▶ escaped, dashed, compared with the special ones ─▶ Name
//!                 └ the last names of a thread are remembered: a script uses a handful
//! ```

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;

use super::{ESCAPE_NAME, escape_with};
use crate::http::Request;
use crate::lua::conf::LuaLoc;

/// A header name ready to be sent.
#[derive(Clone)]
pub struct Name {
    pub wire: Bytes,
    /// No field of the response and nothing with rules of its own: just a line.
    pub is_plain: bool,
}

impl Name {
    /// Makes a name of a script's text; `r` tells whether underscores become dashes.
    pub fn of(r: &Rc<Request>, text: &[u8]) -> Self {
        if memchr::memchr(b'_', text).is_some() {
            return Self::new(&dashed(r, text));
        }
        let (Some(first), Some(last)) = (text.first(), text.last()) else { return Self::new(text) };
        let place = (text.len() * 5 + usize::from(*first) + usize::from(*last) * 3) % PLACES;
        KNOWN.with_borrow_mut(|known| {
            if let Some((key, name)) = &known[place]
                && **key == *text
            {
                return name.clone();
            }
            let name = Self::new(text);
            if text.len() <= REMEMBERED_BYTES_MAX {
                known[place] = Some((text.into(), name.clone()));
            }
            name
        })
    }

    fn new(text: &[u8]) -> Self {
        let is_special = SPECIAL.iter().any(|special| special.eq_ignore_ascii_case(text));
        Self { wire: escape_with(text, ESCAPE_NAME), is_plain: !is_special }
    }
}

fn dashed(r: &Rc<Request>, text: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    if r.with_location(|l| l.scope.part::<LuaLoc>().transform_underscores()) {
        text.iter_mut().filter(|byte| **byte == b'_').for_each(|byte| *byte = b'-');
    }
    text
}

/// A script's text, and what was made of it.
type Remembered = (Box<[u8]>, Name);

thread_local! {
    static KNOWN: RefCell<[Option<Remembered>; PLACES]> =
        const { RefCell::new([const { None }; PLACES]) };
}

/// Names that `put` treats apart, even when one text is set.
const SPECIAL: &[&[u8]] =
    &[b"content-type", b"content-length", b"last-modified", b"location", b"accept-ranges"];

const PLACES: usize = 64;
/// Longer names are made anew: what a script invents must not be kept.
const REMEMBERED_BYTES_MAX: usize = 64;

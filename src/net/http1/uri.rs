//! From the target as sent to the path that locations are matched with.
//!
//! ```text
//!   /a/./b//../%63?x=%20#f ─▶ path /a/c, args x=%20      (merge_slashes on)
//! ```
//!
//! Escapes are decoded once, then dots and slashes are judged, decoded ones too; a path that climbs
//! above its root, a broken escape and an escaped NUL are refused.

use std::ops::Range;

/// A normalised target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uri {
    pub path: Vec<u8>,
    /// Where the arguments stand in the target, undecoded.
    pub args: Range<usize>,
    /// The path was escaped in some place: `proxy_pass` then has to escape anew.
    pub quoted: bool,
}

/// The path cannot be a path; nginx says `client sent invalid request` and answers 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUri;

/// Where path and arguments of a target stand that [`super::RequestLine::complex`] does not call
/// complex: nothing is decoded.
pub fn split(target: &[u8]) -> (Range<usize>, Range<usize>) {
    let question = memchr::memchr(b'?', target);
    let args = question.map_or(target.len(), |at| at + 1);
    (0..question.unwrap_or(target.len()), args..target.len())
}

/// Normalises a target in any form. With `empty_path` a slash is missing in front of it.
pub fn normalize(target: &[u8], empty_path: bool, merge_slashes: bool) -> Result<Uri, InvalidUri> {
    let mut walk = Walk::new(target, merge_slashes);
    if empty_path {
        walk.path.push(b'/');
    }
    let args = walk.run()?;
    Ok(Uri { path: walk.path, args, quoted: walk.quoted })
}

/// The extension of a path's last segment: `$ext` of `types`. A dot right behind the slash is none.
pub fn extension(path: &[u8]) -> &[u8] {
    let after_slash = memchr::memrchr(b'/', path).map_or(0, |at| at + 1);
    let file = &path[after_slash..];
    match memchr::memrchr(b'.', file) {
        Some(at) if at > 0 => &file[at + 1..],
        _ => b"",
    }
}

/// Where the walk stands within a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Usual,
    Slash,
    Dot,
    DotDot,
}

struct Walk<'a> {
    target: &'a [u8],
    merge_slashes: bool,
    path: Vec<u8>,
    state: State,
    quoted: bool,
}

impl<'a> Walk<'a> {
    fn new(target: &'a [u8], merge_slashes: bool) -> Self {
        let path = Vec::with_capacity(target.len() + 1);
        Self { target, merge_slashes, path, state: State::Usual, quoted: false }
    }

    /// Gives back where the arguments are.
    fn run(&mut self) -> Result<Range<usize>, InvalidUri> {
        let mut at = 0;
        while let Some(&byte) = self.target.get(at) {
            at += 1;
            match byte {
                b'%' => {
                    let decoded = self.decode(at)?;
                    at += 2;
                    self.quoted = true;
                    match decoded {
                        0 => return Err(InvalidUri),
                        // These would mean something else undecoded.
                        b'%' | b'#' | b'?' => self.plain(decoded),
                        _ => self.byte(decoded)?,
                    }
                }
                b'?' | b'#' => {
                    self.end_segment()?;
                    return Ok(self.args(at, byte));
                }
                _ => self.byte(byte)?,
            }
        }
        self.end_segment()?;
        Ok(at..at)
    }

    fn args(&self, at: usize, mark: u8) -> Range<usize> {
        let rest = &self.target[at..];
        let fragment = memchr::memchr(b'#', rest).unwrap_or(rest.len());
        if mark == b'?' { at..at + fragment } else { at..at }
    }

    fn decode(&self, at: usize) -> Result<u8, InvalidUri> {
        let digit = |at: usize| {
            let value = self.target.get(at).and_then(|&c| (c as char).to_digit(16));
            value.ok_or(InvalidUri)
        };
        Ok((digit(at)? << 4 | digit(at + 1)?) as u8)
    }

    fn plain(&mut self, byte: u8) {
        self.state = State::Usual;
        self.path.push(byte);
    }

    fn byte(&mut self, byte: u8) -> Result<(), InvalidUri> {
        match (self.state, byte) {
            (State::Usual, b'/') => {
                self.path.push(byte);
                self.state = State::Slash;
            }
            (State::Slash, b'/') => {
                if !self.merge_slashes {
                    self.path.push(byte);
                }
            }
            (State::Dot | State::DotDot, b'/') => {
                self.end_segment()?;
                self.state = State::Slash;
            }
            (State::Slash, b'.') => {
                self.path.push(byte);
                self.state = State::Dot;
            }
            (State::Dot, b'.') => {
                self.path.push(byte);
                self.state = State::DotDot;
            }
            _ => self.plain(byte),
        }
        Ok(())
    }

    /// Removes a dot segment that has just ended.
    fn end_segment(&mut self) -> Result<(), InvalidUri> {
        match self.state {
            State::Dot => _ = self.path.pop(),
            State::DotDot => {
                // The path ends with "/..": cut it and the segment before.
                let parent = self.path.len().checked_sub(4).ok_or(InvalidUri)?;
                let slash = memchr::memrchr(b'/', &self.path[..=parent]).ok_or(InvalidUri)?;
                self.path.truncate(slash + 1);
            }
            State::Usual | State::Slash => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(target: &str) -> Option<String> {
        let uri = normalize(target.as_bytes(), false, true).ok()?;
        Some(String::from_utf8_lossy(&uri.path).into_owned())
    }

    #[test]
    fn paths() {
        for (target, wanted) in [
            ("/", "/"),
            ("/a/./b//../c", "/a/c"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("//a///b", "/a/b"),
            ("/a%2fb%2F%2e%2E/c", "/a/c"),
            ("/%25%23%3f", "/%#?"),
            ("/a%20b+c", "/a b+c"),
            ("/...", "/..."),
            ("/.a/..b", "/.a/..b"),
            ("/a#b?c", "/a"),
            ("/a/..?x", "/"),
            ("/a/../", "/"),
        ] {
            assert_eq!(path(target).as_deref(), Some(wanted), "{target}");
        }
        for wrong in ["/..", "/../a", "/a/../../b", "/%", "/%2", "/%zz", "/%00", "/a/%2e%2e/.."] {
            assert_eq!(path(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn arguments_are_kept_as_sent() {
        let args = |target: &str| {
            let uri = normalize(target.as_bytes(), false, true).unwrap();
            target[uri.args].to_owned()
        };
        assert_eq!(args("/a?x=%20&y#f"), "x=%20&y");
        assert_eq!(args("/a#f?x"), "");
        assert_eq!(args("/a?"), "");
        assert_eq!(split(b"/a?b?c"), (0..2, 3..6));
    }

    #[test]
    fn slashes_can_be_kept() {
        let keep = normalize(b"//a//b/../c", false, false).unwrap();
        assert_eq!(keep.path, b"//a//c");
        let parent = normalize(b"/a//../c", false, false).unwrap();
        assert_eq!(parent.path, b"/a/c");
        let empty = normalize(b"?x", true, true).unwrap();
        assert_eq!((empty.path.as_slice(), empty.args), (&b"/"[..], 1..2));
    }

    #[test]
    fn extensions() {
        assert_eq!(extension(b"/a/b.tar.gz"), b"gz");
        assert_eq!(extension(b"/a.b/c"), b"");
        assert_eq!(extension(b"/.htaccess"), b"");
        assert_eq!(extension(b"/a."), b"");
    }
}

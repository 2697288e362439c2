//! System errors in nginx's words: `(98: Address already in use)`.

use std::fmt;
use std::io;

/// Renders a system error the way nginx ends a log line.
pub struct Errno<'a>(pub &'a io::Error);

impl fmt::Display for Errno<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.raw_os_error() {
            Some(code) => write!(f, "({code}: {})", text(self.0)),
            None => write!(f, "({})", self.0),
        }
    }
}

/// The text of a system error alone, as `strerror` has it: `Connection refused`.
pub fn text(error: &io::Error) -> String {
    let full = error.to_string();
    match full.rfind(" (os error ") {
        Some(at) => full[..at].to_string(),
        None => full,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nginx_words() {
        let in_use = io::Error::from_raw_os_error(98);
        assert_eq!(Errno(&in_use).to_string(), "(98: Address already in use)");
        assert_eq!(Errno(&io::Error::other("odd")).to_string(), "(odd)");
    }
}

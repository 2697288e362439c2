//! Finds the commands in a text that comes in pieces.
//!
//! ```text
//!  text <!--#name param="value" … --> text     a piece may end anywhere: what is unclear is kept
//! ```

use bytes::{Bytes, BytesMut};

/// What stands in the text, one after the other.
#[derive(Debug, PartialEq, Eq)]
pub enum Token {
    Text(Bytes),
    Command {
        command: Command,
        /// As it stands in the text.
        raw: Bytes,
    },
    /// What began like a command and is none: nginx's complaint.
    Wrong(&'static str),
}

/// `name param="value" …`
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Command {
    pub name: Vec<u8>,
    pub params: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Command {
    pub fn param(&self, name: &str) -> Option<&[u8]> {
        let found = self.params.iter().find(|(known, _)| known == name.as_bytes())?;
        Some(&found.1)
    }
}

/// The reader.
#[derive(Default)]
pub struct Scanner {
    text: BytesMut,
    value_bytes_max: usize,
}

impl Scanner {
    /// A value may have so many bytes.
    pub fn new(value_bytes_max: usize) -> Self {
        Self { text: BytesMut::new(), value_bytes_max }
    }

    pub fn push(&mut self, data: &[u8]) {
        self.text.extend_from_slice(data);
    }

    /// The next token; nothing when more text has to come first. At the `last` of the text what was
    /// unclear is text.
    pub fn next(&mut self, last: bool) -> Option<Token> {
        if self.text.is_empty() {
            return None;
        }
        match memchr::memmem::find(&self.text, OPENING) {
            Some(0) => {}
            Some(at) => return Some(Token::Text(self.text.split_to(at).freeze())),
            None => {
                let kept = if last { 0 } else { unclear(&self.text) };
                let sure = self.text.len() - kept;
                return (sure > 0).then(|| Token::Text(self.text.split_to(sure).freeze()));
            }
        }
        match parse(&self.text[OPENING.len()..], self.value_bytes_max) {
            Parsed::Command(command, used) => {
                let raw = self.text.split_to(OPENING.len() + used).freeze();
                Some(Token::Command { command, raw })
            }
            Parsed::Wrong(why, used) => {
                let _ = self.text.split_to((OPENING.len() + used).min(self.text.len()));
                Some(Token::Wrong(why))
            }
            Parsed::More if last => Some(Token::Text(self.text.split().freeze())),
            Parsed::More => None,
        }
    }

    /// Takes what nobody has looked at.
    pub fn rest(&mut self) -> Bytes {
        self.text.split().freeze()
    }
}

enum Parsed {
    Command(Command, usize),
    Wrong(&'static str, usize),
    More,
}

/// How many bytes at the end may be the beginning of an opening.
fn unclear(text: &[u8]) -> usize {
    (1..OPENING.len()).rev().find(|count| text.ends_with(&OPENING[..*count])).unwrap_or(0)
}

/// Parses behind the opening.
fn parse(text: &[u8], value_bytes_max: usize) -> Parsed {
    let mut at = spaces(text, 0);
    let start = at;
    while text.get(at).is_some_and(|byte| byte.is_ascii_lowercase()) {
        at += 1;
    }
    let mut command = Command { name: text[start..at].to_vec(), params: Vec::new() };
    match text.get(at) {
        None => return Parsed::More,
        Some(byte) if is_space(*byte) || *byte == b'-' && at > start => {}
        Some(_) => return Parsed::Wrong("unexpected symbol in SSI command name", at + 1),
    }
    loop {
        at = spaces(text, at);
        match text.get(at) {
            None => return Parsed::More,
            Some(b'-') => {
                let end = &text[at..];
                if end.len() < CLOSING.len() && CLOSING.starts_with(end) {
                    return Parsed::More;
                }
                return match end.starts_with(CLOSING) {
                    true => Parsed::Command(command, at + CLOSING.len()),
                    false => Parsed::Wrong("unexpected symbol after SSI command", at + 1),
                };
            }
            Some(_) => {}
        }
        match param(text, at, value_bytes_max) {
            Ok(Some((name, value, end))) => {
                command.params.push((name, value));
                at = end;
            }
            Ok(None) => return Parsed::More,
            Err((why, used)) => return Parsed::Wrong(why, used),
        }
    }
}

type Param = (Vec<u8>, Vec<u8>, usize);

/// `name="value"`, and where it ends.
fn param(
    text: &[u8],
    start: usize,
    value_bytes_max: usize,
) -> Result<Option<Param>, (&'static str, usize)> {
    let mut at = start;
    while text.get(at).is_some_and(|byte| byte.is_ascii_lowercase() || *byte == b'_') {
        at += 1;
    }
    let name = text[start..at].to_vec();
    at = spaces(text, at);
    match text.get(at) {
        None => return Ok(None),
        Some(b'=') if !name.is_empty() => {}
        Some(_) => return Err(("unexpected symbol after parameter name in SSI command", at + 1)),
    }
    at = spaces(text, at + 1);
    let quote = match text.get(at) {
        None => return Ok(None),
        Some(quote @ (b'"' | b'\'')) => *quote,
        Some(_) => return Err(("unexpected symbol before value in SSI command", at + 1)),
    };
    at += 1;
    let mut value = Vec::new();
    loop {
        let Some(byte) = text.get(at) else {
            let long = value.len() > value_bytes_max;
            return if long { Err(("too long value in SSI command", at)) } else { Ok(None) };
        };
        at += 1;
        match byte {
            b'\\' => {
                value.push(b'\\');
                let Some(quoted) = text.get(at) else { return Ok(None) };
                value.push(*quoted);
                at += 1;
            }
            byte if *byte == quote => break,
            byte => value.push(*byte),
        }
    }
    if value.len() > value_bytes_max {
        return Err(("too long value in SSI command", at));
    }
    Ok(Some((name, value, at)))
}

fn spaces(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(|byte| is_space(*byte)) {
        at += 1;
    }
    at
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\r' | b'\n' | b'\t')
}

const OPENING: &[u8] = b"<!--#";
const CLOSING: &[u8] = b"-->";

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts between bars, commands by their names.
    fn scan(pieces: &[&str]) -> String {
        let mut scanner = Scanner::new(64);
        let mut shown = String::new();
        for (index, piece) in pieces.iter().enumerate() {
            scanner.push(piece.as_bytes());
            while let Some(token) = scanner.next(index + 1 == pieces.len()) {
                match token {
                    Token::Text(text) => shown.push_str(&String::from_utf8_lossy(&text)),
                    Token::Command { command, .. } => {
                        shown.push('|');
                        shown.push_str(&String::from_utf8_lossy(&command.name));
                        for (name, value) in &command.params {
                            shown.push_str(&format!(
                                " {}={}",
                                String::from_utf8_lossy(name),
                                String::from_utf8_lossy(value)
                            ));
                        }
                        shown.push('|');
                    }
                    Token::Wrong(_) => shown.push_str("|?|"),
                }
            }
        }
        shown
    }

    #[test]
    fn commands_are_found_however_the_text_arrives() {
        let text = "a<!--#echo var=\"x\" default='no \"x\"' -->b<!-- c --><!--#endif-->d<!-";
        let want = "a|echo var=x default=no \"x\"|b<!-- c -->|endif|d<!-";
        assert_eq!(scan(&[text]), want);
        let bytes: Vec<&str> = (0..text.len()).map(|at| &text[at..=at]).collect();
        assert_eq!(scan(&bytes), want);
    }

    #[test]
    fn what_is_no_command() {
        assert_eq!(scan(&["<!--#if$ x-->y"]), "|?| x-->y");
        assert_eq!(scan(&["<!--#if expr=x -->y"]), "|?| -->y");
        assert_eq!(scan(&["<!--#if expr=\"x\" "]), "<!--#if expr=\"x\" ");
        assert_eq!(scan(&["<!--#if expr=\"x\\\"y\" -->"]), "|if expr=x\\\"y|");
    }
}

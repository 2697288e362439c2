//! Splits a file into directives: words, then `;` or `{`; or a `}` alone.
//!
//! ```text
//!  listen  80 "a b";    ▶ Words [listen] [80] [a b] End::Semicolon
//!  server {             ▶ Words [server]            End::Open
//!  }                    ▶ Close
//! ```
//!
//! The rules are nginx's: quotes count only at the start of a word, `\` shields the next byte
//! anywhere, `${` does not open a block, `#` starts a comment only where a word could start, and
//! `)` may follow a closing quote (`if ($a = "b")`).

use bstr::{BString, ByteSlice};

use super::diag::{Diag, Place, Span};
use super::source::FileId;
use super::tree::Word;

/// Reads one file.
pub struct Lexer<'a> {
    text: &'a [u8],
    pos: usize,
    line: u32,
    file: FileId,
    /// The text is the `-g` parameter.
    parameter: bool,
}

/// What comes next in the file.
pub enum Token {
    /// A directive's words and what ended them; without an end the words are not to be used.
    Words(Vec<Word>, End),
    Close,
    Eof,
}

/// What ended a directive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    Semicolon,
    Open,
    /// Nothing that may end it: the complaint has been made.
    Broken,
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a [u8], file: FileId, parameter: bool) -> Self {
        // The -g parameter has no lines: nginx counts it from 0 and never prints it.
        Self { text, pos: 0, line: 1, file, parameter }
    }

    /// Where the reader stands.
    pub fn place(&self) -> Place {
        Place { file: self.file, line: self.line }
    }

    pub fn rest(&self) -> &'a [u8] {
        &self.text[self.pos..]
    }

    /// Goes on behind `count` bytes that somebody else has read.
    pub fn skip(&mut self, count: usize) {
        let end = (self.pos + count).min(self.text.len());
        let lines = self.text[self.pos..end].find_iter("\n").count();
        self.line += u32::try_from(lines).unwrap_or(u32::MAX);
        self.pos = end;
    }

    /// Whether the text is the `-g` parameter.
    pub fn is_parameter(&self) -> bool {
        self.parameter
    }

    /// The byte just read, for the caret.
    pub fn last_byte(&self) -> Span {
        let at = self.pos.saturating_sub(1);
        self.span(at, self.pos, self.line - u32::from(self.text.get(at) == Some(&b'\n')))
    }

    /// The byte that comes `offset` bytes later.
    pub fn ahead(&self, offset: usize) -> Span {
        let at = (self.pos + offset).min(self.text.len());
        let lines = self.text[self.pos..at].find_iter("\n").count();
        self.span(at, at + 1, self.line + u32::try_from(lines).unwrap_or(u32::MAX))
    }

    /// How far the byte just read is indented, if nothing else precedes it on its line.
    pub fn indent(&self) -> Option<usize> {
        self.indent_at(self.pos.saturating_sub(1))
    }

    /// How far the byte at this offset is indented, if nothing else precedes it on its line.
    pub fn indent_at(&self, offset: usize) -> Option<usize> {
        let before = self.text.get(..offset)?;
        let line = &before[before.rfind_byte(b'\n').map_or(0, |at| at + 1)..];
        line.iter().all(|byte| is_space(*byte)).then_some(line.len())
    }

    /// The next directive or brace. Complaints go to `diags`, reading goes on behind them.
    pub fn next(&mut self, diags: &mut Vec<Diag>) -> Token {
        let mut words: Vec<Word> = Vec::new();
        loop {
            self.skip_space();
            let Some(byte) = self.peek() else {
                if words.is_empty() {
                    return Token::Eof;
                }
                diags.push(self.unexpected_end(None));
                return Token::Words(words, End::Broken);
            };
            match byte {
                b';' | b'{' if words.is_empty() => {
                    self.pos += 1;
                    diags.push(self.unexpected(byte));
                    if byte == b'{' {
                        return Token::Words(words, End::Open);
                    }
                }
                b';' | b'{' => {
                    self.pos += 1;
                    let end = if byte == b';' { End::Semicolon } else { End::Open };
                    return Token::Words(words, end);
                }
                b'}' if words.is_empty() => {
                    self.pos += 1;
                    return Token::Close;
                }
                b'}' => {
                    let last = words.last().map_or(BString::default(), |word| word.text.clone());
                    self.pos += 1;
                    let hint = format!("is a \";\" missing after \"{last}\"?");
                    diags.push(self.unexpected(byte).hint(hint));
                    self.pos -= 1;
                    return Token::Words(words, End::Broken);
                }
                _ => match self.word() {
                    Ok(word) => words.push(word),
                    Err(diag) => {
                        diags.push(diag);
                        return Token::Words(words, End::Broken);
                    }
                },
            }
            if let Some(diag) = self.glued(&words) {
                diags.push(diag);
                return Token::Words(words, self.skip_directive());
            }
        }
    }

    /// What may not follow a closing quote without a space.
    fn glued(&mut self, words: &[Word]) -> Option<Diag> {
        let quoted = words.last().is_some_and(|word| word.quoted);
        let byte = self.peek().filter(|_| quoted)?;
        if is_space(byte) || matches!(byte, b';' | b'{' | b')') {
            return None;
        }
        let (from, line) = (self.pos, self.line);
        self.pos += 1;
        let diag = self.unexpected(byte).span(self.span(from, from + 1, line));
        Some(diag.hint("a closing quote must be followed by a space, \";\", \"{\" or \")\""))
    }

    fn skip_space(&mut self) {
        while let Some(byte) = self.peek() {
            if byte == b'#' {
                let rest = self.rest();
                self.pos += rest.find_byte(b'\n').unwrap_or(rest.len());
            } else if is_space(byte) {
                self.line += u32::from(byte == b'\n');
                self.pos += 1;
            } else {
                return;
            }
        }
    }

    /// Reads one word, which is known to start here.
    fn word(&mut self) -> Result<Word, Diag> {
        let (from, line) = (self.pos, self.line);
        let quote = self.peek().filter(|byte| matches!(byte, b'"' | b'\''));
        self.pos += usize::from(quote.is_some());
        let start = self.pos;
        let mut variable = false;
        while let Some(byte) = self.peek() {
            if self.pos - start >= LONGEST && !self.parameter {
                return Err(self.too_long(from, start, line, quote));
            }
            if byte == b'{' && variable {
                self.pos += 1;
                continue;
            }
            variable = byte == b'$';
            if byte == b'\\' {
                self.bump();
                self.bump();
                continue;
            }
            let ends = match quote {
                Some(quote) => byte == quote,
                // The first byte of a word starts it, whatever it is.
                None => self.pos > start && (is_space(byte) || matches!(byte, b';' | b'{')),
            };
            if ends {
                let text = unescape(&self.text[start..self.pos]);
                self.pos += usize::from(quote.is_some());
                let span = self.span(from, self.pos, line);
                return Ok(Word { text, quoted: quote.is_some(), span });
            }
            self.bump();
        }
        Err(self.unexpected_end(quote.map(|quote| (quote, self.span(from, from + 1, line)))))
    }

    /// After a mistake: goes behind the end of the directive without looking at its words.
    fn skip_directive(&mut self) -> End {
        while let Some(byte) = self.peek() {
            match byte {
                b'}' => return End::Broken,
                b'\\' => self.bump(),
                b';' => {
                    self.pos += 1;
                    return End::Broken;
                }
                b'{' => {
                    self.pos += 1;
                    return End::Open;
                }
                _ => {}
            }
            self.bump();
        }
        End::Broken
    }

    fn too_long(&mut self, from: usize, start: usize, line: u32, quote: Option<u8>) -> Diag {
        let text = match quote {
            Some(quote) => format!(
                "too long parameter, probably missing terminating \"{}\" character",
                char::from(quote)
            ),
            None => {
                let head = self.text[start..start + 10].as_bstr();
                format!("too long parameter \"{head}...\" started")
            }
        };
        let place = Place { file: self.file, line };
        match self.text[from..self.pos].find_byte(b'\n').filter(|_| quote.is_some()) {
            // Most likely the quote is missing on the first line: reading goes on behind it.
            Some(len) => (self.pos, self.line) = (from + len, line),
            None => {
                self.skip_directive();
            }
        }
        Diag::emerg(text).at(place).span(self.span(from, from + 1, line))
    }

    fn unexpected_end(&self, quote: Option<(u8, Span)>) -> Diag {
        let text = if self.parameter {
            "unexpected end of parameter, expecting \";\""
        } else {
            "unexpected end of file, expecting \";\" or \"}\""
        };
        let diag = Diag::emerg(text).at(self.place());
        match quote {
            Some((quote, span)) => diag.span(span).hint(format!(
                "the quote {} on line {} is not closed",
                char::from(quote),
                span.line
            )),
            None => diag.span(self.last_byte()),
        }
    }

    fn unexpected(&self, byte: u8) -> Diag {
        let byte = [byte];
        Diag::emerg(format!("unexpected \"{}\"", byte.as_bstr()))
            .at(self.place())
            .span(self.last_byte())
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.pos).copied()
    }

    fn bump(&mut self) {
        if let Some(byte) = self.peek() {
            self.line += u32::from(byte == b'\n');
            self.pos += 1;
        }
    }

    fn span(&self, start: usize, end: usize, line: u32) -> Span {
        let clip = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Span { file: self.file, start: clip(start), end: clip(end), line }
    }
}

fn unescape(raw: &[u8]) -> BString {
    let mut text = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let shielded = match bytes.peek() {
            Some(&next @ (b'"' | b'\'' | b'\\')) if byte == b'\\' => Some(next),
            Some(b't') if byte == b'\\' => Some(b'\t'),
            Some(b'r') if byte == b'\\' => Some(b'\r'),
            Some(b'n') if byte == b'\\' => Some(b'\n'),
            _ => None,
        };
        if shielded.is_some() {
            bytes.next();
        }
        text.push(shielded.unwrap_or(byte));
    }
    text.into()
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// nginx reads with a buffer of this size and a word must fit into it.
const LONGEST: usize = 4096;

//! Words into a tree of directives, `include`s resolved, without ever stopping at a mistake.
//!
//! ```text
//!  -g "daemon off;" ─┐
//!  nginx.conf ───────┴▶ Parsed { items: [http [server […] …] …], sources, diags }
//!   └ include x/*.conf ▶ the files' directives, in place of the include
//! ```

use std::fs;
use std::io::{self, Read as _};
use std::path::PathBuf;

use bstr::{BStr, BString, ByteSlice};

use super::diag::{Diag, Place};
use super::lexer::{End, Lexer, Token};
use super::luablock;
use super::source::{FileId, Sources, path};
use super::tree::{Block, Body, Directive, LuaBlock, Position, Word};

/// A configuration as text has it, with everything that is wrong with the text.
#[derive(Debug, Default)]
pub struct Parsed {
    /// The directives of the main level.
    pub items: Vec<Directive>,
    pub sources: Sources,
    /// Complaints with their order among the directives.
    pub diags: Vec<(u32, Diag)>,
}

/// Reads a configuration file and all it includes, after the directives of `-g`.
pub fn parse(files: &dyn Files, main: &BStr, parameter: &[u8]) -> Parsed {
    let mut parser = Parser {
        files,
        folder: main[..main.rfind_byte(b'/').map_or(0, |at| at + 1)].to_owned(),
        sources: Sources::default(),
        diags: Vec::new(),
        order: 0,
        chain: Vec::new(),
        depth: 0,
        file: FileState::default(),
    };
    let mut items = Vec::new();
    if !parameter.is_empty() {
        let file = parser.sources.add(None, parameter, None);
        items = parser.text(file, true);
    }
    items.extend(parser.file(main, None));
    Parsed { items, sources: parser.sources, diags: parser.diags }
}

/// Parses one text that includes nothing. Never panics, whatever the bytes are.
pub fn parse_bytes(text: &[u8]) -> Parsed {
    let files = Memory(vec![("nginx.conf".into(), text.to_vec())]);
    parse(&files, b"nginx.conf".as_bstr(), b"")
}

/// Where configuration files come from.
pub trait Files {
    fn read(&self, name: &BStr) -> io::Result<Vec<u8>>;
    /// The names that match a pattern, sorted.
    fn matching(&self, pattern: &BStr) -> Vec<BString>;
}

/// The file system.
pub struct Disk;

impl Files for Disk {
    fn read(&self, name: &BStr) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        fs::File::open(path(name))?.read_to_end(&mut text)?;
        Ok(text)
    }

    fn matching(&self, pattern: &BStr) -> Vec<BString> {
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let mut pattern = pattern.to_str_lossy().into_owned();
        while pattern.contains("**") {
            // Only in the glob crate do two stars mean more than one.
            pattern = pattern.replace("**", "*");
        }
        let found = glob::glob_with(&pattern, options).into_iter().flatten().flatten();
        found.map(|path: PathBuf| path.into_os_string().into_encoded_bytes().into()).collect()
    }
}

/// Files held in memory, for tests and fuzzing.
pub struct Memory(pub Vec<(BString, Vec<u8>)>);

impl Files for Memory {
    fn read(&self, name: &BStr) -> io::Result<Vec<u8>> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, text)| text.clone()).ok_or_else(|| io::Error::from_raw_os_error(ENOENT))
    }

    fn matching(&self, pattern: &BStr) -> Vec<BString> {
        let Ok(pattern) = glob::Pattern::new(&pattern.to_str_lossy()) else { return Vec::new() };
        let matches = |name: &BString| pattern.matches(&name.to_str_lossy());
        let mut names: Vec<_> =
            self.0.iter().map(|(name, _)| name).filter(|name| matches(name)).cloned().collect();
        names.sort();
        names
    }
}

struct Parser<'f> {
    files: &'f dyn Files,
    /// Where `include` starts: the main file's folder, with its last slash.
    folder: BString,
    sources: Sources,
    diags: Vec<(u32, Diag)>,
    order: u32,
    /// The names of the files being read, the main one first.
    chain: Vec<BString>,
    depth: usize,
    file: FileState,
}

/// What is known about the file being read.
#[derive(Default)]
struct FileState {
    /// That the file ends too early has been said.
    ended: bool,
    /// The first block whose closing brace is indented less than the block.
    unclosed: Option<Opener>,
    /// The first closing brace that is indented more than its block.
    surplus: Option<(Opener, u32)>,
}

/// The start of a block.
#[derive(Clone)]
struct Opener {
    name: BString,
    line: u32,
    /// How far it is indented, if it starts its line.
    indent: Option<usize>,
}

/// What ended a list of directives.
#[derive(PartialEq, Eq)]
enum Stop {
    Close,
    Eof,
}

impl Parser<'_> {
    fn include(&mut self, pattern: &BStr, from: Place) -> Vec<Directive> {
        let name = full_name(self.folder.as_bstr(), pattern);
        if name.find_byteset(b"*?[").is_none() {
            return self.file(name.as_bstr(), Some(from));
        }
        let names = self.files.matching(name.as_bstr());
        names.iter().flat_map(|name| self.file(name.as_bstr(), Some(from))).collect()
    }

    fn file(&mut self, name: &BStr, from: Option<Place>) -> Vec<Directive> {
        let again = self.chain.iter().any(|above| above == name) || self.chain.len() > DEEPEST;
        let read = match again {
            // nginx opens the file again and again until it runs out of descriptors.
            true => Err(io::Error::from_raw_os_error(EMFILE)),
            false => self.files.read(name),
        };
        match read {
            Ok(text) => {
                let from = from.map(|place| (place.file, place.line));
                let file = self.sources.add(Some(name.to_owned()), text, from);
                self.chain.push(name.to_owned());
                let items = self.text(file, false);
                self.chain.pop();
                items
            }
            Err(error) => {
                let call = if error.raw_os_error() == Some(EISDIR) { "read()" } else { "open()" };
                let mut diag = Diag::system(call, &name, &error);
                diag.place = from;
                if again {
                    diag = diag.hint("the file is included by itself");
                }
                self.report(diag);
                Vec::new()
            }
        }
    }

    fn text(&mut self, file: FileId, parameter: bool) -> Vec<Directive> {
        let text = self.sources.shared_text(file);
        let mut lexer = Lexer::new(&text, file, parameter);
        let mut items = Vec::new();
        let outer = std::mem::take(&mut self.file);
        while self.list(&mut lexer, &mut items) == Stop::Close {
            let diag = Diag::emerg("unexpected \"}\"").at(lexer.place()).span(lexer.last_byte());
            let diag = match self.file.surplus.take() {
                Some((opener, line)) => diag.hint(format!(
                    "\"}}\" on line {line} already closes \"{}\" of line {}: is it one too many?",
                    opener.name, opener.line
                )),
                None => diag,
            };
            self.report(diag);
        }
        self.file = outer;
        items
    }

    /// Reads directives up to a closing brace or the end of the file.
    fn list(&mut self, lexer: &mut Lexer<'_>, items: &mut Vec<Directive>) -> Stop {
        loop {
            let mut diags = Vec::new();
            let token = lexer.next(&mut diags);
            for diag in diags {
                self.file.ended |= diag.text.starts_with(UNEXPECTED_END);
                self.report(diag);
            }
            match token {
                Token::Eof => return Stop::Eof,
                Token::Close => return Stop::Close,
                Token::Words(_, End::Broken) => {}
                Token::Words(words, End::Semicolon) => {
                    let at = self.position(lexer.place());
                    match &words[..] {
                        [name, what] if name.text == "include" => {
                            items.extend(self.include(what.text.as_bstr(), at.place));
                        }
                        _ => items.push(Directive { words, at, body: Body::None }),
                    }
                }
                Token::Words(words, End::Open) => {
                    let at = self.position(lexer.place());
                    let body = self.body(lexer, &words, at);
                    if let Some(body) = body.filter(|_| !words.is_empty()) {
                        items.push(Directive { words, at, body });
                    }
                }
            }
        }
    }

    /// Reads what stands behind an opening brace; nothing if it cannot be used.
    fn body(&mut self, lexer: &mut Lexer<'_>, words: &[Word], at: Position) -> Option<Body> {
        if lexer.is_parameter() {
            let text = "block directives are not supported in -g option";
            self.report(Diag::emerg(text).at(at.place).span(lexer.last_byte()));
            lexer.skip(lexer.rest().len());
            return None;
        }
        let first = words.first();
        let opener = Opener {
            name: first.map(|word| word.text.clone()).unwrap_or_default(),
            line: first.map_or(at.place.line, |word| word.span.line),
            indent: first.and_then(|word| lexer.indent_at(word.span.start as usize)),
        };
        if luablock::holds_lua(&opener.name) {
            return Some(self.lua(lexer, &opener, at));
        }
        if self.depth >= DEEPEST {
            self.report(Diag::emerg("too many nested blocks").at(at.place).span(lexer.last_byte()));
            lexer.skip(lexer.rest().len());
            return None;
        }
        let mut items = Vec::new();
        let complaints = self.diags.len();
        self.depth += 1;
        let stop = self.list(lexer, &mut items);
        self.depth -= 1;
        match stop {
            Stop::Eof => self.expected_close(lexer, opener),
            Stop::Close => self.compare_indents(lexer, opener),
        }
        let broken = self.diags.len() > complaints;
        Some(Body::Block(Block { items, broken, close: self.position(lexer.place()) }))
    }

    /// A brace that stands further left or right than its block tells where one is missing.
    fn compare_indents(&mut self, lexer: &Lexer<'_>, opener: Opener) {
        let (Some(open), Some(close)) = (opener.indent, lexer.indent()) else { return };
        if close < open {
            self.file.unclosed.get_or_insert(opener);
        } else if close > open {
            self.file.surplus.get_or_insert((opener, lexer.place().line));
        }
    }

    fn expected_close(&mut self, lexer: &Lexer<'_>, opener: Opener) {
        if std::mem::replace(&mut self.file.ended, true) {
            return;
        }
        let culprit = self.file.unclosed.take().unwrap_or(opener);
        let diag = Diag::emerg("unexpected end of file, expecting \"}\"").at(lexer.place());
        self.report(diag.span(lexer.last_byte()).hint(format!(
            "it is \"{}\" of line {} that seems to have no closing \"}}\"",
            culprit.name, culprit.line
        )));
    }

    fn lua(&mut self, lexer: &mut Lexer<'_>, opener: &Opener, at: Position) -> Body {
        let rest = lexer.rest();
        let start_line = at.place.line;
        let unclosed = match luablock::read(rest) {
            Ok(body) => {
                lexer.skip(body.len);
                let close = self.position(lexer.place());
                return Body::Lua(LuaBlock { text: body.lua.into(), start_line, close });
            }
            Err(unclosed) => unclosed,
        };
        let span = lexer.ahead(unclosed.at);
        let diag = Diag::emerg(unclosed.text).at(Place { line: span.line, ..at.place }).span(span);
        self.report(diag.hint(format!("\"{}\" of line {start_line} has no end", opener.name)));
        let end = closing_line(rest, opener.indent.unwrap_or_default());
        self.file.ended |= end.is_none();
        lexer.skip(end.unwrap_or(rest.len()));
        Body::Broken
    }

    fn position(&mut self, place: Place) -> Position {
        self.order += 1;
        Position { place, order: self.order }
    }

    fn report(&mut self, diag: Diag) {
        self.order += 1;
        self.diags.push((self.order, diag));
    }
}

/// nginx puts the folder in front of a relative name and changes nothing else.
fn full_name(folder: &BStr, name: &BStr) -> BString {
    if name.starts_with(b"/") {
        name.to_owned()
    } else {
        [folder.as_bytes(), name.as_bytes()].concat().into()
    }
}

/// The end of the first line that starts with a brace as far left as the block: where reading can
/// go on after a Lua block whose own end could not be found.
fn closing_line(rest: &[u8], indent: usize) -> Option<usize> {
    let mut at = 0;
    for line in rest.lines_with_terminator() {
        let brace = line.find_not_byteset(b" \t");
        if at > 0 && brace.is_some_and(|brace| brace <= indent && line[brace] == b'}') {
            return Some(at + brace? + 1);
        }
        at += line.len();
    }
    None
}

/// How deep blocks and includes may nest.
const DEEPEST: usize = 100;
const UNEXPECTED_END: &str = "unexpected end of";
const ENOENT: i32 = 2;
const EISDIR: i32 = 21;
const EMFILE: i32 = 24;

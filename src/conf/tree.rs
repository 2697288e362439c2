//! What the parser hands out: directives with words, places and bodies.
//!
//! ```text
//!  location /a { return 200 "x"; }
//!  ├ words: [location] [/a]        Body::Block([ return… ])
//!  └─ words: [return] [200] [x]    Body::None
//! ```

use bstr::{BStr, BString, ByteSlice};

use super::diag::{Place, Span};

/// A directive: `name arg arg;` or `name arg { … }`.
#[derive(Clone, Debug)]
pub struct Directive {
    /// The name and its arguments. Never empty.
    pub words: Vec<Word>,
    /// Where `;` or `{` stands: the line nginx names in messages about this directive.
    pub at: Position,
    pub body: Body,
}

impl Directive {
    /// The directive's name.
    pub fn name(&self) -> &BStr {
        self.arg(0)
    }

    /// The arguments without the name.
    pub fn args(&self) -> &[Word] {
        self.words.get(1..).unwrap_or_default()
    }

    /// One argument, counted from 1 as nginx does; 0 is the name. Empty where there is none.
    pub fn arg(&self, index: usize) -> &BStr {
        self.words.get(index).map_or(b"".as_bstr(), |word| word.text.as_bstr())
    }

    /// How many arguments follow the name.
    pub fn arg_count(&self) -> usize {
        self.words.len().saturating_sub(1)
    }

    /// The directives between the braces.
    pub fn children(&self) -> &[Directive] {
        match &self.body {
            Body::Block(block) => &block.items,
            _ => &[],
        }
    }

    /// The Lua text of a `*_by_lua_block`.
    pub fn lua(&self) -> Option<&LuaBlock> {
        match &self.body {
            Body::Lua(lua) => Some(lua),
            _ => None,
        }
    }

    /// The line on which the directive's name stands.
    pub fn line(&self) -> u32 {
        self.name_span().map_or(self.at.place.line, |span| span.line)
    }

    /// Where the directive's name stands.
    pub fn name_span(&self) -> Option<Span> {
        self.words.first().map(|word| word.span)
    }
}

/// One word of a directive, with quotes removed and escapes resolved.
#[derive(Clone, Debug)]
pub struct Word {
    pub text: BString,
    /// Whether it was written in quotes.
    pub quoted: bool,
    pub span: Span,
}

/// A place that knows whether it comes before or after another one, over all included files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub place: Place,
    pub order: u32,
}

/// What ended a directive.
#[derive(Clone, Debug)]
pub enum Body {
    /// `;`
    None,
    /// `{ … }`
    Block(Block),
    /// `{ … }` with Lua inside.
    Lua(LuaBlock),
    /// Lua without an end: the complaint has been made.
    Broken,
}

/// Directives between braces.
#[derive(Clone, Debug)]
pub struct Block {
    pub items: Vec<Directive>,
    /// Whether something inside could not be read.
    pub broken: bool,
    /// Where the closing brace stands.
    pub close: Position,
}

/// The text between the braces of a `*_by_lua_block`, byte for byte.
#[derive(Clone, Debug)]
pub struct LuaBlock {
    pub text: BString,
    /// The line of the opening brace.
    pub start_line: u32,
    /// Where the closing brace stands.
    pub close: Position,
}

//! Finds the end of a `*_by_lua_block { … }` body without knowing Lua.
//!
//! ```text
//!  { if x then t = {"}"} end -- }      skipped: strings, comments, long brackets
//!    s = [==[ } ]==] }                 counted: { and }
//! ```
//!
//! Follows lua-nginx-module's lexer: a quote that is not closed on its line is an ordinary byte,
//! and a line comment ends with the line even if a brace stands in it.

use bstr::ByteSlice;

/// A body that has an end.
#[derive(Debug, PartialEq, Eq)]
pub struct Body<'a> {
    pub lua: &'a [u8],
    /// How many bytes the body takes, closing brace included.
    pub len: usize,
}

/// A body that has none.
#[derive(Debug, PartialEq, Eq)]
pub struct Unclosed {
    pub text: String,
    /// The offset where lua-nginx-module says the mistake is.
    pub at: usize,
}

/// Whether a directive of this name holds Lua between its braces. Where `_block` was forgotten it
/// is Lua all the same, which keeps that mistake a single one.
pub fn holds_lua(name: &[u8]) -> bool {
    name.ends_with(b"_by_lua_block") || name.ends_with(b"_by_lua")
}

/// Reads a body from behind its opening brace.
pub fn read(text: &[u8]) -> Result<Body<'_>, Unclosed> {
    let (mut pos, mut depth, mut last_open) = (0, 1usize, 0);
    while let Some(skip) = text[pos..].find_byteset(b"{}\"'[-") {
        pos += skip;
        let rest = &text[pos..];
        match rest[0] {
            b'{' => {
                depth += 1;
                last_open = pos;
                pos += 1;
            }
            b'}' => {
                depth -= 1;
                pos += 1;
                if depth == 0 {
                    return Ok(Body { lua: &text[..pos - 1], len: pos });
                }
            }
            b'-' => pos += comment(text, pos)?,
            b'[' => match long_bracket(rest) {
                Some(_) => pos += long(text, pos, pos)?,
                None => pos += 1,
            },
            quote => pos += string(rest, quote).unwrap_or(1),
        }
    }
    let text = "unexpected end of file, expecting terminating characters for lua code block";
    Err(Unclosed { text: text.into(), at: last_open })
}

/// The length of a `--` comment; 1 for a lone minus.
fn comment(text: &[u8], pos: usize) -> Result<usize, Unclosed> {
    let rest = &text[pos..];
    if !rest.starts_with(b"--") {
        return Ok(1);
    }
    if long_bracket(&rest[2..]).is_some() {
        return Ok(2 + long(text, pos + 2, pos)?);
    }
    Ok(rest.find_byte(b'\n').unwrap_or(rest.len()))
}

/// The length of a string that is closed on its line.
fn string(rest: &[u8], quote: u8) -> Option<usize> {
    let mut pos = 1;
    loop {
        match *rest.get(pos)? {
            b'\n' => return None,
            b'\\' if rest.get(pos + 1) == Some(&b'\n') => return None,
            b'\\' => pos += 2,
            byte if byte == quote => return Some(pos + 1),
            _ => pos += 1,
        }
    }
}

/// How many `=` stand in an opening long bracket `[==[`.
fn long_bracket(rest: &[u8]) -> Option<usize> {
    let level = rest.strip_prefix(b"[")?.iter().take_while(|byte| **byte == b'=').count();
    (rest.get(level + 1) == Some(&b'[')).then_some(level)
}

/// The length of `[==[ … ]==]`, which is known to open at `pos`.
fn long(text: &[u8], pos: usize, at: usize) -> Result<usize, Unclosed> {
    let level = long_bracket(&text[pos..]).unwrap_or_default();
    let close = format!("]{}]", "=".repeat(level));
    let inside = pos + level + 2;
    match text[inside..].find(&close) {
        Some(len) => Ok(inside + len + close.len() - pos),
        None => Err(Unclosed {
            text: format!(
                "Lua code block missing the closing long bracket \"{close}\", \
                 the inlined Lua code may be too long"
            ),
            at,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> String {
        match read(text.as_bytes()) {
            Ok(body) => String::from_utf8_lossy(body.lua).into_owned(),
            Err(unclosed) => format!("{}: {}", unclosed.at, unclosed.text),
        }
    }

    #[test]
    fn bodies_end_at_their_own_brace() {
        for lua in [
            "",
            " ngx.say(1) ",
            "t = {a = {}}",
            "s = '}'",
            "s = \"\\\"}\"",
            "s = [[}]]",
            "s = [==[ }]] ]=] ]==]",
            "-- }\n",
            "--[[ }\n} ]] x",
            "--[=[ }\n}]] ]=] x",
            "t1[t2[1]]",
            "-- it's\n",
            "--[[ --]] x",
            "x = 1 - 2",
            "a = '\\\\'",
        ] {
            assert_eq!(body(&format!("{lua}}} rest }}")), lua);
        }
        // As in lua-nginx-module: the quote is not closed on its line and hides nothing.
        assert_eq!(body("a ' }\n'"), "a ' ");
        assert_eq!(body("a '\\\n}'"), "a '\\\n");
    }

    #[test]
    fn bodies_without_an_end() {
        let eof = "unexpected end of file, expecting terminating characters for lua code block";
        assert_eq!(body("x"), format!("0: {eof}"));
        assert_eq!(body("x {"), format!("2: {eof}"));
        assert_eq!(body("-- }"), format!("0: {eof}"));
        let missing = "Lua code block missing the closing long bracket";
        let long = "the inlined Lua code may be too long";
        assert_eq!(body("a = [=[ ]] }"), format!("4: {missing} \"]=]\", {long}"));
        assert_eq!(body("--[[ }"), format!("0: {missing} \"]]\", {long}"));
    }
}

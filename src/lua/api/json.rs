//! Decoding JSON for the built-in `cjson`, in lua-cjson's words.
//!
//! ```text
//!   text ─▶ Parser ─▶ values pushed on the Lua stack; tables filled as they are read
//! ```

use std::ffi::c_int;

use super::Topic;
use crate::lua::phase::ANY;
use crate::lua::raw::{Call, Op, Raise, View};

pub const TOPIC: Topic = Topic::of(&[Op { name: "json.decode", phases: ANY, run: decode }]);

/// `json.decode(text, max depth, allow NaN and friends, metatable of arrays or nil)`: true and the
/// value, or false and the message.
fn decode(c: &Call<'_>) -> Result<c_int, Raise> {
    let text = c.bytes(1)?;
    let max_depth = c.int(2)?.max(1) as usize;
    let mut parser =
        Parser { text, at: 0, depth: 0, max_depth, loose: c.truthy(3), arrays: !c.absent(4) };
    c.push(true);
    let height = c.len();
    match parser.document(c) {
        Ok(()) => Ok(2),
        Err(message) => {
            c.drop_top(c.len() - height + 1);
            c.ret((false, message))
        }
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
    max_depth: usize,
    loose: bool,
    arrays: bool,
}

impl Parser<'_> {
    fn document(&mut self, v: &View<'_>) -> Result<(), String> {
        self.value(v)?;
        self.space();
        if self.at < self.text.len() {
            return Err(self.unexpected("the end"));
        }
        Ok(())
    }

    fn value(&mut self, v: &View<'_>) -> Result<(), String> {
        self.space();
        match self.peek() {
            Some(b'{') => self.object(v),
            Some(b'[') => self.array(v),
            Some(b'"') => {
                let text = self.string()?;
                v.push(text);
                Ok(())
            }
            Some(b'-' | b'+' | b'0'..=b'9' | b'i' | b'I' | b'n' | b'N' | b't' | b'f') => {
                self.scalar(v)
            }
            _ => Err(self.unexpected("value")),
        }
    }

    fn object(&mut self, v: &View<'_>) -> Result<(), String> {
        self.enter()?;
        v.push_table(0, 4);
        let table = v.len();
        self.space();
        if self.peek() == Some(b'}') {
            return self.leave();
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("object key string"));
            }
            let key = self.string()?;
            v.push(key);
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.unexpected("colon"));
            }
            self.at += 1;
            self.value(v)?;
            v.set_raw(table);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => return self.leave(),
                _ => return Err(self.unexpected("comma or object end")),
            }
        }
    }

    fn array(&mut self, v: &View<'_>) -> Result<(), String> {
        self.enter()?;
        v.push_table(4, 0);
        if self.arrays {
            v.set_metatable_from(4);
        }
        self.space();
        if self.peek() == Some(b']') {
            return self.leave();
        }
        for n in 1.. {
            self.value(v)?;
            v.put_item(n);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => return self.leave(),
                _ => return Err(self.unexpected("comma or array end")),
            }
        }
        Ok(())
    }

    fn enter(&mut self) -> Result<(), String> {
        self.at += 1;
        self.depth += 1;
        if self.depth > self.max_depth {
            let (depth, at) = (self.depth, self.at);
            return Err(format!(
                "Found too many nested data structures ({depth}) at character {at}"
            ));
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<(), String> {
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }

    fn scalar(&mut self, v: &View<'_>) -> Result<(), String> {
        let rest = &self.text[self.at..];
        for (word, push) in WORDS {
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                push(v);
                return Ok(());
            }
        }
        let is_part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        let len = rest.iter().take_while(|b| is_part(b)).count();
        match number(&rest[..len], self.loose) {
            Some(value) => {
                self.at += len;
                v.push(value);
                Ok(())
            }
            None => Err(self.unexpected("value")),
        }
    }

    fn string(&mut self) -> Result<Vec<u8>, String> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.iter().take_while(|b| !matches!(b, b'"' | b'\\' | 0..=0x1f)).count();
            out.extend_from_slice(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => self.escape(&mut out)?,
                None => {
                    return Err(format!(
                        "Expected value but found unexpected end of string at character {}",
                        self.at + 1
                    ));
                }
                Some(_) => return Err(self.invalid()),
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let code = self.text.get(self.at + 1).copied();
        let plain = match code {
            Some(b'"' | b'\\' | b'/') => code,
            Some(b'b') => Some(8),
            Some(b'f') => Some(12),
            Some(b'n') => Some(b'\n'),
            Some(b'r') => Some(b'\r'),
            Some(b't') => Some(b'\t'),
            Some(b'u') => return self.unicode(out),
            _ => {
                let at = self.at + 1;
                return Err(format!(
                    "Expected value but found invalid escape code at character {at}"
                ));
            }
        };
        out.extend(plain);
        self.at += 2;
        Ok(())
    }

    /// `\uXXXX`, or two of them for a surrogate pair.
    fn unicode(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let bad = format!(
            "Expected value but found invalid unicode escape code at character {}",
            self.at + 1
        );
        let first = self.hex4(self.at + 2).ok_or_else(|| bad.clone())?;
        self.at += 6;
        let mut point = first;
        if (0xd800..0xdc00).contains(&first) {
            let is_pair = self.text[self.at..].starts_with(b"\\u");
            let second = self.hex4(self.at + 2).filter(|s| is_pair && (0xdc00..0xe000).contains(s));
            let low = second.ok_or_else(|| bad.clone())?;
            point = 0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00);
            self.at += 6;
        }
        let text = char::from_u32(point).ok_or(bad)?;
        out.extend_from_slice(text.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    fn hex4(&self, at: usize) -> Option<u32> {
        let digits = self.text.get(at..at + 4)?;
        digits.iter().try_fold(0, |n, &d| Some(n * 16 + char::from(d).to_digit(16)?))
    }

    fn space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).count();
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn invalid(&self) -> String {
        format!("Expected value but found invalid token at character {}", self.at + 1)
    }

    fn unexpected(&self, expected: &str) -> String {
        let found = match self.peek() {
            None => "T_END",
            Some(b'{') => "T_OBJ_BEGIN",
            Some(b'}') => "T_OBJ_END",
            Some(b'[') => "T_ARR_BEGIN",
            Some(b']') => "T_ARR_END",
            Some(b'"') => "T_STRING",
            Some(b',') => "T_COMMA",
            Some(b':') => "T_COLON",
            Some(b'-' | b'0'..=b'9') => "T_NUMBER",
            Some(_) => "invalid token",
        };
        format!("Expected {expected} but found {found} at character {}", self.at + 1)
    }
}

/// A number; lua-cjson also takes hexadecimal, infinity and NaN unless told otherwise.
fn number(text: &[u8], loose: bool) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.trim_start_matches('-');
    let is_plain = digits.starts_with(|c: char| c.is_ascii_digit()) && !digits.contains(['x', 'X']);
    if is_plain {
        // JSON has no leading zeros.
        let bytes = digits.as_bytes();
        if !loose && bytes[0] == b'0' && bytes.get(1).is_some_and(u8::is_ascii_digit) {
            return None;
        }
        return text.parse().ok();
    }
    if !loose {
        return None;
    }
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        return i64::from_str_radix(hex, 16).ok().map(|n| sign * n as f64);
    }
    match digits.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => Some(sign * f64::INFINITY),
        "nan" => Some(f64::NAN),
        _ => None,
    }
}

type PushWord = fn(&View<'_>);
const WORDS: [(&str, PushWord); 3] = [
    ("true", |v| _ = v.push(true)),
    ("false", |v| _ = v.push(false)),
    ("null", |v| _ = v.push(crate::lua::raw::Val::Null)),
];

//! Values of `--- section eval`: the small part of Perl that test data needs.
//!
//! ```text
//!   value   = [ value, value, ... ] | term ( . term )*
//!   term    = ( "text" | 'text' | q{text} | qq{text} | qr/pattern/flags | number ) ( x number )?
//! ```

/// What an evaluated section holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(Vec<u8>),
    Pattern(String),
    List(Vec<Value>),
}

impl Value {
    /// Whether the word stands anywhere in it.
    pub fn mentions(&self, word: &str) -> bool {
        match self {
            Value::Text(text) => String::from_utf8_lossy(text).contains(word),
            Value::Pattern(text) => text.contains(word),
            Value::List(values) => values.iter().any(|value| value.mentions(word)),
        }
    }
}

/// Reads one value; the whole text must be used.
pub fn parse(text: &str) -> Result<Value, String> {
    let mut reader = Reader { rest: text };
    let value = reader.value()?;
    reader.skip_space();
    match reader.rest.trim_start_matches(';').trim() {
        "" => Ok(value),
        rest => Err(format!("cannot read as a literal: {rest:?}")),
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn value(&mut self) -> Result<Value, String> {
        self.skip_space();
        if self.eat("[") {
            return self.list();
        }
        let mut value = self.repeated()?;
        loop {
            self.skip_space();
            if !self.eat(".") {
                return Ok(value);
            }
            match (value, self.repeated()?) {
                (Value::Text(mut left), Value::Text(right)) => {
                    left.extend(right);
                    value = Value::Text(left);
                }
                _ => return Err("only texts can be joined".into()),
            }
        }
    }

    fn list(&mut self) -> Result<Value, String> {
        let mut values = Vec::new();
        loop {
            self.skip_space();
            if self.eat("]") {
                return Ok(Value::List(values));
            }
            values.push(self.value()?);
            self.skip_space();
            if !self.eat(",") && !self.rest.starts_with(']') {
                return Err(format!("expected \",\" or \"]\" at {:?}", self.rest));
            }
        }
    }

    fn repeated(&mut self) -> Result<Value, String> {
        self.skip_space();
        let value = if self.eat("(") {
            let inner = self.value()?;
            self.skip_space();
            if !self.eat(")") {
                return Err("missing \")\"".into());
            }
            inner
        } else {
            self.term()?
        };
        self.skip_space();
        let times = self.rest.strip_prefix("x ").map(str::trim_start);
        match (value, times) {
            (Value::Text(text), Some(times)) => {
                let end = times.find(|c: char| !c.is_ascii_digit()).unwrap_or(times.len());
                let count = times[..end].parse().map_err(|_| "expected a count after \"x\"")?;
                self.rest = &times[end..];
                Ok(Value::Text(text.repeat(count)))
            }
            (value, _) => Ok(value),
        }
    }

    fn term(&mut self) -> Result<Value, String> {
        for (word, kind) in [("qr", Kind::Pattern), ("qq", Kind::Escaped), ("q", Kind::Plain)] {
            let after = self.rest.strip_prefix(word);
            if after.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_punctuation())) {
                self.rest = &self.rest[word.len()..];
                return self.quoted(kind);
            }
        }
        match self.rest.chars().next() {
            Some('"') => self.quoted(Kind::Escaped),
            Some('\'') => self.quoted(Kind::Plain),
            Some(c) if c.is_ascii_digit() => {
                let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
                let (digits, rest) = self.rest.split_at(end);
                self.rest = rest;
                Ok(Value::Text(digits.into()))
            }
            _ => Err(format!("cannot read as a literal: {:?}", self.rest)),
        }
    }

    /// Reads from the opening mark to its twin; marks that come in pairs nest.
    fn quoted(&mut self, kind: Kind) -> Result<Value, String> {
        let open = self.rest.chars().next().ok_or("missing quote")?;
        let close = match open {
            '{' => '}',
            '(' => ')',
            '[' => ']',
            '<' => '>',
            other => other,
        };
        let body = &self.rest[open.len_utf8()..];
        let mut depth = 1;
        let mut escaped = false;
        for (at, c) in body.char_indices() {
            if escaped {
                escaped = false;
            } else if c == '\\' {
                escaped = true;
            } else if c == close {
                depth -= 1;
                if depth == 0 {
                    self.rest = &body[at + c.len_utf8()..];
                    return self.finish(kind, &body[..at]);
                }
            } else if c == open {
                depth += 1;
            }
        }
        Err(format!("unterminated {open}"))
    }

    fn finish(&mut self, kind: Kind, body: &str) -> Result<Value, String> {
        match kind {
            Kind::Plain => Ok(Value::Text(body.replace("\\'", "'").replace("\\\\", "\\").into())),
            Kind::Escaped => Ok(Value::Text(unescape(body)?)),
            Kind::Pattern => {
                let end =
                    self.rest.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(self.rest.len());
                let (flags, rest) = self.rest.split_at(end);
                self.rest = rest;
                let body = body.replace("\\/", "/");
                Ok(Value::Pattern(match flags {
                    "" => body,
                    flags => format!("(?{flags}){body}"),
                }))
            }
        }
    }

    fn skip_space(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            match self.rest.strip_prefix('#') {
                Some(comment) => self.rest = comment.split_once('\n').map_or("", |(_, rest)| rest),
                None => return,
            }
        }
    }

    fn eat(&mut self, mark: &str) -> bool {
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Plain,
    Escaped,
    Pattern,
}

fn unescape(body: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(body.len());
    let mut bytes = body.bytes().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b't') => out.push(b'\t'),
            Some(b'0') => out.push(0),
            Some(b'x') => {
                let braced = bytes.next_if_eq(&b'{').is_some();
                let mut code = 0u32;
                for _ in 0..2 {
                    let Some(digit) = bytes.next_if(u8::is_ascii_hexdigit) else { break };
                    code = code * 16 + char::from(digit).to_digit(16).unwrap_or(0);
                }
                if braced && bytes.next() != Some(b'}') {
                    return Err("\\x{..} takes two digits".into());
                }
                out.push(u8::try_from(code).unwrap_or(0));
            }
            Some(other) => out.push(other),
            None => return Err("ends in a backslash".into()),
        }
    }
    Ok(out)
}

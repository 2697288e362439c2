//! Values of parameters: variables in them, and the conditions of `if`.

use std::rc::Rc;

use bytes::Bytes;

use crate::server::regex;
use crate::{base::regex::Regex, http::request::Request};

use super::state::Vars;

/// The value of a variable: one that `set` made, or one of nginx's.
pub fn variable(r: &Rc<Request>, name: &[u8]) -> Option<Bytes> {
    let lower = name.to_ascii_lowercase();
    let own = r.main().kept::<Vars>().find(&lower);
    own.or_else(|| r.var_by_name(&lower))
}

/// The text with its variables evaluated; nothing where it is wrong.
pub fn evaluate(r: &Rc<Request>, text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'\\' => match text.get(at) {
                Some(quoted @ (b'\\' | b'\'' | b'"' | b'$')) => {
                    out.push(*quoted);
                    at += 1;
                }
                _ => out.push(b'\\'),
            },
            b'$' => {
                let braced = text.get(at) == Some(&b'{');
                let start = at + usize::from(braced);
                let length = text[start.min(text.len())..]
                    .iter()
                    .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
                    .count();
                let name = &text[start..start + length];
                at = start + length;
                if braced {
                    if text.get(at) != Some(&b'}') {
                        return None;
                    }
                    at += 1;
                }
                if name.is_empty() {
                    return None;
                }
                if let Some(value) = variable(r, name) {
                    out.extend_from_slice(&value);
                }
            }
            byte => out.push(*byte),
        }
    }
    Some(out)
}

/// `$a`, `$a = text`, `$a != /regex/`; nothing where it is wrong.
pub fn condition(r: &Rc<Request>, expression: &[u8]) -> Option<bool> {
    let Some(at) = memchr::memchr(b'=', expression) else {
        let value = evaluate(r, expression)?;
        return Some(!value.is_empty());
    };
    let negated = at > 0 && expression[at - 1] == b'!';
    let left = expression[..at - usize::from(negated)].trim_ascii_end();
    let left = evaluate(r, left)?;
    let right = expression[at + 1..].trim_ascii_start();
    let holds = match right.strip_prefix(b"/") {
        None => evaluate(r, right)? == left,
        Some(pattern) => matches(r, pattern.strip_suffix(b"/")?, left.into()),
    };
    Some(holds != negated)
}

fn matches(r: &Rc<Request>, pattern: &[u8], subject: Bytes) -> bool {
    let Ok(regex) = regex::compile(pattern, false) else { return false };
    // A pattern that gives up does not match.
    let Ok(Some(found)) = regex.captures(&subject) else { return false };
    let group = |at: usize| found.text(at, &subject).map(|text| subject.slice_ref(text));
    *r.captures.borrow_mut() = (0..found.len()).map(group).collect();
    name_groups(r, &regex, group);
    true
}

/// Named groups become variables.
fn name_groups(r: &Rc<Request>, regex: &Regex, group: impl Fn(usize) -> Option<Bytes>) {
    let vars = r.main().kept::<Vars>();
    for (name, at) in regex.names() {
        vars.set(name, group(*at).unwrap_or_default());
    }
    // `$1` and its kind are found like other variables.
    for at in 0..=regex.capture_count() {
        vars.set(at.to_string().as_bytes(), group(at).unwrap_or_default());
    }
}

//! Rules that change `Location`, `Refresh` and parts of `Set-Cookie` of an upstream's response.
//!
//! ```text
//!  proxy_redirect http://up/two/ /one/;    Location: http://up/two/x  ─▶  Location: /one/x
//! ```

use std::rc::Rc;

use bytes::Bytes;

use crate::server::regex;
use crate::server::vars::Subject as _;
use crate::{
    base::regex::Regex,
    http::{request::Request, template::Template},
};

use super::settings::Fixed;

/// One rule.
pub struct Rewrite {
    pub pattern: Pattern,
    pub replacement: Template,
}

/// What a rule looks for.
pub enum Pattern {
    /// A text the value begins with.
    Prefix(Template),
    /// A domain in any letter case; a leading dot of the value stays (`proxy_cookie_domain`).
    Domain(Template),
    Regex(Regex),
}

impl Rewrite {
    /// `proxy_redirect default`
    pub fn default_of(fixed: &Fixed) -> Self {
        if fixed.uri.is_empty() {
            let pattern = Template::constant([&fixed.url[..], b"/"].concat());
            let replacement = Template::constant(&b"/"[..]);
            return Self { pattern: Pattern::Prefix(pattern), replacement };
        }
        Self {
            pattern: Pattern::Prefix(Template::constant(fixed.url.clone())),
            replacement: Template::constant(fixed.location.clone()),
        }
    }

    /// The value with the matching part replaced; `None` when the rule does not match.
    fn apply(&self, r: &Rc<Request>, value: &Bytes) -> Option<Bytes> {
        let mut text = Vec::new();
        let rest = match &self.pattern {
            Pattern::Prefix(prefix) => {
                let prefix = prefix.eval(r);
                value.starts_with(&prefix).then(|| value.slice(prefix.len()..))?
            }
            Pattern::Domain(domain) => {
                let dot = usize::from(value.first() == Some(&b'.'));
                value[dot..].eq_ignore_ascii_case(&domain.eval(r)).then_some(())?;
                text.extend_from_slice(&value[..dot]);
                Bytes::new()
            }
            Pattern::Regex(regex) => {
                let groups = regex::groups(regex, value)?;
                // nginx: a regex stands for the whole value.
                r.keep_groups(regex, groups);
                Bytes::new()
            }
        };
        text.extend_from_slice(&self.replacement.eval(r));
        text.extend_from_slice(&rest);
        Some(text.into())
    }
}

/// Applies the first rule that matches.
pub fn value(r: &Rc<Request>, rules: &[Rewrite], value: &Bytes) -> Option<Bytes> {
    rules.iter().find_map(|rule| rule.apply(r, value))
}

/// `Refresh: 5; url=…`
pub fn refresh(r: &Rc<Request>, rules: &[Rewrite], line: &Bytes) -> Option<Bytes> {
    let at = line.windows(4).position(|w| w.eq_ignore_ascii_case(b"url="))? + 4;
    let changed = value(r, rules, &line.slice(at..))?;
    Some([&line[..at], &changed].concat().into())
}

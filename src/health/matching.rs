//! `match {}`: what an answer must look like, in NGINX Plus's grammar.
//!
//! ```text
//!   match ok {                     status 204 ──▶ L7STS
//!       status 200-399;            header without Content-Type ──▶ L7RSP, which line it was
//!       header Content-Type = text/html;
//!       body !~ "maintenance";     the first 256 KiB are looked at
//!   }
//! ```

use std::hash::{Hash, Hasher};

use bstr::{BString, ByteSlice};

use super::outcome::{Kind, Outcome};
use super::statuses::Statuses;
use crate::base::regex::{CompileError, Flags, Regex};

/// The tests of one block; all must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Match {
    pub name: BString,
    pub status: Option<StatusTest>,
    pub headers: Vec<HeaderTest>,
    pub body: Vec<TextTest>,
    /// For tcp: what to say, and what must be heard.
    pub send: BString,
    pub expect: Option<TextTest>,
}

impl Match {
    /// True when an answer can be judged by its head alone.
    pub fn needs_body(&self) -> bool {
        !self.body.is_empty()
    }

    /// The first test that the head fails.
    pub fn judge_head<'a>(
        &self,
        status: u16,
        header: impl Fn(&[u8]) -> Vec<&'a [u8]>,
    ) -> Result<(), Outcome> {
        if self.status.as_ref().is_some_and(|test| !test.holds(status)) {
            return Err(Outcome::new(Kind::BadStatus).status(status.into()));
        }
        for test in &self.headers {
            if !test.holds(&header(&test.name)) {
                let failed = Outcome::new(Kind::BadHeader).status(status.into());
                return Err(failed.detail(&test.name));
            }
        }
        Ok(())
    }

    /// Judges the beginning of the body.
    pub fn judge_body(&self, status: u16, body: &[u8]) -> Result<(), Outcome> {
        match self.body.iter().find(|test| !test.holds(body)) {
            None => Ok(()),
            Some(test) => {
                let failed = Outcome::new(Kind::BadBody).status(status.into());
                Err(failed.detail(&test.text))
            }
        }
    }
}

/// `status 200 204;` or `status ! 500-599;`
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct StatusTest {
    pub negated: bool,
    pub statuses: Statuses,
}

impl StatusTest {
    pub fn holds(&self, status: u16) -> bool {
        self.statuses.contains(status) != self.negated
    }
}

/// One `header` line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeaderTest {
    pub name: BString,
    /// Without a value the header is to be there, or not.
    pub value: Option<TextTest>,
    pub absent: bool,
}

impl HeaderTest {
    fn holds(&self, values: &[&[u8]]) -> bool {
        match &self.value {
            None => values.is_empty() == self.absent,
            // A negated test holds without the header too, as every line that is there must pass.
            Some(test) if test.negated => values.iter().all(|v| test.holds(v)),
            Some(test) => values.iter().any(|v| test.holds(v)),
        }
    }
}

/// A comparison with a text.
#[derive(Clone, Debug)]
pub struct TextTest {
    pub negated: bool,
    pub text: BString,
    how: How,
}

impl TextTest {
    /// `=` and `!=`: the whole value, letters as written.
    pub fn equal(text: impl Into<BString>, negated: bool) -> Self {
        Self { negated, text: text.into(), how: How::Equal }
    }

    /// Anywhere in what was received: `expect` without a tilde.
    pub fn within(text: impl Into<BString>) -> Self {
        Self { negated: false, text: text.into(), how: How::Within }
    }

    /// `~`, `~*` and their negations.
    pub fn regex(text: &[u8], caseless: bool, negated: bool) -> Result<Self, CompileError> {
        let regex = Regex::compile(text, Flags::nginx(caseless))?;
        Ok(Self { negated, text: text.into(), how: How::Regex { regex: regex.into(), caseless } })
    }

    pub fn holds(&self, value: &[u8]) -> bool {
        let found = match &self.how {
            How::Equal => value == self.text.as_slice(),
            How::Within => value.find(&self.text).is_some(),
            // A match that PCRE gives up on is no match.
            How::Regex { regex, .. } => regex.is_match(value).unwrap_or(false),
        };
        found != self.negated
    }

    fn word(&self) -> (bool, u8, &[u8]) {
        let how = match &self.how {
            How::Equal => 0,
            How::Within => 1,
            How::Regex { caseless: false, .. } => 2,
            How::Regex { caseless: true, .. } => 3,
        };
        (self.negated, how, &self.text)
    }
}

impl PartialEq for TextTest {
    fn eq(&self, other: &Self) -> bool {
        self.word() == other.word()
    }
}

impl Eq for TextTest {}

impl Hash for TextTest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.word().hash(state);
    }
}

#[derive(Clone, Debug)]
enum How {
    Equal,
    Within,
    Regex { regex: std::sync::Arc<Regex>, caseless: bool },
}

/// How much of a body is looked at.
pub const BODY_MAX_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, value: Option<TextTest>, absent: bool) -> HeaderTest {
        HeaderTest { name: name.into(), value, absent }
    }

    #[test]
    fn heads() {
        let mut statuses = Statuses::range(200, 399);
        statuses.add(b"404").expect("a status");
        let ok = Match {
            status: Some(StatusTest { negated: false, statuses }),
            headers: vec![
                header("Content-Type", Some(TextTest::equal("text/html", false)), false),
                header("X-Down", None, true),
                header("Server", Some(TextTest::regex(b"^mo", false, true).expect("ok")), false),
            ],
            ..Match::default()
        };
        let judge = |status: u16, list: &[(&str, &'static str)]| {
            let values = |name: &[u8]| -> Vec<&'static [u8]> {
                let named = list.iter().filter(|(n, _)| n.as_bytes() == name);
                named.map(|(_, v)| v.as_bytes()).collect()
            };
            ok.judge_head(status, values).map_err(|o| o.line())
        };
        let html = ("Content-Type", "text/html");
        assert_eq!(judge(404, &[html]), Ok(()));
        assert_eq!(judge(500, &[html]), Err("L7STS 500 bad status".into()));
        let bad = |name: &str| Err(format!("L7RSP 200 headers do not match: {name}"));
        assert_eq!(judge(200, &[]), bad("Content-Type"));
        assert_eq!(judge(200, &[html, ("X-Down", "")]), bad("X-Down"));
        assert_eq!(judge(200, &[html, ("Server", "a"), ("Server", "moon")]), bad("Server"));
    }

    #[test]
    fn bodies() {
        let test = |t: &[u8], caseless, negated| TextTest::regex(t, caseless, negated).expect("ok");
        let body = vec![test(b"ok", true, false), test(b"down", false, true)];
        let ok = Match { body, ..Match::default() };
        assert_eq!(ok.judge_body(200, b"all OK"), Ok(()));
        assert!(ok.judge_body(200, b"ok but down").is_err());
        assert!(ok.needs_body() && TextTest::within("+PONG").holds(b"x+PONG\r\n"));
        assert_ne!(test(b"a", true, false), test(b"a", false, false));
    }
}

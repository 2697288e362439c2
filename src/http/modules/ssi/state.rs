//! What is remembered while a text is worked through.

use std::cell::RefCell;

use bytes::Bytes;

use super::scan::Scanner;

/// Variables of `set`, common to a request and its subrequests.
#[derive(Default)]
pub struct Vars(RefCell<Vec<(Vec<u8>, Bytes)>>);

impl Vars {
    pub fn find(&self, name: &[u8]) -> Option<Bytes> {
        let vars = self.0.borrow();
        vars.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    pub fn set(&self, name: &[u8], value: Bytes) {
        let mut vars = self.0.borrow_mut();
        match vars.iter_mut().find(|(known, _)| known == name) {
            Some(known) => known.1 = value,
            None => vars.push((name.to_vec(), value)),
        }
    }
}

/// `block` texts, common to a request and its subrequests.
pub type Blocks = Vars;

/// The work on one response.
#[derive(Default)]
pub struct Work(pub RefCell<Option<Text>>);

/// A text as far as it came.
pub struct Text {
    pub scanner: Scanner,
    /// The end of the text has come.
    pub last: bool,
    /// A subrequest has to end first.
    pub waits: bool,
    pub condition: Condition,
    /// The block that is being read: its name and its text.
    pub block: Option<(Vec<u8>, Vec<u8>)>,
    /// `config errmsg`, `config timefmt`
    pub error_message: Bytes,
    pub silent: bool,
}

/// Where a text stands between `if` and `endif`. nginx knows one level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    #[default]
    Outside,
    /// Behind `if` or `elif`: whether this branch is taken, whether one was.
    If { taken: bool, any: bool },
    /// Behind `else`.
    Else { taken: bool },
}

impl Condition {
    pub fn shows(self) -> bool {
        match self {
            Self::Outside => true,
            Self::If { taken, .. } | Self::Else { taken } => taken,
        }
    }
}

/// `config timefmt`, common to a request and its subrequests.
#[derive(Default)]
pub struct TimeFormat(pub RefCell<Option<Bytes>>);

pub const ERROR: &[u8] = b"[an error occurred while processing the directive]";

//! How many subjects of one key are in work: the counting behind `limit_conn`.
//!
//! ```text
//!  subject ─▶ each limit: key ─▶ count below most? ─ yes ─▶ counted until it is gone
//!                                                   └ no ──▶ rejected, or only noted (dry run)
//! ```

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bstr::BStr;
use bytes::Bytes;

use super::vars::Subject;
use super::zones::{self, Named, Zone};
use crate::base::log::Level;
use crate::base::units;
use crate::conf::{Builder, Diag, Directive, Part, inherit};

/// In work.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count(u64);

/// The limits of one block.
pub struct Limits<S> {
    limits: Vec<(Arc<Named<S, Count>>, u64)>,
    pub level: Option<Level>,
    pub dry_run: Option<bool>,
}

impl<S> Default for Limits<S> {
    fn default() -> Self {
        Self { limits: Vec::new(), level: None, dry_run: None }
    }
}

impl<S: 'static> Part for Limits<S> {
    fn inherit(&mut self, parent: &Self) {
        if self.limits.is_empty() {
            self.limits.clone_from(&parent.limits);
        }
        inherit!(self, parent: level, dry_run);
    }
}

/// What is said of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    Rejected,
    RejectedDryRun,
}

impl Verdict {
    /// As `$limit_conn_status` tells it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "PASSED",
            Self::Rejected => "REJECTED",
            Self::RejectedDryRun => "REJECTED_DRY_RUN",
        }
    }
}

/// Counts of a subject, given back when it is gone.
#[derive(Default)]
pub struct Counted(RefCell<Vec<(Arc<Zone<Count>>, Bytes)>>);

impl Drop for Counted {
    fn drop(&mut self) {
        give_back(self.0.get_mut());
    }
}

impl<S: Subject> Limits<S> {
    pub fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    /// Counts the subject in; `complain` logs. Without a key of it there is no verdict.
    pub fn judge(
        &self,
        r: &Rc<S>,
        counted: &Counted,
        complain: impl Fn(Level, &str, &BStr),
    ) -> Option<Verdict> {
        let dry = self.dry_run == Some(true);
        let mut verdict = None;
        for (named, most) in &self.limits {
            let key = named.key.eval(r);
            if key.is_empty() || key.len() > 255 {
                continue;
            }
            verdict = Some(Verdict::Passed);
            if named.zone.take(&key, *most) {
                counted.0.borrow_mut().push((named.zone.clone(), key));
                continue;
            }
            let note = if dry { ", dry run," } else { "" };
            complain(self.level.unwrap_or(Level::Error), note, named.zone.name.as_ref());
            give_back(&mut counted.0.borrow_mut());
            return Some(if dry { Verdict::RejectedDryRun } else { Verdict::Rejected });
        }
        verdict
    }
}

/// `limit_conn zone number`
pub fn set<S: Subject>(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let zone = zones::find::<S, Count>(b, d.arg(1))?;
    let most = units::parse_number(d.arg(2)).filter(|most| *most > 0);
    let invalid = || Diag::emerg(format!("invalid number of connections \"{}\"", d.arg(2)));
    let most = most.ok_or_else(invalid)?;
    if most > 65_535 {
        return Err(Diag::emerg("connection limit must be less 65536"));
    }
    let limits = &mut b.part::<Limits<S>>().limits;
    if limits.iter().any(|(known, _)| Arc::ptr_eq(known, &zone)) {
        return Err(d.wrong("is duplicate"));
    }
    limits.push((zone, most));
    Ok(())
}

fn give_back(counted: &mut Vec<(Arc<Zone<Count>>, Bytes)>) {
    for (zone, key) in counted.drain(..) {
        let mut counters = zone.counters();
        if let Some(count) = counters.get_mut(&key) {
            count.0 = count.0.saturating_sub(1);
            if count.0 == 0 {
                counters.remove(&key);
            }
        }
    }
}

impl Zone<Count> {
    /// Counts one more; false when there are enough, or no room for another key.
    fn take(&self, key: &Bytes, most: u64) -> bool {
        let mut counters = self.counters();
        let full = counters.len() >= self.most;
        match counters.get_mut(key) {
            Some(count) if count.0 >= most => false,
            Some(count) => {
                count.0 += 1;
                true
            }
            None if full => false,
            None => counters.insert(key.clone(), Count(1)).is_none(),
        }
    }
}

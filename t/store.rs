//! What the Admin faces keep: through kills, full disks, and with etcd behind it.
//!
//! ```text
//!   writers ─▶ Admin API ─▶ store     kill -9, restart ─▶ what was acknowledged is there
//! ```

mod audit;
mod etcd;
mod faces;
mod full;
mod kill;
mod locked;
mod member;
mod scene;
mod writer;

use crate::harness::case::{Case, Outcome};

pub fn cases() -> Vec<Case> {
    let mut cases = vec![kill::case()];
    cases.extend(full::cases());
    let audit = audit::ROWS.iter();
    cases.extend(audit.map(|(name, run)| Case::check(format!("store/{name}"), *run)));
    cases.extend(etcd::ROWS.iter().chain(locked::ROWS).chain(faces::ROWS).map(|(name, run)| {
        Case::new(format!("store/{name}"), move || match member::Member::missing() {
            Some(reason) => Outcome::Skipped(reason),
            None => Outcome::from(run()),
        })
    }));
    cases
}

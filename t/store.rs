//! What the Admin faces keep: through kills, full disks, and with etcd behind it.
//!
//! ```text
//!   writers ─▶ Admin API ─▶ store     kill -9, restart ─▶ what was acknowledged is there
//! ```

mod full;
mod kill;
mod scene;
mod writer;

use crate::harness::case::Case;

pub fn cases() -> Vec<Case> {
    let mut cases = vec![kill::case()];
    cases.extend(full::cases());
    cases
}

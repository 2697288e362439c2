//! `proxy_upload_rate` and `proxy_download_rate`: how much may be read now, or how long to wait.

use std::rc::Rc;

use crate::base::{clock, units};
use crate::server::template::Template;
use crate::stream::session::Session;

/// The limit of one direction.
pub struct Rate {
    /// Bytes a second; 0 for no limit.
    per_s: u64,
    started_s: u64,
}

impl Rate {
    pub fn of(s: &Rc<Session>, rate: Option<&Template<Session>>) -> Self {
        let text = rate.map(|rate| rate.eval(s)).unwrap_or_default();
        let per_s = units::parse_size(&text).unwrap_or(0) as u64;
        Self { per_s, started_s: clock::mono_ms() / 1000 }
    }

    /// How many bytes may be read after `moved`; an error says how many milliseconds are to pass.
    pub fn allows(&self, moved: u64) -> Result<usize, u64> {
        if self.per_s == 0 {
            return Ok(usize::MAX);
        }
        let seconds = clock::mono_ms() / 1000 - self.started_s + 1;
        let allowed = self.per_s.saturating_mul(seconds);
        match allowed.checked_sub(moved).filter(|left| *left > 0) {
            Some(left) => Ok(usize::try_from(left).unwrap_or(usize::MAX)),
            None => Err((moved - allowed) * 1000 / self.per_s + 1),
        }
    }

    /// How long to wait after a read of so many bytes.
    pub fn pause_ms(&self, bytes: usize) -> u64 {
        (bytes as u64 * 1000).checked_div(self.per_s).unwrap_or(0)
    }
}

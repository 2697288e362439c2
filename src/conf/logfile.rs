//! Log files that directives name. One that cannot be opened is complained about after the whole
//! configuration was read, without a place, as nginx does.

use std::sync::Arc;

use bstr::BStr;

use super::build::Builder;
use super::diag::Diag;
use super::scope::Part;
use crate::base::errno::Errno;
use crate::base::log::LogFile;

/// Opens a log file for a directive; the error is kept for [`finish`].
pub fn open(b: &mut Builder<'_>, name: &BStr) -> Option<Arc<LogFile>> {
    let path = b.prefix_path(name);
    match LogFile::open(&path) {
        Ok(file) => Some(file),
        Err(e) => {
            let text = format!("open() \"{}\" failed {}", path.display(), Errno(&e));
            b.main::<Failed>().0.push(text);
            None
        }
    }
}

/// Tells of all logs that could not be opened.
pub fn finish(b: &mut Builder<'_>) {
    for text in std::mem::take(&mut b.main::<Failed>().0) {
        b.report(Diag::emerg(text));
    }
}

/// Logs that could not be opened.
#[derive(Debug, Default)]
struct Failed(Vec<String>);

impl Part for Failed {
    fn inherit(&mut self, _: &Self) {}
}

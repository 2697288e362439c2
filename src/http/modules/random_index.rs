//! `random_index`: any file of a folder answers for it.

use std::{cell::Cell, os::unix::ffi::OsStringExt, rc::Rc};

use bstr::{BStr, ByteSlice};

use crate::{
    base::{clock, errno::Errno, log::Level},
    conf::{
        Part, Scope,
        row::{LOCATION, Row, flag},
    },
};

use crate::http::{
    files,
    method::Method,
    phase::{Flow, Handler, Phase, Registered, Step},
    redirect,
    request::Request,
};

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::Content, handler: &RandomIndex }];

pub const ROWS: &[Row] =
    &[flag("random_index", LOCATION, |b, d| d.flag_slot(&mut b.part::<Settings>().on))];

#[derive(Default)]
struct Settings {
    on: Option<bool>,
}

impl Part for Settings {
    fn inherit(&mut self, parent: &Self) {
        self.on = self.on.or(parent.on);
    }
}

struct RandomIndex;

impl Handler for RandomIndex {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<Settings>().is_some_and(|settings| settings.on == Some(true))
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        let serves = r.uri.borrow().ends_with(b"/")
            && r.method.borrow().is(Method::GET | Method::HEAD | Method::POST);
        Step::Ready(if serves { pick(r) } else { Flow::Decline })
    }
}

fn pick(r: &Rc<Request>) -> Flow {
    let Some(folder) = files::map_path(r) else { return Flow::Status(500) };
    let entries = match std::fs::read_dir(folder.to_path_lossy()) {
        Ok(entries) => entries,
        Err(error) => {
            let (status, level) = match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG) => (404, Level::Error),
                Some(libc::EACCES) => (403, Level::Error),
                _ => (500, Level::Crit),
            };
            let shown = BStr::new(&folder);
            r.log(level, format_args!("opendir() \"{shown}\" failed {}", Errno(&error)));
            return Flow::Status(status);
        }
    };
    let mut names: Vec<Vec<u8>> = entries
        .flatten()
        .filter(|entry| entry.path().is_file())
        .map(|entry| entry.file_name().into_vec())
        .filter(|name| !name.starts_with(b"."))
        .collect();
    if names.is_empty() {
        return Flow::Decline;
    }
    let name = names.swap_remove(dice(names.len()));
    let uri = [&r.uri.borrow()[..], &name].concat();
    let args = r.args.borrow().clone();
    redirect::internal(r, uri.into(), args)
}

/// A number below `sides`; who guesses it gains nothing.
fn dice(sides: usize) -> usize {
    thread_local! {
        static STATE: Cell<u64> = const { Cell::new(0) };
    }
    let mut state = STATE.get() ^ clock::fresh_mono_ms().wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    STATE.set(state);
    (state >> 16) as usize % sides
}

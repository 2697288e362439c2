//! `index`: the file that answers for a directory.

use std::{io, rc::Rc};

use bstr::BStr;
use bytes::Bytes;

use crate::{
    base::{errno::Errno, log::Level},
    conf::{
        Builder, Diag, Directive, Part, Scope,
        row::{HTTP_LEVELS, Row, at_least, row},
    },
};

use crate::http::{
    files,
    method::Method,
    phase::{Flow, Handler, Phase, Registered, Step},
    redirect,
    request::Request,
    template::Template,
};

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::Content, handler: &Index }];

pub const ROWS: &[Row] = &[row("index", HTTP_LEVELS, at_least(1), set_index)];

/// Names to try, in order.
#[derive(Default)]
struct Names(Option<Vec<Template>>);

impl Part for Names {
    fn inherit(&mut self, parent: &Self) {
        if self.0.is_none() {
            self.0.clone_from(&parent.0);
        }
    }
}

fn set_index(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    for index in 1..=d.arg_count() {
        let name = d.arg(index);
        if name.starts_with(b"/") && index != d.arg_count() {
            b.warn("only the last index in \"index\" directive should be absolute".to_string());
        }
        if name.is_empty() {
            return Err(Diag::emerg("index \"\" in \"index\" directive is invalid"));
        }
        let name = Template::compile(b, name)?;
        b.part::<Names>().0.get_or_insert_default().push(name);
    }
    Ok(())
}

struct Index;

impl Handler for Index {
    fn applies(&self, _scope: &Scope) -> bool {
        true
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        let serves = r.uri.borrow().ends_with(b"/")
            && r.method.borrow().is(Method::GET | Method::HEAD | Method::POST);
        Step::Ready(if serves { find(r) } else { Flow::Decline })
    }
}

fn find(r: &Rc<Request>) -> Flow {
    let location = r.location();
    let Some(folder) = files::map_path(r) else { return Flow::Status(500) };
    let names = match &location.scope.part::<Names>().0 {
        Some(names) => names.iter().map(|name| name.eval(r)).collect(),
        None => vec![Bytes::from_static(b"index.html")],
    };
    let mut tested = false;
    for name in names {
        let args = r.args.borrow().clone();
        if name.starts_with(b"/") {
            return redirect::internal(r, name, args);
        }
        let path = [&folder[..], &name].concat();
        match files::stat(&path) {
            Ok(_) => {
                let uri = [&r.uri.borrow()[..], &name].concat();
                return redirect::internal(r, uri.into(), args);
            }
            Err(error) => match missing(r, &folder, &path, &error, &mut tested) {
                Some(flow) => return flow,
                None => continue,
            },
        }
    }
    Flow::Decline
}

/// What a name that cannot be had means; nothing when the next one may be tried.
fn missing(
    r: &Rc<Request>,
    folder: &[u8],
    path: &[u8],
    error: &io::Error,
    tested: &mut bool,
) -> Option<Flow> {
    match error.raw_os_error() {
        Some(libc::ELOOP | libc::EMLINK) => return Some(Flow::Status(403)),
        Some(libc::ENOTDIR | libc::ENAMETOOLONG | libc::EACCES) => {
            return Some(refuse(r, path, error));
        }
        Some(libc::ENOENT) | None => {}
        Some(_) => {
            let path = BStr::new(path);
            r.log(Level::Crit, format_args!("stat() \"{path}\" failed {}", Errno(error)));
            return Some(Flow::Status(500));
        }
    }
    if !std::mem::replace(tested, true) {
        let folder = folder.strip_suffix(b"/").unwrap_or(folder);
        match files::stat(if folder.is_empty() { b"/" } else { folder }) {
            Err(error) => return Some(refuse(r, folder, &error)),
            Ok(facts) if !facts.is_dir() => {
                let folder = BStr::new(folder);
                r.log(Level::Alert, format_args!("\"{folder}\" is not a directory"));
                return Some(Flow::Status(500));
            }
            Ok(_) => {}
        }
    }
    None
}

fn refuse(r: &Rc<Request>, path: &[u8], error: &io::Error) -> Flow {
    let shown = BStr::new(path);
    if error.raw_os_error() == Some(libc::EACCES) {
        r.log(Level::Error, format_args!("\"{shown}\" is forbidden {}", Errno(error)));
        return Flow::Status(403);
    }
    if r.with_location(|location| location.core().log_not_found()) {
        r.log(Level::Error, format_args!("\"{shown}\" is not found {}", Errno(error)));
    }
    Flow::Status(404)
}

//! `try_files`: the first of several files that exists, or a last resort.

use std::rc::Rc;

use bstr::{BStr, ByteSlice};
use bytes::Bytes;

use crate::{
    base::{errno::Errno, log::Level},
    conf::{
        Builder, Diag, Directive, Part, Scope,
        row::{LOCATION, Row, SERVER, at_least, row},
    },
};

use crate::http::{
    core::Alias,
    files,
    phase::{Flow, Handler, Phase, Registered, Step},
    redirect,
    request::Request,
    template::Template,
};

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::Precontent, handler: &TryFiles }];

pub const ROWS: &[Row] = &[row("try_files", SERVER | LOCATION, at_least(2), set_try_files)];

/// The files of one block; not inherited.
#[derive(Default)]
struct Tries {
    files: Vec<Try>,
    last: Option<Last>,
}

struct Try {
    name: Template,
    /// Written with a slash at its end.
    folder: bool,
}

enum Last {
    Status(u16),
    Uri(Template),
}

impl Part for Tries {
    fn inherit(&mut self, _parent: &Self) {}
}

fn set_try_files(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if b.part::<Tries>().last.is_some() {
        return Err(d.wrong("is duplicate"));
    }
    let count = d.arg_count();
    let mut tries = Tries::default();
    for index in 1..count {
        let text = d.arg(index);
        let folder = text.ends_with(b"/");
        let text = if folder { &text[..text.len() - 1] } else { text };
        tries.files.push(Try { name: Template::compile(b, text)?, folder });
    }
    tries.last = Some(match d.arg(count).strip_prefix(b"=") {
        Some(code) => {
            let status = crate::base::units::parse_number(code).filter(|status| *status <= 999);
            let invalid = || Diag::emerg(format!("invalid code \"{}\"", BStr::new(code)));
            Last::Status(status.ok_or_else(invalid)? as u16)
        }
        None => Last::Uri(Template::compile(b, d.arg(count))?),
    });
    *b.part::<Tries>() = tries;
    Ok(())
}

struct TryFiles;

impl Handler for TryFiles {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<Tries>().is_some_and(|tries| tries.last.is_some())
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        Step::Ready(find(r))
    }
}

fn find(r: &Rc<Request>) -> Flow {
    let location = r.location();
    let tries = location.scope.part::<Tries>();
    let root = files::root(r);
    for file in &tries.files {
        let name = file.name.eval(r);
        let path = [&root[..], below(r, &name)].concat();
        match files::stat(&path) {
            Ok(facts) if facts.is_dir() == file.folder => {
                take(r, &name, file.folder);
                return Flow::Decline;
            }
            Ok(_) => {}
            Err(error) => {
                let usual = [libc::ENOENT, libc::ENOTDIR, libc::ENAMETOOLONG];
                if error.raw_os_error().is_some_and(|code| !usual.contains(&code)) {
                    let path = path.as_bstr();
                    r.log(Level::Crit, format_args!("stat() \"{path}\" failed {}", Errno(&error)));
                }
            }
        }
    }
    match &tries.last {
        Some(Last::Status(status)) => Flow::Status(*status),
        Some(Last::Uri(uri)) => {
            let target = uri.eval(r);
            if target.starts_with(b"@") {
                return redirect::named(r, &target);
            }
            let (uri, args) = redirect::split_args(&target);
            redirect::internal(r, uri, args.unwrap_or_default())
        }
        None => Flow::Decline,
    }
}

/// The part of a name that stands below the root: an alias replaces the location's name.
fn below<'a>(r: &Rc<Request>, name: &'a [u8]) -> &'a [u8] {
    match files::alias(r) {
        Some(Alias::Start(length)) if starts_like_uri(r, name, length) => &name[length..],
        _ => name,
    }
}

fn starts_like_uri(r: &Rc<Request>, name: &[u8], length: usize) -> bool {
    let uri = r.uri.borrow();
    matches!((name.get(..length), uri.get(..length)), (Some(a), Some(b)) if a == b)
}

/// Goes on with the file that was found.
fn take(r: &Rc<Request>, name: &Bytes, folder: bool) {
    let uri = match files::alias(r) {
        None => name.clone(),
        Some(Alias::Whole) => {
            if folder {
                return;
            }
            r.adds_uri_to_alias.set(true);
            name.clone()
        }
        Some(Alias::Start(length)) => {
            let start = r.uri.borrow().get(..length).map(<[u8]>::to_vec).unwrap_or_default();
            [&start[..], below(r, name)].concat().into()
        }
    };
    *r.uri.borrow_mut() = uri;
}

//! `access_log`: one line for each request, in a format of the user's.
//!
//! ```text
//!  log_format f "$remote_addr $status";   access_log logs/a.log f if=$loggable;
//!             └ Format ◀────────────────────────── Target { sink, format, condition }
//! ```

pub mod conf;

use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt, rc::Rc, sync::Arc};

use bstr::{BStr, ByteSlice};

use crate::{
    base::{
        errno::Errno,
        escape,
        log::{Level, LogFile, Syslog},
    },
    conf::{Part, Scope},
};

use super::{
    files,
    phase::{Flow, Handler, Phase, Registered, Step},
    request::Request,
    template::Template,
};

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::Log, handler: &AccessLog }];

/// The access logs of one block.
#[derive(Clone, Default)]
pub struct AccessLogs {
    targets: Vec<Target>,
    off: bool,
}

impl Part for AccessLogs {
    fn inherit(&mut self, parent: &Self) {
        if self.targets.is_empty() && !self.off {
            self.clone_from(parent);
        }
    }
}

/// One `access_log`.
#[derive(Clone)]
struct Target {
    sink: Sink,
    format: Arc<Format>,
    condition: Option<Template>,
}

#[derive(Clone)]
enum Sink {
    File(Arc<LogFile>),
    /// A path with variables, opened for each line.
    Path(Template),
    Syslog(Arc<Syslog>),
}

/// One `log_format`.
struct Format {
    parts: Template,
    escape: Escape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    Default,
    Json,
    None,
}

struct AccessLog;

impl Handler for AccessLog {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<AccessLogs>().is_some_and(|logs| !logs.targets.is_empty() && !logs.off)
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        let location = r.location();
        for target in &location.scope.part::<AccessLogs>().targets {
            if target.condition.as_ref().is_none_or(|condition| condition.is_true(r)) {
                target.write(r);
            }
        }
        Step::Ready(Flow::Decline)
    }
}

impl Target {
    fn write(&self, r: &Rc<Request>) {
        let mut line = Vec::with_capacity(256);
        self.format.parts.eval_into(r, &mut line, |out, value| self.format.escape.show(out, value));
        match &self.sink {
            Sink::Syslog(peer) => return peer.send_access(&line),
            Sink::File(file) => {
                line.push(b'\n');
                if let Err(error) = file.write(&line) {
                    let (path, errno) = (file.path().display(), Errno(&error));
                    r.log(Level::Alert, format_args!("write() to \"{path}\" failed {errno}"));
                }
            }
            Sink::Path(path) => {
                line.push(b'\n');
                append(r, &path.eval(r), &line);
            }
        }
    }
}

impl Escape {
    fn show(self, out: &mut Vec<u8>, value: Option<&[u8]>) {
        match (self, value) {
            (Self::Default, None) => out.push(b'-'),
            (_, None) => {}
            (Self::Default, Some(value)) => out.extend_from_slice(&escape::log(value)),
            (Self::Json, Some(value)) => out.extend_from_slice(&escape::json(value)),
            (Self::None, Some(value)) => out.extend_from_slice(value),
        }
    }
}

/// Appends to a file named by variables. nginx asks that the root folder exists, so that a host
/// name cannot make files for servers there are not.
fn append(r: &Rc<Request>, path: &[u8], line: &[u8]) {
    if files::stat(&files::root(r)).is_err() {
        return;
    }
    let path = r.http.prefix.join(path.to_path_lossy());
    let file = OpenOptions::new().append(true).create(true).mode(0o644).open(&path);
    if let Err(error) = file.and_then(|mut file| file.write_all(line)) {
        let shown = BStr::new(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()));
        r.log(Level::Crit, format_args!("open() \"{shown}\" failed {}", Errno(&error)));
    }
}

//! `log_format` and `access_log`.
//!
//! ```text
//!  request ends ─▶ if=? ─▶ format ─▶ line ─▶ file │ buffer │ path by variables │ syslog
//! ```

mod format;
mod paths;

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bstr::{BStr, ByteSlice};

pub use self::format::set_format;
use self::format::{Format, format_named};
pub use self::paths::{PathsConf, set_cache};
use super::template::Template;
use super::vars::Subject;
use crate::base::log::{Buffered, Buffering, LogFile, Syslog};
use crate::base::units;
use crate::conf::{Builder, Diag, Directive, Part, logfile};

/// `access_log` of one level.
pub struct AccessLogConf<S> {
    logs: Option<Vec<Arc<Log<S>>>>,
}

struct Log<S> {
    to: Target<S>,
    format: Arc<Format<S>>,
    condition: Option<Template<S>>,
}

enum Target<S> {
    File(Arc<LogFile>),
    Buffer(Arc<Buffered>),
    Syslog(Arc<Syslog>),
    /// A path with variables, opened for each line unless it is kept open.
    Path(Template<S>),
}

impl<S: 'static> Part for AccessLogConf<S> {
    fn inherit(&mut self, parent: &Self) {
        if self.logs.is_none() {
            self.logs.clone_from(&parent.logs);
        }
    }
}

/// A subject whose end is logged.
pub trait Logged: Subject {
    /// The format `combined`, where there is one.
    const COMBINED: Option<&'static [u8]>;

    /// Where relative paths start.
    fn prefix(&self) -> &Path;
}

impl<S: Logged> AccessLogConf<S> {
    /// Whether any log is named, or `off`, here or above.
    pub fn is_set(&self) -> bool {
        self.logs.is_some()
    }

    pub fn is_empty(&self) -> bool {
        self.logs.as_ref().is_none_or(Vec::is_empty)
    }

    /// Writes the line of a subject that is over.
    pub fn write(&self, r: &Rc<S>, paths: &PathsConf) {
        for log in self.logs.iter().flatten() {
            log.write(r, paths);
        }
    }

    /// nginx's log where the configuration names none.
    pub fn default_to(b: &mut Builder<'_>, name: &BStr) -> Result<Self, Diag> {
        let format = format_named(b, BStr::new("combined"))?;
        let file = logfile::open(b, name);
        let log = file.map(|file| Log { to: Target::File(file), format, condition: None });
        Ok(Self { logs: Some(log.into_iter().map(Arc::new).collect()) })
    }
}

impl<S> Default for AccessLogConf<S> {
    fn default() -> Self {
        Self { logs: None }
    }
}

impl<S: Logged> Log<S> {
    fn write(&self, r: &Rc<S>, paths: &PathsConf) {
        if let Some(condition) = &self.condition {
            let value = condition.eval(r);
            if value.is_empty() || &value[..] == b"0" {
                return;
            }
        }
        let mut line = self.format.render(r);
        match &self.to {
            Target::Syslog(peer) => peer.send_access(&line),
            Target::File(file) => {
                line.push(b'\n');
                // A full disk loses the line, never the request.
                let _ = file.write(&line);
            }
            Target::Buffer(buffer) => {
                line.push(b'\n');
                if let (true, Some(ms)) = (buffer.write(&line), buffer.buffering.flush_ms) {
                    flush_later(buffer.clone(), ms);
                }
            }
            Target::Path(path) => {
                line.push(b'\n');
                let path = path.eval(r);
                let path = r.prefix().join(path.to_path_lossy());
                if let Some(file) = paths.open(&path) {
                    let _ = file.write(&line);
                }
            }
        }
    }
}

/// The buffers of a configuration: a file has one.
#[derive(Default)]
struct Buffers(Vec<Arc<Buffered>>);

impl Part for Buffers {
    fn inherit(&mut self, _: &Self) {}
}

fn flush_later(buffer: Arc<Buffered>, ms: u64) {
    tokio::task::spawn_local(async move {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        buffer.flush();
    });
}

/// `access_log`
pub fn set_log<S: Logged>(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if d.arg(1) == "off" {
        let logs = &mut b.part::<AccessLogConf<S>>().logs;
        logs.get_or_insert_default();
        return if d.arg_count() == 1 { Ok(()) } else { Err(d.bad_param(2)) };
    }
    let mut condition = None;
    let mut name = S::COMBINED.map(|_| BStr::new("combined"));
    let mut buffering = Buffering::default();
    for index in 2..=d.arg_count() {
        let word = d.arg(index);
        if let Some(text) = word.strip_prefix(b"if=") {
            condition = Some(Template::compile(b, text)?);
        } else if index == 2 && !word.contains(&b'=') && word != "gzip" {
            name = Some(word);
        } else {
            set_buffering(&mut buffering, d, index)?;
        }
    }
    let name = name.ok_or_else(|| Diag::emerg("log format is not specified"))?;
    let format = format_named(b, name)?;
    if buffering.size == 0 && buffering.flush_ms.is_some() {
        return Err(Diag::emerg(format!("no buffer is defined for access_log \"{}\"", d.arg(1))));
    }
    if let Some(to) = target(b, d, buffering)? {
        b.part::<AccessLogConf<S>>().logs.get_or_insert_default().push(Arc::new(Log {
            to,
            format,
            condition,
        }));
    }
    Ok(())
}

/// None for a file that cannot be opened: it is complained about at the end, as nginx does.
fn target<S: Logged>(
    b: &mut Builder<'_>,
    d: &Directive,
    buffering: Buffering,
) -> Result<Option<Target<S>>, Diag> {
    let is_buffered = buffering.size > 0;
    if let Some(params) = d.arg(1).strip_prefix(b"syslog:") {
        if is_buffered {
            return Err(Diag::emerg("logs to syslog cannot be buffered"));
        }
        let peer = Syslog::parse(&params.to_str_lossy());
        let peer = peer.map_err(|error| Diag::emerg(error.to_string()))?;
        return Ok(Some(Target::Syslog(Arc::new(peer))));
    }
    if d.arg(1).contains(&b'$') {
        if is_buffered {
            return Err(Diag::emerg("buffered logs cannot have variables in name"));
        }
        return Ok(Some(Target::Path(Template::compile(b, d.arg(1))?)));
    }
    let Some(file) = logfile::open(b, d.arg(1)) else { return Ok(None) };
    if !is_buffered {
        return Ok(Some(Target::File(file)));
    }
    let known = &mut b.main::<Buffers>().0;
    if let Some(buffer) = known.iter().find(|known| Arc::ptr_eq(known.file(), &file)) {
        if buffer.buffering != buffering {
            let text = "already defined with conflicting parameters";
            return Err(Diag::emerg(format!("access_log \"{}\" {text}", d.arg(1))));
        }
        return Ok(Some(Target::Buffer(buffer.clone())));
    }
    let buffer = Buffered::new(file, buffering);
    known.push(buffer.clone());
    Ok(Some(Target::Buffer(buffer)))
}

fn set_buffering(buffering: &mut Buffering, d: &Directive, index: usize) -> Result<(), Diag> {
    let word = d.arg(index);
    let invalid =
        |what, value: &[u8]| Diag::emerg(format!("invalid {what} \"{}\"", BStr::new(value)));
    if let Some(text) = word.strip_prefix(b"buffer=") {
        let size = units::parse_size(text).filter(|size| *size > 0);
        buffering.size = size.ok_or_else(|| invalid("buffer size", text))?;
    } else if let Some(text) = word.strip_prefix(b"flush=") {
        let ms = units::parse_msec(text).filter(|ms| *ms > 0);
        buffering.flush_ms = Some(ms.ok_or_else(|| invalid("flush time", text))?);
    } else if word == "gzip" {
        buffering.packed(FASTEST);
    } else if let Some(text) = word.strip_prefix(b"gzip=") {
        let level = units::parse_number(text).filter(|level| (1..=9).contains(level));
        buffering.packed(level.ok_or_else(|| invalid("compression level", text))? as u32);
    } else {
        return Err(d.bad_param(index));
    }
    Ok(())
}

const FASTEST: u32 = 1;

//! `log_format` and `access_log`.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use bstr::{BStr, BString, ByteSlice};

use super::template::Template;
use super::vars::Subject;
use crate::base::log::{LogFile, Syslog};
use crate::base::{escape, units};
use crate::conf::{Builder, Diag, Directive, Part, logfile};

/// `access_log` of one level.
pub struct AccessLogConf<S> {
    logs: Option<Vec<Arc<Log<S>>>>,
}

/// `log_format` of the `http` block.
pub struct Formats<S>(Vec<(BString, Arc<Format<S>>)>);

/// A named line format.
pub struct Format<S> {
    line: Vec<Piece<S>>,
    escape: Escape,
}

enum Piece<S> {
    Text(Vec<u8>),
    Value(Template<S>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    Default,
    Json,
    None,
}

struct Log<S> {
    to: Target<S>,
    format: Arc<Format<S>>,
    condition: Option<Template<S>>,
}

enum Target<S> {
    File(Arc<LogFile>),
    Syslog(Arc<Syslog>),
    /// A path with variables, opened for each line.
    Path(Template<S>),
}

impl<S: 'static> Part for AccessLogConf<S> {
    fn inherit(&mut self, parent: &Self) {
        if self.logs.is_none() {
            self.logs.clone_from(&parent.logs);
        }
    }
}

impl<S: 'static> Part for Formats<S> {
    fn inherit(&mut self, _: &Self) {}
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
    pub fn write(&self, r: &Rc<S>) {
        for log in self.logs.iter().flatten() {
            log.write(r);
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

impl<S> Default for Formats<S> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<S: Logged> Log<S> {
    fn write(&self, r: &Rc<S>) {
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
            Target::Path(path) => {
                line.push(b'\n');
                let path = path.eval(r);
                let path = r.prefix().join(path.to_path_lossy());
                if let Ok(file) = LogFile::open(&path) {
                    let _ = file.write(&line);
                }
            }
        }
    }
}

impl<S: Logged> Format<S> {
    fn render(&self, r: &Rc<S>) -> Vec<u8> {
        let mut line = Vec::with_capacity(160);
        for piece in &self.line {
            match piece {
                Piece::Text(text) => line.extend_from_slice(text),
                Piece::Value(value) => self.value(&value.eval(r), &mut line),
            }
        }
        line
    }

    /// Without a value nginx logs `-`; JSON and plain formats log nothing.
    fn value(&self, value: &[u8], line: &mut Vec<u8>) {
        match self.escape {
            Escape::Default if value.is_empty() => line.push(b'-'),
            Escape::Default => line.extend_from_slice(&escape::log(value)),
            Escape::Json => line.extend_from_slice(&escape::json(value)),
            Escape::None => line.extend_from_slice(value),
        }
    }
}

/// `log_format`
pub fn set_format<S: Logged>(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let name = d.arg(1).to_owned();
    let known = b.main::<Formats<S>>().0.iter().any(|(known, _)| *known == name);
    if known || S::COMBINED.is_some() && name == "combined" {
        return Err(Diag::emerg(format!("duplicate \"log_format\" name \"{name}\"")));
    }
    let mut first = 2;
    let escape = match d.arg(2).strip_prefix(b"escape=") {
        Some(b"default") => Escape::Default,
        Some(b"json") => Escape::Json,
        Some(b"none") => Escape::None,
        Some(other) => {
            let other = BStr::new(other);
            return Err(Diag::emerg(format!("unknown log format escaping \"{other}\"")));
        }
        None => {
            first = 1;
            Escape::Default
        }
    };
    let text: Vec<u8> = d.args()[first..].iter().flat_map(|word| word.text.to_vec()).collect();
    let format: Format<S> = compile(b, &text, escape)?;
    b.main::<Formats<S>>().0.push((name, Arc::new(format)));
    Ok(())
}

/// Splits at variables: each value is escaped by itself.
fn compile<S: Logged>(b: &mut Builder<'_>, text: &[u8], escape: Escape) -> Result<Format<S>, Diag> {
    let mut line = Vec::new();
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'$', rest) {
        if at > 0 {
            line.push(Piece::Text(rest[..at].to_vec()));
        }
        let length = reference_length(&rest[at..]);
        line.push(Piece::Value(Template::compile(b, &rest[at..at + length])?));
        rest = &rest[at + length..];
    }
    if !rest.is_empty() {
        line.push(Piece::Text(rest.to_vec()));
    }
    Ok(Format { line, escape })
}

/// The length of `$name` or `${name}` at the front of `text`.
fn reference_length(text: &[u8]) -> usize {
    if text.get(1) == Some(&b'{') {
        return memchr::memchr(b'}', text).map_or(text.len(), |at| at + 1);
    }
    let word = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
    1 + text[1..].iter().take_while(word).count()
}

fn format_named<S: Logged>(b: &mut Builder<'_>, name: &BStr) -> Result<Arc<Format<S>>, Diag> {
    let known = b.main::<Formats<S>>().0.iter().find(|(known, _)| *known == name);
    if let Some((_, format)) = known {
        return Ok(format.clone());
    }
    let combined = S::COMBINED.filter(|_| name == "combined");
    let unknown = || Diag::emerg(format!("unknown log format \"{name}\""));
    Ok(Arc::new(compile(b, combined.ok_or_else(unknown)?, Escape::Default)?))
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
    for index in 2..=d.arg_count() {
        let word = d.arg(index);
        if let Some(text) = word.strip_prefix(b"if=") {
            condition = Some(Template::compile(b, text)?);
        } else if index == 2 && !word.contains(&b'=') && word != "gzip" {
            name = Some(word);
        } else {
            buffering(d, index)?;
        }
    }
    let name = name.ok_or_else(|| Diag::emerg("log format is not specified"))?;
    let format = format_named(b, name)?;
    let to = if let Some(params) = d.arg(1).strip_prefix(b"syslog:") {
        let peer = Syslog::parse(&params.to_str_lossy());
        Target::Syslog(Arc::new(peer.map_err(|error| Diag::emerg(error.to_string()))?))
    } else if d.arg(1).contains(&b'$') {
        Target::Path(Template::compile(b, d.arg(1))?)
    } else {
        // A file that cannot be opened is complained about at the end, as nginx does.
        match logfile::open(b, d.arg(1)) {
            Some(file) => Target::File(file),
            None => return Ok(()),
        }
    };
    b.part::<AccessLogConf<S>>().logs.get_or_insert_default().push(Arc::new(Log {
        to,
        format,
        condition,
    }));
    Ok(())
}

/// Buffering is accepted: a line is one write here, and nothing is lost when a process dies.
fn buffering(d: &Directive, index: usize) -> Result<(), Diag> {
    let word = d.arg(index);
    let size = |text: &[u8]| units::parse_size(text).is_some();
    let time = |text: &[u8]| units::parse_msec(text).is_some_and(|ms| ms > 0);
    if let Some(text) = word.strip_prefix(b"buffer=") {
        return if size(text) {
            Ok(())
        } else {
            Err(Diag::emerg(format!("invalid buffer size \"{}\"", BStr::new(text))))
        };
    }
    if let Some(text) = word.strip_prefix(b"flush=") {
        return if time(text) {
            Ok(())
        } else {
            Err(Diag::emerg(format!("invalid flush time \"{}\"", BStr::new(text))))
        };
    }
    if word == "gzip" || word.starts_with(b"gzip=") {
        return Err(Diag::emerg("compressed access logs are not built in: leave \"gzip\" out"));
    }
    Err(d.bad_param(index))
}

//! `log_format` and `access_log`.

use std::rc::Rc;
use std::sync::Arc;

use bstr::{BStr, BString, ByteSlice};

use crate::base::escape;
use crate::base::log::{LogFile, Syslog};
use crate::conf::row::{HTTP, HTTP_LEVELS, IF_LOCATION, LIMIT_EXCEPT, Row, at_least, row};
use crate::conf::{Builder, Diag, Directive, Part, Scope};
use crate::process::errorlog;

use crate::http::{
    phase::{Flow, Handler, Phase, Registered, Step},
    request::Request,
    template::Template,
};

/// `access_log` of one level.
#[derive(Default)]
pub struct AccessLogConf {
    logs: Option<Vec<Log>>,
}

/// `log_format` of the `http` block.
#[derive(Default)]
pub struct Formats(Vec<(BString, Arc<Format>)>);

/// A named line format.
pub struct Format {
    line: Vec<Piece>,
    escape: Escape,
}

enum Piece {
    Text(Vec<u8>),
    Value(Template),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    Default,
    Json,
    None,
}

#[derive(Clone)]
struct Log {
    to: Target,
    format: Arc<Format>,
    condition: Option<Template>,
}

#[derive(Clone)]
enum Target {
    File(Arc<LogFile>),
    Syslog(Arc<Syslog>),
    /// A path with variables, opened for each line.
    Path(Template),
}

impl Part for AccessLogConf {
    fn inherit(&mut self, parent: &Self) {
        if self.logs.is_none() {
            self.logs.clone_from(&parent.logs);
        }
    }
}

impl Part for Formats {
    fn inherit(&mut self, _: &Self) {}
}

pub const ROWS: &[Row] = &[
    row("log_format", HTTP, at_least(2), set_format),
    row("access_log", HTTP_LEVELS | IF_LOCATION | LIMIT_EXCEPT, at_least(1), set_log),
    row("open_log_file_cache", HTTP_LEVELS, at_least(1), |_, _| Ok(())),
];

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::Log, handler: &AccessLog }];

/// Gives the `http` block nginx's default log when it names none.
pub fn finish(b: &mut Builder<'_>, http: &mut Scope) -> Result<(), Diag> {
    if http.part_mut::<AccessLogConf>().logs.is_some() {
        return Ok(());
    }
    let format = format_named(b, BStr::new("combined"))?;
    let file = errorlog::open(b, BStr::new("logs/access.log"));
    let log = file.map(|file| Log { to: Target::File(file), format, condition: None });
    http.part_mut::<AccessLogConf>().logs = Some(log.into_iter().collect());
    Ok(())
}

struct AccessLog;

impl Handler for AccessLog {
    fn applies(&self, scope: &Scope) -> bool {
        scope.part::<AccessLogConf>().logs.as_ref().is_some_and(|logs| !logs.is_empty())
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        let location = r.location();
        for log in location.scope.part::<AccessLogConf>().logs.iter().flatten() {
            log.write(r);
        }
        Step::Ready(Flow::Decline)
    }
}

impl Log {
    fn write(&self, r: &Rc<Request>) {
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
                let path = r.http().prefix.join(path.to_path_lossy());
                if let Ok(file) = LogFile::open(&path) {
                    let _ = file.write(&line);
                }
            }
        }
    }
}

impl Format {
    fn render(&self, r: &Rc<Request>) -> Vec<u8> {
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

fn set_format(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let name = d.arg(1).to_owned();
    let known = b.main::<Formats>().0.iter().any(|(known, _)| *known == name);
    if known || name == "combined" {
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
    let format = compile(b, &text, escape)?;
    b.main::<Formats>().0.push((name, Arc::new(format)));
    Ok(())
}

/// Splits at variables: each value is escaped by itself.
fn compile(b: &mut Builder<'_>, text: &[u8], escape: Escape) -> Result<Format, Diag> {
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

fn format_named(b: &mut Builder<'_>, name: &BStr) -> Result<Arc<Format>, Diag> {
    let known = b.main::<Formats>().0.iter().find(|(known, _)| *known == name);
    if let Some((_, format)) = known {
        return Ok(format.clone());
    }
    if name != "combined" {
        return Err(Diag::emerg(format!("unknown log format \"{name}\"")));
    }
    Ok(Arc::new(compile(b, COMBINED, Escape::Default)?))
}

fn set_log(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if d.arg(1) == "off" {
        let logs = &mut b.part::<AccessLogConf>().logs;
        logs.get_or_insert_default();
        return if d.arg_count() == 1 { Ok(()) } else { Err(d.bad_param(2)) };
    }
    let mut condition = None;
    let mut name = BStr::new("combined");
    for index in 2..=d.arg_count() {
        let word = d.arg(index);
        if let Some(text) = word.strip_prefix(b"if=") {
            condition = Some(Template::compile(b, text)?);
        } else if index == 2 && !word.contains(&b'=') && word != "gzip" {
            name = word;
        } else {
            buffering(d, index)?;
        }
    }
    let format = format_named(b, name)?;
    let to = if let Some(params) = d.arg(1).strip_prefix(b"syslog:") {
        let peer = Syslog::parse(&params.to_str_lossy());
        Target::Syslog(Arc::new(peer.map_err(|error| Diag::emerg(error.to_string()))?))
    } else if d.arg(1).contains(&b'$') {
        Target::Path(Template::compile(b, d.arg(1))?)
    } else {
        // A file that cannot be opened is complained about at the end, as nginx does.
        match errorlog::open(b, d.arg(1)) {
            Some(file) => Target::File(file),
            None => return Ok(()),
        }
    };
    b.part::<AccessLogConf>().logs.get_or_insert_default().push(Log { to, format, condition });
    Ok(())
}

/// Buffering is accepted: a line is one write here, and nothing is lost when a process dies.
fn buffering(d: &Directive, index: usize) -> Result<(), Diag> {
    let word = d.arg(index);
    let size = |text: &[u8]| crate::base::units::parse_size(text).is_some();
    let time = |text: &[u8]| crate::base::units::parse_msec(text).is_some_and(|ms| ms > 0);
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

const COMBINED: &[u8] = br#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent""#;

//! `log_format` and `access_log`.

use std::{collections::HashMap, sync::Arc};

use bstr::{BStr, BString, ByteSlice};

use crate::{
    base::{log::Syslog, units},
    conf::{
        Builder, Diag, Directive, Part,
        row::{HTTP, HTTP_LEVELS, IF_LOCATION, LIMIT_EXCEPT, Row, at_least, row},
    },
    http::{build::ServerDrafts, template::Template},
    process::errorlog,
};

use super::{AccessLogs, Escape, Format, Sink, Target};

pub const ROWS: &[Row] = &[
    row("log_format", HTTP, at_least(2), set_format),
    row("access_log", HTTP_LEVELS | IF_LOCATION | LIMIT_EXCEPT, at_least(1), set_access_log),
];

/// The formats by name.
#[derive(Default)]
struct Formats(HashMap<BString, Arc<Format>>);

impl Part for Formats {
    fn inherit(&mut self, _parent: &Self) {}
}

/// At the end of the `http` block: a server without any log gets nginx's default one.
pub fn finish(b: &mut Builder<'_>) -> Result<(), Diag> {
    let logs = b.part::<AccessLogs>();
    if logs.off || !logs.targets.is_empty() {
        return Ok(());
    }
    let has_own =
        |logs: Option<&AccessLogs>| logs.is_some_and(|logs| logs.off || !logs.targets.is_empty());
    let drafts = &b.part::<ServerDrafts>().0;
    if drafts.iter().all(|draft| has_own(draft.scope.find::<AccessLogs>())) {
        return Ok(());
    }
    let format = combined(b)?;
    if let Some(file) = errorlog::open(b, DEFAULT_PATH.into()) {
        let target = Target { sink: Sink::File(file), format, condition: None };
        b.part::<AccessLogs>().targets.push(target);
    }
    Ok(())
}

fn set_format(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let name = d.arg(1);
    if name == "combined" || b.main::<Formats>().0.contains_key(name) {
        return Err(Diag::emerg(format!("duplicate \"log_format\" name \"{name}\"")));
    }
    let mut escape = Escape::Default;
    let mut from = 2;
    if let Some(kind) = d.arg(2).strip_prefix(b"escape=") {
        escape = match kind {
            b"json" => Escape::Json,
            b"none" => Escape::None,
            b"default" => Escape::Default,
            other => {
                let other = BStr::new(other);
                return Err(Diag::emerg(format!("unknown log format escaping \"{other}\"")));
            }
        };
        from = 3;
    }
    let words = d.args().iter().skip(from - 1);
    let text: Vec<u8> = words.flat_map(|word| word.text.iter().copied()).collect();
    let parts = Template::compile(b, &text)?;
    b.main::<Formats>().0.insert(name.into(), Arc::new(Format { parts, escape }));
    Ok(())
}

fn set_access_log(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if d.arg(1) == "off" {
        b.part::<AccessLogs>().off = true;
        if d.arg_count() == 1 {
            return Ok(());
        }
        return Err(d.bad_param(2));
    }
    let sink = sink(b, d.arg(1))?;
    let format = match d.arg_count() {
        1 => combined(b)?,
        _ if d.arg(2) == "combined" => combined(b)?,
        _ => {
            let known = b.main::<Formats>().0.get(d.arg(2)).cloned();
            let unknown = || Diag::emerg(format!("unknown log format \"{}\"", d.arg(2)));
            known.ok_or_else(unknown)?
        }
    };
    let condition = options(b, d, &sink)?;
    if let Some(sink) = sink {
        b.part::<AccessLogs>().targets.push(Target { sink, format, condition });
    }
    Ok(())
}

/// `buffer=`, `flush=`, `gzip=` are checked, lines are written at once; `if=` is the condition.
fn options(
    b: &mut Builder<'_>,
    d: &Directive,
    sink: &Option<Sink>,
) -> Result<Option<Template>, Diag> {
    let (mut condition, mut buffered, mut flushed) = (None, false, false);
    for index in 3..=d.arg_count() {
        let text = d.arg(index);
        let invalid = |what: &str, value: &[u8]| {
            d.wrong_arg(index, format!("invalid {what} \"{}\"", BStr::new(value)))
        };
        if let Some(value) = text.strip_prefix(b"buffer=") {
            let size = units::parse_size(value).filter(|size| *size > 0);
            size.ok_or_else(|| invalid("buffer size", value))?;
            buffered = true;
        } else if let Some(value) = text.strip_prefix(b"flush=") {
            let time = units::parse_msec(value).filter(|time| *time > 0);
            time.ok_or_else(|| invalid("flush time", value))?;
            flushed = true;
        } else if let Some(value) = text.strip_prefix(b"if=") {
            condition = Some(Template::compile(b, value)?);
        } else if text == "gzip" || text.starts_with(b"gzip=") {
            let level = text.strip_prefix(b"gzip=").map_or(Some(1), units::parse_number);
            let level = level.filter(|level| (1..=9).contains(level));
            level.ok_or_else(|| invalid("compression level", &text["gzip=".len()..]))?;
            buffered = true;
        } else {
            return Err(d.bad_param(index));
        }
    }
    if flushed && !buffered {
        return Err(Diag::emerg(format!("no buffer is defined for access_log \"{}\"", d.arg(1))));
    }
    match sink {
        Some(Sink::Path(_)) if buffered => {
            Err(Diag::emerg("buffered logs cannot have variables in name"))
        }
        Some(Sink::Syslog(_)) if buffered => Err(Diag::emerg("logs to syslog cannot be buffered")),
        _ => Ok(condition),
    }
}

/// Nothing when the file cannot be opened; that is told when the whole configuration was read.
fn sink(b: &mut Builder<'_>, target: &BStr) -> Result<Option<Sink>, Diag> {
    if let Some(params) = target.strip_prefix(b"syslog:") {
        let peer = Syslog::parse(&params.to_str_lossy());
        return match peer {
            Ok(peer) => Ok(Some(Sink::Syslog(Arc::new(peer)))),
            Err(error) => Err(Diag::emerg(error.to_string())),
        };
    }
    if target.contains(&b'$') {
        return Ok(Some(Sink::Path(Template::compile(b, target)?)));
    }
    Ok(errorlog::open(b, target).map(Sink::File))
}

fn combined(b: &mut Builder<'_>) -> Result<Arc<Format>, Diag> {
    if let Some(known) = b.main::<Formats>().0.get(BStr::new("combined")) {
        return Ok(known.clone());
    }
    let parts = Template::compile(b, COMBINED.as_bytes())?;
    let format = Arc::new(Format { parts, escape: Escape::Default });
    b.main::<Formats>().0.insert("combined".into(), format.clone());
    Ok(format)
}

const DEFAULT_PATH: &str = "logs/access.log";
const COMBINED: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status \
                        $body_bytes_sent \"$http_referer\" \"$http_user_agent\"";

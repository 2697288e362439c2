//! `add_header`, `add_trailer`, `expires`: lines the configuration adds to responses.

use std::rc::Rc;

use bstr::{BStr, ByteSlice};
use bytes::Bytes;

use crate::{
    base::{clock, date, units},
    conf::{
        Builder, Diag, Directive, Part, Scope, inherit,
        row::{HTTP_LEVELS, IF_LOCATION, Row, args, row, take},
    },
};

use crate::http::{
    output::{Chunks, Filter, OutputError},
    request::Request,
    template::Template,
};

pub static FILTER: AddHeaders = AddHeaders;

const LEVELS: u32 = HTTP_LEVELS | IF_LOCATION;

pub const ROWS: &[Row] = &[
    row("add_header", LEVELS, args(2, 3), |b, d| {
        let line = line(b, d)?;
        b.part::<Lines>().headers.get_or_insert_default().push(line);
        Ok(())
    }),
    row("add_trailer", LEVELS, args(2, 3), |b, d| {
        let line = line(b, d)?;
        b.part::<Lines>().trailers.get_or_insert_default().push(line);
        Ok(())
    }),
    row("expires", LEVELS, args(1, 2), set_expires),
    row("add_header_inherit", LEVELS, take(1), |b, d| {
        d.choice_slot(&mut b.part::<Lines>().headers_from_above, FROM_ABOVE)
    }),
    row("add_trailer_inherit", LEVELS, take(1), |b, d| {
        d.choice_slot(&mut b.part::<Lines>().trailers_from_above, FROM_ABOVE)
    }),
];

/// What one block adds; a block with lines of its own usually takes none from above.
#[derive(Default)]
struct Lines {
    headers: Option<Vec<Line>>,
    trailers: Option<Vec<Line>>,
    headers_from_above: Option<FromAbove>,
    trailers_from_above: Option<FromAbove>,
    expires: Option<Expires>,
}

#[derive(Clone)]
struct Line {
    name: Bytes,
    value: Template,
    /// On errors, too.
    always: bool,
}

#[derive(Clone)]
enum Expires {
    Fixed(When),
    /// Named by a variable.
    Computed {
        text: Template,
        modified: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Off,
    Epoch,
    Max,
    /// Seconds from now.
    Access(i64),
    /// Seconds from the last change.
    Modified(i64),
    /// Seconds after midnight.
    Daily(i64),
}

impl Part for Lines {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: expires, headers_from_above, trailers_from_above);
        inherit_lines(&mut self.headers, &parent.headers, self.headers_from_above);
        inherit_lines(&mut self.trailers, &parent.trailers, self.trailers_from_above);
    }
}

/// Which lines of the outer level a block takes (`add_header_inherit`, nginx 1.29.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FromAbove {
    /// Those above, unless it has lines of its own.
    On,
    Off,
    /// Its own, and behind them those above.
    Merge,
}

const FROM_ABOVE: &[(&str, FromAbove)] =
    &[("on", FromAbove::On), ("off", FromAbove::Off), ("merge", FromAbove::Merge)];

fn inherit_lines(own: &mut Option<Vec<Line>>, above: &Option<Vec<Line>>, how: Option<FromAbove>) {
    match how.unwrap_or(FromAbove::On) {
        FromAbove::On if own.is_none() => own.clone_from(above),
        FromAbove::Merge => {
            let lines: Vec<_> = own.iter().chain(above).flatten().cloned().collect();
            *own = Some(lines).filter(|lines| !lines.is_empty());
        }
        _ => {}
    }
}

/// The header filter of nginx's headers module.
pub struct AddHeaders;

impl Filter for AddHeaders {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<Lines>().is_some_and(|lines| {
            lines.headers.is_some() || lines.trailers.is_some() || lines.expires.is_some()
        })
    }

    fn header(&self, r: &Rc<Request>) -> Result<(), OutputError> {
        if r.is_subrequest() {
            return Ok(());
        }
        let location = r.location();
        let lines = location.scope.part::<Lines>();
        let usual = is_usual(r);
        if let Some(expires) = lines.expires.as_ref().filter(|_| usual) {
            expires.apply(r);
        }
        for line in lines.headers.iter().flatten().filter(|line| usual || line.always) {
            let value = line.value.eval(r);
            add(r, line.name.clone(), value);
        }
        let mut trailers = lines.trailers.iter().flatten();
        if trailers.any(|line| usual || line.always) {
            r.headers_out.borrow_mut().expects_trailers = true;
        }
        Ok(())
    }

    fn body(&self, r: &Rc<Request>, chunks: &mut Chunks) -> Result<(), OutputError> {
        if r.is_subrequest() || !chunks.iter().any(|chunk| chunk.last) {
            return Ok(());
        }
        let location = r.location();
        let usual = is_usual(r);
        let trailers = location.scope.part::<Lines>().trailers.iter().flatten();
        for line in trailers.filter(|line| usual || line.always) {
            let value = line.value.eval(r);
            if !value.is_empty() {
                r.headers_out.borrow_mut().trailers.add(line.name.clone(), value);
            }
        }
        Ok(())
    }
}

/// Statuses that get lines without `always`.
fn is_usual(r: &Rc<Request>) -> bool {
    let status = r.headers_out.borrow().status;
    matches!(status, 200 | 201 | 204 | 206 | 301 | 302 | 303 | 304 | 307 | 308)
}

fn add(r: &Rc<Request>, name: Bytes, value: Bytes) {
    let mut out = r.headers_out.borrow_mut();
    match &name.to_ascii_lowercase()[..] {
        b"last-modified" | b"etag" if value.is_empty() => out.drop_line(&name),
        b"last-modified" => {
            out.last_modified = date::parse_http_time(&value);
            out.list.set(name, value);
        }
        b"etag" => out.list.set(name, value),
        _ if value.is_empty() => {}
        _ => out.list.add(name, value),
    }
}

fn line(b: &mut Builder<'_>, d: &Directive) -> Result<Line, Diag> {
    let always = d.arg_count() == 3;
    if always && d.arg(3) != "always" {
        return Err(d.bad_param(3));
    }
    let value = Template::compile(b, d.arg(2))?;
    Ok(Line { name: Bytes::copy_from_slice(d.arg(1)), value, always })
}

fn set_expires(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if b.part::<Lines>().expires.is_some() {
        return Err(d.wrong("is duplicate"));
    }
    let modified = d.arg_count() == 2;
    if modified && d.arg(1) != "modified" {
        return Err(Diag::emerg(format!("invalid value \"{}\"", d.arg(1))));
    }
    let text = d.arg(d.arg_count());
    let expires = if text.contains(&b'$') {
        Expires::Computed { text: Template::compile(b, text)?, modified }
    } else {
        let invalid = |what: &str| d.wrong(what);
        Expires::Fixed(when(text, modified).map_err(invalid)?)
    };
    b.part::<Lines>().expires = Some(expires);
    Ok(())
}

fn when(text: &BStr, modified: bool) -> Result<When, &'static str> {
    if !modified {
        match text.as_bytes() {
            b"off" => return Ok(When::Off),
            b"epoch" => return Ok(When::Epoch),
            b"max" => return Ok(When::Max),
            _ => {}
        }
    }
    if let Some(daily) = text.strip_prefix(b"@") {
        if modified {
            return Err("daily time cannot be used with \"modified\" parameter");
        }
        let seconds = units::parse_sec(daily).ok_or("invalid value")?;
        if seconds > 86_400 {
            return Err("daily time value must be less than 24 hours");
        }
        return Ok(When::Daily(seconds as i64));
    }
    let (sign, text) = match text.as_bytes() {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        rest => (1, rest),
    };
    let seconds = sign * units::parse_sec(text).ok_or("invalid value")? as i64;
    Ok(if modified { When::Modified(seconds) } else { When::Access(seconds) })
}

impl Expires {
    fn apply(&self, r: &Rc<Request>) {
        let when = match self {
            Self::Fixed(when) => *when,
            Self::Computed { text, modified } => {
                let text = text.eval(r);
                when(text.as_bstr(), *modified).unwrap_or(When::Off)
            }
        };
        let now = clock::wall().secs;
        let changed = r.headers_out.borrow().last_modified;
        let (at, max_age) = match when {
            When::Off => return,
            When::Epoch => return lines(r, "Thu, 01 Jan 1970 00:00:01 GMT".into(), None),
            When::Max => {
                return lines(r, "Thu, 31 Dec 2037 23:55:55 GMT".into(), Some(315_360_000));
            }
            When::Access(seconds) => (now + seconds, seconds),
            When::Modified(seconds) => match changed {
                Some(changed) => (changed + seconds, changed + seconds - now),
                None => (now + seconds, seconds),
            },
            When::Daily(of_day) => {
                let offset = i64::from(date::Date::local(now).offset_min) * 60;
                let midnight = (now + offset).div_euclid(86_400) * 86_400 - offset;
                let at = midnight + of_day;
                let at = if at < now { at + 86_400 } else { at };
                (at, at - now)
            }
        };
        lines(r, date::http_time(at), Some(max_age).filter(|age| *age >= 0));
    }
}

fn lines(r: &Rc<Request>, expires: String, max_age: Option<i64>) {
    let mut out = r.headers_out.borrow_mut();
    out.list.set("Expires", expires);
    match max_age {
        Some(seconds) => out.list.set("Cache-Control", format!("max-age={seconds}")),
        None => out.list.set("Cache-Control", "no-cache"),
    }
}

//! `autoindex`: a page that lists a folder.

use std::{fs::Metadata, os::unix::fs::MetadataExt, rc::Rc};

use bstr::{BStr, ByteSlice};
use bytes::Bytes;

use crate::{
    base::{date::Date, errno::Errno, escape, log::Level},
    conf::{
        Part, Scope, inherit,
        row::{HTTP_LEVELS, Row, flag, row, take},
    },
};

use crate::http::{
    files,
    method::Method,
    phase::{Flow, Handler, Phase, Registered, Step},
    request::Request,
};

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::Content, handler: &AutoIndex }];

pub const ROWS: &[Row] = &[
    flag("autoindex", HTTP_LEVELS, |b, d| d.flag_slot(&mut b.part::<Listing>().on)),
    flag("autoindex_localtime", HTTP_LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<Listing>().localtime)
    }),
    flag("autoindex_exact_size", HTTP_LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<Listing>().exact_size)
    }),
    row("autoindex_format", HTTP_LEVELS, take(1), |b, d| {
        let formats = [
            ("html", Format::Html),
            ("json", Format::Json),
            ("jsonp", Format::Jsonp),
            ("xml", Format::Xml),
        ];
        d.choice_slot(&mut b.part::<Listing>().format, &formats)
    }),
];

/// Settings of one block.
#[derive(Default)]
struct Listing {
    on: Option<bool>,
    localtime: Option<bool>,
    exact_size: Option<bool>,
    format: Option<Format>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Html,
    Json,
    Jsonp,
    Xml,
}

impl Part for Listing {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: on, localtime, exact_size, format);
    }
}

struct AutoIndex;

struct Entry {
    name: Vec<u8>,
    facts: Metadata,
}

impl Handler for AutoIndex {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<Listing>().is_some_and(|listing| listing.on == Some(true))
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        if !r.uri.borrow().ends_with(b"/") || !r.method.borrow().is(Method::GET | Method::HEAD) {
            return Step::Ready(Flow::Decline);
        }
        Step::Ready(list(r))
    }
}

fn list(r: &Rc<Request>) -> Flow {
    let Some(path) = files::map_path(r) else { return Flow::Status(500) };
    let read = path.to_path().map(std::fs::read_dir);
    let folder = match read {
        Ok(Ok(folder)) => folder,
        Ok(Err(error)) => {
            let (status, level) = match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG) => (404, Level::Error),
                Some(libc::EACCES) => (403, Level::Error),
                _ => (500, Level::Crit),
            };
            let path = BStr::new(&path);
            r.log(level, format_args!("opendir() \"{path}\" failed {}", Errno(&error)));
            return Flow::Status(status);
        }
        Err(_) => return Flow::Status(404),
    };
    let mut entries: Vec<Entry> = folder.flatten().filter_map(entry).collect();
    entries
        .sort_by(|a, b| b.facts.is_dir().cmp(&a.facts.is_dir()).then_with(|| a.name.cmp(&b.name)));
    let location = r.location();
    let listing = location.scope.part::<Listing>();
    let (kind, text) = match listing.format.unwrap_or(Format::Html) {
        Format::Html => ("text/html", html(&r.uri.borrow(), &entries, listing)),
        Format::Json => ("application/json", json(&entries)),
        Format::Xml => {
            r.headers_out.borrow_mut().charset = Some(Bytes::from_static(b"utf-8"));
            ("text/xml", xml(&entries))
        }
        Format::Jsonp => match callback(r) {
            None => ("application/json", json(&entries)),
            Some(Err(wrong)) => return wrong,
            Some(Ok(name)) => ("application/javascript", jsonp(&name, &entries)),
        },
    };
    r.answer(200, Some(Bytes::from_static(kind.as_bytes())), text.into())
}

/// Hidden files are not listed; a link that leads nowhere is listed as itself.
fn entry(entry: std::fs::DirEntry) -> Option<Entry> {
    let name = std::os::unix::ffi::OsStrExt::as_bytes(entry.file_name().as_os_str()).to_vec();
    if name.starts_with(b".") {
        return None;
    }
    let facts = std::fs::metadata(entry.path()).or_else(|_| entry.metadata()).ok()?;
    Some(Entry { name, facts })
}

fn html(uri: &[u8], entries: &[Entry], listing: &Listing) -> Vec<u8> {
    let title = escape::html(uri);
    let mut text = Vec::new();
    text.extend_from_slice(b"<html>\r\n<head><title>Index of ");
    text.extend_from_slice(&title);
    text.extend_from_slice(b"</title></head>\r\n<body>\r\n<h1>Index of ");
    text.extend_from_slice(&title);
    text.extend_from_slice(b"</h1><hr><pre><a href=\"../\">../</a>\r\n");
    for entry in entries {
        let slash: &[u8] = if entry.facts.is_dir() { b"/" } else { b"" };
        text.extend_from_slice(b"<a href=\"");
        escape::append_uri(&mut text, &entry.name, &escape::URI_COMPONENT);
        text.extend_from_slice(slash);
        text.extend_from_slice(b"\">");
        text.extend_from_slice(&shown(&entry.name, slash));
        let changed = entry.facts.mtime();
        let local = listing.localtime == Some(true);
        let date = if local { Date::local(changed) } else { Date::utc(changed) };
        let month = MONTHS[(date.month as usize).clamp(1, 12) - 1];
        let Date { day, year, hour, min, .. } = date;
        let stamp = format!(" {day:02}-{month}-{year} {hour:02}:{min:02} ");
        text.extend_from_slice(stamp.as_bytes());
        text.extend_from_slice(size(entry, listing).as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"</pre><hr></body>\r\n</html>\r\n");
    text
}

/// The name in a column of fifty characters, the end of its link included.
fn shown(name: &[u8], slash: &[u8]) -> Vec<u8> {
    let full = [name, slash].concat();
    let characters = full.chars().count();
    let mut text;
    if characters > NAME_CHARS {
        let short: String = full.chars().take(NAME_CHARS - 3).collect();
        text = escape::html(short.as_bytes()).into_owned();
        text.extend_from_slice(b"..&gt;</a>");
    } else {
        text = escape::html(&full).into_owned();
        text.extend_from_slice(b"</a>");
        text.resize(text.len() + NAME_CHARS - characters, b' ');
    }
    text
}

fn size(entry: &Entry, listing: &Listing) -> String {
    if entry.facts.is_dir() {
        let width = if listing.exact_size == Some(false) { 7 } else { 19 };
        return format!("{:>width$}", "-");
    }
    let bytes = entry.facts.len();
    if listing.exact_size != Some(false) {
        return format!("{bytes:>19}");
    }
    let (one, unit) = match bytes {
        0..=9_999 => return format!("{bytes:>7}"),
        10_000..=0xf_ffff => (1 << 10, 'K'),
        0x10_0000..=0x3fff_ffff => (1 << 20, 'M'),
        _ => (1 << 30, 'G'),
    };
    let number = bytes / one + u64::from(bytes % one >= one / 2);
    format!("{number:>6}{unit}")
}

fn json(entries: &[Entry]) -> Vec<u8> {
    let mut lines = Vec::new();
    for entry in entries {
        let kind = if entry.facts.is_dir() { "directory" } else { "file" };
        let size = match entry.facts.is_file() {
            true => format!(", \"size\":{}", entry.facts.len()),
            false => String::new(),
        };
        let name = escape::json(&entry.name);
        let name = BStr::new(&name);
        let changed = crate::base::date::http_time(entry.facts.mtime());
        lines.push(format!(
            "{{ \"name\":\"{name}\", \"type\":\"{kind}\", \"mtime\":\"{changed}\"{size} }}"
        ));
    }
    format!("[\r\n{}\r\n]", lines.join(",\r\n")).into()
}

fn xml(entries: &[Entry]) -> Vec<u8> {
    let mut text = b"<?xml version=\"1.0\"?>\r\n<list>\r\n".to_vec();
    for entry in entries {
        let kind = if entry.facts.is_dir() { "directory" } else { "file" };
        let Date { year, month, day, hour, min, sec, .. } = Date::utc(entry.facts.mtime());
        let date = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{min:02}:{sec:02}Z");
        text.extend_from_slice(format!("<{kind} mtime=\"{date}\"").as_bytes());
        if entry.facts.is_file() {
            text.extend_from_slice(format!(" size=\"{}\"", entry.facts.len()).as_bytes());
        }
        text.push(b'>');
        text.extend_from_slice(&escape::html(&entry.name));
        text.extend_from_slice(format!("</{kind}>\r\n").as_bytes());
    }
    text.extend_from_slice(b"</list>\r\n");
    text
}

/// The function of `?callback=`; an error for a name that no function has.
fn callback(r: &Rc<Request>) -> Option<Result<Vec<u8>, Flow>> {
    let name = r.var_by_name(b"arg_callback").filter(|name| !name.is_empty())?;
    let name = escape::unescape_uri(&name, escape::Unescape::All);
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    if name.iter().all(fits) {
        return Some(Ok(name));
    }
    let shown = BStr::new(&name);
    r.log(Level::Error, format_args!("client sent invalid callback name: \"{shown}\""));
    Some(Err(Flow::Status(400)))
}

fn jsonp(name: &[u8], entries: &[Entry]) -> Vec<u8> {
    [b"/* callback */\r\n", name, b"(", &json(entries)[..], b");"].concat()
}

const NAME_CHARS: usize = 50;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

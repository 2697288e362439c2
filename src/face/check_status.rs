//! `check_status`: the page of nginx_upstream_check_module, for every check a directive asked for.
//!
//! ```text
//!  location /status { check_status; }
//!      GET /status?format=html|csv|json|prometheus&status=up|down
//!  rows of upstream foo: index, upstream, name, status, rise, fall, type, port
//! ```

use std::fmt::Write;
use std::rc::Rc;

use bstr::ByteSlice;
use bytes::Bytes;

use crate::base::escape;
use crate::conf::row::{LOCATION, Row, args, row};
use crate::conf::{Builder, Diag, Directive, Part, Scope};
use crate::health::dialect::Dialect;
use crate::health::{Engine, report};
use crate::http::build::Content;
use crate::http::method::Method;
use crate::http::{Flow, Handler, Request, Step};
use crate::upstream;

pub const ROWS: &[Row] = &[row("check_status", LOCATION, args(0, 1), set)];

fn set(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let format = match d.arg_count() {
        0 => Format::Html,
        _ => {
            let wrong = || d.wrong_arg(1, format!("invalid check format \"{}\" ", d.arg(1)));
            Format::named(d.arg(1)).ok_or_else(wrong)?
        }
    };
    d.once(&mut b.part::<CheckStatus>().0, |_| Ok(format))?;
    b.part::<Content>().0 = Some(&Page);
    Ok(())
}

/// The directive of one location.
#[derive(Default)]
struct CheckStatus(Option<Format>);

impl Part for CheckStatus {
    fn inherit(&mut self, _: &Self) {}
}

struct Page;

impl Handler for Page {
    fn applies(&self, _: &Scope) -> bool {
        false
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        if !r.method.borrow().is(Method::GET | Method::HEAD) {
            return Step::Ready(Flow::Status(405));
        }
        let configured = r.with_location(|location| location.scope.part::<CheckStatus>().0);
        let (mut format, mut wanted) = (configured.unwrap_or_default(), None);
        let (args, _) = escape::decode_args(&r.args.borrow(), ARGS_MAX);
        // As with `$arg_format`, the first one counts; what is not known is not heard.
        for (name, value) in args.iter().rev() {
            let value = value.as_deref().unwrap_or_default();
            match name.as_bytes() {
                b"format" => format = Format::named(value).unwrap_or(format),
                b"status" => wanted = State::named(value),
                _ => {}
            }
        }
        let mut rows = rows();
        rows.retain(|row| wanted.is_none_or(|state| row.up == (state == State::Up)));
        let page = format.page(&rows, upstream::live_generation());
        Step::Ready(r.answer(200, Some(Bytes::from_static(format.content_type())), page.into()))
    }
}

/// One peer under one check.
struct Line {
    index: usize,
    upstream: String,
    name: String,
    up: bool,
    rise: u64,
    fall: u64,
    kind: &'static str,
    port: u16,
}

impl Line {
    fn status(&self) -> &'static str {
        if self.up { "up" } else { "down" }
    }
}

/// All peers of the checks that directives asked for, in the order of the configuration.
fn rows() -> Vec<Line> {
    let Some(engine) = Engine::running() else { return Vec::new() };
    let mut reports = report::model(&engine);
    let known = [Dialect::UpstreamCheck, Dialect::Native].map(Dialect::name);
    reports.retain(|report| known.contains(&report.dialect));
    let mut lines = Vec::new();
    for group in upstream::live().all() {
        let name = group.name();
        for report in reports.iter().filter(|report| name == report.upstream) {
            for peer in &report.peers {
                lines.push(Line {
                    index: lines.len(),
                    upstream: report.upstream.clone(),
                    name: peer.name.clone(),
                    up: peer.up,
                    rise: peer.ok,
                    fall: peer.nok,
                    kind: report.probe,
                    port: report.port,
                });
            }
        }
    }
    lines
}

/// `?status=`
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    Down,
}

impl State {
    fn named(word: &[u8]) -> Option<Self> {
        match word {
            b"up" => Some(Self::Up),
            b"down" => Some(Self::Down),
            _ => None,
        }
    }
}

/// `?format=`
#[derive(Clone, Copy, Debug, Default)]
enum Format {
    #[default]
    Html,
    Csv,
    Json,
    Prometheus,
}

impl Format {
    fn named(word: &[u8]) -> Option<Self> {
        match word {
            b"html" => Some(Self::Html),
            b"csv" => Some(Self::Csv),
            b"json" => Some(Self::Json),
            b"prometheus" => Some(Self::Prometheus),
            _ => None,
        }
    }

    fn content_type(self) -> &'static [u8] {
        match self {
            Self::Html => b"text/html",
            Self::Csv | Self::Prometheus => b"text/plain",
            Self::Json => b"application/json",
        }
    }

    fn page(self, lines: &[Line], generation: u64) -> String {
        let mut out = String::new();
        // Writing into a string does not fail.
        let _ = match self {
            Self::Html => html(&mut out, lines, generation),
            Self::Csv => lines.iter().try_for_each(|line| csv(&mut out, line)),
            Self::Json => json(&mut out, lines, generation),
            Self::Prometheus => prometheus(&mut out, lines, generation),
        };
        out
    }
}

fn csv(out: &mut String, line: &Line) -> std::fmt::Result {
    let Line { index, upstream, name, rise, fall, kind, port, .. } = line;
    writeln!(out, "{index},{upstream},{name},{},{rise},{fall},{kind},{port}", line.status())
}

fn json(out: &mut String, lines: &[Line], generation: u64) -> std::fmt::Result {
    let total = lines.len();
    write!(out, "{{\"servers\": {{\n  \"total\": {total},\n  \"generation\": {generation},\n")?;
    out.push_str("  \"server\": [\n");
    for (place, line) in lines.iter().enumerate() {
        let Line { index, rise, fall, kind, port, .. } = line;
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let (upstream, name, status) = (text(&line.upstream), text(&line.name), line.status());
        let comma = if place + 1 == total { "" } else { "," };
        writeln!(
            out,
            "    {{\"index\": {index}, \"upstream\": {upstream}, \"name\": {name}, \
             \"status\": \"{status}\", \"rise\": {rise}, \"fall\": {fall}, \
             \"type\": \"{kind}\", \"port\": {port}}}{comma}"
        )?;
    }
    out.push_str("  ]\n}}\n");
    Ok(())
}

fn prometheus(out: &mut String, lines: &[Line], generation: u64) -> std::fmt::Result {
    let up = lines.iter().filter(|line| line.up).count();
    for (name, help, value) in [
        ("total", "total number of servers", lines.len() as u64),
        ("up", "total number of servers that are UP", up as u64),
        ("down", "total number of servers that are DOWN", (lines.len() - up) as u64),
        ("generation", "generation", generation),
    ] {
        let name = format!("nginx_upstream_count_{name}");
        writeln!(out, "# HELP {name} Nginx {help}\n# TYPE {name} gauge\n{name} {value}")?;
    }
    type Value = fn(&Line) -> u64;
    let families: [(&str, &str, &str, Value); 3] = [
        ("rise", "rise counter", "counter", |line| line.rise),
        ("fall", "fall counter", "counter", |line| line.fall),
        ("active", "active 1 for UP / 0 for DOWN", "gauge", |line| line.up.into()),
    ];
    for (name, help, kind, value) in families {
        let name = format!("nginx_upstream_server_{name}");
        writeln!(out, "# HELP {name} Nginx {help}\n# TYPE {name} {kind}")?;
        for line in lines {
            let text = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
            let (upstream, peer, status) = (text(&line.upstream), text(&line.name), line.status());
            let Line { index, kind, port, .. } = line;
            writeln!(
                out,
                "{name}{{index=\"{index}\",upstream=\"{upstream}\",name=\"{peer}\",\
                 status=\"{status}\",type=\"{kind}\",port=\"{port}\"}} {}",
                value(line)
            )?;
        }
    }
    Ok(())
}

fn html(out: &mut String, lines: &[Line], generation: u64) -> std::fmt::Result {
    let total = lines.len();
    out.push_str(HTML_HEAD);
    writeln!(out, "<h2>Check upstream server number: {total}, generation: {generation}</h2>")?;
    out.push_str(HTML_COLUMNS);
    for line in lines {
        let color = if line.up { "" } else { " bgcolor=\"#FF0000\"" };
        writeln!(out, "  <tr{color}>")?;
        let Line { index, rise, fall, kind, port, .. } = line;
        let text = |text: &str| escape::html(text.as_bytes()).to_str_lossy().into_owned();
        let (upstream, name) = (text(&line.upstream), text(&line.name));
        for cell in [
            &index.to_string(),
            &upstream,
            &name,
            line.status(),
            &rise.to_string(),
            &fall.to_string(),
            kind,
            &port.to_string(),
        ] {
            writeln!(out, "    <td>{cell}</td>")?;
        }
        out.push_str("  </tr>\n");
    }
    out.push_str("</table>\n</body>\n</html>\n");
    Ok(())
}

const HTML_HEAD: &str = "<!DOCTYPE html>\n<html>\n<head>\n\
    <title>Nginx http upstream check status</title>\n</head>\n<body>\n\
    <h1>Nginx http upstream check status</h1>\n";
const HTML_COLUMNS: &str = "<table border=\"1\">\n  <tr bgcolor=\"#C0C0C0\">\n    \
    <th>Index</th>\n    <th>Upstream</th>\n    <th>Name</th>\n    <th>Status</th>\n    \
    <th>Rise counts</th>\n    <th>Fall counts</th>\n    <th>Check type</th>\n    \
    <th>Check port</th>\n  </tr>\n";
const ARGS_MAX: usize = 100;

//! `ssi`: commands in pages (nginx core: ngx_http_ssi_module).
//!
//! ```text
//!  chunk ─▶ Scanner ─▶ text ──────────────────────▶ chunk
//!                  └─▶ command ─▶ its text, or a subrequest in its place
//! ```

mod command;
mod resume;
mod scan;
mod state;
mod time;
mod value;

use std::rc::Rc;

use bytes::Bytes;

use crate::{
    base::log::Level,
    conf::{
        Part, Scope, inherit,
        row::{HTTP_LEVELS, IF_LOCATION, Row, at_least, flag, row, take},
    },
};

use self::{
    scan::{Scanner, Token},
    state::{Condition, ERROR, Text, Work},
};
use crate::http::{
    mime::TypeSet,
    output::{Chunk, Chunks, Filter, OutputError},
    request::Request,
    vars::VarRow,
};

/// Its address tells it from other filters.
pub static FILTER: Ssi = Ssi { _place: 0 };

pub const ROWS: &[Row] = &[
    flag("ssi", HTTP_LEVELS | IF_LOCATION, |b, d| d.flag_slot(&mut b.part::<SsiConf>().on)),
    flag("ssi_silent_errors", HTTP_LEVELS, |b, d| d.flag_slot(&mut b.part::<SsiConf>().silent)),
    flag("ssi_last_modified", HTTP_LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<SsiConf>().last_modified)
    }),
    row("ssi_types", HTTP_LEVELS, at_least(1), |b, d| {
        let set = TypeSet::read(b, d, &["text/html"]);
        d.once(&mut b.part::<SsiConf>().types, |_| Ok(set))
    }),
    row("ssi_value_length", HTTP_LEVELS, take(1), |b, d| {
        d.number_slot(&mut b.part::<SsiConf>().value_length)
    }),
    // Checked and without effect: texts are not kept in files.
    row("ssi_min_file_chunk", HTTP_LEVELS, take(1), |_, d| d.size(1).map(drop)),
    flag("ssi_ignore_recycled_buffers", HTTP_LEVELS, |_, d| d.flag(1).map(drop)),
];

pub const VARS: &[VarRow] = time::VARS;

/// Settings of one block.
#[derive(Default)]
struct SsiConf {
    on: Option<bool>,
    silent: Option<bool>,
    last_modified: Option<bool>,
    types: Option<TypeSet>,
    value_length: Option<u64>,
}

impl Part for SsiConf {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: on, silent, last_modified, types, value_length);
    }
}

/// Works pages through.
pub struct Ssi {
    _place: u8,
}

impl Filter for Ssi {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<SsiConf>().is_some_and(|conf| conf.on == Some(true))
    }

    fn header(&self, r: &Rc<Request>) -> Result<(), OutputError> {
        let location = r.location();
        let conf = location.scope.part::<SsiConf>();
        let mut out = r.headers_out.borrow_mut();
        let fits = match &conf.types {
            Some(types) => types.has(out.content_type.as_ref()),
            None => TypeSet::of(&["text/html"]).has(out.content_type.as_ref()),
        };
        if !fits || out.content_length == Some(0) {
            return Ok(());
        }
        *r.ext::<Work>().0.borrow_mut() = Some(Text {
            scanner: Scanner::new(conf.value_length.unwrap_or(VALUE_BYTES_MAX) as usize),
            last: false,
            waits: false,
            condition: Condition::Outside,
            block: None,
            error_message: Bytes::from_static(ERROR),
            silent: conf.silent == Some(true),
        });
        r.filter_need_in_memory.set(true);
        if !r.is_subrequest() {
            super::gzip::body_is_rewritten(&mut out, conf.last_modified == Some(true));
        }
        Ok(())
    }

    fn body(&self, r: &Rc<Request>, chunks: &mut Chunks) -> Result<(), OutputError> {
        let Some(work) = r.ext_if_any::<Work>() else { return Ok(()) };
        if work.0.borrow().is_none() || r.header_only.get() {
            return Ok(());
        }
        let mut out = Chunks::new();
        for chunk in std::mem::take(chunks) {
            if let Some(text) = work.0.borrow_mut().as_mut() {
                text.scanner.push(&chunk.data);
                text.last |= chunk.last;
            }
            work_on(r, &work, &mut out);
            if chunk.flush || chunk.sub.is_some() {
                out.push(Chunk { data: Bytes::new(), last: false, ..chunk });
            }
        }
        *chunks = out;
        Ok(())
    }
}

fn is_on(r: &Rc<Request>) -> bool {
    r.with_location(|location| location.scope.part::<SsiConf>().on == Some(true))
}

/// Works through what there is of the text.
fn work_on(r: &Rc<Request>, work: &Work, out: &mut Chunks) {
    let mut guard = work.0.borrow_mut();
    let Some(text) = guard.as_mut() else { return };
    while !text.waits {
        let Some(token) = text.scanner.next(text.last) else { break };
        if let Some((name, block)) = &mut text.block {
            match token {
                Token::Text(data) => block.extend_from_slice(&data),
                Token::Command { command, .. } if command.name == b"endblock" => {
                    command::keep_block(r, name, std::mem::take(block));
                    text.block = None;
                }
                Token::Command { raw, .. } => block.extend_from_slice(&raw),
                Token::Wrong(_) => {}
            }
            continue;
        }
        let failed = match token {
            Token::Text(data) => {
                if text.condition.shows() {
                    out.push(Chunk::data(data));
                }
                false
            }
            Token::Command { command, .. } => command::run(r, text, &command, out).is_err(),
            Token::Wrong(why) => {
                r.log(Level::Error, format_args!("{why}"));
                true
            }
        };
        if failed && !text.silent && text.condition.shows() {
            out.push(Chunk::data(text.error_message.clone()));
        }
    }
    if text.last && !text.waits {
        out.push(Chunk::last());
        // Nothing comes behind the end.
        *guard = None;
    }
}

const VALUE_BYTES_MAX: u64 = 256;

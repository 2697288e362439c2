//! `gunzip`: packed responses unpacked for clients that cannot do it themselves.

use std::{cell::RefCell, io::Write, rc::Rc};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;

use crate::{
    base::log::Level,
    conf::{
        Part, Scope,
        row::{HTTP_LEVELS, Row, flag, row, take},
    },
};

use crate::http::{
    modules::gzip,
    output::{Chunks, Filter, OutputError},
    request::Request,
};

pub static FILTER: Gunzip = Gunzip;

pub const ROWS: &[Row] = &[
    flag("gunzip", HTTP_LEVELS, |b, d| d.flag_slot(&mut b.part::<Settings>().on)),
    // Buffers here are memory of the size that is needed.
    row("gunzip_buffers", HTTP_LEVELS, take(2), |_, d| d.buffers_slot(&mut None)),
];

#[derive(Default)]
struct Settings {
    on: Option<bool>,
}

impl Part for Settings {
    fn inherit(&mut self, parent: &Self) {
        self.on = self.on.or(parent.on);
    }
}

/// The unpacker of one response.
#[derive(Default)]
struct Stream(RefCell<Option<MultiGzDecoder<Vec<u8>>>>);

/// Unpacks.
pub struct Gunzip;

impl Filter for Gunzip {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<Settings>().is_some_and(|settings| settings.on == Some(true))
    }

    fn header(&self, r: &Rc<Request>) -> Result<(), OutputError> {
        let packed = {
            let out = r.headers_out.borrow();
            let encoding = out.list.first("Content-Encoding");
            encoding.is_some_and(|encoding| encoding.eq_ignore_ascii_case(b"gzip"))
        };
        if !packed || r.header_only.get() {
            return Ok(());
        }
        // What the client gets depends on what it accepts.
        if gzip::varies(&r.location().scope) {
            r.headers_out.borrow_mut().list.set(&b"Vary"[..], &b"Accept-Encoding"[..]);
        }
        // Parts of a page are worked on: they never stay packed.
        if !r.is_subrequest() && gzip::client_accepts(r) {
            return Ok(());
        }
        let mut out = r.headers_out.borrow_mut();
        out.list.remove(b"Content-Encoding");
        out.list.remove(b"Accept-Ranges");
        (out.content_length, out.accept_ranges) = (None, false);
        gzip::weaken_tag(&mut out);
        *r.ext::<Stream>().0.borrow_mut() = Some(MultiGzDecoder::new(Vec::new()));
        Ok(())
    }

    fn body(&self, r: &Rc<Request>, chunks: &mut Chunks) -> Result<(), OutputError> {
        let Some(stream) = r.ext_if_any::<Stream>() else { return Ok(()) };
        let mut stream = stream.0.borrow_mut();
        let Some(decoder) = stream.as_mut() else { return Ok(()) };
        for chunk in chunks.iter_mut() {
            let mut done = decoder.write_all(&chunk.data);
            if chunk.last {
                done = done.and_then(|()| decoder.try_finish());
            }
            if let Err(error) = done {
                r.log(Level::Error, format_args!("inflate() failed: {error}"));
                return Err(OutputError::Broken);
            }
            chunk.data = Bytes::from(std::mem::take(decoder.get_mut()));
        }
        Ok(())
    }
}

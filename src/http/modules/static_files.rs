//! Static files: the last content handler, after `index`.
//!
//! ```text
//!  URI ─ root/alias ─▶ file ─▶ head (ETag, Last-Modified) ─▶ pieces, waiting for slow clients
//!                      directory ─▶ 301 with a slash
//! ```

use std::{
    fs::{File, Metadata},
    io::Read,
    os::unix::fs::MetadataExt,
    rc::Rc,
};

use bstr::BStr;
use bytes::{Bytes, BytesMut};

use crate::{
    base::{errno::Errno, escape, log::Level},
    conf::Scope,
};

use crate::http::{
    files,
    method::Method,
    output::Chunk,
    phase::{Flow, Handler, Phase, Registered, Step},
    request::Request,
};

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::Content, handler: &StaticFiles }];

struct StaticFiles;

impl Handler for StaticFiles {
    fn applies(&self, _scope: &Scope) -> bool {
        true
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        if !r.method.borrow().is(Method::GET | Method::HEAD | Method::POST) {
            return Step::Ready(Flow::Status(405));
        }
        if r.uri.borrow().ends_with(b"/") {
            return Step::Ready(Flow::Decline);
        }
        match find(r) {
            Ok((file, facts)) => send(r, file, &facts),
            Err(flow) => Step::Ready(flow),
        }
    }
}

/// Opens the file the URI names.
fn find(r: &Rc<Request>) -> Result<(File, Metadata), Flow> {
    let Some(path) = files::map_path(r) else { return Err(Flow::Status(500)) };
    let (file, facts) = files::open(&path).map_err(|refused| {
        refused.tell(r, &path);
        Flow::Status(refused.status)
    })?;
    if facts.is_dir() {
        let target = with_slash(r);
        r.headers_out.borrow_mut().list.set("Location", target);
        return Err(Flow::Status(301));
    }
    if !facts.is_file() {
        r.log(Level::Crit, format_args!("\"{}\" is not a regular file", BStr::new(&path)));
        return Err(Flow::Status(404));
    }
    if r.method.borrow().is(Method::POST) {
        return Err(Flow::Status(405));
    }
    Ok((file, facts))
}

fn with_slash(r: &Rc<Request>) -> Vec<u8> {
    let mut target = escape::uri(&r.uri.borrow(), &escape::URI).into_owned();
    target.push(b'/');
    let args = r.args.borrow();
    if !args.is_empty() {
        target.push(b'?');
        target.extend_from_slice(&args);
    }
    target
}

/// Answers with a file that has been opened.
pub fn send(r: &Rc<Request>, mut file: File, facts: &Metadata) -> Step<'static> {
    if let Err(error) = r.discard_body() {
        return Step::Ready(Flow::Status(error.0));
    }
    set_facts(r, facts.len(), facts.mtime());
    if let Err(error) = r.send_header() {
        return Step::Ready(error.flow());
    }
    if r.header_only.get() {
        return Step::Ready(Flow::Done);
    }
    if facts.len() > PIECE_BYTES as u64 {
        let (r, left) = (r.clone(), facts.len());
        return Step::wait(async move { send_pieces(&r, file, left).await });
    }
    Step::Ready(match read_piece(r, &mut file, facts.len()) {
        Ok(data) => match r.output(Chunk { data, last: true, ..Chunk::default() }) {
            Ok(()) => Flow::Done,
            Err(error) => error.flow(),
        },
        Err(flow) => flow,
    })
}

/// Length, validators and type of a file as the response head shows them.
pub fn set_facts(r: &Rc<Request>, length: u64, changed: i64) {
    r.set_status(200);
    {
        let mut out = r.headers_out.borrow_mut();
        out.content_length = Some(length);
        out.last_modified = Some(changed);
        out.accept_ranges = true;
        if r.with_location(|location| location.core().etag()) {
            out.list.set("ETag", format!("\"{changed:x}-{length:x}\""));
        }
    }
    r.choose_content_type();
}

/// A large file goes out no faster than the client takes it.
async fn send_pieces(r: &Rc<Request>, mut file: File, mut left: u64) -> Flow {
    while left > 0 {
        let data = match read_piece(r, &mut file, left.min(PIECE_BYTES as u64)) {
            Ok(data) => data,
            Err(flow) => return flow,
        };
        left -= data.len() as u64;
        if let Err(error) = r.output(Chunk { data, last: left == 0, ..Chunk::default() }) {
            return error.flow();
        }
        if r.conn.unsent() > PIECE_BYTES
            && let Err(error) = r.flushed().await
        {
            return error.flow();
        }
    }
    Flow::Done
}

fn read_piece(r: &Rc<Request>, file: &mut File, length: u64) -> Result<Bytes, Flow> {
    let mut data = BytesMut::zeroed(length as usize);
    match file.read_exact(&mut data) {
        Ok(()) => Ok(data.freeze()),
        Err(error) => {
            r.log(Level::Alert, format_args!("read() failed {}", Errno(&error)));
            Err(Flow::Close)
        }
    }
}

const PIECE_BYTES: usize = 128 * 1024;

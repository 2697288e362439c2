//! `dav_methods`: files put, removed, copied and moved (nginx core: ngx_http_dav_module).
//!
//! ```text
//!  PUT ─ body ─▶ PATH.N.tmp ─▶ rename        DELETE MKCOL ─▶ at once
//!  COPY, MOVE ─ Destination, Depth, Overwrite ─▶ file or tree
//! ```

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, Metadata, Permissions},
    io::{self, Write},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{DirBuilderExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use crate::{
    base::{date, errno::Errno, escape, log::Level, units},
    conf::{
        Part, Scope, inherit,
        row::{HTTP_LEVELS, Row, args, at_least, flag, row, take},
    },
};

use crate::http::{
    body::Expected,
    file_access, files,
    method::Method,
    output::Chunk,
    phase::{Flow, Handler, Phase, Registered, Step},
    redirect,
    request::Request,
};

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::Content, handler: &Dav }];

pub const ROWS: &[Row] = &[
    row("dav_methods", HTTP_LEVELS, at_least(1), |b, d| {
        let mask = b.mask(d, METHODS)?;
        *b.part::<DavConf>().methods.get_or_insert(0) |= mask;
        Ok(())
    }),
    flag("create_full_put_path", HTTP_LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<DavConf>().creates_path)
    }),
    row("min_delete_depth", HTTP_LEVELS, take(1), |b, d| {
        d.number_slot(&mut b.part::<DavConf>().min_delete_depth)
    }),
    row("dav_access", HTTP_LEVELS, args(1, 3), |b, d| {
        file_access::set(&mut b.part::<DavConf>().access, d)
    }),
];

const METHODS: &[(&str, u32)] = &[
    ("off", 0),
    ("put", Method::PUT),
    ("delete", Method::DELETE),
    ("mkcol", Method::MKCOL),
    ("copy", Method::COPY),
    ("move", Method::MOVE),
];

/// Settings of one block.
#[derive(Default)]
struct DavConf {
    methods: Option<u32>,
    creates_path: Option<bool>,
    min_delete_depth: Option<u64>,
    access: Option<u32>,
}

impl Part for DavConf {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: methods, creates_path, min_delete_depth, access);
    }
}

impl DavConf {
    fn access(&self) -> u32 {
        self.access.unwrap_or(file_access::USUAL)
    }
}

struct Dav;

impl Handler for Dav {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<DavConf>().is_some_and(|conf| conf.methods.unwrap_or(0) != 0)
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        let location = r.location();
        let conf = location.scope.part::<DavConf>();
        let method = r.method.borrow().clone();
        if !method.is(conf.methods.unwrap_or(0)) {
            return Step::Ready(Flow::Decline);
        }
        if method.is(Method::PUT) {
            return Step::wait(async move { done(r, put(r).await) });
        }
        Step::Ready(done(r, at_once(r, conf, &method)))
    }
}

/// The status to answer with; an error is a page of ours.
type Outcome = Result<u16, u16>;

fn done(r: &Rc<Request>, outcome: Outcome) -> Flow {
    let status = match outcome {
        Ok(status) => status,
        Err(status) => return Flow::Status(status),
    };
    if let Err(error) = r.discard_body() {
        return Flow::Status(error.0);
    }
    r.set_status(status);
    if status == 201 {
        r.headers_out.borrow_mut().content_length = Some(0);
    }
    r.header_only.set(true);
    match r.send_header().and_then(|()| r.output(Chunk::last())) {
        Ok(()) => Flow::Done,
        Err(error) => error.flow(),
    }
}

fn at_once(r: &Rc<Request>, conf: &DavConf, method: &Method) -> Outcome {
    if matches!(r.body.expected(), Expected::Chunked | Expected::Length(1..)) {
        let name = bstr::BStr::new(&method.name);
        r.log(Level::Error, format_args!("{name} with body is unsupported"));
        return Err(415);
    }
    if method.is(Method::DELETE) {
        delete(r, conf)
    } else if method.is(Method::MKCOL) {
        make_collection(r, conf)
    } else {
        copy_or_move(r, conf, method.is(Method::MOVE))
    }
}

async fn put(r: &Rc<Request>) -> Outcome {
    if r.uri.borrow().ends_with(b"/") {
        r.log(Level::Error, format_args!("cannot PUT to a collection"));
        return Err(409);
    }
    if r.headers_in.borrow().contains(b"Content-Range") {
        r.log(Level::Error, format_args!("PUT with range is unsupported"));
        return Err(501);
    }
    r.read_body().await.map_err(|error| error.0)?;
    let location = r.location();
    let conf = location.scope.part::<DavConf>();
    let path = path(r)?;
    let status = match fs::metadata(&path) {
        Err(_) => 201,
        Ok(facts) if facts.is_dir() => {
            let path = path.display();
            r.log(
                Level::Error,
                format_args!("\"{path}\" could not be created (21: Is a directory)"),
            );
            return Err(409);
        }
        Ok(_) => 204,
    };
    let changed = r.headers_in.borrow().first("Date").and_then(|text| date::parse_http_time(text));
    write(r, conf, &path, changed).map_err(|error| failed(r, "rename()", &path, &error, 500))?;
    if status == 201 {
        tell_location(r);
    }
    Ok(status)
}

/// Puts the body in place of what is there, as a whole.
fn write(r: &Rc<Request>, conf: &DavConf, path: &Path, changed: Option<i64>) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|_| conf.creates_path == Some(true)) {
        let mode = file_access::of_folder(conf.access());
        DirBuilder::new().recursive(true).mode(mode).create(folder)?;
    }
    let temporary = beside(path);
    let whole = || {
        let mut file = File::options().write(true).create_new(true).open(&temporary)?;
        match r.body.file() {
            Some(body) => io::copy(&mut File::open(body.path())?, &mut file).map(drop)?,
            None => file.write_all(&r.body.data())?,
        }
        file.set_permissions(Permissions::from_mode(conf.access()))?;
        if let Some(secs) = changed.and_then(|secs| u64::try_from(secs).ok()) {
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(secs))?;
        }
        fs::rename(&temporary, path)
    };
    whole().inspect_err(|_| {
        // It may not have come into being.
        let _ = fs::remove_file(&temporary);
    })
}

fn delete(r: &Rc<Request>, conf: &DavConf) -> Outcome {
    let uri = r.uri.borrow().clone();
    let least = conf.min_delete_depth.unwrap_or(0);
    if least > 0 {
        let slashes = uri.iter().filter(|byte| **byte == b'/').count() as u64;
        let depth = slashes - u64::from(uri.ends_with(b"/"));
        if depth < least {
            r.log(Level::Error, format_args!("insufficient URI depth:{depth} to DELETE"));
            return Err(409);
        }
    }
    let path = path(r)?;
    let facts = fs::symlink_metadata(trimmed(&path))
        .map_err(|error| failed(r, "lstat()", &path, &error, missing(&error)))?;
    let depth = depth(r)?;
    if facts.is_dir() {
        if !uri.ends_with(b"/") {
            let path = path.display();
            r.log(Level::Error, format_args!("DELETE \"{path}\" failed (21: Is a directory)"));
            return Err(409);
        }
        if depth != Depth::Infinity {
            r.log(Level::Error, format_args!("\"Depth\" header must be infinity"));
            return Err(400);
        }
    } else {
        if uri.ends_with(b"/") {
            return Err(404);
        }
        if depth == Depth::One {
            r.log(Level::Error, format_args!("\"Depth\" header must be 0 or infinity"));
            return Err(400);
        }
    }
    remove(trimmed(&path), &facts).map_err(|error| failed(r, "unlink()", &path, &error, 404))?;
    Ok(204)
}

fn remove(path: &Path, facts: &Metadata) -> io::Result<()> {
    if facts.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

fn make_collection(r: &Rc<Request>, conf: &DavConf) -> Outcome {
    if !r.uri.borrow().ends_with(b"/") {
        r.log(Level::Error, format_args!("MKCOL can create a collection only"));
        return Err(409);
    }
    let path = path(r)?;
    let mode = file_access::of_folder(conf.access());
    DirBuilder::new()
        .mode(mode)
        .create(&path)
        .map_err(|error| failed(r, "mkdir()", &path, &error, 409))?;
    tell_location(r);
    Ok(201)
}

fn copy_or_move(r: &Rc<Request>, conf: &DavConf, moves: bool) -> Outcome {
    let (uri, to) = (r.uri.borrow().clone(), destination(r)?);
    if uri.ends_with(b"/") != to.ends_with(b"/") {
        r.log(
            Level::Error,
            format_args!(
                "both URI \"{}\" and \"Destination\" URI \"{}\" should be either collections \
                 or non-collections",
                bstr::BStr::new(&uri),
                bstr::BStr::new(&to)
            ),
        );
        return Err(409);
    }
    match depth(r)? {
        Depth::Infinity => {}
        Depth::Zero if !moves => {}
        _ => {
            r.log(Level::Error, format_args!("\"Depth\" header must be infinity"));
            return Err(400);
        }
    }
    let overwrites = overwrites(r)?;
    let from = path(r)?;
    let target = r.uri.replace(to.clone());
    let to_path = path(r);
    *r.uri.borrow_mut() = target;
    let to_path = to_path?;
    let (from, to_path) = (trimmed(&from), trimmed(&to_path));
    let there = match fs::symlink_metadata(to_path) {
        Ok(facts) => Some(facts),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(r, "lstat()", to_path, &error, 404)),
    };
    if let Some(facts) = &there {
        if facts.is_dir() && !to.ends_with(b"/") {
            let to = bstr::BStr::new(&to);
            r.log(Level::Error, format_args!("\"{to}\" is a collection"));
            return Err(409);
        }
        if !overwrites {
            let path = to_path.display();
            r.log(Level::Error, format_args!("\"{path}\" could not be created (17: File exists)"));
            return Err(412);
        }
    }
    let facts = fs::symlink_metadata(from)
        .map_err(|error| failed(r, "lstat()", from, &error, missing(&error)))?;
    if facts.is_dir() {
        if !uri.ends_with(b"/") {
            r.log(Level::Error, format_args!("\"{}\" is collection", bstr::BStr::new(&uri)));
            return Err(409);
        }
        if let Some(there) = &there {
            remove(to_path, there).map_err(|e| failed(r, "unlink()", to_path, &e, 404))?;
        }
        let copied = if moves { fs::rename(from, to_path) } else { copy_tree(from, to_path) };
        copied.map_err(|error| failed(r, "mkdir()", to_path, &error, 404))?;
        return Ok(201);
    }
    let copied = make_path(conf, to_path).and_then(|()| match moves {
        true => fs::rename(from, to_path),
        false => copy_file(from, to_path),
    });
    copied.map_err(|error| failed(r, "rename()", to_path, &error, 500))?;
    Ok(204)
}

fn make_path(conf: &DavConf, path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent().filter(|_| conf.creates_path == Some(true)) else {
        return Ok(());
    };
    let mode = file_access::of_folder(conf.access());
    DirBuilder::new().recursive(true).mode(mode).create(folder)
}

/// Whoever reads the old file meanwhile has all of it.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let temporary = beside(to);
    let changed = fs::metadata(from)?.modified()?;
    let whole = fs::copy(from, &temporary)
        .and_then(|_| File::options().write(true).open(&temporary)?.set_modified(changed))
        .and_then(|()| fs::rename(&temporary, to));
    whole.inspect_err(|_| {
        // It may not have come into being.
        let _ = fs::remove_file(&temporary);
    })
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    let mode = fs::metadata(from)?.permissions().mode() & 0o777;
    DirBuilder::new().mode(mode).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_tree(&entry.path(), &target)?,
            false => copy_file(&entry.path(), &target)?,
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Zero,
    One,
    Infinity,
}

fn depth(r: &Rc<Request>) -> Result<Depth, u16> {
    let headers = r.headers_in.borrow();
    match headers.first("Depth").map(|text| &text[..]) {
        None | Some(b"infinity") => Ok(Depth::Infinity),
        Some(b"0") => Ok(Depth::Zero),
        Some(b"1") => Ok(Depth::One),
        Some(text) => {
            let text = bstr::BStr::new(text);
            r.log(Level::Error, format_args!("client sent invalid \"Depth\" header: \"{text}\""));
            Err(400)
        }
    }
}

fn overwrites(r: &Rc<Request>) -> Result<bool, u16> {
    let headers = r.headers_in.borrow();
    match headers.first("Overwrite").map(|text| text.to_ascii_lowercase()) {
        None => Ok(true),
        Some(text) if text == b"t" => Ok(true),
        Some(text) if text == b"f" => Ok(false),
        Some(text) => {
            let text = bstr::BStr::new(&text);
            let why = format_args!("client sent invalid \"Overwrite\" header: \"{text}\"");
            r.log(Level::Error, why);
            Err(400)
        }
    }
}

/// The path that `Destination` names on this server.
fn destination(r: &Rc<Request>) -> Result<Bytes, u16> {
    let text = r.headers_in.borrow().first("Destination").cloned();
    let Some(text) = text else {
        r.log(Level::Error, format_args!("client sent no \"Destination\" header"));
        return Err(400);
    };
    let found = own_path(r, &text).filter(|path| {
        let climbs = path.windows(4).any(|w| w == b"/../") || path.ends_with(b"/..");
        !path.is_empty() && !climbs && !path.contains(&0)
    });
    found.ok_or_else(|| {
        let text = bstr::BStr::new(&text);
        r.log(Level::Error, format_args!("client sent invalid \"Destination\" header: \"{text}\""));
        400
    })
}

fn own_path(r: &Rc<Request>, text: &Bytes) -> Option<Bytes> {
    let path = if text.starts_with(b"/") {
        text.clone()
    } else {
        let scheme: &[u8] = if r.conn.tls { b"https://" } else { b"http://" };
        let rest = text.strip_prefix(scheme)?;
        let host = r.host.borrow().clone()?;
        let rest = rest.strip_prefix(&host[..])?;
        let slash = memchr::memchr(b'/', rest)?;
        let port = rest[..slash].strip_prefix(b":").map(units::parse_number);
        if !(rest[..slash].is_empty() || matches!(port, Some(Some(_)))) {
            return None;
        }
        text.slice_ref(&rest[slash..])
    };
    let (path, _) = redirect::split_args(&path);
    Some(escape::unescape_uri(&path, escape::Unescape::All).into())
}

fn path(r: &Rc<Request>) -> Result<PathBuf, u16> {
    let path = files::map_path(r).ok_or(500u16)?;
    Ok(PathBuf::from(OsStr::from_bytes(&path)))
}

/// Without slashes at its end: a link to a folder is a link.
fn trimmed(path: &Path) -> &Path {
    let bytes = path.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|byte| *byte != b'/').map_or(1, |at| at + 1);
    Path::new(OsStr::from_bytes(&bytes[..end.min(bytes.len())]))
}

/// A name next to a path that nobody has.
fn beside(path: &Path) -> PathBuf {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.{number}.tmp", std::process::id()));
    PathBuf::from(name)
}

fn tell_location(r: &Rc<Request>) {
    let target = escape::uri(&r.uri.borrow(), &escape::URI).into_owned();
    let mut out = r.headers_out.borrow_mut();
    out.location_as_is = true;
    out.list.set("Location", target);
}

fn missing(error: &io::Error) -> u16 {
    if error.kind() == io::ErrorKind::NotADirectory { 409 } else { 404 }
}

/// Logs a failed call; the status it makes.
fn failed(r: &Rc<Request>, call: &str, path: &Path, error: &io::Error, missing: u16) -> u16 {
    use io::ErrorKind::{
        AlreadyExists, InvalidFilename, NotADirectory, NotFound, PermissionDenied, StorageFull,
    };
    let (level, status) = match error.kind() {
        NotFound | NotADirectory | InvalidFilename => (Level::Error, missing),
        PermissionDenied => (Level::Error, 403),
        AlreadyExists => (Level::Error, 405),
        StorageFull => (Level::Crit, 507),
        _ => (Level::Crit, 500),
    };
    let (path, errno) = (path.display(), Errno(error));
    r.log(level, format_args!("{call} \"{path}\" failed {errno}"));
    status
}

static NEXT: AtomicU64 = AtomicU64::new(0);

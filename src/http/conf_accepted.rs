//! Rows of http that tune what is done differently here: read, checked, without effect.
//!
//! ```text
//!  sendfile on;                      value checked, once a block
//!  server_names_hash_bucket_size 64; the same
//! ```

use bstr::{BString, ByteSlice};

use crate::base::units;
use crate::conf::row::{HTTP, HTTP_LEVELS, IF_LOCATION, LOCATION, Row, SERVER, Set, args, row};
use crate::conf::{Builder, Diag, Directive, Part};

/// Directives without an effect.
pub const ROWS: &[Row] = &[
    // Sizes of hash tables: ours grow by themselves.
    one("variables_hash_max_size", HTTP, number),
    one("variables_hash_bucket_size", HTTP, number),
    one("server_names_hash_max_size", HTTP, number),
    one("server_names_hash_bucket_size", HTTP, number),
    one("map_hash_max_size", HTTP, number),
    one("map_hash_bucket_size", HTTP, number),
    one("types_hash_max_size", HTTP_LEVELS, number),
    one("types_hash_bucket_size", HTTP_LEVELS, number),
    one("proxy_headers_hash_max_size", HTTP_LEVELS, number),
    one("proxy_headers_hash_bucket_size", HTTP_LEVELS, number),
    one("referer_hash_max_size", SERVER | LOCATION, number),
    one("referer_hash_bucket_size", SERVER | LOCATION, number),
    // Memory pools: there are none.
    one("connection_pool_size", HTTP | SERVER, size),
    one("request_pool_size", HTTP | SERVER, size),
    one("subrequest_output_buffer_size", HTTP_LEVELS, size),
    row("output_buffers", HTTP_LEVELS, args(2, 2), buffers),
    // How files are read and sockets written.
    one("sendfile", HTTP_LEVELS | IF_LOCATION, flag),
    one("sendfile_max_chunk", HTTP_LEVELS, size),
    one("tcp_nopush", HTTP_LEVELS, flag),
    one("send_lowat", HTTP_LEVELS, size),
    one("proxy_send_lowat", HTTP_LEVELS, size),
    one("aio", HTTP_LEVELS, aio),
    one("aio_write", HTTP_LEVELS, flag),
    one("read_ahead", HTTP_LEVELS, size),
    one("directio", HTTP_LEVELS, directio),
    one("directio_alignment", HTTP_LEVELS, offset),
    one("reset_timedout_connection", HTTP_LEVELS, flag),
    // Caches of open files: each request looks afresh.
    row("open_file_cache", HTTP_LEVELS, args(1, 2), open_file_cache),
    one("open_file_cache_valid", HTTP_LEVELS, seconds),
    one("open_file_cache_min_uses", HTTP_LEVELS, number),
    one("open_file_cache_errors", HTTP_LEVELS, flag),
    one("open_file_cache_events", HTTP_LEVELS, flag),
    // Temporary files of modules that need none.
    row("proxy_temp_path", HTTP_LEVELS, args(1, 4), temp_path),
    row("fastcgi_temp_path", HTTP_LEVELS, args(1, 4), temp_path),
    row("uwsgi_temp_path", HTTP_LEVELS, args(1, 4), temp_path),
    row("scgi_temp_path", HTTP_LEVELS, args(1, 4), temp_path),
    // Kept objects of TLS: files are read once a configuration.
    row("ssl_certificate_cache", HTTP | SERVER, args(1, 3), |b, d| accept(b, d, |_| Ok(()))),
];

/// The names seen in one block: each may stand there once.
#[derive(Default)]
struct Accepted(Vec<BString>);

impl Part for Accepted {
    fn inherit(&mut self, _: &Self) {}
}

const fn one(name: &'static str, contexts: u32, set: Set) -> Row {
    row(name, contexts, args(1, 1), set)
}

/// Takes the directive once a block if its value can be read.
fn accept<T>(
    b: &mut Builder<'_>,
    d: &Directive,
    value: impl FnOnce(&Directive) -> Result<T, Diag>,
) -> Result<(), Diag> {
    let seen = &mut b.part::<Accepted>().0;
    if seen.iter().any(|name| name == d.name()) {
        return Err(d.wrong("is duplicate"));
    }
    seen.push(d.name().to_owned());
    value(d).map(drop)
}

fn flag(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    accept(b, d, |d| d.flag(1))
}

fn number(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    accept(b, d, |d| d.number(1))
}

fn size(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    accept(b, d, |d| d.size(1))
}

fn offset(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    accept(b, d, |d| d.offset(1))
}

fn seconds(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    accept(b, d, |d| d.sec(1))
}

fn buffers(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    accept(b, d, |d| d.buffers_slot(&mut None))
}

fn aio(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    accept(b, d, |d| match d.arg(1).as_bytes() {
        b"on" | b"off" | b"threads" => Ok(()),
        pool if pool.starts_with(b"threads=") => Ok(()),
        _ => Err(d.wrong("invalid value")),
    })
}

fn directio(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    accept(b, d, |d| if d.arg(1) == "off" { Ok(0) } else { d.offset(1) })
}

fn open_file_cache(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    accept(b, d, cache_parameters)
}

/// `off`, or `max=N` with a time.
fn cache_parameters(d: &Directive) -> Result<(), Diag> {
    let name = d.name();
    let (mut off, mut max) = (false, false);
    for (index, word) in (1..).zip(d.args()) {
        let text = word.text.as_slice();
        let positive = |value: &[u8]| units::parse_number(value).is_some_and(|number| number > 0);
        let known = match text {
            b"off" => {
                off = true;
                true
            }
            _ if text.starts_with(b"max=") => {
                max = true;
                text.strip_prefix(b"max=").is_some_and(positive)
            }
            _ => text.strip_prefix(b"inactive=").is_some_and(|v| units::parse_sec(v).is_some()),
        };
        if !known {
            let text = format!("invalid \"{name}\" parameter \"{}\"", word.text);
            return Err(d.wrong_arg(index, text));
        }
    }
    if off || max {
        return Ok(());
    }
    Err(Diag::emerg(format!("\"{name}\" must have the \"max\" parameter")))
}

fn temp_path(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    accept(b, d, |_| Ok(()))
}

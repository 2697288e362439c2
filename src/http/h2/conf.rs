//! Rows of `http2` and `http2_*`.

use bstr::ByteSlice;

use crate::conf::{
    Builder, Diag, Directive, Part, inherit,
    row::{HTTP, HTTP_LEVELS, Row, SERVER, flag, row, take},
};

/// Settings of a server's HTTP/2.
#[derive(Default)]
pub struct Http2 {
    pub enabled: Option<bool>,
    pub max_streams: Option<u64>,
    pub preread_bytes: Option<usize>,
    pub recv_buffer_bytes: Option<usize>,
    pub pool_bytes: Option<usize>,
    pub index_size: Option<u64>,
    pub chunk_bytes: Option<usize>,
}

impl Part for Http2 {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: enabled, max_streams, preread_bytes, recv_buffer_bytes, pool_bytes,
            index_size, chunk_bytes);
    }
}

impl Http2 {
    pub fn max_streams(&self) -> usize {
        self.max_streams.map_or(128, |count| count as usize)
    }

    /// What of a body a client may send before somebody reads it.
    pub fn preread_bytes(&self) -> i64 {
        self.preread_bytes.map_or(64 * 1024, |size| size as i64)
    }

    /// The largest DATA frame sent.
    pub fn chunk_bytes(&self) -> usize {
        self.chunk_bytes.unwrap_or(8 * 1024)
    }
}

pub const ROWS: &[Row] = &[
    flag("http2", HTTP | SERVER, |b, d| d.flag_slot(&mut b.part::<Http2>().enabled)),
    row("http2_max_concurrent_streams", HTTP | SERVER, take(1), |b, d| {
        d.number_slot(&mut b.part::<Http2>().max_streams)
    }),
    row("http2_body_preread_size", HTTP | SERVER, take(1), |b, d| {
        let size = d.size(1)?;
        if size > i32::MAX as usize {
            return Err(Diag::emerg("the maximum body preread buffer size is 2147483647"));
        }
        d.once(&mut b.part::<Http2>().preread_bytes, |_| Ok(size))
    }),
    row("http2_chunk_size", HTTP_LEVELS, take(1), |b, d| {
        let size = match d.size(1)? {
            0 => return Err(Diag::emerg("the http2 chunk size cannot be zero")),
            size => size.min(crate::net::http2::MAX_FRAME_BYTES),
        };
        d.once(&mut b.part::<Http2>().chunk_bytes, |_| Ok(size))
    }),
    // Checked and without effect: buffers here are memory of the size that is needed.
    row("http2_recv_buffer_size", HTTP, take(1), |b, d| {
        let size = d.size(1)?;
        if size < 32 {
            return Err(Diag::emerg("value must be equal to or greater than 32"));
        }
        d.once(&mut b.part::<Http2>().recv_buffer_bytes, |_| Ok(size))
    }),
    row("http2_pool_size", HTTP | SERVER, take(1), |b, d| {
        d.size_slot(&mut b.part::<Http2>().pool_bytes)
    }),
    row("http2_streams_index_size", HTTP | SERVER, take(1), |b, d| {
        match d.number(1)? {
            mask if mask.is_power_of_two() => {}
            _ => return Err(Diag::emerg("must be a power of two")),
        }
        d.number_slot(&mut b.part::<Http2>().index_size)
    }),
    row("http2_recv_timeout", HTTP | SERVER, take(1), |b, d| {
        obsolete(b, d, "client_header_timeout")
    }),
    row("http2_idle_timeout", HTTP | SERVER, take(1), |b, d| obsolete(b, d, "keepalive_timeout")),
    row("http2_max_requests", HTTP | SERVER, take(1), |b, d| obsolete(b, d, "keepalive_requests")),
    row("http2_max_field_size", HTTP | SERVER, take(1), |b, d| {
        obsolete(b, d, "large_client_header_buffers")
    }),
    row("http2_max_header_size", HTTP | SERVER, take(1), |b, d| {
        obsolete(b, d, "large_client_header_buffers")
    }),
    row("http2_push", HTTP_LEVELS, take(1), gone),
    flag("http2_push_preload", HTTP_LEVELS, gone),
    row("http2_max_concurrent_pushes", HTTP | SERVER, take(1), gone),
];

fn obsolete(b: &mut Builder<'_>, d: &Directive, instead: &str) -> Result<(), Diag> {
    let name = d.name().as_bstr();
    let text =
        format!("the \"{name}\" directive is obsolete, use the \"{instead}\" directive instead");
    b.report(Diag::warn(text));
    Ok(())
}

fn gone(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let name = d.name().as_bstr();
    b.report(Diag::warn(format!("the \"{name}\" directive is obsolete, ignored")));
    Ok(())
}

//! Byte ranges: 206 with one part or several, 416 for what is not there.
//!
//! ```text
//!  header (after all others): Range understood? ─▶ Plan { ranges, boundary }
//!  body (before all others):  cuts the response by the plan
//! ```

use std::{
    cell::RefCell,
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;

use crate::{base::date, conf::Scope};

use crate::http::{
    headers::HeadersOut,
    output::{Chunk, Chunks, Filter, OutputError},
    request::Request,
};

pub static HEADER: RangeHeader = RangeHeader;
pub static BODY: RangeBody = RangeBody;

/// Decides.
pub struct RangeHeader;

/// Cuts.
pub struct RangeBody;

/// What to send of the body.
#[derive(Default)]
struct Plan(RefCell<Option<Cut>>);

struct Cut {
    /// First byte and the one after the last.
    ranges: Vec<(u64, u64)>,
    /// Bytes of the whole body seen so far.
    offset: u64,
    /// Several ranges: what is kept for each until the end.
    parts: Option<Parts>,
}

struct Parts {
    heads: Vec<Bytes>,
    kept: Vec<Vec<Bytes>>,
    end: Bytes,
}

/// What a `Range` header comes to.
enum Parsed {
    Ranges(Vec<(u64, u64)>),
    /// Not worth the trouble: the whole response.
    Whole,
    Unsatisfiable,
}

impl Filter for RangeHeader {
    fn applies(&self, _scope: &Scope) -> bool {
        true
    }

    fn header(&self, r: &Rc<Request>) -> Result<(), OutputError> {
        let (status, accepts, length) = {
            let out = r.headers_out.borrow();
            (out.status, out.accept_ranges, out.content_length)
        };
        let max = r.with_location(|location| location.core().max_ranges).unwrap_or(u64::MAX);
        let Some(length) = length else { return Ok(()) };
        if r.line.version < 1000 || status != 200 || r.is_subrequest() || !accepts || max == 0 {
            return Ok(());
        }
        match asked(r).map(|text| parse(&text, length, max)) {
            Some(Parsed::Ranges(ranges)) => {
                plan(r, ranges, length);
                Ok(())
            }
            Some(Parsed::Unsatisfiable) => {
                let mut out = r.headers_out.borrow_mut();
                out.list.set("Content-Range", format!("bytes */{length}"));
                out.content_length = None;
                Err(OutputError::Status(416))
            }
            Some(Parsed::Whole) | None => {
                r.headers_out.borrow_mut().list.set("Accept-Ranges", "bytes");
                Ok(())
            }
        }
    }
}

impl Filter for RangeBody {
    fn applies(&self, _scope: &Scope) -> bool {
        true
    }

    fn body(&self, r: &Rc<Request>, chunks: &mut Chunks) -> Result<(), OutputError> {
        let Some(plan) = r.ext_if_any::<Plan>() else { return Ok(()) };
        let mut plan = plan.0.borrow_mut();
        let Some(cut) = plan.as_mut() else { return Ok(()) };
        for chunk in chunks.iter_mut() {
            let data = std::mem::take(&mut chunk.data);
            chunk.data = cut.take(&data);
        }
        if let Some(at) = chunks.iter().position(|chunk| chunk.last)
            && let Some(parts) = cut.parts.take()
        {
            let pieces = parts.into_pieces();
            chunks.insert_many(at, pieces.into_iter().map(Chunk::data));
        }
        Ok(())
    }
}

impl Cut {
    /// What of the next bytes is to be sent now.
    fn take(&mut self, data: &Bytes) -> Bytes {
        let from = self.offset;
        self.offset += data.len() as u64;
        let to = self.offset;
        let overlap = |(start, end): (u64, u64)| {
            let (start, end) = (start.max(from), end.min(to));
            (start < end).then(|| data.slice((start - from) as usize..(end - from) as usize))
        };
        match &mut self.parts {
            None => overlap(self.ranges[0]).unwrap_or_default(),
            Some(parts) => {
                for (range, kept) in self.ranges.iter().zip(&mut parts.kept) {
                    kept.extend(overlap(*range));
                }
                Bytes::new()
            }
        }
    }
}

impl Parts {
    fn into_pieces(self) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        for (head, kept) in self.heads.into_iter().zip(self.kept) {
            pieces.push(head);
            pieces.extend(kept);
        }
        pieces.push(self.end);
        pieces
    }
}

/// The `Range` header, when `If-Range` lets it count.
fn asked(r: &Rc<Request>) -> Option<Bytes> {
    let headers = r.headers_in.borrow();
    let range = headers.first("Range")?;
    if range.len() < 7 || !range[..6].eq_ignore_ascii_case(b"bytes=") {
        return None;
    }
    if let Some(condition) = headers.first("If-Range") {
        let out = r.headers_out.borrow();
        let same = match condition.len() >= 2 && condition.ends_with(b"\"") {
            true => out.list.first("ETag") == Some(condition),
            false => {
                let date = date::parse_http_time(condition);
                out.last_modified.is_some() && date == out.last_modified
            }
        };
        if !same {
            return None;
        }
    }
    Some(range.slice(6..))
}

fn parse(text: &[u8], length: u64, max: u64) -> Parsed {
    let (mut ranges, mut size, mut left) = (Vec::new(), 0_u64, max);
    for part in text.split(|byte| *byte == b',') {
        let Some((start, end)) = bounds(part, length) else { return Parsed::Unsatisfiable };
        if start < end {
            ranges.push((start, end));
            size = size.saturating_add(end - start);
            if left == 0 {
                return Parsed::Whole;
            }
            left -= 1;
        } else if start == 0 {
            return Parsed::Whole;
        }
    }
    if ranges.is_empty() {
        return Parsed::Unsatisfiable;
    }
    if size > length { Parsed::Whole } else { Parsed::Ranges(ranges) }
}

/// `first-last`, `first-` or `-count`, as first byte and the one after the last.
fn bounds(part: &[u8], length: u64) -> Option<(u64, u64)> {
    let part = part.trim_ascii();
    let dash = part.iter().position(|byte| *byte == b'-')?;
    let (first, last) = (part[..dash].trim_ascii(), part[dash + 1..].trim_ascii());
    let number = |text: &[u8]| -> Option<u64> {
        let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        let text = std::str::from_utf8(text).ok().filter(|_| digits)?;
        text.parse().ok().filter(|number| *number <= i64::MAX as u64)
    };
    if first.is_empty() {
        let count = number(last)?;
        return Some((length.saturating_sub(count), length));
    }
    let start = number(first)?;
    if last.is_empty() {
        return Some((start, length));
    }
    Some((start, number(last)?.saturating_add(1).min(length)))
}

fn plan(r: &Rc<Request>, ranges: Vec<(u64, u64)>, length: u64) {
    let mut out = r.headers_out.borrow_mut();
    out.status = 206;
    out.status_line = None;
    let parts = if let [(start, end)] = ranges[..] {
        out.content_length = Some(end - start);
        out.list.set("Content-Range", format!("bytes {start}-{}/{length}", end - 1));
        None
    } else {
        Some(several(&mut out, &ranges, length))
    };
    *r.ext::<Plan>().0.borrow_mut() = Some(Cut { ranges, offset: 0, parts });
}

fn several(out: &mut HeadersOut, ranges: &[(u64, u64)], length: u64) -> Parts {
    // nginx counts its boundaries, too.
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let boundary = format!("{:020}", NEXT.fetch_add(1, Ordering::Relaxed));
    let kind = out.content_type_line();
    let kind = kind.map_or_else(String::new, |kind| {
        format!("Content-Type: {}\r\n", String::from_utf8_lossy(&kind))
    });
    let head = |(start, end): &(u64, u64)| {
        let last = end - 1;
        let range = format!("Content-Range: bytes {start}-{last}/{length}\r\n\r\n");
        Bytes::from(format!("\r\n--{boundary}\r\n{kind}{range}"))
    };
    let heads: Vec<Bytes> = ranges.iter().map(head).collect();
    let end = Bytes::from(format!("\r\n--{boundary}--\r\n"));
    let bodies: u64 = ranges.iter().map(|(start, end)| end - start).sum();
    let framing: usize = heads.iter().map(Bytes::len).sum::<usize>() + end.len();
    out.content_length = Some(bodies + framing as u64);
    out.content_type = Some(format!("multipart/byteranges; boundary={boundary}").into());
    out.charset = None;
    out.list.remove(b"Content-Range");
    Parts { kept: vec![Vec::new(); heads.len()], heads, end }
}

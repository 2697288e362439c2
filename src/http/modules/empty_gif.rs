//! `empty_gif`: one transparent pixel.

use std::rc::Rc;

use bytes::Bytes;

use crate::conf::{
    Scope,
    row::{LOCATION, Row, row, take},
};

use crate::http::{
    build::Content,
    method::Method,
    phase::{Flow, Handler, Step},
    request::Request,
};

pub const ROWS: &[Row] = &[row("empty_gif", LOCATION, take(0), |b, _| {
    b.part::<Content>().0 = Some(&EmptyGif);
    Ok(())
})];

struct EmptyGif;

impl Handler for EmptyGif {
    fn applies(&self, _scope: &Scope) -> bool {
        true
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        if !r.method.borrow().is(Method::GET | Method::HEAD) {
            return Step::Ready(Flow::Status(405));
        }
        r.headers_out.borrow_mut().last_modified = Some(CHANGED_SECS);
        let kind = Bytes::from_static(b"image/gif");
        Step::Ready(r.answer(200, Some(kind), Bytes::from_static(PIXEL)))
    }
}

/// nginx says that its pixel is from 28 September 1970, 06:00.
const CHANGED_SECS: i64 = 23_349_600;
/// Header, screen of one pixel, two colours, transparency, and the image.
const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x01\x00\x00\x00\x00\xff\xff\xff\
    \x21\xf9\x04\x01\x00\x00\x01\x00\
    \x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x4c\x01\x00\x3b";

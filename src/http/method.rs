//! Request methods, with the bits nginx and `ngx.HTTP_*` use.

use bytes::Bytes;

use crate::net::http1::Method as Known;

/// A method by nginx's bit and by its text.
#[derive(Clone, Debug)]
pub struct Method {
    pub bit: u32,
    pub name: Bytes,
}

impl Method {
    pub const UNKNOWN: u32 = 0x0001;
    pub const GET: u32 = 0x0002;
    pub const HEAD: u32 = 0x0004;
    pub const POST: u32 = 0x0008;
    pub const PUT: u32 = 0x0010;
    pub const DELETE: u32 = 0x0020;
    pub const MKCOL: u32 = 0x0040;
    pub const COPY: u32 = 0x0080;
    pub const MOVE: u32 = 0x0100;
    pub const TRACE: u32 = 0x8000;
    pub const CONNECT: u32 = 0x1_0000;

    /// Finds the method of that name; unknown ones keep their text.
    pub fn parse(name: impl Into<Bytes>) -> Self {
        let name = name.into();
        Self { bit: Known::from_name(&name).bit(), name }
    }

    /// A method that has a name of its own; nothing for all others.
    pub fn known(method: Known) -> Option<Self> {
        (method != Known::Unknown)
            .then(|| Self { bit: method.bit(), name: Bytes::from_static(method.name().as_bytes()) })
    }

    pub fn of_bit(bit: u32) -> Option<Self> {
        let known = Known::from_bit(bit)?;
        Some(Self { bit, name: Bytes::from_static(known.name().as_bytes()) })
    }

    pub fn get() -> Self {
        Self { bit: Self::GET, name: Bytes::from_static(b"GET") }
    }

    pub fn is(&self, bits: u32) -> bool {
        self.bit & bits != 0
    }
}

impl Default for Method {
    fn default() -> Self {
        Self::get()
    }
}

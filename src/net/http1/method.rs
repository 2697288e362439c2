//! The methods nginx knows by name; any other word of capitals is a method too, unknown.
//!
//! ```text
//!   "GET" ─▶ Method::Get ─▶ bit 2 (ngx.HTTP_GET)
//! ```

/// A request method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    #[default]
    Unknown,
    Get,
    Head,
    Post,
    Put,
    Delete,
    Mkcol,
    Copy,
    Move,
    Options,
    Propfind,
    Proppatch,
    Lock,
    Unlock,
    Patch,
    Trace,
    Connect,
}

impl Method {
    pub fn from_name(name: &[u8]) -> Self {
        TABLE.iter().find(|(n, _)| n.as_bytes() == name).map_or(Self::Unknown, |&(_, m)| m)
    }

    /// The name; of an unknown method only the request line knows it.
    pub fn name(self) -> &'static str {
        // The table has all but the first, in their order.
        (self as usize).checked_sub(1).map_or("", |at| TABLE[at].0)
    }

    /// The number behind `ngx.HTTP_GET` and its kind.
    pub fn bit(self) -> u32 {
        1 << self as u32
    }

    pub fn from_bit(bit: u32) -> Option<Self> {
        TABLE.iter().map(|&(_, method)| method).find(|m| m.bit() == bit)
    }
}

/// In the order of nginx's bits; the most frequent come first anyway.
const TABLE: [(&str, Method); 16] = [
    ("GET", Method::Get),
    ("HEAD", Method::Head),
    ("POST", Method::Post),
    ("PUT", Method::Put),
    ("DELETE", Method::Delete),
    ("MKCOL", Method::Mkcol),
    ("COPY", Method::Copy),
    ("MOVE", Method::Move),
    ("OPTIONS", Method::Options),
    ("PROPFIND", Method::Propfind),
    ("PROPPATCH", Method::Proppatch),
    ("LOCK", Method::Lock),
    ("UNLOCK", Method::Unlock),
    ("PATCH", Method::Patch),
    ("TRACE", Method::Trace),
    ("CONNECT", Method::Connect),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_nginx() {
        assert_eq!(Method::Unknown.bit(), 1);
        assert_eq!(Method::Get.bit(), 2);
        assert_eq!(Method::Connect.bit(), 0x10000);
        assert_eq!(Method::from_bit(8), Some(Method::Post));
        assert_eq!(Method::from_name(b"get"), Method::Unknown);
        assert_eq!(Method::from_name(b"TRACE").name(), "TRACE");
    }
}

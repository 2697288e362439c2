//! What a client says first: the raw message, and what callers read out of it.
//!
//! ```text
//!  records ─▶ message: version random session_id ciphers compressions extensions(type, data)*
//! ```
//!
//! The TLS library hands out a few parts only; scripts ask for any extension.

use bstr::ByteSlice;

/// A ClientHello.
#[derive(Clone, Debug, Default)]
pub struct Hello {
    pub server_name: Option<String>,
    pub alpn: Vec<Vec<u8>>,
    /// The handshake message without its header.
    pub message: Vec<u8>,
}

impl Hello {
    /// Takes the message out of the records as they came.
    pub(super) fn message_of(records: &[u8]) -> Vec<u8> {
        let mut whole = Vec::with_capacity(records.len());
        let mut rest = Reader(records);
        while rest.0.first() == Some(&HANDSHAKE)
            && let Some(body) = rest.skip(3).and_then(|()| rest.sized(2))
        {
            whole.extend_from_slice(body);
        }
        let mut message = Reader(&whole);
        message.skip(1).and_then(|()| message.sized(3)).map(<[u8]>::to_vec).unwrap_or_default()
    }

    /// Looks whether a connection begins with a hello, without taking part in it.
    pub fn peek(seen: &[u8]) -> First {
        if let [high, _, kind, major, minor, ..] = seen
            && high & 0x80 != 0
            && *kind == 1
            && matches!(major, 0 | 3)
        {
            // The form of SSL 2, which has no extensions.
            return First::Whole(Self { message: vec![*major, *minor], ..Self::default() });
        }
        if seen.first().is_some_and(|kind| *kind != HANDSHAKE && *kind & 0x80 == 0) {
            return First::Other;
        }
        if seen.len() < 5 {
            return First::More;
        }
        if seen[0] != HANDSHAKE || seen[1] != 3 {
            return First::Other;
        }
        let mut whole = Vec::new();
        let mut rest = Reader(seen);
        while rest.skip(3).is_some() {
            // The end may be on its way still.
            let size = rest.0.first_chunk::<2>().map_or(0, |n| usize::from(u16::from_be_bytes(*n)));
            let body = rest.0.get(2..).unwrap_or_default();
            whole.extend_from_slice(&body[..size.min(body.len())]);
            match (whole.first(), whole.get(1..4)) {
                (Some(kind), _) if *kind != CLIENT_HELLO => return First::Other,
                (_, Some([a, b, c])) => {
                    let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
                    if let Some(message) = whole.get(4..4 + length) {
                        let message = message.to_vec();
                        return First::Whole(Self { message, ..Self::default() });
                    }
                }
                _ => {}
            }
            if rest.sized(2).is_none() {
                break;
            }
        }
        First::More
    }

    /// The newest version the client speaks.
    pub fn newest_version(&self) -> u16 {
        let said = self.message.first_chunk::<2>().map_or(0, |n| u16::from_be_bytes(*n));
        let known = |version: &u16| (0x0300..=0x0304).contains(version);
        let listed = self.supported_versions().unwrap_or_default();
        listed.into_iter().filter(known).max().unwrap_or(said)
    }

    /// The protocols of the `application_layer_protocol_negotiation` extension.
    pub fn offered_protocols(&self) -> Vec<Vec<u8>> {
        let list = self.extension(ALPN).and_then(|data| Reader(data).sized(2));
        let mut rest = Reader(list.unwrap_or_default());
        std::iter::from_fn(|| rest.sized(1).map(<[u8]>::to_vec)).collect()
    }

    /// The 32 bytes of the client's randomness.
    pub fn random(&self) -> &[u8] {
        self.message.get(2..34).unwrap_or_default()
    }

    /// The session the client would like to go on with; empty if none.
    pub fn session_id(&self) -> &[u8] {
        self.parts().map(|p| p.session_id).unwrap_or_default()
    }

    /// The numbers of the cipher suites, in the client's order.
    pub fn ciphers(&self) -> Vec<u16> {
        self.parts().map(|p| numbers(p.ciphers)).unwrap_or_default()
    }

    /// Types and contents of the extensions, in the client's order.
    pub fn extensions(&self) -> Vec<(u16, &[u8])> {
        let Some(parts) = self.parts() else { return Vec::new() };
        let mut rest = Reader(parts.extensions);
        let next = || Some((rest.number()?, rest.sized(2)?));
        std::iter::from_fn(next).collect()
    }

    pub fn extension(&self, wanted: u16) -> Option<&[u8]> {
        self.extensions().into_iter().find(|(kind, _)| *kind == wanted).map(|(_, data)| data)
    }

    /// The protocol versions of the `supported_versions` extension.
    pub fn supported_versions(&self) -> Option<Vec<u16>> {
        let mut data = Reader(self.extension(SUPPORTED_VERSIONS)?);
        Some(numbers(data.sized(1)?))
    }

    /// The name as it stands in the extension, which need not be a valid one.
    pub fn raw_server_name(&self) -> Option<&[u8]> {
        let mut list = Reader(self.extension(SERVER_NAME)?);
        let mut names = Reader(list.sized(2)?);
        names.skip(1)?;
        names.sized(2).filter(|name| !name.is_empty() && name.find_byte(0).is_none())
    }

    /// The first session a client of TLS 1.3 would like to go on with.
    pub fn first_psk(&self) -> Option<&[u8]> {
        let mut offered = Reader(self.extension(PRE_SHARED_KEY)?);
        Reader(offered.sized(2)?).sized(2)
    }

    fn parts(&self) -> Option<Parts<'_>> {
        let mut rest = Reader(&self.message);
        rest.skip(34)?;
        let session_id = rest.sized(1)?;
        let ciphers = rest.sized(2)?;
        rest.sized(1)?;
        let extensions = rest.sized(2).unwrap_or_default();
        Some(Parts { session_id, ciphers, extensions })
    }
}

/// How a connection begins.
#[derive(Debug)]
pub enum First {
    Whole(Hello),
    /// Too little to say.
    More,
    /// Not with TLS.
    Other,
}

struct Parts<'a> {
    session_id: &'a [u8],
    ciphers: &'a [u8],
    extensions: &'a [u8],
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn skip(&mut self, count: usize) -> Option<()> {
        self.0 = self.0.get(count..)?;
        Some(())
    }

    fn number(&mut self) -> Option<u16> {
        let (first, rest) = self.0.split_first_chunk::<2>()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*first))
    }

    /// A vector behind its length in `width` bytes.
    fn sized(&mut self, width: usize) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_at_checked(width)?;
        let length = length.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
        let (data, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(data)
    }
}

fn numbers(bytes: &[u8]) -> Vec<u16> {
    bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()
}

/// The type of a record that carries handshake messages.
const HANDSHAKE: u8 = 22;
const SERVER_NAME: u16 = 0;
const PRE_SHARED_KEY: u16 = 41;
const SUPPORTED_VERSIONS: u16 = 43;
const ALPN: u16 = 16;
const CLIENT_HELLO: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<u8> {
        let mut message = vec![3, 3];
        message.extend([7; 32]);
        message.extend([2, 0xaa, 0xbb, 0, 4, 0x13, 1, 0xc0, 0x2f, 1, 0]);
        let extensions =
            [&[0, 0, 0, 8, 0, 6, 0, 0, 3, b'a', b'.', b'b'][..], &[0, 43, 0, 5, 4, 3, 4, 3, 3]]
                .concat();
        message.extend([0, extensions.len() as u8]);
        message.extend(extensions);
        let mut handshake = vec![1, 0, 0, message.len() as u8];
        handshake.extend(message);
        // In two records, as a client may send it.
        let (first, second) = handshake.split_at(10);
        let record = |part: &[u8]| [&[22, 3, 1, 0, part.len() as u8], part].concat();
        [record(first), record(second)].concat()
    }

    #[test]
    fn parts_of_a_hello() {
        let hello = Hello { message: Hello::message_of(&records()), ..Hello::default() };
        assert_eq!(hello.random(), [7; 32]);
        assert_eq!(hello.session_id(), [0xaa, 0xbb]);
        assert_eq!(hello.ciphers(), [0x1301, 0xc02f]);
        assert_eq!(hello.raw_server_name(), Some(&b"a.b"[..]));
        assert_eq!(hello.supported_versions(), Some(vec![0x304, 0x303]));
        assert_eq!(hello.extensions().len(), 2);
        assert_eq!(hello.extension(99), None);
    }

    #[test]
    fn cut_anywhere_it_stays_calm() {
        let whole = records();
        for end in 0..whole.len() {
            let hello = Hello { message: Hello::message_of(&whole[..end]), ..Hello::default() };
            let _ = (hello.ciphers(), hello.extensions(), hello.session_id());
        }
    }
}

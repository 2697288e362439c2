//! Frames: a flag, the length in four bytes, the message.

use super::code::Failure;

/// The message is packed.
pub const PACKED: u8 = 1;
/// Connect: the end of the stream.
pub const END: u8 = 2;

/// A message in its frame.
pub fn wrap(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES + message.len());
    out.push(flag);
    out.extend_from_slice(&(message.len() as u32).to_be_bytes());
    out.extend_from_slice(message);
    out
}

/// The one message of a body, with its flag.
pub fn unwrap_one(body: &[u8]) -> Result<(u8, &[u8]), Failure> {
    let Some((head, rest)) = body.split_first_chunk::<HEAD_BYTES>() else {
        return Err(Failure::invalid("protocol error: incomplete envelope: unexpected EOF"));
    };
    let [flag, length @ ..] = *head;
    let length = u32::from_be_bytes(length) as usize;
    match rest.get(..length) {
        Some(message) if rest.len() == length => Ok((flag, message)),
        Some(_) => Err(Failure::invalid("unary request has multiple messages")),
        None => {
            let got = rest.len();
            let text = format!(
                "protocol error: promised {length} bytes in enveloped message, got {got} bytes"
            );
            Err(Failure::invalid(text))
        }
    }
}

const HEAD_BYTES: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        assert_eq!(wrap(0, &[8, 1]), [0, 0, 0, 0, 2, 8, 1]);
        assert_eq!(unwrap_one(&wrap(1, b"x")), Ok((1, &b"x"[..])));
        for broken in
            [&b""[..], b"\0\0\0\0", b"\0\0\0\0\x02x", b"\0\xff\xff\xff\xffx", b"\0\0\0\0\0x"]
        {
            assert!(unwrap_one(broken).is_err(), "{broken:?}");
        }
    }
}

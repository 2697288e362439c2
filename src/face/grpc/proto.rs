//! The messages of `health.proto` as protobuf, by hand: there are four, with three fields.
//!
//! ```text
//!  HealthCheckRequest { 1: service }   HealthCheckResponse { 1: status }
//!  HealthListResponse { 1: map of { 1: name, 2: HealthCheckResponse } }
//! ```

use super::status::Status;

/// The service of a request; empty when it names none. `None` when the bytes are no message.
pub fn decode_request(bytes: &[u8]) -> Option<String> {
    let mut rest = bytes;
    let mut service = String::new();
    while !rest.is_empty() {
        let tag = take_varint(&mut rest)?;
        let (field, wire) = (tag >> 3, tag & 7);
        if field == 0 {
            return None;
        }
        match wire {
            0 => _ = take_varint(&mut rest)?,
            1 => _ = take(&mut rest, 8)?,
            2 => {
                let length = usize::try_from(take_varint(&mut rest)?).ok()?;
                let value = take(&mut rest, length)?;
                if field == 1 {
                    service = std::str::from_utf8(value).ok()?.to_owned();
                }
            }
            5 => _ = take(&mut rest, 4)?,
            _ => return None,
        }
    }
    Some(service)
}

/// A status; never the zero value, which would be no bytes at all.
pub fn encode_status(status: Status) -> Vec<u8> {
    vec![0x08, status as u8]
}

pub fn encode_list(list: &[(String, Status)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, status) in list {
        let mut entry = Vec::new();
        put_bytes(&mut entry, 1, name.as_bytes());
        put_bytes(&mut entry, 2, &encode_status(*status));
        put_bytes(&mut out, 1, &entry);
    }
    out
}

fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let byte = *take(rest, 1)?.first()?;
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_the_specification() {
        let bytes = b"\x0a\x12greet.GreetService";
        assert_eq!(decode_request(bytes).as_deref(), Some("greet.GreetService"));
        assert_eq!(decode_request(b"").as_deref(), Some(""));
        assert_eq!(encode_status(Status::Serving), [8, 1]);
        assert_eq!(encode_status(Status::ServiceUnknown), [8, 3]);
        let list = encode_list(&[("a".into(), Status::NotServing)]);
        assert_eq!(list, [0x0a, 7, 0x0a, 1, b'a', 0x12, 2, 8, 2]);
    }

    #[test]
    fn unknown_fields_are_skipped_broken_ones_refused() {
        let other = b"\x10\x96\x01\x1d\0\0\0\0\x21\0\0\0\0\0\0\0\0\x0a\x01x\x2a\x02ab";
        assert_eq!(decode_request(other).as_deref(), Some("x"));
        let broken: [&[u8]; 7] = [
            b"\x0a\x12greet",
            b"\x0a",
            b"\x00",
            b"\x0b",
            b"\x0a\x01\xff",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ];
        for bytes in broken {
            assert_eq!(decode_request(bytes), None, "{bytes:?}");
        }
    }
}

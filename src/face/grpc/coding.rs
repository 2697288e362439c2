//! Compression of messages: gzip is understood, nothing else, and never sent.

use std::io::Read;

use bytes::Bytes;
use flate2::read::GzDecoder;

use super::code::{Code, Failure};

/// Unpacks a message that came under this encoding; none is none.
pub fn unpack(encoding: Option<&Bytes>, message: &[u8]) -> Result<Vec<u8>, Failure> {
    match encoding.map(|name| name.to_ascii_lowercase()).as_deref() {
        None | Some(b"" | b"identity") => Ok(message.to_vec()),
        Some(b"gzip") if message.is_empty() => Ok(Vec::new()),
        Some(b"gzip") => gunzip(message),
        Some(other) => Err(unknown(other)),
    }
}

/// Refuses an encoding nobody could unpack, before a message under it comes.
pub fn check(encoding: Option<&Bytes>) -> Result<(), Failure> {
    unpack(encoding, b"").map(drop)
}

fn gunzip(message: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut unpacked = Vec::new();
    // One byte more than allowed tells that there is too much.
    let mut reader = GzDecoder::new(message).take(MESSAGE_MAX + 1);
    let read = reader.read_to_end(&mut unpacked);
    read.map_err(|e| Failure::invalid(format!("get decompressor: {e}")))?;
    if unpacked.len() as u64 > MESSAGE_MAX {
        let text = format!("message is larger than configured max {MESSAGE_MAX}");
        return Err(Failure::new(Code::RESOURCE_EXHAUSTED, text));
    }
    Ok(unpacked)
}

fn unknown(name: &[u8]) -> Failure {
    let name = String::from_utf8_lossy(name);
    let text = format!("unknown compression {name:?}: supported encodings are gzip");
    Failure::new(Code::UNIMPLEMENTED, text)
}

const MESSAGE_MAX: u64 = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn gzip_and_what_is_not() {
        let pack = |data: &[u8]| {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            out.write_all(data).expect("memory takes it");
            out.finish().expect("memory takes it")
        };
        let gzip = Some(&Bytes::from_static(b"gzip"));
        assert_eq!(unpack(gzip, &pack(b"{}")).as_deref(), Ok(&b"{}"[..]));
        assert_eq!(unpack(gzip, b"junk").map_err(|f| f.code), Err(Code::INVALID_ARGUMENT));
        let bomb = pack(&vec![0; 5 * 1024 * 1024]);
        assert_eq!(unpack(gzip, &bomb).map_err(|f| f.code), Err(Code::RESOURCE_EXHAUSTED));
        let zstd = Some(&Bytes::from_static(b"zstd"));
        assert_eq!(check(zstd).map_err(|f| f.code), Err(Code::UNIMPLEMENTED));
    }
}

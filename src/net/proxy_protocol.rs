//! `listen … proxy_protocol`: the line or block before the first request that tells whom a balancer
//! speaks for.
//!
//! ```text
//!  v1  PROXY TCP4 192.0.2.1 192.0.2.2 1111 80␍␊
//!  v2  ␍␊␍␊␀␍␊QUIT␊ | version, command | family | length | addresses | type, length, value …
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use bstr::BStr;
use bytes::Bytes;

use super::{addr::Addr, stream::Stream};

/// What the balancer told.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub source: Option<Addr>,
    pub server: Option<Addr>,
    tlvs: Bytes,
}

impl Told {
    /// A value by its name: `alpn`, `ssl_cn`, `0x25`.
    pub fn tlv(&self, name: &[u8]) -> Option<Bytes> {
        let (values, name) = match name.strip_prefix(b"ssl_") {
            // Behind a byte of flags and the four of the verdict.
            Some(inner) => {
                let ssl = find(&self.tlvs, 0x20)?;
                if inner == b"verify" {
                    let code: [u8; 4] = ssl.get(1..5)?.try_into().ok()?;
                    return Some(u32::from_be_bytes(code).to_string().into());
                }
                (ssl.get(5..).map(|rest| ssl.slice_ref(rest))?, inner)
            }
            None => (self.tlvs.clone(), name),
        };
        let known = if values == self.tlvs { PLAIN } else { SSL };
        let kind = known.iter().find(|(word, _)| word.as_bytes() == name).map(|(_, kind)| *kind);
        let kind = kind.or_else(|| {
            let digits = std::str::from_utf8(name.strip_prefix(b"0x")?).ok()?;
            u8::from_str_radix(digits, 16).ok()
        })?;
        find(&values, kind)
    }
}

fn find(values: &Bytes, wanted: u8) -> Option<Bytes> {
    let mut at = 0;
    while let Some([kind, high, low]) = values.get(at..at + 3) {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let value = values.get(at + 3..at + 3 + length)?;
        if *kind == wanted {
            return Some(values.slice_ref(value));
        }
        at += 3 + length;
    }
    None
}

/// Takes the header off a connection; otherwise says what is wrong.
pub async fn take(stream: &mut Stream) -> Result<Told, String> {
    let mut seen = [0; MOST_BYTES];
    loop {
        let io = |error: std::io::Error| format!("recv() failed ({error})");
        let count = stream.socket().peek(&mut seen).await.map_err(io)?;
        if count == 0 {
            return Err("client prematurely closed connection".into());
        }
        let (told, length) = match parse(&seen[..count]) {
            Parsed::Done(told, length) => (told, length),
            Parsed::More if count < seen.len() => {
                // What is there stays readable: wait for more of it.
                tokio::time::sleep(MORE_AFTER).await;
                continue;
            }
            Parsed::More | Parsed::Bad => {
                let shown = &seen[..count];
                let end = memchr::memchr2(b'\r', b'\n', shown).unwrap_or(count);
                return Err(format!("broken header: \"{}\"", BStr::new(&shown[..end])));
            }
        };
        let mut sink = vec![0; length];
        tokio::io::AsyncReadExt::read_exact(stream, &mut sink).await.map_err(io)?;
        return Ok(told);
    }
}

enum Parsed {
    More,
    Bad,
    Done(Told, usize),
}

fn parse(text: &[u8]) -> Parsed {
    let short = text.len().min(SIGNATURE.len());
    if text[..short] == SIGNATURE[..short] {
        return if short < SIGNATURE.len() { Parsed::More } else { version_2(text) };
    }
    let short = text.len().min(6);
    if text[..short] != b"PROXY "[..short] {
        return Parsed::Bad;
    }
    match memchr::memmem::find(text, b"\r\n") {
        Some(end) => match version_1(&text[6..end]) {
            Some(told) => Parsed::Done(told, end + 2),
            None => Parsed::Bad,
        },
        None if text.len() > LINE_BYTES => Parsed::Bad,
        None => Parsed::More,
    }
}

/// `TCP4 source server sport dport`, or `UNKNOWN` and whatever.
fn version_1(line: &[u8]) -> Option<Told> {
    let text = std::str::from_utf8(line).ok()?;
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return Some(Told::default());
    }
    let mut words = text.split(' ');
    if !matches!(words.next()?, "TCP4" | "TCP6") {
        return None;
    }
    let (source, server): (IpAddr, IpAddr) =
        (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (from, to): (u16, u16) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some(Told {
        source: Some(Addr::Inet((source, from).into())),
        server: Some(Addr::Inet((server, to).into())),
        tlvs: Bytes::new(),
    })
}

fn version_2(text: &[u8]) -> Parsed {
    let Some([version, family, high, low]) = text.get(12..16) else { return Parsed::More };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if version >> 4 != 2 || 16 + length > MOST_BYTES {
        return Parsed::Bad;
    }
    let Some(block) = text.get(16..16 + length) else { return Parsed::More };
    let whole = 16 + length;
    if version & 15 != 1 {
        // The balancer speaks for itself.
        return Parsed::Done(Told::default(), whole);
    }
    let port = |at: usize| block.get(at..at + 2).map(|two| u16::from_be_bytes([two[0], two[1]]));
    let v4 = |at: usize| {
        let four: [u8; 4] = block.get(at..at + 4)?.try_into().ok()?;
        Some(IpAddr::V4(Ipv4Addr::from(four)))
    };
    let v6 = |at: usize| {
        let sixteen: [u8; 16] = block.get(at..at + 16)?.try_into().ok()?;
        Some(IpAddr::V6(Ipv6Addr::from(sixteen)))
    };
    let (source, server, from, to, used) = match family >> 4 {
        1 => (v4(0), v4(4), port(8), port(10), 12),
        2 => (v6(0), v6(16), port(32), port(34), 36),
        _ => return Parsed::Done(Told::default(), whole),
    };
    let addr = |ip: Option<IpAddr>, port: Option<u16>| Some(Addr::Inet((ip?, port?).into()));
    let (Some(source), Some(server)) = (addr(source, from), addr(server, to)) else {
        return Parsed::Bad;
    };
    let tlvs = Bytes::copy_from_slice(&block[used..]);
    Parsed::Done(Told { source: Some(source), server: Some(server), tlvs }, whole)
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const MOST_BYTES: usize = 4096;
/// The longest line of version 1.
const LINE_BYTES: usize = 107;
const MORE_AFTER: Duration = Duration::from_millis(5);
const PLAIN: &[(&str, u8)] =
    &[("alpn", 0x01), ("authority", 0x02), ("unique_id", 0x05), ("ssl", 0x20), ("netns", 0x30)];
const SSL: &[(&str, u8)] =
    &[("version", 0x21), ("cn", 0x22), ("cipher", 0x23), ("sig_alg", 0x24), ("key_alg", 0x25)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_blocks_are_told_apart() {
        let Parsed::Done(told, used) = parse(b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\nGET") else {
            panic!("a line is understood");
        };
        assert_eq!((told.source.map(|a| a.to_string()).unwrap(), used), ("1.2.3.4:9".into(), 33));
        assert!(matches!(parse(b"PROXY TC"), Parsed::More));
        assert!(matches!(parse(b"GET / HTTP/1.0\r\n"), Parsed::Bad));
        assert!(matches!(parse(b"PROXY TCP4 1.2.3.4\r\n"), Parsed::Bad));
        assert!(matches!(parse(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0"), Parsed::More));
    }
}

//! Throws mutated bytes at the HTTP/1 codec: it never panics, and its answer never depends on how
//! the bytes were cut into pieces.
//!
//! ```text
//!   seed requests -> mutate (seeded) -> parse whole, parse in pieces -> equal answers
//! ```

use bytes::Bytes;
use moonbeat::net::http1::{chunked, request, response, uri};

use crate::harness::case::Case;

/// Feeds one input to the code under test.
type Target = fn(&[u8], &mut Random);

pub fn cases() -> Vec<Case> {
    let targets: [(&str, Target); 4] = [
        ("request", fuzz_request),
        ("response", fuzz_response),
        ("chunked", fuzz_chunked),
        ("uri", fuzz_uri),
    ];
    targets
        .into_iter()
        .map(|(name, target)| {
            Case::check(format!("fuzz/http1/{name}"), move || {
                for round in 0..ROUNDS {
                    let mut random = Random::new(round.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                    let input = random.mutate();
                    target(&input, &mut random);
                }
                Ok(())
            })
        })
        .collect()
}

/// The entry for longer runs: any bytes, and a seed for how they are cut.
pub fn fuzz_request(input: &[u8], random: &mut Random) {
    let rules = request::Rules {
        sizes: moonbeat::net::http1::buffers::Sizes {
            first_bytes: 1 + random.below(200),
            large_count: random.below(4),
            large_bytes: 1 + random.below(400),
        },
        underscores_in_headers: random.below(2) == 0,
        ignore_invalid_headers: random.below(2) == 0,
        max_headers: 1 + random.below(20),
        allow_connect: random.below(2) == 0,
    };
    let whole = parse_request(rules, input, &[input.len()]);
    let pieces = parse_request(rules, input, &random.cuts(input.len()));
    assert_eq!(whole, pieces, "pieces matter: {}", input.escape_ascii());
}

pub fn fuzz_response(input: &[u8], random: &mut Random) {
    let max = random.below(600);
    let whole = parse_response(max, input, &[input.len()]);
    let pieces = parse_response(max, input, &random.cuts(input.len()));
    assert_eq!(whole, pieces, "pieces matter: {}", input.escape_ascii());
}

pub fn fuzz_chunked(input: &[u8], random: &mut Random) {
    let whole = decode(input, &[input.len()]);
    let pieces = decode(input, &random.cuts(input.len()));
    // Up to a mistake pieces may give more data than the whole; then both must fail.
    match (&whole, &pieces) {
        (Err(_), Err(_)) => {}
        _ => assert_eq!(whole, pieces, "pieces matter: {}", input.escape_ascii()),
    }
}

pub fn fuzz_uri(input: &[u8], random: &mut Random) {
    for merge_slashes in [true, false] {
        if let Ok(uri) = uri::normalize(input, random.below(2) == 0, merge_slashes) {
            assert!(input.get(uri.args).is_some());
            assert!(!uri.path.windows(4).any(|w| w == b"/../") || !input.starts_with(b"/"));
            uri::extension(&uri.path);
        }
    }
    uri::split(input);
}

/// What a parse came to: facts that must not depend on pieces.
fn parse_request(rules: request::Rules, input: &[u8], cuts: &[usize]) -> String {
    let mut parser = request::Parser::new(rules);
    for &end in cuts {
        loop {
            match parser.step(&input[..end]) {
                Ok(request::Step::More) => break,
                Ok(request::Step::Line | request::Step::Host) => {}
                Ok(request::Step::Done) => {
                    let len = parser.head_len();
                    let head = parser.finish(Bytes::copy_from_slice(&input[..len]));
                    return format!("{:?}", (len, &head, head.lines().collect::<Vec<_>>()));
                }
                // How much of a line is quoted depends on what had arrived.
                Err(e) => return format!("{} {:?}", e.status, e.stage),
            }
        }
    }
    "more".to_owned()
}

fn parse_response(max: usize, input: &[u8], cuts: &[usize]) -> String {
    let mut parser = response::Parser::new(max);
    for &end in cuts {
        match parser.step(&input[..end]) {
            Ok(false) => {}
            Ok(true) => {
                let len = parser.head_len();
                let head = parser.finish(Bytes::copy_from_slice(&input[..len]));
                return format!("{:?}", (len, head.body(false), head.headers, head.status));
            }
            Err(e) => return format!("{:?}", std::mem::discriminant(&e)),
        }
    }
    "more".to_owned()
}

fn decode(input: &[u8], cuts: &[usize]) -> Result<(Vec<u8>, bool), chunked::InvalidChunk> {
    let (mut decoder, mut body, mut start) = (chunked::Decoder::new(), Vec::new(), 0);
    for &end in cuts {
        while start < end && !decoder.is_done() {
            let advance = decoder.step(&input[start..end])?;
            let data = start + advance.skip;
            body.extend_from_slice(&input[data..data + advance.data]);
            start = data + advance.data;
        }
    }
    Ok((body, decoder.is_done()))
}

/// A small generator (xorshift): runs are repeatable.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 11) as usize % end.max(1)
    }

    /// Growing ends of pieces, the last is the whole.
    fn cuts(&mut self, len: usize) -> Vec<usize> {
        let mut cuts: Vec<usize> = (0..self.below(8)).map(|_| self.below(len + 1)).collect();
        if self.below(4) == 0 {
            cuts = (0..len).collect();
        }
        cuts.push(len);
        cuts.sort_unstable();
        cuts
    }

    /// A seed with bytes replaced, removed, doubled, or another seed's tail.
    fn mutate(&mut self) -> Vec<u8> {
        let mut bytes = SEEDS[self.below(SEEDS.len())].to_vec();
        for _ in 0..self.below(6) {
            let at = self.below(bytes.len() + 1);
            match self.below(5) {
                0 => bytes.insert(at, INTERESTING[self.below(INTERESTING.len())]),
                1 if at < bytes.len() => bytes[at] = INTERESTING[self.below(INTERESTING.len())],
                2 if at < bytes.len() => _ = bytes.remove(at),
                3 => {
                    let other = SEEDS[self.below(SEEDS.len())];
                    bytes.truncate(at);
                    bytes.extend_from_slice(&other[self.below(other.len())..]);
                }
                _ => {
                    let end = at + self.below(bytes.len() - at + 1);
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
            }
        }
        bytes
    }
}

const ROUNDS: u64 = 20_000;
const INTERESTING: &[u8] = b"\r\n\0 \t:/.?%#&=;,09afAFxHT_-@[]\x7f\x80\xff";
const SEEDS: &[&[u8]] = &[
    b"GET /a/b/../c?d=%20&e HTTP/1.1\r\nHost: example.com:80\r\nX-Y: z\r\n\r\n",
    b"POST http://a.b/c//d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"PUT /%41%2e%2E/x HTTP/1.0\nContent-Length: 12\nConnection: keep-alive\n\n",
    b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]\r\nx_y@: \r\n\r\n",
    b"GET /\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: a\r\nServer: b\r\n\r\nhello",
    b"HTTP/1.0 403.1 No\nTransfer-Encoding: chunked\nHTTP/1.1 200 OK\n\n",
    b"5;a=b\r\nhello\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nX: y\r\n\r\n",
    b"/a/./b/..//%63/%2e%2e/d.html?x#y",
];

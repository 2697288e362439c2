//! A short seeded run of random and mutated requests through the `http_req` reader: it never
//! panics, never loops, and what it calls faultless has a request line and a blank line.

use moonbeat::health::probe::http_req::complaints;

use crate::harness::case::Case;
use crate::sim_health::Rng;

pub fn cases() -> Vec<Case> {
    vec![Case::check("health/fuzz/http_req", fuzz)]
}

fn fuzz() -> Result<(), String> {
    let mut rng = Rng::new(0x6d6f_6f6e);
    for round in 0..50_000 {
        let request = request(&mut rng);
        let found = complaints(&request);
        let has_end = request.windows(2).any(|w| w == b"\n\n")
            || request.windows(4).any(|w| w == b"\r\n\r\n" || w == b"\n\r\n\n")
            || request.windows(3).any(|w| w == b"\n\r\n");
        if found.is_empty() && !has_end {
            return Err(format!("round {round}: no complaint about {request:?}"));
        }
    }
    Ok(())
}

/// A seed with some bytes changed, cut, doubled or inserted.
fn request(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = SEEDS[rng.below(SEEDS.len())].to_vec();
    for _ in 0..rng.below(6) {
        let at = rng.below(bytes.len() + 1);
        match rng.below(4) {
            0 if at < bytes.len() => bytes[at] = rng.below(256) as u8,
            1 => bytes.truncate(at),
            2 => bytes.insert(at, b"\r\n :/H1\x00\xff"[rng.below(9)]),
            _ => {
                let tail = bytes[at..].to_vec();
                bytes.extend(tail);
            }
        }
    }
    bytes
}

const SEEDS: &[&[u8]] = &[
    b"GET /status HTTP/1.0\r\nHost: foo.com\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: b\r\n\r\n",
    b"POST /x HTTP/1.0\nContent-Length: 1\n\nx",
    b"",
];

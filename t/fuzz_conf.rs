//! A short seeded run of broken configurations through the parser: it must never panic or hang.
//!
//! ```text
//!   t/conf/**/*.conf  ->  mutate (seed)  ->  conf::parse_bytes  ->  still here?
//! ```
//!
//! `conf::parse_bytes` is the entry for longer runs under a fuzzer; the seed of a failure is told.

use moonbeat::conf;

use crate::conf_cases;
use crate::harness::case::Case;

pub fn cases() -> Vec<Case> {
    vec![Case::check("fuzz/conf", run)]
}

fn run() -> Result<(), String> {
    let corpus = conf_cases::texts();
    if corpus.is_empty() {
        return Err("t/conf holds no configuration".into());
    }
    for seed in 1..=ROUNDS {
        let text = mutate(&corpus, seed);
        let outcome = std::panic::catch_unwind(|| check(&text));
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(complaint)) => return Err(format!("seed {seed}: {complaint}")),
            Err(_) => return Err(format!("seed {seed}: panic on {:?}", bstr::BStr::new(&text))),
        }
    }
    Ok(())
}

/// What holds for every text: complaints can be rendered, and spans lie inside the text.
fn check(text: &[u8]) -> Result<(), String> {
    let parsed = conf::parse_bytes(text);
    for (_, diag) in &parsed.diags {
        let rendered = diag.render(&parsed.sources);
        let first = rendered.lines().next().unwrap_or_default();
        if !first.starts_with("nginx: [emerg] ") {
            return Err(format!("odd complaint {rendered:?}"));
        }
        if diag.span.is_some_and(|span| span.start > span.end) {
            return Err(format!("a span that ends before it starts: {rendered}"));
        }
    }
    let tree = conf::dump::tree(&parsed.items);
    if tree.len() > text.len() * 200 + 1000 {
        return Err("the tree is much larger than its text".into());
    }
    Ok(())
}

/// One file with a few changes: bytes replaced, pieces removed, doubled or taken from elsewhere.
fn mutate(corpus: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut dice = Dice(seed);
    let mut text = corpus[dice.below(corpus.len())].clone();
    for _ in 0..=dice.below(6) {
        let at = dice.below(text.len() + 1);
        let end = (at + dice.below(24)).min(text.len());
        match dice.below(5) {
            0 => {
                let byte = ODD[dice.below(ODD.len())];
                text.insert(at, byte);
            }
            1 => drop(text.drain(at..end)),
            2 => {
                let piece = text[at..end].to_vec();
                text.splice(at..at, piece);
            }
            3 => {
                let other = &corpus[dice.below(corpus.len())];
                let from = dice.below(other.len() + 1);
                let to = (from + dice.below(80)).min(other.len());
                text.splice(at..end, other[from..to].iter().copied());
            }
            _ => text.truncate(at),
        }
    }
    text
}

/// A small generator of numbers (splitmix64): the same seed gives the same run everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ (bits >> 31)) % limit.max(1) as u64) as usize
    }
}

/// Bytes that mean something to the parser, and some that never should.
const ODD: &[u8] = b"{};\"'\\$#[]=-\n\r\t ()\0\xff";
const ROUNDS: u64 = 150_000;

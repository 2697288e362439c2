//! MD5 of a text that is there as a whole. Where pieces come one by one, the crate does it.
//!
//! ```text
//!   text ─▶ blocks of 64 bytes, the last one padded ─▶ four rounds of sixteen steps each ─▶ digest
//! ```
//!
//! Every step waits for the one before, so what counts is how many operations stand between them:
//! word and constant are added to what is known early, and what the step before gave comes last.

use std::hint::black_box;

/// The digest of `text`.
pub fn digest(text: &[u8]) -> [u8; 16] {
    let mut state = START;
    let (blocks, rest) = text.as_chunks();
    blocks.iter().for_each(|block| compress(&mut state, block));
    let mut last = [0; 64];
    last[..rest.len()].copy_from_slice(rest);
    last[rest.len()] = 0x80;
    if rest.len() >= LENGTH_AT {
        compress(&mut state, &last);
        last = [0; 64];
    }
    last[LENGTH_AT..].copy_from_slice(&(text.len() as u64).wrapping_mul(8).to_le_bytes());
    compress(&mut state, &last);
    let mut digest = [0; 16];
    let parts = digest.as_chunks_mut().0.iter_mut().zip(state);
    parts.for_each(|(bytes, word)| *bytes = word.to_le_bytes());
    digest
}

/// The digest of `text` in hexadecimal digits.
pub fn hex(text: &[u8]) -> [u8; 32] {
    let mut digits = [0; 32];
    let digest = digest(text);
    let words = digits.as_chunks_mut().0.iter_mut().zip(digest.as_chunks().0);
    words.for_each(|(word, bytes)| *word = super::digits::hex(*bytes));
    digits
}

/// Four steps: function of the round, table, words of the block, number of the first step, how the
/// round walks through the words, shifts.
macro_rules! four {
    ($f:ident, $k:ident, $m:ident, $n:expr, $walk:expr, $r:expr,
        $a:ident $b:ident $c:ident $d:ident) => {
        four!(step $f, $k, $m, $n, $walk, $r[0], $a $b $c $d);
        four!(step $f, $k, $m, $n + 1, $walk, $r[1], $d $a $b $c);
        four!(step $f, $k, $m, $n + 2, $walk, $r[2], $c $d $a $b);
        four!(step $f, $k, $m, $n + 3, $walk, $r[3], $b $c $d $a);
    };
    (step $f:ident, $k:ident, $m:ident, $n:expr, $walk:expr, $r:expr,
        $a:ident $b:ident $c:ident $d:ident) => {
        let early = $a.wrapping_add($m[($n * $walk.0 + $walk.1) % 16].wrapping_add($k[$n]));
        $a = $f(early, $b, $c, $d).rotate_left($r).wrapping_add($b);
    };
}

macro_rules! round {
    ($f:ident, $k:ident, $m:ident, $n:expr, $walk:expr, $r:expr,
        $a:ident $b:ident $c:ident $d:ident) => {
        four!($f, $k, $m, $n, $walk, $r, $a $b $c $d);
        four!($f, $k, $m, $n + 4, $walk, $r, $a $b $c $d);
        four!($f, $k, $m, $n + 8, $walk, $r, $a $b $c $d);
        four!($f, $k, $m, $n + 12, $walk, $r, $a $b $c $d);
    };
}

fn compress(state: &mut [u32; 4], block: &[u8; 64]) {
    let mut m = [0; 16];
    let words = m.iter_mut().zip(block.as_chunks().0);
    words.for_each(|(word, bytes)| *word = u32::from_le_bytes(*bytes));
    // As numbers the compiler knows, it would add the constants last.
    let k = black_box(&CONSTANTS);
    let [mut a, mut b, mut c, mut d] = *state;
    round!(choose, k, m, 0, (1, 0), [7, 12, 17, 22], a b c d);
    round!(choose_by_last, k, m, 16, (5, 1), [5, 9, 14, 20], a b c d);
    round!(parity, k, m, 32, (3, 5), [4, 11, 16, 23], a b c d);
    round!(mix, k, m, 48, (7, 0), [6, 10, 15, 21], a b c d);
    for (word, add) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(add);
    }
}

#[inline(always)]
fn choose(early: u32, x: u32, y: u32, z: u32) -> u32 {
    early.wrapping_add(z ^ (x & (y ^ z)))
}

/// Both halves have no bit in common: they can be added one after the other.
#[inline(always)]
fn choose_by_last(early: u32, x: u32, y: u32, z: u32) -> u32 {
    early.wrapping_add(y & !z).wrapping_add(x & z)
}

#[inline(always)]
fn parity(early: u32, x: u32, y: u32, z: u32) -> u32 {
    early.wrapping_add(x ^ (y ^ z))
}

#[inline(always)]
fn mix(early: u32, x: u32, y: u32, z: u32) -> u32 {
    early.wrapping_add(y ^ (x | !z))
}

const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
/// Where the length stands in the last block.
const LENGTH_AT: usize = 56;

/// The first 32 bits behind the point of `abs(sin(n))`.
#[rustfmt::skip]
static CONSTANTS: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a,
    0xa830_4613, 0xfd46_9501, 0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be,
    0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821, 0xf61e_2562, 0xc040_b340,
    0x265e_5a51, 0xe9b6_c7aa, 0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed, 0xa9e3_e905, 0xfcef_a3f8,
    0x676f_02d9, 0x8d2a_4c8a, 0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c,
    0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70, 0x289b_7ec6, 0xeaa1_27fa,
    0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92,
    0xffef_f47d, 0x8584_5dd1, 0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1,
    0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
];

#[cfg(test)]
mod tests {
    use md5::Digest;

    #[test]
    fn agrees_with_the_crate_at_every_length_around_blocks() {
        let text: Vec<u8> = (0..300_u32).map(|n| (n * 7) as u8).collect();
        for len in 0..text.len() {
            let expected: [u8; 16] = md5::Md5::digest(&text[..len]).into();
            assert_eq!(super::digest(&text[..len]), expected, "{len}");
        }
        assert_eq!(super::hex(b"hello"), *b"5d41402abc4b2a76b9719d911017c592");
    }
}

//! The Huffman code of HPACK (RFC 7541, appendix B).
//!
//! The code is canonical: symbols sorted by length, then by value, get ascending codes. So the
//! lengths alone say everything, and the rest is computed when the program is built.

use bytes::{BufMut, BytesMut};

/// Appends the text coded in `src` to `out`; false when it is no such code.
pub fn decode(src: &[u8], out: &mut BytesMut) -> bool {
    let mut bits: u64 = 0;
    let mut have: usize = 0;
    let mut input = src.iter();
    loop {
        while have <= 56
            && let Some(byte) = input.next()
        {
            bits = bits << 8 | u64::from(*byte);
            have += 8;
        }
        match symbol(bits, have) {
            Some((END_OF_STRING, _)) => return false,
            Some((symbol, length)) => {
                out.put_u8(symbol as u8);
                have -= length;
            }
            // What is left must be the beginning of the end-of-string code. The standard wants
            // less than a byte of it; nginx lets a whole one pass, and some clients send that.
            None => return have <= 8 && bits & ((1 << have) - 1) == (1 << have) - 1,
        }
    }
}

/// The first symbol of the last `have` bits, and its length.
fn symbol(bits: u64, have: usize) -> Option<(usize, usize)> {
    for length in SHORTEST..=LONGEST.min(have) {
        let code = (bits >> (have - length)) as u32 & ((1 << length) - 1);
        let at = code.wrapping_sub(CODE.first[length]) as usize;
        if at < CODE.count[length] {
            return Some((CODE.sorted[CODE.offset[length] + at] as usize, length));
        }
    }
    None
}

/// Length of `text` when coded.
pub fn encoded_len(text: &[u8]) -> usize {
    let bits: usize = text.iter().map(|byte| LENGTHS[usize::from(*byte)] as usize).sum();
    bits.div_ceil(8)
}

/// Appends `text` coded.
pub fn encode(text: &[u8], out: &mut BytesMut) {
    let mut bits: u64 = 0;
    let mut have: usize = 0;
    for byte in text {
        let length = LENGTHS[usize::from(*byte)] as usize;
        bits = bits << length | u64::from(CODE.codes[usize::from(*byte)]);
        have += length;
        while have >= 8 {
            have -= 8;
            out.put_u8((bits >> have) as u8);
        }
    }
    if have > 0 {
        let padding = 8 - have;
        out.put_u8((bits << padding) as u8 | ((1 << padding) - 1) as u8);
    }
}

/// What follows from the lengths.
struct Code {
    codes: [u32; SYMBOLS],
    /// Symbols in the order of their codes.
    sorted: [u16; SYMBOLS],
    /// For each length: the first code, how many there are, and where they begin in `sorted`.
    first: [u32; LONGEST + 1],
    count: [usize; LONGEST + 1],
    offset: [usize; LONGEST + 1],
}

const fn code() -> Code {
    let mut made = Code {
        codes: [0; SYMBOLS],
        sorted: [0; SYMBOLS],
        first: [0; LONGEST + 1],
        count: [0; LONGEST + 1],
        offset: [0; LONGEST + 1],
    };
    let (mut length, mut next, mut place) = (1, 0, 0);
    while length <= LONGEST {
        next <<= 1;
        made.first[length] = next;
        made.offset[length] = place;
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                made.codes[symbol] = next;
                made.sorted[place] = symbol as u16;
                next += 1;
                place += 1;
            }
            symbol += 1;
        }
        made.count[length] = place - made.offset[length];
        length += 1;
    }
    made
}

static CODE: Code = code();
const SYMBOLS: usize = 257;
const END_OF_STRING: usize = 256;
const SHORTEST: usize = 5;
const LONGEST: usize = 30;

/// Bits of each byte's code, then of the end of string.
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_standard() {
        let mut out = BytesMut::new();
        encode(b"www.example.com", &mut out);
        assert_eq!(&out[..], b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff");
        assert_eq!(encoded_len(b"www.example.com"), 12);
        let mut back = BytesMut::new();
        assert!(decode(&out, &mut back));
        assert_eq!(&back[..], b"www.example.com");
    }

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        let (mut out, mut back) = (BytesMut::new(), BytesMut::new());
        encode(&all, &mut out);
        assert_eq!(out.len(), encoded_len(&all));
        assert!(decode(&out, &mut back));
        assert_eq!(&back[..], &all[..]);
    }

    #[test]
    fn bad_padding_is_refused() {
        let refused = |src: &[u8]| !decode(src, &mut BytesMut::new());
        assert!(refused(b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff\xff\xff"), "too long");
        assert!(refused(b"\x00"), "zeros behind a symbol");
        assert!(refused(b"\xff\xff\xff\xff"), "the end of string itself");
        assert!(!refused(b""));
    }
}

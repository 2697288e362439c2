//! Digits of bytes, eight at a time in one machine word: hexadecimal and base64.
//!
//! ```text
//!   six bytes ─ spread ─▶ eight numbers below 64, a byte each ─ add by range ─▶ eight letters
//! ```
//!
//! Words are also written as words: who reads back, as a word, what was written byte by byte waits
//! for the stores.

/// The eight hexadecimal digits of four bytes, in the order they have in memory.
pub fn hex(bytes: [u8; 4]) -> [u8; 8] {
    let mut word = u64::from(u32::from_le_bytes(bytes));
    word = (word | word << 16) & 0x0000_ffff_0000_ffff;
    word = (word | word << 8) & 0x00ff_00ff_00ff_00ff;
    let digits =
        (word >> 4 & each(0x0f) & 0x00ff_00ff_00ff_00ff) | (word & 0x000f_000f_000f_000f) << 8;
    let letters = at_least(digits, 10);
    (digits + each(b'0') + letters * u64::from(b'a' - b'0' - 10)).to_le_bytes()
}

/// Writes `text` in base64; gives the length, or nothing when `out` has not [`base64_room`].
pub fn base64(text: &[u8], is_padded: bool, out: &mut [u8]) -> Option<usize> {
    let (groups, rest) = text.as_chunks::<6>();
    let mut words = out.as_chunks_mut::<8>().0.iter_mut();
    for &[a, b, c, d, e, f] in groups {
        let high = u64::from(u32::from_be_bytes([a, b, c, d]));
        *words.next()? = letters(high << 16 | u64::from(u16::from_be_bytes([e, f])));
    }
    let len = groups.len() * 8;
    if rest.is_empty() {
        return Some(len);
    }
    let high = match *rest {
        [a, b, c, d, ..] => [a, b, c, d],
        [a, b, c] => [a, b, c, 0],
        [a, b] => [a, b, 0, 0],
        [a] => [a, 0, 0, 0],
        [] => [0; 4],
    };
    let fifth = rest.get(4).map_or(0, |byte| u64::from(*byte) << 8);
    let digits = (rest.len() * 8).div_ceil(6);
    let word = u64::from_le_bytes(letters(u64::from(u32::from_be_bytes(high)) << 16 | fifth));
    let beyond = u64::MAX << (8 * digits);
    *words.next()? = (word & !beyond | each(b'=') & beyond).to_le_bytes();
    Some(len + if is_padded { digits.next_multiple_of(4) } else { digits })
}

/// The room that [`base64`] writes to, for a text of `len` bytes.
pub const fn base64_room(len: usize) -> usize {
    len.div_ceil(6).saturating_mul(8)
}

/// The letters of 48 bits, six by six from the highest on.
fn letters(bits: u64) -> [u8; 8] {
    let halves = (bits >> 24) | (bits & 0x00ff_ffff) << 32;
    let quarters = (halves >> 12 & 0x0000_0fff_0000_0fff) | (halves & 0x0000_0fff_0000_0fff) << 16;
    let six = (quarters >> 6 & 0x003f_003f_003f_003f) | (quarters & 0x003f_003f_003f_003f) << 8;
    let letter = six + each(b'A') + at_least(six, 26) * u64::from(b'a' - b'A' - 26);
    let letter = letter - at_least(six, 52) * u64::from(b'a' + 26 - b'0');
    // Behind "9" come "+" and "/".
    let letter = letter - at_least(six, 62) * u64::from(b'0' + 10 - b'+');
    (letter + at_least(six, 63) * u64::from(b'/' - b'+' - 1)).to_le_bytes()
}

/// One in each byte whose number, below 64, is `least` or more.
fn at_least(numbers: u64, least: u8) -> u64 {
    (numbers + each(0x80 - least)) >> 7 & each(1)
}

const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

    use super::*;

    #[test]
    fn base64_agrees_with_the_crate() {
        let text: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        for (from, len) in (0..256).flat_map(|from| (0..40).map(move |len| (from, len))) {
            let part = &text[from..from + len];
            let mut out = vec![0; base64_room(len)];
            let written = base64(part, true, &mut out).unwrap();
            assert_eq!(out[..written], *STANDARD.encode(part).as_bytes());
            let written = base64(part, false, &mut out).unwrap();
            assert_eq!(out[..written], *STANDARD_NO_PAD.encode(part).as_bytes());
            assert!(len == 0 || base64(part, true, &mut vec![0; out.len() - 1]).is_none());
        }
    }

    #[test]
    fn hex_has_digits_in_order() {
        assert_eq!(hex([0x01, 0xab, 0xf9, 0x0a]), *b"01abf90a");
        for byte in 0..=255 {
            assert_eq!(hex([byte, 0, byte, 0])[..4], *format!("{byte:02x}00").as_bytes());
        }
    }
}

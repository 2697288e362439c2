//! Digits of bytes, several at a time in one machine word: hexadecimal and base64.
//!
//! ```text
//!   three bytes ─▶ two numbers of twelve bits ─ a table of pairs ─▶ four letters, one store
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
    let (groups, rest) = text.as_chunks::<3>();
    let (quads, more) = out.as_chunks_mut::<4>().0.split_at_mut_checked(groups.len())?;
    for (&[a, b, c], quad) in groups.iter().zip(quads) {
        *quad = letters([0, a, b, c]).to_le_bytes();
    }
    let len = groups.len() * 4;
    let (word, kept) = match *rest {
        [a] => (letters([0, a, 0, 0]), 0x0000_ffff),
        [a, b] => (letters([0, a, b, 0]), 0x00ff_ffff),
        _ => return Some(len),
    };
    *more.first_mut()? = (word & kept | u32::from_le_bytes([b'='; 4]) & !kept).to_le_bytes();
    Some(len + if is_padded { 4 } else { rest.len() + 1 })
}

/// The room that [`base64`] writes to, for a text of `len` bytes.
pub const fn base64_room(len: usize) -> usize {
    len.div_ceil(3).saturating_mul(4)
}

/// The letters of three bytes; the first of the four is nothing.
#[inline]
fn letters(bytes: [u8; 4]) -> u32 {
    let bits = u32::from_be_bytes(bytes);
    let pair = |shift: u32| u32::from(PAIRS[(bits >> shift) as usize % PAIRS.len()]);
    pair(12) | pair(0) << 16
}

/// One in each byte whose number, below 64, is `least` or more.
fn at_least(numbers: u64, least: u8) -> u64 {
    (numbers + each(0x80 - least)) >> 7 & each(1)
}

/// Two letters for each twelve bits.
static PAIRS: [u16; 4096] = {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut pairs = [0; 4096];
    let mut n = 0;
    while n < pairs.len() {
        pairs[n] = u16::from_le_bytes([letters[n >> 6], letters[n & 63]]);
        n += 1;
    }
    pairs
};

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

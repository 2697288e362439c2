//! Encodings and digests of set-misc.

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use hmac::{Hmac, Mac};
use sha1::Digest;

use crate::base::escape::hex_value;

/// Decodes `%XX` and takes `+` for a space; of a broken escape the percent sign is lost.
pub fn unescape_uri(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let Some(first) = rest.next() else { break };
                let Some(high) = hex_value(first) else {
                    out.push(first);
                    continue;
                };
                let Some(low) = rest.next() else { break };
                if let Some(low) = hex_value(low) {
                    out.push(high << 4 | low);
                }
            }
            _ => out.push(byte),
        }
    }
    out
}

pub fn base64(text: &[u8], for_urls: bool) -> Vec<u8> {
    engine(for_urls).encode(text).into()
}

/// Padding may be missing, as nginx's decoder has it.
pub fn decode_base64(text: &[u8], for_urls: bool) -> Option<Vec<u8>> {
    let end = text.iter().position(|byte| *byte == b'=').unwrap_or(text.len());
    engine(for_urls).decode(&text[..end]).ok()
}

fn engine(for_urls: bool) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new()
        .with_encode_padding(!for_urls)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(if for_urls { &URL_SAFE } else { &STANDARD }, config)
}

pub fn hex(text: &[u8]) -> Vec<u8> {
    text.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

pub fn decode_hex(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks(2).map(|pair| Some(hex_value(pair[0])? << 4 | hex_value(pair[1])?)).collect()
}

pub fn md5(text: &[u8]) -> Vec<u8> {
    hex(&md5::Md5::digest(text))
}

pub fn sha1(text: &[u8]) -> Vec<u8> {
    hex(&sha1::Sha1::digest(text))
}

pub fn hmac_sha1(secret: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(secret).expect("any length of key will do");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

pub fn hmac_sha256(secret: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret).expect("any length of key will do");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

pub fn base32(text: &[u8], alphabet: &[u8], padding: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len().div_ceil(5) * 8);
    for group in text.chunks(5) {
        let mut five = [0_u8; 8];
        five[3..3 + group.len()].copy_from_slice(group);
        let bits = u64::from_be_bytes(five);
        let digits = (group.len() * 8).div_ceil(5);
        for at in 0..8 {
            if at < digits {
                out.push(alphabet[(bits >> (35 - at * 5)) as usize & 31]);
            } else if padding {
                out.push(b'=');
            }
        }
    }
    out
}

/// Decodes up to the padding; `None` when a digit or the length is wrong.
pub fn decode_base32(text: &[u8], alphabet: &[u8], caseless: bool) -> Option<Vec<u8>> {
    let end = text.iter().position(|byte| *byte == b'=').unwrap_or(text.len());
    let digits = &text[..end];
    if matches!(digits.len() % 8, 1 | 3 | 6) {
        return None;
    }
    let mut out = Vec::with_capacity(digits.len() * 5 / 8);
    for group in digits.chunks(8) {
        let mut bits = 0_u64;
        for (at, digit) in group.iter().enumerate() {
            let digit = if caseless { digit.to_ascii_lowercase() } else { *digit };
            let value = alphabet.iter().position(|known| *known == digit)?;
            bits |= (value as u64) << (35 - at * 5);
        }
        out.extend_from_slice(&bits.to_be_bytes()[3..3 + group.len() * 5 / 8]);
    }
    Some(out)
}

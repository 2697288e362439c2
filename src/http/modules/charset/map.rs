//! `charset_map`: what a byte of one character set is in another.

use std::{collections::HashMap, sync::Arc};

use bstr::{BString, ByteSlice};
use bytes::Bytes;

use crate::conf::{Builder, Diag, Directive, Part};

/// How to get from one character set to another.
pub enum Table {
    /// Byte by byte.
    Bytes(Box<[u8; 256]>),
    ToUtf8(Box<[Vec<u8>; 256]>),
    FromUtf8(HashMap<char, u8>),
}

impl Table {
    pub fn keeps_length(&self) -> bool {
        matches!(self, Self::Bytes(_))
    }
}

/// The maps of a configuration, both ways.
#[derive(Default)]
pub struct Maps(HashMap<(BString, BString), Arc<Table>>);

impl Part for Maps {
    fn inherit(&mut self, _parent: &Self) {}
}

impl Maps {
    pub fn table(&self, from: &[u8], to: &[u8]) -> Option<Arc<Table>> {
        let key = (from.to_ascii_lowercase().into(), to.to_ascii_lowercase().into());
        self.0.get(&key).cloned()
    }
}

/// Reads `charset_map from to { byte bytes; … }`.
pub fn set_map(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let from = BString::from(d.arg(1).to_ascii_lowercase());
    let to = BString::from(d.arg(2).to_ascii_lowercase());
    if from == to {
        return Err(Diag::emerg(format!(
            "\"charset_map\" between the same charsets \"{from}\" and \"{to}\""
        )));
    }
    if b.part::<Maps>().0.contains_key(&(from.clone(), to.clone())) {
        return Err(Diag::emerg(format!(
            "duplicate \"charset_map\" between \"{from}\" and \"{to}\""
        )));
    }
    let utf8 = to == "utf-8";
    let mut pairs = Vec::new();
    b.entries(d, |_, entry| {
        if entry.arg_count() != 1 {
            return Err(Diag::emerg("invalid parameters number"));
        }
        let wrong = |text: &bstr::BStr| Diag::emerg(format!("invalid value \"{text}\""));
        let source = hex(entry.name()).filter(|bytes| bytes.len() == 1);
        let source = source.ok_or_else(|| wrong(entry.name()))?[0];
        let most = if utf8 { 4 } else { 1 };
        let target = hex(entry.arg(1)).filter(|bytes| (1..=most).contains(&bytes.len()));
        pairs.push((source, target.ok_or_else(|| wrong(entry.arg(1)))?));
        Ok(())
    });
    let (there, back) = if utf8 { with_utf8(&pairs) } else { of_bytes(&pairs) };
    let maps = &mut b.part::<Maps>().0;
    maps.insert((from.clone(), to.clone()), Arc::new(there));
    maps.insert((to, from), Arc::new(back));
    Ok(())
}

/// `E282AC` as bytes; a single digit is a byte as well.
fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.to_str().ok()?;
    if text.len() == 1 {
        return u8::from_str_radix(text, 16).ok().map(|byte| vec![byte]);
    }
    if text.is_empty() || text.len() % 2 == 1 || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

fn of_bytes(pairs: &[(u8, Vec<u8>)]) -> (Table, Table) {
    // What nobody mapped is itself in ASCII, and a question mark above.
    let plain = || Box::new(std::array::from_fn(|byte| if byte < 128 { byte as u8 } else { b'?' }));
    let (mut there, mut back): (Box<[u8; 256]>, Box<[u8; 256]>) = (plain(), plain());
    for (source, target) in pairs {
        there[usize::from(*source)] = target[0];
        back[usize::from(target[0])] = *source;
    }
    (Table::Bytes(there), Table::Bytes(back))
}

fn with_utf8(pairs: &[(u8, Vec<u8>)]) -> (Table, Table) {
    let mut there: Box<[Vec<u8>; 256]> =
        Box::new(std::array::from_fn(|byte| vec![if byte < 128 { byte as u8 } else { b'?' }]));
    let mut back = HashMap::new();
    for (source, target) in pairs {
        there[usize::from(*source)].clone_from(target);
        if let Some(character) = target.to_str().ok().and_then(|text| text.chars().next()) {
            back.insert(character, *source);
        }
    }
    (Table::ToUtf8(there), Table::FromUtf8(back))
}

/// Converts a body that comes in pieces.
pub struct Recoder {
    table: Arc<Table>,
    /// The start of a character whose rest has not come yet.
    kept: Vec<u8>,
}

impl Recoder {
    pub fn new(table: Arc<Table>) -> Self {
        Self { table, kept: Vec::new() }
    }

    pub fn run(&mut self, data: &Bytes, last: bool) -> Bytes {
        match &*self.table {
            Table::Bytes(table) => {
                data.iter().map(|byte| table[usize::from(*byte)]).collect::<Vec<_>>().into()
            }
            Table::ToUtf8(table) => {
                let mut out = Vec::with_capacity(data.len() * 2);
                for byte in data {
                    out.extend_from_slice(&table[usize::from(*byte)]);
                }
                out.into()
            }
            Table::FromUtf8(table) => {
                let text = [&std::mem::take(&mut self.kept)[..], data].concat();
                let (out, used) = from_utf8(&text, table, last);
                self.kept = text[used..].to_vec();
                out.into()
            }
        }
    }
}

/// Converts what is complete; a character without a byte is written as its number.
fn from_utf8(text: &[u8], table: &HashMap<char, u8>, last: bool) -> (Vec<u8>, usize) {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let byte = text[at];
        if byte < 128 {
            out.push(table.get(&char::from(byte)).copied().unwrap_or(byte));
            at += 1;
            continue;
        }
        let (character, size) = bstr::decode_utf8(&text[at..]);
        match character {
            Some(character) => {
                match table.get(&character) {
                    Some(byte) => out.push(*byte),
                    None => out.extend_from_slice(format!("&#{};", character as u32).as_bytes()),
                }
                at += size;
            }
            None if !last && is_start(&text[at..]) => break,
            None => {
                out.push(b'?');
                at += size.max(1);
            }
        }
    }
    (out, at)
}

/// Whether more bytes could make a character of this.
fn is_start(text: &[u8]) -> bool {
    let wanted = match text[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return false,
    };
    text.len() < wanted && text[1..].iter().all(|byte| byte & 0xc0 == 0x80)
}

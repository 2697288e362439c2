//! Values of set-misc that are chosen: at random, in turn, by a hash.

use std::{
    hash::{BuildHasher, Hasher},
    io::Read,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use bstr::{BStr, BString};
use bytes::Bytes;

use crate::{
    base::units::parse_number,
    conf::{Builder, Diag, Directive, Part},
};

use crate::http::{
    modules::rewrite::{Code, CustomCode, conf::define, push},
    request::Request,
    template::Template,
    vars::VarRef,
};

pub const LCALPHA: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
pub const ALPHANUM: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const SECURE_LENGTH_MAX: u64 = 64;

/// `set_random $x from to`
pub fn random(args: &[Bytes]) -> Result<Vec<u8>, String> {
    let bad = |which: &str, value: &Bytes| {
        format!("set_random: bad \"{which}\" argument: {}", BStr::new(value))
    };
    let from = parse_number(&args[0]).ok_or_else(|| bad("from", &args[0]))?;
    let to = parse_number(&args[1]).ok_or_else(|| bad("to", &args[1]))?;
    let (low, high) = (from.min(to), from.max(to));
    // A hasher of fresh keys is all the chance that is needed here.
    let chance = std::collections::hash_map::RandomState::new().build_hasher().finish();
    let width = (high - low).saturating_add(1);
    Ok((low + chance % width).to_string().into())
}

/// So many characters of an alphabet, from the system's random source.
pub fn secure(length: &[u8], alphabet: &[u8]) -> Result<Vec<u8>, String> {
    let count = parse_number(length).filter(|count| (1..=SECURE_LENGTH_MAX).contains(count));
    let bad = || format!("set_random: bad \"length\" argument: {}", BStr::new(length));
    let mut bytes = vec![0; count.ok_or_else(bad)? as usize];
    let source = std::fs::File::open("/dev/urandom");
    source
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(|_| "set_secure_random: could not open /dev/urandom".to_string())?;
    Ok(bytes.into_iter().map(|byte| alphabet[usize::from(byte) % alphabet.len()]).collect())
}

/// `set_rotate $x from to`: the next number, in turn over all requests.
struct Rotate {
    target: VarRef,
    own: Template,
    from: Template,
    to: Template,
    last: AtomicI64,
}

pub fn set_rotate(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let target = define(b, d.arg(1))?;
    let own = Template::compile(b, d.arg(1))?;
    let from = Template::compile(b, d.arg(2))?;
    let to = Template::compile(b, d.arg(3))?;
    let last = AtomicI64::new(UNSET);
    push(b, Code::Custom(Arc::new(Rotate { target, own, from, to, last })));
    Ok(())
}

impl CustomCode for Rotate {
    fn run(&self, r: &Rc<Request>) -> Result<(), u16> {
        let number = |which: &str, value: &Bytes| {
            let number = parse_number(value).and_then(|number| i64::try_from(number).ok());
            let value = BStr::new(value);
            number.ok_or_else(|| format!("set_rotate: bad {which} value: \"{value}\""))
        };
        let bound = |which: &str, value: &Template| {
            number(which, &value.eval(r)).map_err(|text| super::failed(r, &text))
        };
        let (from, to) =
            (bound("\"from\" argument", &self.from)?, bound("\"to\" argument", &self.to)?);
        let (low, high) = (from.min(to), from.max(to));
        let own = self.own.eval(r);
        let before = match own.is_empty() {
            true => self.last.load(Ordering::Relaxed),
            false => number("current", &own).unwrap_or_else(|text| {
                super::failed(r, &text);
                self.last.load(Ordering::Relaxed)
            }),
        };
        let mut next = if before == UNSET { low } else { before + 1 };
        if !(low..=high).contains(&next) {
            next = low;
        }
        self.last.store(next, Ordering::Relaxed);
        r.set_var(self.target, Some(next.to_string().into()));
        Ok(())
    }
}

/// `upstream_list name group group …;`
#[derive(Default)]
struct Lists(Vec<(BString, Arc<Vec<Bytes>>)>);

impl Part for Lists {
    fn inherit(&mut self, _parent: &Self) {}
}

pub fn set_upstream_list(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let groups = d.args()[1..].iter().map(|word| Bytes::copy_from_slice(&word.text)).collect();
    b.main::<Lists>().0.push((d.arg(1).into(), Arc::new(groups)));
    Ok(())
}

struct Hashed {
    target: VarRef,
    list: Template,
    lists: Vec<(BString, Arc<Vec<Bytes>>)>,
    key: Template,
}

pub fn set_hashed_upstream(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let target = define(b, d.arg(1))?;
    let name = d.arg(2);
    let list = Template::compile(b, name)?;
    let key = Template::compile(b, d.arg(3))?;
    let lists = b.main::<Lists>().0.clone();
    if list.is_constant() && !lists.iter().any(|(known, _)| known == name) {
        let text = format!("set_hashed_upstream: upstream list \"{name}\" not defined yet");
        return Err(Diag::emerg(text));
    }
    push(b, Code::Custom(Arc::new(Hashed { target, list, lists, key })));
    Ok(())
}

impl CustomCode for Hashed {
    fn run(&self, r: &Rc<Request>) -> Result<(), u16> {
        let name = self.list.eval(r);
        let Some((_, groups)) = self.lists.iter().find(|(known, _)| known[..] == name[..]) else {
            let name = BStr::new(&name);
            let text = format!("set_hashed_upstream: upstream list \"{name}\" not defined yet");
            return Err(super::failed(r, &text));
        };
        // nginx's own hash of names, cut to 32 bits.
        let hash = self.key.eval(r).iter().fold(0_u64, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(u64::from(byte.to_ascii_lowercase()))
        });
        let at = hash as u32 as usize % groups.len().max(1);
        r.set_var(self.target, groups.get(at).cloned());
        Ok(())
    }
}

const UNSET: i64 = i64::MIN;

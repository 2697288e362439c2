//! `sub_filter`: words of a response exchanged for others.
//!
//! ```text
//!  chunk ─▶ kept end of the last one + chunk ─▶ pairs, in any letter case ─▶ chunk
//!                                                └ what may be the start of a word is kept
//! ```

use std::{cell::RefCell, rc::Rc};

use bytes::Bytes;

use crate::conf::{
    Builder, Diag, Directive, Part, Scope, inherit,
    row::{HTTP_LEVELS, Row, at_least, flag, row, take},
};

use crate::http::{
    mime::TypeSet,
    output::{Chunk, Chunks, Filter, OutputError},
    request::Request,
    template::Template,
};

pub static FILTER: SubFilter = SubFilter;

pub const ROWS: &[Row] = &[
    row("sub_filter", HTTP_LEVELS, take(2), add_pair),
    flag("sub_filter_once", HTTP_LEVELS, |b, d| d.flag_slot(&mut b.part::<SubConf>().once)),
    flag("sub_filter_last_modified", HTTP_LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<SubConf>().last_modified)
    }),
    row("sub_filter_types", HTTP_LEVELS, at_least(1), |b, d| {
        let set = TypeSet::read(b, d, &["text/html"]);
        d.once(&mut b.part::<SubConf>().types, |_| Ok(set))
    }),
];

/// Settings of one block.
#[derive(Default)]
struct SubConf {
    pairs: Option<Vec<(Template, Template)>>,
    once: Option<bool>,
    last_modified: Option<bool>,
    types: Option<TypeSet>,
}

impl Part for SubConf {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: pairs, once, last_modified, types);
    }
}

fn add_pair(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if d.arg(1).is_empty() {
        return Err(Diag::emerg("empty search pattern"));
    }
    let pair = (Template::compile(b, d.arg(1))?, Template::compile(b, d.arg(2))?);
    b.part::<SubConf>().pairs.get_or_insert_default().push(pair);
    Ok(())
}

/// The exchange in one response.
#[derive(Default)]
struct Work(RefCell<Option<Search>>);

struct Search {
    pairs: Vec<Pair>,
    /// Which bytes begin a word, in either case.
    begins: [bool; 256],
    once: bool,
    kept: Vec<u8>,
}

struct Pair {
    /// In lower case.
    word: Bytes,
    value: Template,
    used: bool,
}

/// What stands at a place of the text.
enum At {
    Nothing,
    /// The text ends in the middle of a word.
    Unknown,
    Pair(usize),
}

/// Exchanges.
pub struct SubFilter;

impl Filter for SubFilter {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<SubConf>().is_some_and(|conf| conf.pairs.is_some())
    }

    fn header(&self, r: &Rc<Request>) -> Result<(), OutputError> {
        let location = r.location();
        let conf = location.scope.part::<SubConf>();
        let fits = {
            let out = r.headers_out.borrow();
            match &conf.types {
                Some(types) => types.has(out.content_type.as_ref()),
                None => TypeSet::of(&["text/html"]).has(out.content_type.as_ref()),
            }
        };
        let empty = r.headers_out.borrow().content_length == Some(0);
        if !fits || empty {
            return Ok(());
        }
        let Some(search) = Search::new(r, conf) else { return Ok(()) };
        *r.ext::<Work>().0.borrow_mut() = Some(search);
        r.filter_need_in_memory.set(true);
        if !r.is_subrequest() {
            let mut out = r.headers_out.borrow_mut();
            super::gzip::body_is_rewritten(&mut out, conf.last_modified == Some(true));
        }
        Ok(())
    }

    fn body(&self, r: &Rc<Request>, chunks: &mut Chunks) -> Result<(), OutputError> {
        let Some(work) = r.ext_if_any::<Work>() else { return Ok(()) };
        let mut work = work.0.borrow_mut();
        let Some(search) = work.as_mut() else { return Ok(()) };
        for chunk in chunks.iter_mut() {
            let data = search.run(r, std::mem::take(&mut chunk.data), chunk.last);
            *chunk = Chunk { data, ..std::mem::take(chunk) };
        }
        Ok(())
    }
}

impl Search {
    /// `None` when no word is left once the variables are known.
    fn new(r: &Rc<Request>, conf: &SubConf) -> Option<Self> {
        let mut begins = [false; 256];
        let pair = |(word, value): &(Template, Template)| {
            let word = Bytes::from(word.eval(r).to_ascii_lowercase());
            (!word.is_empty()).then(|| Pair { word, value: value.clone(), used: false })
        };
        let pairs: Vec<Pair> = conf.pairs.iter().flatten().filter_map(pair).collect();
        for pair in &pairs {
            begins[usize::from(pair.word[0])] = true;
            begins[usize::from(pair.word[0].to_ascii_uppercase())] = true;
        }
        let once = conf.once != Some(false);
        (!pairs.is_empty()).then_some(Self { pairs, begins, once, kept: Vec::new() })
    }

    fn run(&mut self, r: &Rc<Request>, data: Bytes, last: bool) -> Bytes {
        let text = match self.kept.is_empty() {
            true => data,
            false => [&std::mem::take(&mut self.kept)[..], &data].concat().into(),
        };
        let mut out: Option<Vec<u8>> = None;
        let (mut at, mut copied) = (0, 0);
        while at < text.len() {
            if !self.begins[usize::from(text[at])] {
                at += 1;
                continue;
            }
            match self.look(&text[at..], last) {
                At::Nothing => at += 1,
                At::Unknown => break,
                At::Pair(index) => {
                    let pair = &mut self.pairs[index];
                    pair.used = true;
                    let out = out.get_or_insert_default();
                    out.extend_from_slice(&text[copied..at]);
                    out.extend_from_slice(&pair.value.eval(r));
                    at += pair.word.len();
                    copied = at;
                }
            }
        }
        self.kept = text[at..].to_vec();
        match out {
            None => text.slice(..at),
            Some(mut out) => {
                out.extend_from_slice(&text[copied..at]);
                out.into()
            }
        }
    }

    /// The first pair, in the order of the file, whose word `text` begins with.
    fn look(&self, text: &[u8], last: bool) -> At {
        for (index, pair) in self.pairs.iter().enumerate() {
            if self.once && pair.used {
                continue;
            }
            let length = pair.word.len().min(text.len());
            if !text[..length].eq_ignore_ascii_case(&pair.word[..length]) {
                continue;
            }
            if length == pair.word.len() {
                return At::Pair(index);
            }
            if !last {
                return At::Unknown;
            }
        }
        At::Nothing
    }
}

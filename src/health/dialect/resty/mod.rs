//! `resty.healthcheck`: checkers that scripts make, fill with targets and report to.
//!
//! ```text
//!  new() ── Settings ─▶ book(name, shm) ─▶ Book ── one a process ─▶ Check (engine)
//!    each checker object: a seat ◀── Told ──┘  │
//!                                              └▶ target_list, state, counter keys in the shm
//! ```
//!
//! A book outlives the checkers that wrote in it, as the library's shared dictionary does: who asks
//! for the same name again finds the targets and their states.

mod book;
mod list;
mod settings;
mod shm;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bstr::BString;

pub use self::book::{Added, Book, BookError, Opening};
pub use self::list::Entry;
pub use self::settings::{ProbeKind, Settings};
use crate::shdict::Dict;

/// Something the engine found out, for the script of one checker.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The checker that tells it on.
    pub seat: u64,
    pub target: Option<Ident>,
    pub what: Tell,
}

/// What is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Tell {
    /// A report was counted in a lane, numbered as scripts do from 1.
    Counted { healthy: bool, lane: u8, count: u64, limit: u64 },
    /// The inner state is another.
    Changed(&'static str),
    /// Delayed removal.
    Removed,
    /// A probe failed in a way the library wrote an error about.
    Failed(String),
    /// A probe was sent again with another version of HTTP.
    Retried(String),
    /// Nothing: the plan of the checker changed.
    Wake,
}

/// The identity of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ident {
    pub ip: BString,
    /// As the script gave it; fractions match nothing.
    pub port: f64,
    pub hostname: BString,
}

/// The book of a name in a dictionary; `fresh` when nobody held it.
pub fn book(name: &[u8], dict: &Dict) -> (Arc<Book>, bool) {
    let mut books = books();
    let key = (BString::from(name), BString::from(dict.name()));
    if let Some(book) = books.get(&key) {
        book.rebind(dict);
        return (book.clone(), false);
    }
    let book = Arc::new(Book::new(key.0.clone(), dict.clone()));
    books.insert(key, book.clone());
    (book, true)
}

/// The book of a name, if there is one.
pub fn find(name: &[u8], shm: &[u8]) -> Option<Arc<Book>> {
    books().get(&(BString::from(name), BString::from(shm))).cloned()
}

/// Forgets a book that nobody holds and that holds nothing.
fn close(book: &Book) {
    books().retain(|_, known| !std::ptr::eq(&**known, book) || !book.is_idle());
}

fn books() -> MutexGuard<'static, Books> {
    BOOKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// By name and dictionary.
type Books = BTreeMap<(BString, BString), Arc<Book>>;

static BOOKS: Mutex<Books> = Mutex::new(BTreeMap::new());

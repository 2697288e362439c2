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
mod shm;
mod words;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bstr::BString;

pub use self::book::{Added, Book, BookError, Opening, Out};
pub use self::list::Entry;
pub use self::shm::{hide_prober, show_prober};
pub use self::words::{Ident, Tell, Told, complaint};
use crate::shdict::Dict;

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
    books().retain(|_, known| {
        // Held by the register and by the one who asks.
        let held = Arc::strong_count(known) > 2;
        !std::ptr::eq(&**known, book) || held || !book.is_idle()
    });
}

fn books() -> MutexGuard<'static, Books> {
    BOOKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// By name and dictionary.
type Books = BTreeMap<(BString, BString), Arc<Book>>;

static BOOKS: Mutex<Books> = Mutex::new(BTreeMap::new());

//! Certificates, keys and sessions in the hands of scripts.
//!
//! ```text
//!  native ── Item ─▶ handle (a number) ─▶ prelude: cdata "void *" with a finalizer ─▶ free
//! ```
//!
//! What a script holds looks like OpenSSL's pointer, but is a number in a table: a made-up one
//! finds nothing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::net::tls::{Chain, ClientSession, Key};
use crate::shdict::Dict;

/// What a handle stands for.
#[derive(Clone)]
pub enum Item {
    Chain(Rc<Chain>),
    Key(Rc<Key>),
    Session(Arc<ClientSession>),
    Dict(Dict),
}

/// Keeps a value and gives its handle.
pub fn keep(item: Item) -> f64 {
    TABLE.with_borrow_mut(|table| {
        table.last += STEP;
        let handle = table.last;
        table.items.insert(handle, item);
        handle as f64
    })
}

pub fn find(handle: f64) -> Option<Item> {
    TABLE.with_borrow(|table| table.items.get(&(handle as u64)).cloned())
}

pub fn free(handle: f64) {
    // The last destructors of a thread may run when its table is gone.
    let _ = TABLE.try_with(|table| table.borrow_mut().items.remove(&(handle as u64)));
}

pub fn chain(handle: f64) -> Option<Rc<Chain>> {
    match find(handle)? {
        Item::Chain(chain) => Some(chain),
        _ => None,
    }
}

pub fn key(handle: f64) -> Option<Rc<Key>> {
    match find(handle)? {
        Item::Key(key) => Some(key),
        _ => None,
    }
}

pub fn session(handle: f64) -> Option<Arc<ClientSession>> {
    match find(handle)? {
        Item::Session(session) => Some(session),
        _ => None,
    }
}

/// The handle of a shared dictionary: the same for the same zone, and never let go of.
pub fn keep_dict(dict: Dict) -> f64 {
    let known = TABLE.with_borrow(|table| {
        let same = |item: &Item| matches!(item, Item::Dict(known) if known.name() == dict.name());
        table.items.iter().find(|(_, item)| same(item)).map(|(handle, _)| *handle)
    });
    known.map_or_else(|| keep(Item::Dict(dict)), |handle| handle as f64)
}

pub fn dict(handle: f64) -> Option<Dict> {
    match find(handle)? {
        Item::Dict(dict) => Some(dict),
        _ => None,
    }
}

#[derive(Default)]
struct Table {
    items: HashMap<u64, Item>,
    last: u64,
}

thread_local! {
    static TABLE: RefCell<Table> = RefCell::default();
}

/// Apart like pointers, so that they look like some.
const STEP: u64 = 16;

//! The shared state table behind `ngx.shared.DICT`, knowing no Lua.
//!
//! ```text
//!   zones (by name, survive reload) ─▶ Dict (cheap handle, one lock) ─▶ Table (pure store)
//!                                                              │ time comes in
//!                                                   Slab ◀─────┘ where nginx would put it
//! ```
//!
//! Memory is counted as nginx's slab allocator would hand it out, so that `free_space`, `forcible`
//! and `no memory` are what a script sees in OpenResty; the bytes themselves live on the heap.

mod dict;
mod index;
mod lock;
mod slab;
mod table;
mod value;
pub mod zones;

pub use self::dict::Dict;
pub use self::table::{Incr, Outcome, Store, Table};
pub use self::value::{Error, Item, OwnedValue, Side, Stamp, Value};
